//! The report of a stop, or of an end without a stop, for programs: one JSON object, the last line of the termination
//! message and the `report` of the JSON log. Its fields are named as in `/status`. Pure.

use std::time::Duration;

use litemap::LiteMap;
use serde::{Serialize, Serializer};

use super::journal::Row;
use super::timestamp::Timestamp;
use crate::http::StatusSnapshot;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{PhaseName, Reason};

/// See [docs/lifecycle.md](../../docs/lifecycle.md).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StopReport<'a> {
    /// Changes when a field changes its meaning.
    pub(super) format: u8,
    pub(super) version: &'static str,
    pub(super) phase: PhaseName,
    pub(super) started_at: Timestamp,
    /// When the stop began; without a stop, when the app ended.
    pub(super) began_at: Timestamp,
    /// How long it has taken so far.
    pub(super) took_seconds: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped_by: Option<&'a str>,
    /// `Completed`, `Failed`, `Stopped`; absent while the app runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    /// bookend's own exit code; absent while it is not decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<u8>,
    /// The signal that ended the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<&'a str>,
    /// The kernel's OOM killer ended the app.
    pub(super) oom: bool,
    /// How long each completed stage took.
    #[serde(serialize_with = "as_map")]
    pub(super) stage_seconds: LiteMap<&'static str, Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new_connections: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests_cut: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_accepted: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resets_sent: Option<u64>,
    /// The result of the drain: `Quiet`, `TimeOver`, `Unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drain: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) termination_grace_period_seconds: Option<Seconds>,
    /// The rest of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grace_left_seconds: Option<Seconds>,
    /// In the log alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) timeline: Vec<Row>,
}

/// The part that the journal and the clock know.
#[derive(Debug)]
pub(crate) struct StopFacts<'a> {
    /// When the stop or the end began, since bookend started.
    pub(crate) began: Duration,
    pub(crate) began_at: Timestamp,
    pub(crate) now: Duration,
    pub(crate) stopped_by: Option<&'a str>,
    pub(crate) exit_code: Option<u8>,
    pub(crate) timeline: Vec<Row>,
}

impl<'a> StopReport<'a> {
    pub(crate) fn of(status: &'a StatusSnapshot, facts: StopFacts<'a>) -> StopReport<'a> {
        let mut stages = status.counters.stop.clone();
        for (_, container) in status.containers.iter().flatten() {
            for (stage, took) in container.counters.stop.iter() {
                let longest = stages.entry(stage).or_insert(*took);
                *longest = (*longest).max(*took);
            }
        }
        let took = facts.now.saturating_sub(facts.began);
        let grace = status.termination_grace_period_seconds.filter(|_| facts.stopped_by.is_some());
        StopReport {
            format: 1,
            version: status.version,
            phase: if facts.exit_code.is_some() { PhaseName::Exited } else { status.phase },
            started_at: status.started_at,
            began_at: facts.began_at,
            took_seconds: Seconds(took),
            stopped_by: facts.stopped_by,
            reason: status.app.reason,
            exit_code: facts.exit_code,
            signal: status.app.signal.as_deref(),
            oom: status.app.oom,
            stage_seconds: stages,
            new_connections: status.new_connections,
            requests_cut: status.lost.map(|lost| lost.requests_cut),
            not_accepted: status.lost.map(|lost| lost.not_accepted),
            resets_sent: status.lost.map(|lost| lost.resets_sent),
            drain: status.drain.and_then(|drain| drain.verdict),
            termination_grace_period_seconds: grace,
            grace_left_seconds: grace.map(|grace| Seconds(grace.0.saturating_sub(took))),
            timeline: facts.timeline,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // It has no map with keys that are not strings.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn as_map<S: Serializer>(stages: &LiteMap<&'static str, Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(stages.iter().map(|(stage, took)| (stage, Seconds(*took))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::message;

    #[test]
    fn the_longest_report_leaves_room_for_a_first_line() {
        let number = Duration::from_millis(9_999_999_999_999);
        let stages = ["preStop", "app", "leftovers", "postStop"].map(|stage| (stage, number));
        let report = StopReport {
            format: u8::MAX,
            version: "1000.1000.1000-rc.1000",
            phase: PhaseName::Finishing,
            started_at: Timestamp::now(),
            began_at: Timestamp::now(),
            took_seconds: Seconds(number),
            stopped_by: Some("a failed postStart handler"),
            reason: Some(Reason::Completed),
            exit_code: Some(u8::MAX),
            signal: Some("SIGRTMIN+15"),
            oom: false,
            stage_seconds: LiteMap::from_iter(stages),
            new_connections: Some(u64::MAX),
            requests_cut: Some(u32::MAX),
            not_accepted: Some(u32::MAX),
            resets_sent: Some(u64::MAX),
            drain: Some("Unavailable"),
            termination_grace_period_seconds: Some(Seconds(number)),
            grace_left_seconds: Some(Seconds(number)),
            timeline: Vec::new(),
        };
        let json = report.to_json();
        let head = format!("stopping since 12:00:01Z (SIGTERM): {}app still running at +9.0 s", "x".repeat(500));
        let text = message::compose(message::DEFAULT_BYTES, &head, &[], &[], &json);
        assert!(text.len() <= message::DEFAULT_BYTES && text.ends_with(&format!("\n{json}\n")), "{text}");
        assert!(text.lines().next().is_some_and(|head| head.len() > 200), "{} bytes of JSON: {text}", json.len());
    }
}
