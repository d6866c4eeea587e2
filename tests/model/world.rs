//! The world around the machine: what can happen next, and what the edge does with the machine's actions.
//!
//! Time is discrete. An alarm or a handler's limit that is due is met before the clock goes on, and the clock
//! goes on only to the next of them, or by a tick of which there are few. One assumption about the edge is built
//! in: `StartApp` is answered before anything else is looked at (`supervisor/perform.rs` does so).

use std::collections::{BTreeMap, BTreeSet};

use bookend::lifecycle::{
    Action, AppStatus, CallerId, Event, HandlerResult, Hook, Lifecycle, PhaseName, RunId, Time, Timer,
};
use bookend::signal::Signal;

use crate::Bounds;
use crate::memory::Memory;
use crate::promises::Promise;
use crate::settings::{AppNature, HandlerNature, Leftovers, SECOND, Setting};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Begin,
    /// A stop signal was pending before the first instruction of ours.
    StopBeforeBegin,
    HandlerEnds(RunId, HandlerResult),
    Call(Hook),
    /// The caller has its answer.
    Taken(CallerId),
    HangsUp(CallerId),
    Receive(Signal),
    Request,
    LivenessFails,
    /// Connections are left and all of them idle; or no longer.
    Connections {
        idle: bool,
    },
    Ring(Timer),
    AppEnds(AppStatus, OthersThen),
    OthersEnd,
    Tick,
}

impl Move {
    /// Somebody does it or does not; the world is no worse without.
    fn is_a_disturbance(self) -> bool {
        matches!(self, Move::Call(_) | Move::HangsUp(_) | Move::Request | Move::Receive(_) | Move::LivenessFails)
    }

    /// What an end may depend on.
    pub(crate) fn is_bound_to_come(self) -> bool {
        !self.is_a_disturbance() && self != Move::Tick
    }
}

/// What is there besides when the app ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OthersThen {
    Gone,
    There,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum App {
    NotYet,
    Alive,
    Gone,
}

/// A handler run as the edge keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) hook: Hook,
    pub(crate) index: usize,
    /// When the edge ends it.
    pub(crate) until: Option<Time>,
}

/// The machine and all that is around it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) machine: Lifecycle,
    pub(crate) now: Time,
    pub(crate) app: App,
    pub(crate) runs: Vec<Run>,
    pub(crate) timers: BTreeMap<Timer, Time>,
    /// Callers whose hook is not answered, and callers whose answer is on its way.
    pub(crate) waiting: BTreeMap<CallerId, Hook>,
    pub(crate) answering: BTreeSet<CallerId>,
    pub(crate) others: bool,
    pub(crate) memory: Memory,
    pub(crate) broken: Option<Promise>,
    pub(crate) exited: bool,
    disturbances: u8,
    ticks: u8,
    callers: u64,
}

impl World {
    pub(crate) fn new(setting: &Setting, bounds: Bounds) -> World {
        World {
            machine: Lifecycle::new(setting.plan.clone()),
            // Not zero: what is counted from the beginning and what from a trigger must differ.
            now: 10 * SECOND,
            app: App::NotYet,
            runs: Vec::new(),
            timers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answering: BTreeSet::new(),
            others: false,
            memory: Memory::default(),
            broken: None,
            exited: false,
            disturbances: bounds.disturbances,
            ticks: bounds.ticks,
            callers: 0,
        }
    }

