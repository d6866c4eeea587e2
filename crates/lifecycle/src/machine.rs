//! The interface that both state machines share, so that one loop can drive either of them.

use crate::action::Action;
use crate::event::Event;
use crate::hook::{Hook, Outcome};
use crate::life::{PhaseName, Reason, Trigger};
use crate::time::Time;

/// A life as a state machine: events go in, actions come out.
///
/// A machine never reads a clock. The caller passes the time of each event, which must not go backwards.
pub trait Machine {
    /// Takes one event and returns what must be done about it, in order.
    fn apply(&mut self, now: Time, event: Event) -> Vec<Action>;

    /// The current phase, as `/status` and the metrics name it.
    fn phase(&self) -> PhaseName;

    /// Whether readiness no longer waits for postStart.
    ///
    /// An app of our own has started when its postStart handlers have succeeded. An app in another container counts as
    /// started unless its handlers run now: its hook may never be called.
    fn has_started(&self) -> bool;

    /// The trigger of the current stop, and its time.
    fn stop_trigger(&self) -> Option<(Trigger, Time)>;

    /// The end of the current stop's grace period, if a stop goes on and has one.
    fn deadline(&self) -> Option<Time>;

    /// Why the app ended, for postStop handlers; `None` before it has ended.
    fn reason(&self) -> Option<Reason>;

    /// The outcome for a hook whose caller arrives after the machine has exited.
    fn late_outcome(&self, hook: Hook) -> Outcome;
}
