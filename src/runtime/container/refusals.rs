//! Signals to the app that were not sent: one warning for each of them.

use std::io;

use tracing::{debug, warn};

use crate::process::{Pid, procfs};
use bookend_lifecycle::signal::Signal;

/// The signals that the kernel has refused so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    warned: Vec<Signal>,
}

/// Why a signal was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// The app has just ended, and its status follows.
    Ended,
    /// The kernel refused it. `is_news`: for the first time.
    Refused { is_news: bool },
}

impl Refusals {
    /// A signal was not sent.
    pub(super) fn failed(&mut self, signal: Signal, app: Option<Pid>, error: &io::Error) -> NotSent {
        if error.kind() == io::ErrorKind::NotFound {
            debug!(%signal, "not sent: the app has ended");
            return NotSent::Ended;
        }
        let pid = app.map(Pid::as_raw);
        let is_news = !self.warned.contains(&signal);
        if is_news {
            let hint = if self.warned.is_empty() { HINT } else { "" };
            warn!(pid, %error, "cannot send {signal} to the app{hint}");
            self.warned.push(signal);
        } else {
            debug!(pid, %error, "cannot send {signal} to the app");
        }
        NotSent::Refused { is_news }
    }
}

/// The end of the first warning.
const HINT: &str =
    ": bookend needs CAP_KILL for an app of another user, and no seccomp profile or security module may forbid kill(2)";

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
