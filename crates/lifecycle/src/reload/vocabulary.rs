//! The events, the actions and the numbers of a reload.

use std::time::Duration;

use crate::hook::HandlerResult;

/// A hash of the names and the bytes of the watched files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content(pub u64);

impl Content {
    /// The content that the app was started with, if this first look has seen it. `newest`: the latest change of a file; `started`:
    /// when the app was started; both since 1970. `None`: a file has changed so late that the app may have read it before.
    pub fn at_start(self, newest: Duration, started: Duration) -> Option<Content> {
        (newest + CLOCK_TICK <= started).then_some(self)
    }
}

/// The time of a change is that of the kernel's last tick, which is up to 10 ms old.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// Identifies a look, a check or an action. An identifier is never used twice, so a late report cannot be mistaken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReloadRunId(pub u64);

/// The numbers of one `[[reload]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReloadRule {
    /// `settleSeconds`.
    pub settle: Duration,
    /// The share of `splaySeconds` that the caller has drawn.
    pub splay: Duration,
    /// `pollSeconds`; `None`: changes are reported.
    pub poll: Option<Duration>,
    /// `timeoutSeconds`.
    pub timeout: Duration,
    /// There is a check.
    pub has_check: bool,
    /// The app may report the end of a reload with sd_notify.
    pub notifies: bool,
}

/// An event of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReloadEvent {
    /// Whether the app may be reloaded from now on.
    Allowed(bool),
    /// The content that the app was started with. `None`: it is not known, or has changed since.
    Baseline(Option<Content>),
    /// Something has happened to the files.
    Changed,
    /// A person asks for a reload, whatever the content is.
    Requested,
    /// Changes are not reported: the files must be looked at this often.
    Unwatched(Duration),
    /// The result of a look; `None`: the files could not be read in time.
    Looked(ReloadRunId, Option<Content>),
    /// A check or an action has ended.
    Ended(ReloadRunId, HandlerResult),
    /// The app has sent RELOADING=1.
    Reloading,
    /// The app has sent READY=1.
    Ready,
    /// The time of [`super::Reload::next_at`] has come.
    TimePassed,
}

/// An action that the caller must take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReloadAction {
    /// Look at the content; [`ReloadEvent::Looked`] follows.
    Look(ReloadRunId),
    /// Run the check; [`ReloadEvent::Ended`] follows.
    Check(ReloadRunId),
    /// Run the action; the same follows.
    Apply(ReloadRunId),
    /// Abort this run. Its result is ignored.
    Abort(ReloadRunId),
    /// Report a result.
    Tell(ReloadNote),
}

/// The result of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReloadNote {
    /// The content is applied.
    Succeeded,
    /// The check failed: the content before it is kept.
    CheckFailed,
    /// The action failed, the check did not end, or the files could not be read. The pause before the next try; `None`: it was
    /// the last one until something changes.
    Failed(Option<Duration>),
    /// A stop, or the app's end, ended it.
    Aborted,
}

impl ReloadNote {
    /// The name of the result in `/status`, in the events and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            ReloadNote::Succeeded => "Succeeded",
            ReloadNote::CheckFailed => "CheckFailed",
            ReloadNote::Failed(_) => "Failed",
            ReloadNote::Aborted => "Aborted",
        }
    }
}
