//! The promises of an app's life in another container, held over random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::{Edge, EdgeMove, edge_moves, plans};

/// The next thing that happens.
#[derive(Debug, Clone)]
enum Move {
    Edge(EdgeMove),
    Signal,
    StopRequested,
    AppStarts,
    AppEnds,
    AppUnseen,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        22 => edge_moves().prop_map(Move::Edge),
        1 => Just(Move::Signal),
        1 => Just(Move::StopRequested),
        3 => Just(Move::AppStarts),
        3 => Just(Move::AppEnds),
        1 => Just(Move::AppUnseen),
    ]
}

/// The world around the machine, and what it has observed.
struct World {
    machine: SidecarLifecycle,
    plan: Plan,
    edge: Edge,
    is_there: bool,
    starts: BTreeMap<(Hook, usize), u32>,
    /// How many lives there may have been: one that was not seen, and one for each sign of another.
    lives: u32,
    has_own_stop: bool,
}

impl World {
    fn new(plan: Plan) -> World {
        World {
            machine: SidecarLifecycle::new(plan.clone(), 0),
            plan,
            edge: Edge::default(),
            is_there: false,
            starts: BTreeMap::new(),
            lives: 1,
            has_own_stop: false,
        }
    }

    fn send(&mut self, event: Event) {
        let is_stop = matches!(event, Event::Signal(_) | Event::StopRequested);
        let is_first_stop = is_stop && !self.has_own_stop;
        self.has_own_stop |= is_stop;
        for action in self.machine.apply(self.edge.now, event) {
            assert!(!self.edge.exited || matches!(action, Action::Answer { .. }), "nothing but answers after Exit");
            let in_time = self.plan.grace.is_none_or(|grace| !grace.is_zero());
            if is_first_stop && in_time && self.machine.phase() == PhaseName::Stopping {
                assert!(!matches!(action, Action::AbortHandler(_)), "promise 6: our own stop cuts no hook short");
            }
            self.observe(action);
            self.edge.perform(action);
        }
    }

    fn observe(&mut self, action: Action) {
        match action {
            Action::StartHandler { hook, index, .. } => {
                if hook == Hook::PostStart {
                    assert!(!self.edge.is_running(Hook::PostStop), "promise 3: in order");
                }
                let starts = self.starts.entry((hook, index)).or_default();
                *starts += 1;
                let lives = if hook == Hook::PostStop { self.lives } else { 1 };
                let most = lives * (1 + self.plan.hooks[&hook][index].retries);
                assert!(*starts <= most, "promises 1 and 3: {hook:?} at most once");
            }
            Action::SignalApp(_) => {
                assert!(self.is_there, "promise 2: the process is there");
                assert!(!self.edge.is_running(Hook::PreStop), "promise 2: after preStop");
            }
            Action::Exit(code) => assert_eq!(code, 0),
            Action::AbortHandler(_) | Action::Answer { .. } | Action::SetTimer { .. } | Action::Tell(_) => {}
            other => panic!("a sidecar has no app of its own: {other:?}"),
        }
    }

    /// Another life or another stop may begin: these handlers may run again.
    fn allow(&mut self, hooks: &[Hook]) {
        self.starts.retain(|(hook, _), _| !hooks.contains(hook));
    }

    fn step(&mut self, what: Move) {
        match what {
            Move::Edge(what) => {
                match what {
                    EdgeMove::Call(Hook::PreStop) => self.lives += 1,
                    // The caller joins the handlers in flight.
                    EdgeMove::Call(hook) if self.edge.is_running(hook) => {}
                    EdgeMove::Call(_) => {
                        self.lives += 1;
                        self.allow(&[Hook::PostStart, Hook::PreStop]);
                    }
                    _ => {}
                }
                let Some(event) = self.edge.step(what) else { return };
                if event == Event::TimerFired(Timer::Rearm) {
                    self.allow(&[Hook::PreStop]);
                }
                self.send(event);
                assert!(!self.edge.exited || self.edge.unanswered.is_empty(), "promise 4: also after Exit");
            }
            Move::Signal => self.send(Event::Signal(Signal::TERM)),
            Move::StopRequested => self.send(Event::StopRequested),
            Move::AppStarts if !self.is_there => {
                self.is_there = true;
                self.lives += 1;
                self.send(Event::AppStarted);
            }
            Move::AppEnds if self.is_there => {
                self.is_there = false;
                self.allow(&[Hook::PostStart, Hook::PreStop]);
                self.send(gone());
            }
            Move::AppUnseen if !self.is_there => self.send(Event::AppUnseen),
            Move::AppStarts | Move::AppEnds | Move::AppUnseen => {}
        }
    }
}

const HOOKS: [Hook; 3] = [Hook::PostStart, Hook::PreStop, Hook::PostStop];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_holds_in_every_history(
        plan in plans(&HOOKS),
        history in proptest::collection::vec(moves(), 0..60),
    ) {
        let mut world = World::new(plan);
        for what in history {
            world.step(what);
        }
        // From here on everything that has begun ends.
        world.step(Move::StopRequested);
        for _ in 0..200 {
            if world.edge.exited {
                break;
            }
            world.step(Move::Edge(EdgeMove::HandlerEnds(0, SUCCEEDED)));
            world.step(Move::Edge(EdgeMove::CallerDone(0)));
            world.step(Move::AppEnds);
            world.step(Move::Edge(EdgeMove::TimerFires(0)));
        }
        prop_assert!(world.edge.exited, "promise 5: our own stop reaches Exit");
    }

    #[test]
    fn a_grace_period_ends_every_own_stop(
        plan in plans(&HOOKS).prop_filter("with a grace period", |plan| plan.grace.is_some()),
        history in proptest::collection::vec(moves(), 0..40),
    ) {
        let mut world = World::new(plan);
        for what in history {
            world.step(what);
        }
        world.step(Move::Signal);
        // Time passes and nothing else happens: the app stays, no hook is called, each handler ends with its timeout.
        for _ in 0..200 {
            if world.edge.exited {
                break;
            }
            world.step(Move::Edge(EdgeMove::TimerFires(0)));
            world.step(Move::Edge(EdgeMove::HandlerEnds(0, HandlerResult::TimedOut)));
        }
        prop_assert!(world.edge.exited, "promise 5");
    }
}
