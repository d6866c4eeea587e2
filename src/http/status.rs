//! The snapshot of the state that the endpoint answers from.

use serde::Serialize;

use crate::report::counters::Counters;
use crate::report::journal::{Record, Row};
use bookend_lifecycle::drain::DrainProgress;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::small_map::SmallMap;

/// What `/status` shows. Field names are part of the interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusView {
    /// bookend's own version.
    pub(crate) version: &'static str,
    /// `Starting`, `Running`, `Stopping`, `Finishing`.
    pub(crate) phase: &'static str,
    /// How long bookend has been there.
    pub(crate) uptime_seconds: Seconds,
    /// postStart is over and succeeded.
    pub(crate) post_start_over: bool,
    /// That, and the startupProbe has succeeded, and the app has said READY=1, where they are configured.
    pub(crate) started: bool,
    /// New clients may be sent here.
    pub(crate) ready: bool,
    /// The app can answer clients: ready, or stopping but not yet told to.
    pub(crate) serving: bool,
    /// The main process.
    pub(crate) app: AppStatusView,
    /// The probes that are configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) probes: Vec<ProbeView>,
    /// What the app has said, with `app.notify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notify: Option<NotifyView>,
    /// `app.profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// What began the stop that is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_by: Option<String>,
    /// When the timeline begins, in seconds since bookend did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_began_seconds: Option<Seconds>,
    /// `terminationGracePeriodSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) termination_grace_period_seconds: Option<Seconds>,
    /// What is left of it in the stop that is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grace_left_seconds: Option<Seconds>,
    /// The apps of other containers that have a name: of a sidecar, and only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) containers: Option<SmallMap<String, ContainerView>>,
    /// The numbers of `/metrics`.
    #[serde(skip)]
    pub(crate) counters: Counters,
    /// Children reaped that nobody waited for.
    pub(crate) orphans_reaped: u64,
    /// What a stop cost the app's clients, as far as it is known; from the stop signal on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<LossView>,
    /// Zombies that we cannot reap: their parents live, and do not wait for them.
    pub(crate) zombies: usize,
    /// Those parents, the worst first; at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) zombie_parents: Vec<ZombieParent>,
    /// Connections that came into the network namespace since the stop began, those to bookend not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new_connections: Option<u64>,
    /// The drain that is going on, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<DrainView>,
    /// The handler runs so far, the oldest first; the last fifty are kept.
    pub(crate) handlers: Vec<Record>,
    /// Those that run now.
    pub(crate) running: Vec<RunningHandlerView>,
    /// The stop that is going on, row by row.
    pub(crate) timeline: Vec<Row>,
}

/// The app of another container in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerView {
    /// As far as it is known here: `Starting`, `Running`, `Stopping`, `Finishing`, `Exited`.
    pub(crate) phase: &'static str,
    /// Its process is looked for.
    pub(crate) sees_app: bool,
    /// Its process, while it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i32>,
    /// What began the stop that is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_by: Option<String>,
    /// What is left of the grace period in the stop that is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grace_left_seconds: Option<Seconds>,
    /// Its drain that is going on, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<DrainView>,
    /// The numbers of `/metrics`.
    #[serde(skip)]
    pub(crate) counters: Counters,
}

/// A probe in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProbeView {
    /// `startupProbe`, `readinessProbe`, `livenessProbe`.
    pub(crate) name: &'static str,
    /// `Unknown`, `Success`, `Failure`.
    pub(crate) state: &'static str,
    /// Tries that succeeded so far.
    pub(crate) successes: u64,
    /// Tries that failed so far.
    pub(crate) failures: u64,
    /// What the last try found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// What the app has said with sd_notify, in `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotifyView {
    /// READY=1.
    pub(crate) ready: bool,
    /// STOPPING=1.
    pub(crate) stopping: bool,
    /// STATUS=...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
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
pub(crate) struct AppStatusView {
    /// Its pid, while it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i32>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<String>,
}

/// A handler that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunningHandlerView {
    /// Whose app it is for, in a sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// Its list.
    pub(crate) hook: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// When it began, in milliseconds since bookend did.
    pub(crate) started_ms: u64,
}

/// What a stop cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LossView {
    /// Requests that our SIGKILL, or the second signal, cut.
    pub(crate) requests_cut: u32,
    /// Connections nobody had accepted when the stop signal went out; many servers reset them.
    pub(crate) not_accepted: u32,
    /// Resets the network namespace has sent since the stop signal, until the app's end.
    pub(crate) resets_sent: u64,
}

/// A drain in `/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainView {
    /// New connections it has seen.
    pub(crate) new_connections: u64,
    /// Connections cannot be seen here: it waits for a fixed time.
    pub(crate) blind: bool,
    /// At the last look: those that wait to be accepted, all, and the busy ones. No look: nothing to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) busy: Option<u32>,
}

impl DrainView {
    /// From what the drain has seen.
    pub(crate) fn of(seen: DrainProgress) -> DrainView {
        DrainView {
            new_connections: seen.arrived,
            blind: seen.unavailable,
            waiting: seen.last.map(|look| look.queue),
            connections: seen.last.map(|look| look.connections),
            busy: seen.last.and_then(|look| look.busy),
        }
    }
}
