//! The sidecar's machine (`src/sidecar.rs`): a kubelet that calls the hooks of an app in another container, in
//! any order, and that app's process, as far as it is visible.
//!
//! One assumption about the edge is built in: a refused signal is reported before any other event
//! (the run loop does so).

mod actions;
mod events;
mod memory;
pub(crate) mod settings;
mod states;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, AppStatus, Event, Machine, SidecarLifecycle};

use crate::check::{Bounded, Bounds};
use crate::edge::{self, Edge};
use crate::promises::Promise;
use memory::Memory;
use settings::{Process, Setting, SignalTo};

/// One event of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Edge(edge::Move),
    /// The process is found, and watched.
    Found,
    /// The watched process ends.
    Ends,
    /// A search cannot tell whether there is a process.
    CannotTell,
}

impl Move {
    /// Whether an end may depend on it.
    pub(crate) fn is_bound_to_come(self) -> bool {
        match self {
            Move::Edge(next) => next.is_bound_to_come(),
            Move::Ends => true,
            Move::Found | Move::CannotTell => false,
        }
    }
}

/// The machine and its surroundings at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) machine: SidecarLifecycle,
    pub(crate) edge: Edge,
    pub(crate) held: bool,
    /// How many processes will still be found.
    finds: u8,
    pub(crate) memory: Memory,
    pub(crate) broken: Option<Promise>,
}

impl Bounded for World {
    type Setting = Setting;
    type Move = Move;

    fn beginnings(setting: &Setting, bounds: Bounds) -> Vec<World> {
        let world = World {
            machine: SidecarLifecycle::new(setting.plan.clone(), 0),
            edge: Edge::new(bounds),
            held: false,
            finds: setting.finds,
            memory: Memory::default(),
            broken: None,
        };
        let mut stopped = world.clone();
        // A stop signal was pending before bookend's first instruction.
        stopped.send(setting, Event::Signal(Signal::TERM));
        vec![world, stopped]
    }

    fn moves(&self, setting: &Setting, moves: &mut Vec<Move>) {
        if self.edge.exited {
            return;
        }
        moves.extend(self.edge.moves(setting.handlers, &setting.plan.stop_signals).into_iter().map(Move::Edge));
        match (self.held, setting.process) {
            (true, Process::EndsFreely) => moves.push(Move::Ends),
            (true, Process::Stays) => {}
            (false, _) => {
                moves.extend((self.finds > 0).then_some(Move::Found));
                moves.extend((setting.finds > 0 && self.edge.disturbances > 0).then_some(Move::CannotTell));
            }
        }
    }

    fn go(&mut self, setting: &Setting, next: Move) -> u64 {
        let event = match next {
            Move::Edge(next) => {
                if let edge::Move::HandlerEnds(run, result) = next {
                    self.memory.lists.handler_ended(&setting.plan, self.edge.run(run), result);
                }
                let Some(event) = self.edge.go(next) else { return self.rest(setting) };
                event
            }
            Move::Found => {
                self.finds -= 1;
                self.held = true;
                Event::AppStarted
            }
            Move::Ends => {
                self.held = false;
                Event::AppEnded { status: AppStatus::Unknown }
            }
            Move::CannotTell => {
                self.edge.disturbances -= 1;
                Event::AppUnseen
            }
        };
        self.send(setting, event)
    }

    fn broken(&self) -> Option<Promise> {
        self.broken
    }
}

impl World {
    fn send(&mut self, setting: &Setting, event: Event) -> u64 {
        let (reported_outcome, mut landmarks) = self.before(setting, event);
        let actions = self.machine.apply(self.edge.now, event);
        for action in &actions {
            landmarks |= self.observe(setting, &reported_outcome, *action);
            self.edge.perform(*action);
        }
        landmarks |= self.after(setting, &reported_outcome, &actions);
        for signal in actions
            .iter()
            .filter_map(|action| if let Action::SignalApp(signal) = action { Some(*signal) } else { None })
        {
            let answer = match setting.signal {
                SignalTo::IsRefused => Event::SignalRefused(signal),
                _ => Event::SignalSent(signal),
            };
            landmarks |= self.send(setting, answer);
        }
        landmarks | self.rest(setting)
    }
}
