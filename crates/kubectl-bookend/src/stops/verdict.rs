//! How one ended container went: a stop and what it cost, an end without a stop, or unknown. Pure.

use super::ended::EndedContainer;
use super::message::{Message, Report, Unreadable};
use super::moment::seconds_of;

/// How it went.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// A stop with a report.
    Stop(StopRecord),
    /// The app ended by itself, with a report.
    EndedByItself {
        /// `Completed`, `Failed`, or `Killed` if the report was not finished.
        reason: &'static str,
        oom: bool,
    },
    /// bookend ran in it, and its report is missing or cannot be read.
    Unknown { why: &'static str, oom: bool },
    /// Nothing shows that bookend ran in it.
    WithoutBookend,
}

/// A stop, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StopRecord {
    pub(super) took_seconds: f64,
    /// The shorter one of bookend's budget and the pod's grace period.
    pub(super) grace_seconds: Option<f64>,
    pub(super) stopped_by: String,
    /// The stage that took longest, and how long.
    pub(super) longest_stage: Option<(String, f64)>,
    /// The stage in which SIGKILL ended the app, or bookend itself.
    pub(super) killed_in: Option<&'static str>,
    /// The report was begun and never finished.
    pub(super) is_unfinished: bool,
    pub(super) oom: bool,
    pub(super) over_budget: bool,
    pub(super) requests_cut: u64,
    pub(super) not_accepted: u64,
    pub(super) resets_sent: u64,
}

impl StopRecord {
    /// Nothing was lost.
    pub(super) fn is_clean(&self) -> bool {
        self.killed_in.is_none() && !self.oom && !self.over_budget && !self.has_lost()
    }

    /// Requests were cut, reset or not accepted.
    pub(super) fn has_lost(&self) -> bool {
        self.requests_cut.max(self.not_accepted).max(self.resets_sent) > 0
    }
}

/// Judges one ended container.
pub(super) fn judge(ended: &EndedContainer) -> Verdict {
    let by_kernel = ended.reason == OOM_KILLED;
    let unknown = |why| Verdict::Unknown { why, oom: by_kernel };
    match &ended.message {
        Message::Report(report) if report.stopped_by.is_some() => Verdict::Stop(stop(ended, report)),
        Message::Report(report) => {
            let reason = match (report.exit_code, report.reason.as_deref()) {
                (None, _) => "Killed",
                (Some(_), Some("Completed")) => "Completed",
                (Some(_), _) => "Failed",
            };
            Verdict::EndedByItself { reason, oom: report.oom || by_kernel }
        }
        Message::Unreadable(Unreadable::Damaged) => unknown("message cut or damaged"),
        Message::Unreadable(Unreadable::Newer) => unknown("message of a newer bookend"),
        Message::Foreign | Message::Empty if ended.is_wrapped && ended.exit_code == NOT_STARTED => {
            unknown("exit code 125: configuration, preStart or postStart")
        }
        Message::Foreign if ended.is_wrapped => unknown("message without a report"),
        Message::Empty if ended.is_wrapped => unknown("no message"),
        Message::Foreign | Message::Empty => Verdict::WithoutBookend,
    }
}

fn stop(ended: &EndedContainer, report: &Report) -> StopRecord {
    let is_unfinished = report.exit_code.is_none();
    // The report was last written up to a second before the end; Kubernetes has the end without fractions of a second.
    let by_kubernetes = ended.finished.zip(seconds_of(&report.began_at)).map(|(finished, began)| finished - began);
    let reported = report.took_seconds.max(0.0);
    let took = if is_unfinished { by_kubernetes.unwrap_or_default().max(reported) } else { reported };
    let grace_seconds = match (report.termination_grace_period_seconds, ended.grace_seconds) {
        (Some(ours), Some(pods)) => Some(ours.min(pods)),
        (ours, pods) => ours.or(pods),
    };
    let over_budget = match grace_seconds {
        _ if report.grace_left_seconds == Some(0.0) => true,
        // Almost all of it was used: then only the runtime ends bookend.
        Some(grace) if is_unfinished => took > grace - ROUNDING,
        Some(grace) => took > grace,
        None => false,
    };
    let was_killed = report.signal.as_deref() == Some("SIGKILL");
    let killed_in = match is_unfinished {
        true => Some(stage_of(report)),
        false if was_killed => Some(STOP_SIGNAL),
        false => None,
    };
    let oom = report.oom || ended.reason == OOM_KILLED;
    StopRecord {
        took_seconds: took,
        grace_seconds,
        stopped_by: report.stopped_by.clone().unwrap_or_default(),
        longest_stage: longest_stage(report, took, killed_in.filter(|_| is_unfinished)),
        killed_in: killed_in.filter(|_| !oom),
        is_unfinished,
        oom,
        over_budget,
        requests_cut: report.requests_cut.unwrap_or_default(),
        not_accepted: report.not_accepted.unwrap_or_default(),
        resets_sent: report.resets_sent.unwrap_or_default(),
    }
}