    /// The next moment at which something is due.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.runs.iter().filter_map(|run| run.until).chain(self.timers.values().copied()).min()
    }

    /// All that can happen next.
    pub(crate) fn moves(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if self.exited || self.broken.is_some() {
            return;
        }
        self.timers_and_clock(moves);
        self.handlers_and_app(setting, moves);
        moves.extend(self.answering.iter().copied().map(Move::Taken));
        if self.disturbances > 0 {
            moves.extend(self.waiting.keys().copied().map(Move::HangsUp));
            moves.extend([Move::Call(Hook::PostStart), Move::Call(Hook::PreStop), Move::Request]);
            moves.extend(setting.signals.iter().copied().map(Move::Receive));
            // Told at any time: the run that failed may have begun before the stop, or before the app's end.
            moves.extend(setting.liveness.then_some(Move::LivenessFails));
        }
    }

    fn timers_and_clock(&self, moves: &mut Vec<Move>) {
        let due = self.next_due();
        moves.extend(self.timers.iter().filter(|(_, at)| Some(**at) == due).map(|(timer, _)| Move::Ring(*timer)));
        let limits = self.runs.iter().filter(|run| run.until.is_some() && run.until == due);
        moves.extend(limits.map(|run| Move::HandlerEnds(run.id, HandlerResult::TimedOut)));
        if self.ticks > 0 && due.is_none_or(|due| self.now + SECOND <= due) {
            moves.push(Move::Tick);
        }
    }

    fn handlers_and_app(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if setting.handlers == HandlerNature::Free {
            for run in &self.runs {
                let results = [HandlerResult::Succeeded, HandlerResult::Failed];
                moves.extend(results.map(|result| Move::HandlerEnds(run.id, result)));
            }
        }
        if self.app == App::Alive {
            let of_signal = [self.memory.sent, self.memory.hurried].into_iter().flatten().map(AppStatus::Signalled);
            // A client comes back once, and goes again.
            if setting.plan.hurry.is_some() && self.memory.watched && self.memory.turns < 3 {
                moves.push(Move::Connections { idle: self.memory.turns.is_multiple_of(2) });
            }
            let statuses = match (setting.app, self.memory.killed) {
                (_, true) => vec![AppStatus::Signalled(Signal::KILL)],
                (AppNature::Free, false) => {
                    setting.codes.iter().copied().map(AppStatus::Exited).chain(of_signal).collect()
                }
                (AppNature::Ignores | AppNature::Missing, false) => Vec::new(),
            };
            for status in statuses {
                moves.push(Move::AppEnds(status, OthersThen::There));
                if self.runs.is_empty() && setting.leftovers == Leftovers::Free {
                    moves.push(Move::AppEnds(status, OthersThen::Gone));
                }
            }
        }
        if self.others && self.app != App::Alive && self.runs.is_empty() && setting.leftovers == Leftovers::Free {
            moves.push(Move::OthersEnd);
        }
    }

    /// Lets it happen, and watches. Returns the landmarks that were passed.
    pub(crate) fn go(&mut self, setting: &Setting, next: Move) -> u64 {
        let disturbs = next.is_a_disturbance();
        self.disturbances -= u8::from(disturbs);
        let event = match next {
            Move::Begin => Event::Begin,
            Move::StopBeforeBegin => Event::Signal(Signal::TERM),
            Move::HandlerEnds(run, result) => {
                let ended = self.runs.extract_if(.., |running| running.id == run).next();
                let ended = ended.expect("it ran");
                if result == HandlerResult::TimedOut {
                    self.now = self.now.max(ended.until.expect("it had a limit"));
                }
                self.memory.handler_ended(setting, &ended, result);
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
            Move::LivenessFails => Event::LivenessFailed,
            Move::Connections { idle } => {
                self.memory.turns += 1;
                self.memory.idle_since = idle.then_some(self.now);
                if idle { Event::ConnectionsIdle } else { Event::ConnectionsBusyOrGone }
            }
            Move::Ring(timer) => {
                self.now = self.now.max(self.timers.remove(&timer).expect("it was set"));
                Event::Rang(timer)
            }
            Move::AppEnds(status, others) => {
                self.app = App::Gone;
                self.others = others == OthersThen::There;
                Event::AppEnded { status, others: self.others }
            }
            Move::OthersEnd => {
                self.others = false;
                Event::NoOthers
            }
            Move::Tick => {
                self.ticks -= 1;
                self.now += SECOND;
                return self.rest(setting);
            }
        };
        self.send(setting, event)
    }

    fn send(&mut self, setting: &Setting, event: Event) -> u64 {
        self.before(setting, event);
        let mut landmarks = 0;
        let actions = self.machine.apply(self.now, event);
        let mut starts = false;
        for action in &actions {
            landmarks |= self.observe(setting, *action);
            starts |= *action == Action::StartApp;
            self.perform(*action);
        }
        self.after(setting, event, &actions);
        if starts {
            let answer = match setting.app {
                AppNature::Missing => Event::AppNotStarted { code: 127 },
                AppNature::Free | AppNature::Ignores => {
                    self.app = App::Alive;
                    self.others = true;
                    Event::AppStarted
                }
            };
            return landmarks | self.send(setting, answer);
        }
        landmarks | self.rest(setting)
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::StartHandler { run, hook, index, timeout, .. } => {
                let until = timeout.map(|timeout| self.now + timeout);
                self.runs.push(Run { id: run, hook, index, until });
                self.others = true;
            }
            // Its process is ended and reaped by and by: `others` stays.
            Action::AbortHandler(run) => self.runs.retain(|running| running.id != run),
            Action::Answer { caller, .. } => {
                self.waiting.remove(&caller);
                self.answering.insert(caller);
            }
            Action::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
            Action::Exit(_) => self.exited = true,
            Action::StartApp
            | Action::SignalApp(_)
            | Action::WatchConnections
            | Action::HurryApp(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers
            | Action::Tell(_) => {}
        }
    }

    /// Whether nothing will ever happen again, although nobody has asked for an end.
    pub(crate) fn may_rest(&self, setting: &Setting) -> bool {
        let hangs = setting.handlers == HandlerNature::Hang;
        let nobody_stops = self.memory.stop.is_none() || setting.plan.grace.is_none();
        match self.machine.phase() {
            PhaseName::Exited => true,
            PhaseName::Starting => hangs && !self.runs.is_empty(),
            _ => setting.app == AppNature::Ignores && self.app == App::Alive && nobody_stops,
        }
    }
}
