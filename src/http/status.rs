//! The snapshot of the state that the endpoint answers from.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::journal::Record;

/// What `/status` shows. Field names are part of the interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// bookend's own version.
    pub(crate) version: &'static str,
    /// `Starting`, `Running`, `Stopping`, `Finishing`.
    pub(crate) phase: &'static str,
    /// postStart is over and succeeded.
    pub(crate) started: bool,
    /// New clients may be sent here.
    pub(crate) ready: bool,
    /// The app can answer clients: ready, or stopping but not yet told to.
    pub(crate) serving: bool,
    /// The main process.
    pub(crate) app: AppStatusView,
    /// What began the stop that is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_by: Option<String>,
    /// `terminationGracePeriodSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) termination_grace_period_seconds: Option<Seconds>,
    /// Children reaped that nobody waited for.
    pub(crate) orphans_reaped: u64,
    /// The handler runs so far, the oldest first; the last fifty are kept.
    pub(crate) handlers: Vec<Record>,
    /// The stop that is going on, row by row.
    pub(crate) timeline: Vec<String>,
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

/// A duration, shown as a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}
