//! Signals to the app that were not sent: one warning, and no report that they were.

use std::io;

use tracing::{debug, warn};

use crate::process::Pid;
use bookend_lifecycle::Note;
use bookend_lifecycle::signal::Signal;

/// The refusals of the kernel so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The signal of the last attempt, if it was not sent.
    unsent: Option<Signal>,
    warned: bool,
}

impl Refusals {
    pub(super) fn sent(&mut self) {
        self.unsent = None;
    }

    /// A signal was not sent. True if the kernel refused it, and not because the app has just ended.
    pub(super) fn failed(&mut self, signal: Signal, app: Option<Pid>, error: &io::Error) -> bool {
        self.unsent = Some(signal);
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

    /// Whether the note reports a signal that was not sent.
    pub(super) fn contradict(&self, note: Note) -> bool {
        let signal = match note {
            Note::StopSignalSent(signal) | Note::SecondSignalSent(signal) => signal,
            Note::Killed => Signal::KILL,
            _ => return false,
        };
        self.unsent == Some(signal)
    }
}

/// The app could not be ended: the life ends without it.
pub(super) fn report_app_left(app: Option<Pid>) {
    let pid = app.map(Pid::as_raw);
    if crate::process::is_first_process() {
        warn!(pid, "the app could not be ended: the exit of bookend, which is PID 1, ends it");
    } else {
        warn!(pid, "the app could not be ended: it still runs when bookend has exited");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_was_not_sent_is_not_reported_as_sent() {
        let mut refusals = Refusals::default();
        assert!(refusals.failed(Signal::TERM, None, &io::ErrorKind::PermissionDenied.into()));
        assert!(refusals.contradict(Note::StopSignalSent(Signal::TERM)));
        assert!(!refusals.contradict(Note::Killed) && !refusals.contradict(Note::Started));
        refusals.sent();
        assert!(!refusals.contradict(Note::StopSignalSent(Signal::TERM)));
        assert!(!refusals.failed(Signal::KILL, None, &io::ErrorKind::NotFound.into()), "the app has ended");
    }
}
