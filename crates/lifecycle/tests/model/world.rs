//! The world around the machine: what can happen next, and how the edge performs the machine's actions.
//!
//! One assumption about the edge is built in: `StartApp` is answered before any other event
//! (the container's loop does so).

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, AppStatus, ContainerLifecycle, Event, Hook, Machine, PhaseName, Reason, Remaining};

use crate::check::{Bounded, Bounds};
use crate::edge::{self, Edge};
use crate::memory::Memory;
use crate::promises::Promise;
use crate::settings::{AppNature, HandlerNature, Leftovers, Setting};

/// One event of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Begin,
    /// The same, after a life that ended without a report.
    BeginUnseen,
    /// A stop signal was pending before bookend's first instruction.
    StopBeforeBegin,
    Edge(edge::Move),
    LivenessFails,
    /// Only idle connections are left.
    ConnectionsIdle,
    AppEnds(AppStatus, Remaining),
    /// The processes that remain become fewer.
    Remains(Remaining),
    /// The kernel takes the oldest signal to the app that it has not answered, or refuses it.
    Answers {
        refused: bool,
    },
    /// A preStop handler signals PID 1.
    SignalFromPreStop(Signal),
}

impl Move {
    /// Whether an end may depend on it.
    pub(crate) fn is_bound_to_come(self) -> bool {
        match self {
            Move::Edge(next) => next.is_bound_to_come(),
            Move::LivenessFails | Move::SignalFromPreStop(_) => false,
            Move::Begin
            | Move::BeginUnseen
            | Move::StopBeforeBegin
            | Move::ConnectionsIdle
            | Move::AppEnds(..)
            | Move::Remains(_)
            | Move::Answers { .. } => true,
        }
    }
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
    pub(crate) remaining: Remaining,
    /// Signals to the app that the kernel has neither taken nor refused.
    pub(crate) unanswered: Vec<Signal>,
    /// The state file tells that this life begins; then it does.
    pub(crate) claims: bool,
    /// How many signals preStop handlers will still send.
    handler_signals: u8,
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
            remaining: Remaining::Nothing,
            unanswered: Vec::new(),
            claims: false,
            handler_signals: setting.handler_signals,
            memory: Memory::default(),
            broken: None,
        };
        let begin = |first| {
            let mut world = world.clone();
            world.go(setting, first);
            world
        };
        let first = if setting.unseen { Move::BeginUnseen } else { Move::Begin };
        [first, Move::StopBeforeBegin].into_iter().map(begin).collect()
    }

    fn moves(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if self.edge.exited {
            return;
        }
        if !self.unanswered.is_empty() {
            // The answer comes before any other event.
            return moves.extend([false, true].map(|refused| Move::Answers { refused }));
        }
        moves.extend(self.edge.moves(setting.handlers, setting.signals).into_iter().map(Move::Edge));
        self.moves_of_the_app(setting, moves);
        if self.claims {
            moves.push(Move::Begin);
        }
    }

    fn broken(&self) -> Option<Promise> {
        self.broken
    }

    fn go(&mut self, setting: &Setting, next: Move) -> u64 {
        let event = match next {
            Move::Begin => {
                self.claims = false;
                Event::Begin
            }
            Move::BeginUnseen => {
                self.memory.reason = Some(Reason::Unseen);
                self.memory.unseen_since = Some(self.edge.now);
                Event::BeginUnseen
            }
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
            Move::ConnectionsIdle => {
                self.memory.idle_reports += 1;
                Event::ConnectionsIdle
            }
            Move::AppEnds(status, remaining) => {
                self.app = App::Gone;
                self.remaining = remaining;
                Event::AppEnded { status }
            }
            Move::Remains(remaining) => {
                self.remaining = remaining;
                Event::Remaining(remaining)
            }
            Move::Answers { refused } => {
                let signal = self.unanswered.remove(0);
                if refused { Event::SignalRefused(signal) } else { Event::SignalSent(signal) }
            }
            Move::SignalFromPreStop(signal) => {
                self.handler_signals -= 1;
                Event::SignalFromPreStop(signal)
            }
        };
        self.send(setting, event)
    }
}