/// How far a stop had come whose report was not finished.
fn stage_of(report: &Report) -> &'static str {
    let is_over = |stage: &str| report.stage_seconds.contains_key(stage);
    // Losses are counted from the stop signal on.
    let is_signalled = report.requests_cut.is_some() || is_over("app");
    if is_over("postStop") {
        "report"
    } else if report.phase == "Finishing" {
        let waits = report.headline.contains("remaining processes") && !report.headline.contains("postStop");
        if waits && !is_over("leftovers") { "remaining processes" } else { "postStop" }
    } else if is_signalled || is_over("preStop") {
        STOP_SIGNAL
    } else {
        "preStop"
    }
}

/// The stage that took longest; `current`: the one that was not over.
fn longest_stage(report: &Report, took: f64, current: Option<&'static str>) -> Option<(String, f64)> {
    let name = |stage: &str| match stage {
        "app" => STOP_SIGNAL.to_owned(),
        "leftovers" => "remaining processes".to_owned(),
        other => other.to_owned(),
    };
    let over: f64 = report.stage_seconds.values().sum();
    let mut stages: Vec<_> = report.stage_seconds.iter().map(|(stage, seconds)| (name(stage), *seconds)).collect();
    stages.extend(current.map(|stage| (stage.to_owned(), (took - over).max(0.0))));
    stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The reason that the kubelet writes.
const OOM_KILLED: &str = "OOMKilled";
/// The exit code of a bookend that failed itself.
const NOT_STARTED: i64 = 125;
/// From the stop signal to the app's end.
const STOP_SIGNAL: &str = "stop signal";
/// The end, as Kubernetes has it, may be a second before the real one.
const ROUNDING: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// An ended container with this report; `fields` replace those of a clean stop.
    fn ended(reason: &str, head: &str, fields: &str) -> EndedContainer {
        let mut report: serde_json::Value = serde_json::from_str(
            r#"{"format":1,"version":"0.1.0","phase":"Exited","startedAt":"2026-11-29T11:20:00.000Z","beganAt":"2026-11-29T12:00:01.900Z","tookSeconds":9.5,"stoppedBy":"SIGTERM","reason":"Stopped","exitCode":0,"oom":false,"stageSeconds":{"preStop":2.0,"app":7.5},"requestsCut":0,"notAccepted":0,"resetsSent":0,"terminationGracePeriodSeconds":30.0,"graceLeftSeconds":20.5}"#,
        )
        .unwrap();
        let fields: serde_json::Value = serde_json::from_str(fields).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            report[name] = value.clone();
        }
        EndedContainer {
            namespace: "shop".to_owned(),
            pod: "p".to_owned(),
            workload: "p".to_owned(),
            container: "web".to_owned(),
            id: String::new(),
            exit_code: 0,
            reason: reason.to_owned(),
            finished: seconds_of("2026-11-29T12:00:31Z"),
            grace_seconds: Some(30.0),
            is_wrapped: true,
            message: Message::read(&format!("{head}\n{report}\n")),
        }
    }

    fn stop_of(reason: &str, head: &str, fields: &str) -> StopRecord {
        match judge(&ended(reason, head, fields)) {
            Verdict::Stop(stop) => stop,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stop_that_lost_nothing_is_clean() {
        let stop = stop_of("Completed", "stopped by SIGTERM in 9.5 s", "{}");
        assert!(stop.is_clean(), "{stop:?}");
        assert_eq!(stop.longest_stage, Some(("stop signal".to_owned(), 7.5)));
        for lost in [
            r#"{"requestsCut":1}"#,
            r#"{"notAccepted":1}"#,
            r#"{"resetsSent":1}"#,
            r#"{"oom":true}"#,
            r#"{"graceLeftSeconds":0.0}"#,
            r#"{"signal":"SIGKILL"}"#,
        ] {
            assert!(!stop_of("Error", "stopped by SIGTERM in 9.5 s", lost).is_clean(), "{lost}");
        }
    }

    #[test]
    fn an_unfinished_report_shows_the_stage_of_the_kill() {
        let unfinished = |phase: &str, stages: &str, more: &str| {
            format!(r#"{{"phase":"{phase}","exitCode":null,"stageSeconds":{stages},"tookSeconds":1.0{more}}}"#)
        };
        let head = "stopping since 12:00:01Z (SIGTERM): ";
        for (fields, more, expected) in [
            (unfinished("Stopping", "{}", r#","requestsCut":null"#), "preStop pause still running", "preStop"),
            (unfinished("Stopping", "{}", ""), "app still running at +1.0 s", "stop signal"),
            (unfinished("Stopping", r#"{"preStop":1.0}"#, r#","requestsCut":null"#), "", "stop signal"),
            (
                unfinished("Finishing", r#"{"app":1.0}"#, ""),
                "remaining processes: 7 (x), not over",
                "remaining processes",
            ),
            (unfinished("Finishing", r#"{"app":1.0,"leftovers":1.0}"#, ""), "remaining processes", "postStop"),
            (unfinished("Finishing", r#"{"app":1.0}"#, ""), "postStop bye still running", "postStop"),
            (unfinished("Finishing", r#"{"app":1.0,"postStop":1.0}"#, ""), "not over", "report"),
        ] {
            let stop = stop_of("Error", &format!("{head}{more}"), &fields);
            assert_eq!(stop.killed_in, Some(expected), "{fields}");
            assert!(stop.is_unfinished && stop.over_budget, "{stop:?}");
            // From 12:00:01.9 to 12:00:31.
            assert!((stop.took_seconds - 29.1).abs() < 0.01, "{stop:?}");
        }
    }

    #[test]
    fn the_shorter_of_both_budgets_counts() {
        let mut short = ended("Completed", "stopped by SIGTERM in 9.5 s", "{}");
        short.grace_seconds = Some(5.0);
        let Verdict::Stop(stop) = judge(&short) else { panic!("it is a stop") };
        assert!(stop.over_budget && stop.grace_seconds == Some(5.0));
    }

    #[test]
    fn lack_of_memory_comes_before_a_kill() {
        let stop =
            stop_of("OOMKilled", "stopping since 12:00:01Z (SIGTERM): app", r#"{"phase":"Stopping","exitCode":null}"#);
        assert!(stop.oom && stop.killed_in.is_none());
    }

    #[test]
    fn an_end_without_a_stop_is_not_counted_as_one() {
        let end = |fields: &str| judge(&ended("Error", "ended after 2 s", fields));
        let completed = end(r#"{"stoppedBy":null,"reason":"Completed"}"#);
        assert_eq!(completed, Verdict::EndedByItself { reason: "Completed", oom: false });
        let killed = end(r#"{"stoppedBy":null,"reason":"Failed","exitCode":null,"phase":"Finishing"}"#);
        assert_eq!(killed, Verdict::EndedByItself { reason: "Killed", oom: false });
    }

    #[test]
    fn a_bookend_that_could_not_start_is_named() {
        let mut one = ended("Error", "stopped by SIGTERM in 9.5 s", "{}");
        (one.message, one.exit_code) = (Message::Foreign, 125);
        let why = "exit code 125: configuration, preStart or postStart";
        assert_eq!(judge(&one), Verdict::Unknown { why, oom: false });
        one.is_wrapped = false;
        assert_eq!(judge(&one), Verdict::WithoutBookend, "its message is the app's own");
    }

    #[test]
    fn a_message_that_cannot_be_read_is_unknown_where_bookend_ran() {
        let mut one = ended("OOMKilled", "stopped by SIGTERM in 9.5 s", "{}");
        for (message, wrapped, expected) in [
            (Message::Empty, true, Some("no message")),
            (Message::Foreign, true, Some("message without a report")),
            (Message::Unreadable(Unreadable::Damaged), false, Some("message cut or damaged")),
            (Message::Unreadable(Unreadable::Newer), false, Some("message of a newer bookend")),
            (Message::Empty, false, None),
            (Message::Foreign, false, None),
        ] {
            (one.message, one.is_wrapped) = (message, wrapped);
            let expected = expected.map_or(Verdict::WithoutBookend, |why| Verdict::Unknown { why, oom: true });
            assert_eq!(judge(&one), expected);
        }
    }
}
