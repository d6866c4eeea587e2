//! The types that describe a life: its phases, what can stop it, and how it ends.

use serde::Serialize;

use crate::signal::Signal;

/// The phase of a life, as `/status` and the metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum PhaseName {
    /// The app does not run yet; preStart handlers may run.
    #[default]
    Starting,
    /// The app runs.
    Running,
    /// A stop has begun, and the app still runs.
    Stopping,
    /// The app has ended, and its end is being handled.
    Finishing,
    /// The app has failed by itself, everything is over, and the container is held for inspection.
    Held,
    /// Everything is over.
    Exited,
}

impl PhaseName {
    /// The name in `/status` and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            PhaseName::Starting => "Starting",
            PhaseName::Running => "Running",
            PhaseName::Stopping => "Stopping",
            PhaseName::Finishing => "Finishing",
            PhaseName::Held => "Held",
            PhaseName::Exited => "Exited",
        }
    }
}

/// The cause of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A stop signal.
    Signal(Signal),
    /// A call of the preStop hook.
    Hook,
    /// `bookend stop`.
    Request,
    /// A postStart handler with `failurePolicy = "Fail"` failed.
    PostStartFailed,
    /// The liveness probe failed, and its `action` is `Stop`.
    LivenessFailed,
}

/// How the app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppStatus {
    /// The app called exit(2) with this code.
    Exited(u8),
    /// This signal killed the app.
    Signalled(Signal),
    /// The app was not our child, so its status is not known.
    Unknown,
    /// The app still runs: the kernel refused to signal it, or SIGKILL had no effect. bookend ends without it.
    StillRunning,
    /// The app never ran: preStart failed, the program could not be executed, or a stop came first.
    NotStarted {
        /// The exit code of bookend for this case.
        code: u8,
    },
}

impl AppStatus {
    /// The signal that killed the app.
    pub fn signal(self) -> Option<Signal> {
        if let AppStatus::Signalled(signal) = self { Some(signal) } else { None }
    }
}

/// The processes that remain after the app's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remaining {
    /// No process.
    Nothing,
    /// Only processes that entered from outside, such as `docker exec`, and what they have started.
    Sessions,
    /// Processes that the app or a handler has left behind, and perhaps sessions.
    Children,
}

/// Why the app ended, as postStop handlers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// The app ended by itself with exit code 0.
    Completed,
    /// The app ended by itself in another way, or was never started.
    Failed,
    /// A stop had begun before the app ended.
    Stopped,
    /// The app ended by itself in another container, so its status is not known.
    Unknown,
    /// The app of the previous life: bookend itself was killed, and its postStop handlers did not run.
    Unseen,
}

impl Reason {
    /// The name in the configuration, in `/status` and in the environment of handlers.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Completed => "Completed",
            Reason::Failed => "Failed",
            Reason::Stopped => "Stopped",
            Reason::Unknown => "Unknown",
            Reason::Unseen => "Unseen",
        }
    }
}