impl World {
    fn moves_of_the_app(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if setting.liveness && self.edge.disturbances > 0 {
            // The failure may be reported at any time: the failed run may have begun before the stop, or before the app's end.
            moves.push(Move::LivenessFails);
        }
        if self.handler_signals > 0 && self.edge.is_running(Hook::PreStop) {
            moves.extend(setting.signals.iter().copied().map(Move::SignalFromPreStop));
        }
        if self.app == App::Alive {
            let of_signal = self.memory.taken.iter().copied().map(AppStatus::Signalled);
            // The edge reports this once; a second report must change nothing.
            if setting.plan.second_signal.is_some() && self.memory.watched && self.memory.idle_reports < 2 {
                moves.push(Move::ConnectionsIdle);
            }
            let killed = self.memory.taken.contains(&Signal::KILL);
            let statuses = match (setting.app, killed) {
                (AppNature::Free | AppNature::Touchy | AppNature::Ignores | AppNature::Missing, true) => {
                    vec![AppStatus::Signalled(Signal::KILL)]
                }
                (AppNature::Free | AppNature::Touchy, false) => {
                    setting.codes.iter().copied().map(AppStatus::Exited).chain(of_signal).collect()
                }
                (AppNature::Ignores | AppNature::Missing, false) | (AppNature::Untouchable, _) => Vec::new(),
            };
            for status in statuses {
                moves.push(Move::AppEnds(status, Remaining::Children));
                if setting.leftovers == Leftovers::Sessions {
                    moves.push(Move::AppEnds(status, Remaining::Sessions));
                }
                if self.edge.runs.is_empty() && setting.leftovers != Leftovers::Stay {
                    moves.push(Move::AppEnds(status, Remaining::Nothing));
                }
            }
        }
        if self.app != App::Alive && self.edge.runs.is_empty() && setting.leftovers != Leftovers::Stay {
            let fewer: &[_] = match self.remaining {
                Remaining::Children if setting.leftovers == Leftovers::Sessions => {
                    &[Remaining::Sessions, Remaining::Nothing]
                }
                Remaining::Children => &[Remaining::Nothing],
                Remaining::Sessions => &[Remaining::Nothing],
                Remaining::Nothing => &[],
            };
            moves.extend(fewer.iter().copied().map(Move::Remains));
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
            if let Action::StartHandler { .. } = action {
                // The processes of an aborted handler are ended and reaped later.
                self.remaining = Remaining::Children;
            }
            self.edge.perform(*action);
        }
        self.after(setting, event, &actions);
        if starts {
            let answer = match setting.app {
                AppNature::Missing => Event::AppNotStarted { code: 127 },
                AppNature::Free | AppNature::Touchy | AppNature::Ignores | AppNature::Untouchable => {
                    self.app = App::Alive;
                    Event::AppStarted
                }
            };
            return landmarks | self.send(setting, answer);
        }
        for signal in actions.iter().filter_map(|action| signal_to_app(*action)) {
            landmarks |= match setting.app {
                AppNature::Untouchable => self.send(setting, Event::SignalRefused(signal)),
                AppNature::Touchy => {
                    self.unanswered.push(signal);
                    0
                }
                AppNature::Free | AppNature::Ignores | AppNature::Missing => {
                    self.send(setting, Event::SignalSent(signal))
                }
            };
        }
        if actions.contains(&Action::TerminateLeftovers) {
            if setting.app == AppNature::Untouchable && self.remaining != Remaining::Nothing {
                landmarks |= self.send(setting, Event::LeftoversRefused);
            }
            landmarks |= self.send(setting, Event::Remaining(self.remaining));
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
                AppNature::Free | AppNature::Touchy | AppNature::Missing => false,
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
