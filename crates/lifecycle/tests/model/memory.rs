//! What the observer has seen: the stop that goes on, how far each list of handlers is, what the app is owed.

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{AppStatus, Reason, Time, Trigger};

use crate::lists::Lists;

/// A stop that is going on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stop {
    pub(crate) trigger: Trigger,
    pub(crate) began: Time,
    /// Somebody wants the app gone, not only its handlers run: what it is to get.
    pub(crate) wanted: Vec<Signal>,
    /// When the signal went out, the first and the last time.
    pub(crate) signalled: Option<(Time, Time)>,
    /// When the preStop handlers were over.
    pub(crate) pre_stop_over: Option<Time>,
}

/// What has been seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Memory {
    pub(crate) stop: Option<Stop>,
    /// The stop signal that went out last.
    pub(crate) sent: Option<Signal>,
    /// The connections are watched; how often they became idle or busy again, and idle since when.
    pub(crate) watched: bool,
    pub(crate) turns: u8,
    pub(crate) idle_since: Option<Time>,
    pub(crate) second_signal_sent: Option<Signal>,
    pub(crate) killed: bool,
    pub(crate) killed_at: Option<Time>,
    /// Signals that the kernel refused.
    pub(crate) refused: Vec<Signal>,
    pub(crate) lists: Lists,
    pub(crate) app_starts: u8,
    /// Signals that are owed to the app.
    pub(crate) owed: Vec<Signal>,
    /// How the app ended, and when.
    pub(crate) ended: Option<(AppStatus, Time)>,
    pub(crate) expected_status: Option<AppStatus>,
    /// Why there is no app any more: postStop handlers choose by it.
    pub(crate) reason: Option<Reason>,
    pub(crate) leftovers_terminated: bool,
}
