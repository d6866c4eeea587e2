//! The lifecycle hooks: their names, and the results of their handlers.

use serde::Serialize;

/// The four hooks, each with a list of handlers: the two of Kubernetes, and two more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Before the app is started. The app starts only if it succeeds.
    PreStart,
    /// After the app has started, beside it.
    PostStart,
    /// Before the app gets its stop signal.
    PreStop,
    /// After the app has ended, for whatever reason.
    PostStop,
}

impl Hook {
    /// All four, in the order of a life.
    pub const ALL: [Hook; 4] = [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop];

    /// The name in a Pod spec, in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Hook::PreStart => "preStart",
            Hook::PostStart => "postStart",
            Hook::PreStop => "preStop",
            Hook::PostStop => "postStop",
        }
    }
}

/// Identifies one run of a handler. An identifier is never used twice, so a late report cannot be mistaken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// Identifies a caller that waits for the answer to a hook. The edge assigns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u64);

/// The result of a handler run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum HandlerResult {
    /// The handler did its work.
    Succeeded,
    /// The handler reported a failure, or could not be run.
    Failed,
    /// The handler did not finish within its timeout.
    TimedOut,
    /// The machine aborted the run. The edge records this result, but never reports it back.
    Aborted,
}

impl HandlerResult {
    /// The name in `/status`, in the events and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            HandlerResult::Succeeded => "Succeeded",
            HandlerResult::Failed => "Failed",
            HandlerResult::TimedOut => "TimedOut",
            HandlerResult::Aborted => "Aborted",
        }
    }
}

/// The outcome of a hook, with which its callers are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Every handler with `failurePolicy = "Fail"` succeeded.
    Succeeded,
    /// A handler with `failurePolicy = "Fail"` failed or timed out.
    Failed,
    /// A stop, or the next stage of a stop, ended the hook early.
    Aborted,
}

impl Outcome {
    /// The name in the answer, in the metrics and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "Succeeded",
            Outcome::Failed => "Failed",
            Outcome::Aborted => "Aborted",
        }
    }
}
