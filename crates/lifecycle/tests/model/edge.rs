//! The surroundings of a machine: the clock and its timers, running handlers, callers of hooks, stop signals.
//!
//! Time is discrete. A timer or a handler's limit that is due fires before the clock goes on, and the clock
//! goes on only to the next of them, or by a tick, of which there are few.

use std::collections::{BTreeMap, BTreeSet};

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, CallerId, Event, HandlerResult, Hook, RunId, Time, Timer};

use crate::check::Bounds;
use crate::settings::{HandlerNature, SECOND};

/// One thing that happens, in any world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    HandlerEnds(RunId, HandlerResult),
    Call(Hook),
    /// The caller has received its answer.
    Taken(CallerId),
    HangsUp(CallerId),
    Receive(Signal),
    Request,
    Ring(Timer),
    Tick,
}

impl Move {
    /// An optional event: the world works without it, too.
    fn is_a_disturbance(self) -> bool {
        matches!(self, Move::Call(_) | Move::HangsUp(_) | Move::Request | Move::Receive(_))
    }

    /// Whether an end may depend on it: hooks, signals and ticks may never come.
    pub(crate) fn is_bound_to_come(self) -> bool {
        !self.is_a_disturbance() && self != Move::Tick
    }
}

/// A handler run, as the edge keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) hook: Hook,
    pub(crate) index: usize,
    /// When the edge ends it.
    pub(crate) until: Option<Time>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Edge {
    pub(crate) now: Time,
    pub(crate) runs: Vec<Run>,
    pub(crate) timers: BTreeMap<Timer, Time>,
    /// Callers whose hook is not answered, and callers whose answer is on its way.
    pub(crate) waiting: BTreeMap<CallerId, Hook>,
    pub(crate) answering: BTreeSet<CallerId>,
    pub(crate) exited: bool,
    pub(crate) disturbances: u8,
    ticks: u8,
    callers: u64,
}

impl Edge {
    pub(crate) fn new(bounds: Bounds) -> Edge {
        Edge {
            // The clock does not begin at zero, because times counted from the beginning and from a trigger must differ.
            now: 10 * SECOND,
            runs: Vec::new(),
            timers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answering: BTreeSet::new(),
            exited: false,
            disturbances: bounds.disturbances,
            ticks: bounds.ticks,
            callers: 0,
        }
    }

    /// The next time at which something is due.
    fn next_due(&self) -> Option<Time> {
        self.runs.iter().filter_map(|run| run.until).chain(self.timers.values().copied()).min()
    }

    pub(crate) fn run(&self, id: RunId) -> &Run {
        self.runs.iter().find(|run| run.id == id).expect("it runs")
    }

    pub(crate) fn is_running(&self, hook: Hook) -> bool {
        self.runs.iter().any(|run| run.hook == hook)
    }

    /// Everything that can happen next.
    pub(crate) fn moves(&self, handlers: HandlerNature, signals: &[Signal]) -> Vec<Move> {
        let mut moves = Vec::new();
        let due = self.next_due();
        moves.extend(self.timers.iter().filter(|(_, at)| Some(**at) == due).map(|(timer, _)| Move::Ring(*timer)));
        let limits = self.runs.iter().filter(|run| run.until.is_some() && run.until == due);
        moves.extend(limits.map(|run| Move::HandlerEnds(run.id, HandlerResult::TimedOut)));
        if self.ticks > 0 && due.is_none_or(|due| self.now + SECOND <= due) {
            moves.push(Move::Tick);
        }
        if handlers == HandlerNature::Free {
            for run in &self.runs {
                let results = [HandlerResult::Succeeded, HandlerResult::Failed];
                moves.extend(results.map(|result| Move::HandlerEnds(run.id, result)));
            }
        }
        moves.extend(self.answering.iter().copied().map(Move::Taken));
        if self.disturbances > 0 {
            moves.extend(self.waiting.keys().copied().map(Move::HangsUp));
            moves.extend([Move::Call(Hook::PostStart), Move::Call(Hook::PreStop), Move::Request]);
            moves.extend(signals.iter().copied().map(Move::Receive));
        }
        moves
    }

    /// Lets it happen. Returns the event for the machine.
    pub(crate) fn go(&mut self, next: Move) -> Option<Event> {
        self.disturbances -= u8::from(next.is_a_disturbance());
        Some(match next {
            Move::HandlerEnds(run, result) => {
                let ended = self.runs.extract_if(.., |running| running.id == run).next().expect("it ran");
                if result == HandlerResult::TimedOut {
                    self.now = self.now.max(ended.until.expect("it had a limit"));
                }
                Event::HandlerEnded { run, result }
            }
            Move::Call(hook) => {
                self.callers += 1;
                let caller = CallerId(self.callers);
                self.waiting.insert(caller, hook);
                Event::HookCalled { hook, caller }
            }
            Move::Taken(caller) | Move::HangsUp(caller) => {
                self.waiting.remove(&caller);
                self.answering.remove(&caller);
                Event::CallerDone(caller)
            }
            Move::Receive(signal) => Event::Signal(signal),
            Move::Request => Event::StopRequested,
            Move::Ring(timer) => {
                self.now = self.now.max(self.timers.remove(&timer).expect("it was set"));
                Event::TimerFired(timer)
            }
            Move::Tick => {
                self.ticks -= 1;
                self.now += SECOND;
                return None;
            }
        })
    }

    /// Performs the actions that concern the edge.
    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::StartHandler { run, hook, index, timeout, .. } => {
                let until = timeout.map(|timeout| self.now + timeout);
                self.runs.push(Run { id: run, hook, index, until });
            }
            Action::AbortHandler(run) => self.runs.retain(|running| running.id != run),
            Action::Answer { caller, .. } => {
                self.waiting.remove(&caller);
                self.answering.insert(caller);
            }
            Action::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
            Action::Exit(_) => self.exited = true,
            Action::StartApp
            | Action::SignalApp(_)
            | Action::ContinueApp
            | Action::WatchConnections
            | Action::SendSecondSignal(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers
            | Action::Tell(_) => {}
        }
    }
}
