//! The differences that a personality may make to the one core: under another init's name bookend behaves as that init does.
//! The default is bookend's own behaviour. Plain values; none of them is a key of the configuration.

use crate::process::placement::ProcessPlacement;
use crate::process::reaper::OrphanLog;
use bookend_lifecycle::signal::Signal;

/// The differences between the inits that settings cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// The app's session, process group and terminal.
    pub(crate) placement: ProcessPlacement,
    /// Whether the processes that remain when the app has ended are ended, too.
    pub(crate) leftovers: Leftovers,
    /// The signal for the rest of the app's group the moment the app has ended.
    pub(crate) exit_signal: Option<Signal>,
    /// Whether a forwarded SIGTSTP, SIGTTIN or SIGTTOU stops us as well.
    pub(crate) suspend: Suspend,
    /// Whether the end of each orphan is logged.
    pub(crate) orphan_log: OrphanLog,
    /// The message and the exit code if the app cannot be started.
    pub(crate) convention: Convention,
}

/// Whether the processes that remain when the app has ended are ended, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Leftovers {
    /// SIGTERM, time, SIGKILL.
    #[default]
    End,
    /// We exit at once. If we are PID 1 the kernel kills them then; elsewhere they live on.
    Leave,
}

/// Whether a forwarded SIGTSTP, SIGTTIN or SIGTTOU stops us as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Suspend {
    /// We stop when the app has stopped, so that our shell shows its prompt.
    #[default]
    WithTheApp,
    /// We stop when the signal has been forwarded, whether or not the app stops.
    OnSignal,
}

/// The message and the exit code of an app that could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Convention {
    /// env(1), timeout(1), `docker run`: 125, 126, 127.
    #[default]
    Env,
    /// 127 not found, 126 not permitted, otherwise 1.
    Tini,
    /// 2, and 1 if there was no process for it.
    DumbInit,
}
