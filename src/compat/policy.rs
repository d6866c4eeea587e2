//! What a personality may change about the one core: under another init's name bookend does what that init does.
//! The default is bookend's own way. Pure values; none of them is a key of the configuration.

use bookend_lifecycle::signal::Signal;

/// The differences between the inits, as far as settings cannot say them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// Where the app lives.
    pub(crate) place: Place,
    /// What becomes of those who are left when the app has ended.
    pub(crate) leftovers: Leftovers,
    /// What the rest of the app's group gets the moment the app has ended.
    pub(crate) exit_signal: Option<Signal>,
    /// Whether a forwarded SIGTSTP, SIGTTIN or SIGTTOU stops us, too.
    pub(crate) suspend: Suspend,
    /// Whether the end of every orphan is told.
    pub(crate) reaped: Reaped,
    /// How an app that could not be started is told, and as which number.
    pub(crate) convention: Convention,
}

/// Where the app lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// It leads a process group of its own, in our session; with a terminal, the foreground one.
    #[default]
    Group,
    /// It leads a session of its own, and our controlling terminal becomes that session's.
    Session,
    /// It stays in our process group.
    Ours,
}

/// What becomes of those who are left when the app has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Leftovers {
    /// SIGTERM, time, SIGKILL.
    #[default]
    End,
    /// We exit at once. Where we are PID 1 the kernel kills them then; elsewhere they live on.
    Leave,
}

/// Whether a forwarded SIGTSTP, SIGTTIN or SIGTTOU stops us, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Suspend {
    /// We stop when the app has stopped, so that our shell gets its prompt back.
    #[default]
    WithTheApp,
    /// We stop when the signal has been forwarded, whatever the app makes of it.
    OnSignal,
}

/// Whether the end of every orphan is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reaped {
    /// It is counted.
    #[default]
    Counted,
    /// It is a warning in the log.
    HandlerEnv,
}

/// Whose exit codes an app that could not be started has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Convention {
    /// env(1), timeout(1), `docker run`: 125, 126, 127.
    #[default]
    Env,
    /// 127 not found, 126 not permitted, else 1.
    Tini,
    /// 2, and 1 where there was no process for it.
    DumbInit,
}
