//! The observer's memory: the current stop, the progress of each handler list, the signals that must reach the app.

use std::collections::BTreeSet;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{AppStatus, Reason, Time, Trigger};

use crate::lists::Lists;

/// A stop in progress.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stop {
    pub(crate) trigger: Trigger,
    pub(crate) began: Time,
    /// The signals that must reach the app: the stop must end it, and not only run its handlers.
    pub(crate) wanted: Vec<Signal>,
    /// When the signal was sent, the first and the last time.
    pub(crate) signalled: Option<(Time, Time)>,
    /// When the preStop handlers were over.
    pub(crate) pre_stop_over: Option<Time>,
}

impl Memory {
    /// The app has ended, so nothing more is sent to it. Only the exit code may depend on what was sent.
    pub(crate) fn forget_signals(&mut self, keeps_those_of_the_stop: bool) {
        self.owed.clear();
        self.passed.clear();
        self.attempts.clear();
        self.taken.clear();
        self.refused.clear();
        if !keeps_those_of_the_stop {
            self.taken_for_stop.clear();
        }
    }
}

/// The observer's memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Memory {
    pub(crate) stop: Option<Stop>,
    /// The stop signal that was sent last.
    pub(crate) sent: Option<Signal>,
    /// The connections are watched; how often they were reported as idle, and when SIGKILL is due.
    pub(crate) watched: bool,
    pub(crate) idle_reports: u8,
    pub(crate) kill_due: Option<Time>,
    pub(crate) second_signal_sent: Option<Signal>,
    pub(crate) killed: bool,
    pub(crate) killed_at: Option<Time>,
    /// Signals that the kernel has taken, and signals that it refused.
    pub(crate) taken: BTreeSet<Signal>,
    /// Signals to the app without an answer yet, in order, and whether they are the stop's.
    pub(crate) attempts: Vec<(Signal, bool)>,
    /// Those that the kernel has taken: the stop caused a death by one of them.
    pub(crate) taken_for_stop: BTreeSet<Signal>,
    /// Signals of preStop handlers that must reach the app.
    pub(crate) passed: Vec<Signal>,
    pub(crate) refused: BTreeSet<Signal>,
    pub(crate) lists: Lists,
    pub(crate) app_starts: u8,
    /// Signals that must still reach the app.
    pub(crate) owed: Vec<Signal>,
    /// How the app ended, and when.
    pub(crate) ended: Option<(AppStatus, Time)>,
    pub(crate) expected_status: Option<AppStatus>,
    /// Why the app has ended: postStop handlers are chosen by it.
    pub(crate) reason: Option<Reason>,
    /// When leftovers first got SIGTERM.
    pub(crate) leftovers_since: Option<Time>,
    pub(crate) leftovers_refused: bool,
    pub(crate) leftovers_killed: bool,
    /// When the handlers for a missed end began.
    pub(crate) unseen_since: Option<Time>,
    /// The container has been held, and its time is over or a stop has come.
    pub(crate) held: bool,
    pub(crate) hold_over: bool,
}
