//! The world around the machine: what can happen next, and how the edge performs the machine's actions.
//!
//! One assumption about the edge is built in: `StartApp` is answered before any other event
//! (the container's loop does so).

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, AppStatus, ContainerLifecycle, Event, Machine, PhaseName};

use crate::check::{Bounded, Bounds};
use crate::edge::{self, Edge};
use crate::memory::Memory;
use crate::promises::Promise;
use crate::settings::{AppNature, HandlerNature, Leftovers, Setting};

/// One event of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Begin,
    /// A stop signal was pending before bookend's first instruction.
    StopBeforeBegin,
    Edge(edge::Move),
    LivenessFails,
    /// Connections are open and all of them idle; or no longer.
    Connections {
        idle: bool,
    },
    AppEnds(AppStatus, OthersThen),
    OthersEnd,
}

impl Move {
    /// Whether an end may depend on it.
    pub(crate) fn is_bound_to_come(self) -> bool {
        match self {
            Move::Edge(next) => next.is_bound_to_come(),
            Move::LivenessFails => false,
            Move::Begin | Move::StopBeforeBegin | Move::Connections { .. } | Move::AppEnds(..) | Move::OthersEnd => {
                true
            }
        }
    }
}

/// Whether other processes remain when the app ends.
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

/// The machine and its surroundings at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) machine: ContainerLifecycle,
    pub(crate) edge: Edge,
    pub(crate) app: App,
    pub(crate) others: bool,
    pub(crate) memory: Memory,
    pub(crate) broken: Option<Promise>,
}

impl Bounded for World {
    type Setting = Setting;
    type Move = Move;

    fn beginnings(setting: &Setting, bounds: Bounds) -> Vec<World> {
        let world = World {
            machine: ContainerLifecycle::new(setting.plan.clone()),
            edge: Edge::new(bounds),
            app: App::NotYet,
            others: false,
            memory: Memory::default(),
            broken: None,
        };
        let begin = |first| {
            let mut world = world.clone();
            world.go(setting, first);
            world
        };
        [Move::Begin, Move::StopBeforeBegin].into_iter().map(begin).collect()
    }

    fn moves(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if self.edge.exited {
            return;
        }
        moves.extend(self.edge.moves(setting.handlers, setting.signals).into_iter().map(Move::Edge));
        self.moves_of_the_app(setting, moves);
    }

    fn broken(&self) -> Option<Promise> {
        self.broken
    }

    fn go(&mut self, setting: &Setting, next: Move) -> u64 {
        let event = match next {
            Move::Begin => Event::Begin,
            Move::StopBeforeBegin => Event::Signal(Signal::TERM),
            Move::Edge(next) => {
                if let edge::Move::HandlerEnds(run, result) = next {
                    self.memory.lists.handler_ended(&setting.plan, self.edge.run(run), result);
                }
                let Some(event) = self.edge.go(next) else { return self.rest(setting) };
                event
            }
            Move::LivenessFails => {
                self.edge.disturbances -= 1;
                Event::LivenessFailed
            }
            Move::Connections { idle } => {
                self.memory.turns += 1;
                self.memory.idle_since = idle.then_some(self.edge.now);
                if idle { Event::ConnectionsIdle } else { Event::ConnectionsBusyOrGone }
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
        };
        self.send(setting, event)
    }
}

impl World {
    fn moves_of_the_app(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if setting.liveness && self.edge.disturbances > 0 {
            // Reported at any time: the failed run may have begun before the stop, or before the app's end.
            moves.push(Move::LivenessFails);
        }
        if self.app == App::Alive {
            let of_signal =
                [self.memory.sent, self.memory.second_signal_sent].into_iter().flatten().map(AppStatus::Signalled);
            // A client comes back once, and leaves again.
            if setting.plan.second_signal.is_some() && self.memory.watched && self.memory.turns < 3 {
                moves.push(Move::Connections { idle: self.memory.turns.is_multiple_of(2) });
            }
            let statuses = match (setting.app, self.memory.killed) {
                (AppNature::Free | AppNature::Ignores | AppNature::Missing, true) => {
                    vec![AppStatus::Signalled(Signal::KILL)]
                }
                (AppNature::Free, false) => {
                    setting.codes.iter().copied().map(AppStatus::Exited).chain(of_signal).collect()
                }
                (AppNature::Ignores | AppNature::Missing, false) | (AppNature::Untouchable, _) => Vec::new(),
            };
            for status in statuses {
                moves.push(Move::AppEnds(status, OthersThen::There));
                if self.edge.runs.is_empty() && setting.leftovers == Leftovers::Free {
                    moves.push(Move::AppEnds(status, OthersThen::Gone));
                }
            }
        }
        if self.others && self.app != App::Alive && self.edge.runs.is_empty() && setting.leftovers == Leftovers::Free {
            moves.push(Move::OthersEnd);
        }
    }

    fn send(&mut self, setting: &Setting, event: Event) -> u64 {
        self.before(setting, event);
        let mut landmarks = 0;
        let actions = self.machine.apply(self.edge.now, event);
        let mut starts = false;
        for action in &actions {
            landmarks |= self.observe(setting, *action);
            starts |= *action == Action::StartApp;
            // The processes of an aborted handler are ended and reaped later: `others` stays.
            self.others |= matches!(action, Action::StartHandler { .. });
            self.edge.perform(*action);
        }
        self.after(setting, event, &actions);
        if starts {
            let answer = match setting.app {
                AppNature::Missing => Event::AppNotStarted { code: 127 },
                AppNature::Free | AppNature::Ignores | AppNature::Untouchable => {
                    self.app = App::Alive;
                    self.others = true;
                    Event::AppStarted
                }
            };
            return landmarks | self.send(setting, answer);
        }
        if setting.app == AppNature::Untouchable {
            for signal in actions.iter().filter_map(|action| signal_to_app(*action)) {
                self.memory.refused.push(signal);
                landmarks |= self.send(setting, Event::SignalRefused(signal));
            }
        }
        landmarks | self.rest(setting)
    }

    /// Whether no further event must come although no end was requested.
    pub(crate) fn may_rest(&self, setting: &Setting) -> bool {
        let hangs = setting.handlers == HandlerNature::Hang;
        let no_stop_is_due = self.memory.stop.is_none() || setting.plan.grace.is_none();
        match self.machine.phase() {
            PhaseName::Exited => true,
            PhaseName::Starting => hangs && !self.edge.runs.is_empty(),
            _ => match setting.app {
                AppNature::Ignores => self.app == App::Alive && no_stop_is_due,
                // Without a grace period a stop ends as well: its signal is refused.
                AppNature::Untouchable => self.app == App::Alive && self.memory.sent.is_none(),
                AppNature::Free | AppNature::Missing => false,
            },
        }
    }
}

fn signal_to_app(action: Action) -> Option<Signal> {
    match action {
        Action::SignalApp(signal) | Action::SendSecondSignal(signal) => Some(signal),
        Action::KillApp => Some(Signal::KILL),
        _ => None,
    }
}
