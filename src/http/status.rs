//! A snapshot of the state: the loop makes it, the endpoint answers from it.

use serde::{Serialize, Serializer};

use crate::report::counters::Counters;
#[cfg(feature = "reload")]
use crate::report::journal::{LONGEST_DETAIL, shortened};
use crate::report::journal::{Record, Row};
use crate::report::timestamp::Timestamp;
use bookend_lifecycle::drain::{ConnectionCounts, DrainEnd, DrainProgress};
use bookend_lifecycle::past::Past;
use bookend_lifecycle::probe::ProbeState;
#[cfg(feature = "reload")]
use bookend_lifecycle::reload::ReloadNote;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{PhaseName, Reason};

/// The content of `/status`. Field names are part of the interface: docs/status.schema.json.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusSnapshot {
    /// bookend's own version.
    pub(crate) version: &'static str,
    /// `Starting`, `Running`, `Stopping`, `Finishing`.
    pub(crate) phase: PhaseName,
    /// When bookend started.
    pub(crate) started_at: Timestamp,
    /// How long bookend has been running.
    pub(crate) uptime_seconds: Seconds,
    /// postStart has succeeded.
    pub(crate) post_start_over: bool,
    /// postStart has succeeded, and so have the startupProbe and READY=1 if they are configured.
    pub(crate) started: bool,
    /// New clients may be sent to the app.
    pub(crate) ready: bool,
    /// The app can answer clients: it is ready, or a stop has begun but the stop signal is not sent yet.
    pub(crate) serving: bool,
    /// The main process.
    pub(crate) app: AppSnapshot,
    /// The probes that are configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) probes: Vec<ProbeSnapshot>,
    /// The app's sd_notify messages, with `app.notify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notify: Option<NotifySnapshot>,
    /// `app.profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// The life before this one; present with `stateFile`, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous_life: Option<PreviousLife>,
    /// The cause of the stop in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_by: Option<String>,
    /// When the timeline begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_began_at: Option<Timestamp>,
    /// When the timeline begins, in seconds since bookend did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_began_seconds: Option<Seconds>,
    /// `terminationGracePeriodSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) termination_grace_period_seconds: Option<Seconds>,
    /// How much of it is left in the stop in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grace_left_seconds: Option<Seconds>,
    /// The apps of a sidecar's containers that have a name, by name; present in a sidecar only.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_map")]
    pub(crate) containers: Option<Vec<(String, ContainerSnapshot)>>,
    /// The numbers of `/metrics`.
    #[serde(skip)]
    pub(crate) counters: Counters,
    /// Reaped children that bookend had not started itself.
    pub(crate) orphans_reaped: u64,
    /// The cost of the stop for the app's clients, as far as it is known; from the stop signal on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<LossSnapshot>,
    /// Zombies that only their own parents can reap: those live, and do not wait for them.
    pub(crate) zombies: usize,
    /// Those parents, the worst first; at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) zombie_parents: Vec<ZombieParent>,
    /// Connections opened in the network namespace since the stop began, without those to bookend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new_connections: Option<u64>,
    /// The drain in progress, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<DrainSnapshot>,
    /// The app's connections now, for the report of a stop.
    #[serde(skip)]
    pub(crate) open: Option<ConnectionCounts>,
    /// Completed handler runs, the oldest first; the last fifty are kept.
    pub(crate) handlers: Vec<Record>,
    /// The entries of `[[reload]]`.
    #[cfg(feature = "reload")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reloads: Vec<ReloadSnapshot>,
    /// Handlers in progress.
    pub(crate) running: Vec<RunningHandlerSnapshot>,
    /// The stop in progress, row by row.
    pub(crate) timeline: Vec<Row>,
}

/// The life before in `/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviousLife {
    /// How far it came: `Reported`, or `Starting`, `Running`, `Stopping`, ...
    pub(crate) end: &'static str,
    /// How long its stop, or its end, had lasted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) took_seconds: Option<Seconds>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen_at: Option<String>,
}

impl PreviousLife {
    pub(crate) fn of(past: &Past) -> Option<PreviousLife> {
        let (took, seen_at) = match past {
            Past::Life(stage, seen) => (stage.time(), Some(seen.clone())),
            _ => (None, None),
        };
        Some(PreviousLife { end: past.end()?, took_seconds: took.map(Seconds), seen_at })
    }
}

/// The app of another container in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerSnapshot {
    /// As far as it is known here: `Starting`, `Running`, `Stopping`, `Finishing`, `Exited`.
    pub(crate) phase: PhaseName,
    /// bookend looks for its process, and signals it.
    pub(crate) watches_process: bool,
    /// Its process, while it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i32>,
    /// The cause of the stop in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_by: Option<String>,
    /// How much of the grace period is left in that stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grace_left_seconds: Option<Seconds>,
    /// Its drain in progress, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<DrainSnapshot>,
    /// The numbers of `/metrics`.
    #[serde(skip)]
    pub(crate) counters: Counters,
}

