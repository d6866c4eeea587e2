//! Signals to the app that were not sent: one warning.

use std::io;

use tracing::{debug, warn};

use crate::process::{Pid, procfs};
use bookend_lifecycle::signal::Signal;

/// The refusals of the kernel so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    warned: bool,
}

impl Refusals {
    /// A signal was not sent. True if the kernel refused it, and not because the app has just ended.
    pub(super) fn failed(&mut self, signal: Signal, app: Option<Pid>, error: &io::Error) -> bool {
        if error.kind() == io::ErrorKind::NotFound {
            // Its status follows.
            debug!(%signal, "not sent: the app has ended");
            return false;
        }
        let pid = app.map(Pid::as_raw);
        if self.warned {
            debug!(pid, %error, "cannot send {signal} to the app");
        } else {
            warn!(
                pid, %error,
                "cannot send {signal} to the app: bookend needs CAP_KILL for an app of another user, and no seccomp profile or \
                 security module may forbid kill(2)"
            );
        }
        self.warned = true;
        true
    }
}

/// The app could not be ended: the life ends without it. The reason is named if it can be seen.
pub(super) fn report_app_left(app: Option<Pid>) {
    let pid = app.map(Pid::as_raw);
    let why = match pid.and_then(procfs::member).is_some_and(|app| app.is_uninterruptible) {
        true => ", because it is in uninterruptible sleep or in a frozen cgroup",
        false => "",
    };
    let then = match crate::process::is_first_process() {
        true => "the exit of bookend, which is PID 1, ends it",
        false => "it still runs when bookend has exited",
    };
    warn!(pid, "the app could not be ended{why}: {then}");
}