/// A probe in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProbeSnapshot {
    /// `startupProbe`, `readinessProbe`, `livenessProbe`.
    pub(crate) name: &'static str,
    pub(crate) state: ProbeState,
    /// Attempts that succeeded so far.
    pub(crate) successes: u64,
    /// Attempts that failed so far.
    pub(crate) failures: u64,
    /// The result of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// The app's sd_notify messages in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotifySnapshot {
    /// READY=1.
    pub(crate) ready: bool,
    /// STOPPING=1.
    pub(crate) stopping: bool,
    /// STATUS=...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
}

/// An entry of `[[reload]]` in `/status`.
#[cfg(feature = "reload")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReloadSnapshot {
    pub(crate) name: String,
    /// The container whose app it is for, in a sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// `Idle`, `Settling`, `Checking`, `Applying`, `Backoff`.
    pub(crate) state: &'static str,
    /// Number of reloads by result.
    pub(crate) succeeded: u64,
    pub(crate) check_failed: u64,
    pub(crate) failed: u64,
    pub(crate) aborted: u64,
    /// The last one: `Succeeded`, `CheckFailed`, `Failed`, `Aborted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<&'static str>,
    /// Its check or its action in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
    /// When the last one that succeeded ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) succeeded_at: Option<Timestamp>,
}

#[cfg(feature = "reload")]
impl ReloadSnapshot {
    pub(crate) fn new(name: String, container: Option<String>) -> ReloadSnapshot {
        ReloadSnapshot { name, container, ..ReloadSnapshot::default() }
    }

    /// Adds a result.
    pub(crate) fn add(&mut self, note: ReloadNote, at: Timestamp, detail: &str) {
        let count = match note {
            ReloadNote::Succeeded => &mut self.succeeded,
            ReloadNote::CheckFailed => &mut self.check_failed,
            ReloadNote::Failed(_) => &mut self.failed,
            ReloadNote::Aborted => &mut self.aborted,
        };
        *count += 1;
        (self.result, self.ended_at) = (Some(note.name()), Some(at));
        self.detail = shortened(detail.to_owned(), LONGEST_DETAIL);
        if note == ReloadNote::Succeeded {
            self.succeeded_at = Some(at);
        }
    }
}

/// A process that does not wait for its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ZombieParent {
    /// Its pid.
    pub(crate) pid: i32,
    /// The name of its program.
    pub(crate) name: String,
    /// How many of its children are zombies.
    pub(crate) zombies: usize,
}

/// The main process in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppSnapshot {
    /// Its pid, while it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i32>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<String>,
    /// Why it ended: `Completed`, `Failed`, `Stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<String>,
    /// The kernel's OOM killer ended it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) oom: bool,
}

/// A handler in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunningHandlerSnapshot {
    /// The container whose app it is for, in a sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// `preStart`, `postStart`, `preStop`, `postStop`.
    pub(crate) hook: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it began, in seconds since bookend did.
    pub(crate) started_seconds: Seconds,
}

/// The cost of a stop for the app's clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LossSnapshot {
    /// Requests that SIGKILL or the second signal cut.
    pub(crate) requests_cut: u32,
    /// Connections that the app had not accepted when the stop signal was sent; many servers reset them.
    pub(crate) not_accepted: u32,
    /// Resets that the network namespace sent from the stop signal until the app's end.
    pub(crate) resets_sent: u64,
}

/// A drain in `/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainSnapshot {
    /// New connections since the drain began.
    pub(crate) new_connections: u64,
    /// Connections cannot be observed: the drain waits for a fixed time.
    pub(crate) unavailable: bool,
    /// Connections that the app had not accepted at the last sample; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_accepted: Option<u32>,
    /// All connections at the last sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u32>,
    /// Connections with a request or a response in progress at the last sample; absent without netlink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) busy: Option<u32>,
    /// Why it ended: `Quiet`, `TimeOver`, `Unavailable`; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verdict: Option<&'static str>,
}

impl DrainSnapshot {
    /// From the progress of a drain.
    pub(crate) fn of(progress: DrainProgress) -> DrainSnapshot {
        DrainSnapshot {
            new_connections: progress.arrived,
            unavailable: progress.unavailable,
            not_accepted: progress.last.map(|counts| counts.queue),
            connections: progress.last.map(|counts| counts.connections),
            busy: progress.last.and_then(|counts| counts.busy),
            verdict: progress.end.map(|end| match end {
                DrainEnd::Quiet => "Quiet",
                DrainEnd::TimeOver => "TimeOver",
                DrainEnd::Unavailable => "Unavailable",
            }),
        }
    }
}

/// Serializes the containers as an object with their names as keys.
fn as_map<S: Serializer>(
    containers: &Option<Vec<(String, ContainerSnapshot)>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(containers.iter().flatten().map(|(name, container)| (name, container)))
}
