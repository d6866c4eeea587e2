//! The promises of a container's life, held over random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::{Edge, EdgeMove, edge_moves, plans, signal_to_app};

/// The next thing that happens.
#[derive(Debug, Clone)]
enum Move {
    Edge(EdgeMove),
    Signal(u8),
    StopRequested,
    Idle,
    LivenessFails,
    AppEnds(AppStatus, Remaining),
    Remains(Remaining),
    SignalFromPreStop(u8),
    /// From now on the kernel refuses signals to the app, or allows them again.
    Refuse(bool),
}

fn moves() -> impl Strategy<Value = Move> {
    let status = prop_oneof![
        any::<u8>().prop_map(AppStatus::Exited),
        (1..=64).prop_map(|n| AppStatus::Signalled(Signal::new(n).expect("1 to 64 are signals"))),
    ];
    prop_oneof![
        20 => edge_moves().prop_map(Move::Edge),
        4 => prop_oneof![Just(15u8), Just(2), Just(3), Just(1), Just(10)].prop_map(Move::Signal),
        1 => Just(Move::StopRequested),
        3 => Just(Move::Idle),
        1 => Just(Move::LivenessFails),
        1 => (status, remaining()).prop_map(|(status, remaining)| Move::AppEnds(status, remaining)),
        2 => remaining().prop_map(Move::Remains),
        1 => prop_oneof![Just(15u8), Just(3), Just(10)].prop_map(Move::SignalFromPreStop),
        1 => any::<bool>().prop_map(Move::Refuse),
    ]
}

fn remaining() -> impl Strategy<Value = Remaining> {
    prop_oneof![Just(Remaining::Nothing), Just(Remaining::Sessions), Just(Remaining::Children)]
}

fn container_plans() -> impl Strategy<Value = Plan> {
    let second_signal =
        proptest::option::of((0..3u64).prop_map(|n| SecondSignal { after: secs(n), signal: Signal::INT }));
    let leftovers = proptest::option::of((0..5u64).prop_map(secs));
    (plans(&Hook::ALL), second_signal, leftovers).prop_map(|(plan, second_signal, leftovers)| Plan {
        second_signal,
        leftovers,
        ..plan
    })
}

/// The world around the machine, and what it has observed.
struct World {
    machine: ContainerLifecycle,
    plan: Plan,
    edge: Edge,
    app: App,
    remaining: Remaining,
    pre_stop_starts: BTreeMap<usize, u32>,
    stop_began: Option<Time>,
    kill_armed: Option<Time>,
    /// The connections are watched, and have been reported as idle.
    watched: bool,
    idle: bool,
    second_signal_sent: bool,
    killed: bool,
    refuses: bool,
    /// A signal was refused that the stop needed.
    refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum App {
    NotYet,
    Alive,
    Gone,
}

impl World {
    fn new(plan: Plan) -> World {
        let mut world = World {
            machine: ContainerLifecycle::new(plan.clone()),
            plan,
            edge: Edge::default(),
            app: App::NotYet,
            remaining: Remaining::Nothing,
            pre_stop_starts: BTreeMap::new(),
            stop_began: None,
            kill_armed: None,
            watched: false,
            idle: false,
            second_signal_sent: false,
            killed: false,
            refuses: false,
            refused: false,
        };
        world.send(Event::Begin);
        world
    }

    fn send(&mut self, event: Event) {
        let actions = self.machine.apply(self.edge.now, event);
        if self.edge.exited {
            assert_eq!(actions, [], "promise 4: nothing happens after Exit");
            return;
        }
        let mut starts = false;
        let mut answers = Vec::new();
        for action in actions {
            assert!(!self.edge.exited, "promise 4: Exit is the last action");
            starts |= action == Action::StartApp;
            answers.extend(signal_to_app(action).map(|signal| match self.refuses {
                true => Event::SignalRefused(signal),
                false => Event::SignalSent(signal),
            }));
            if action == Action::TerminateLeftovers {
                if self.refuses {
                    answers.push(Event::LeftoversRefused);
                }
                answers.push(Event::Remaining(self.remaining));
            }
            self.observe(action);
            self.edge.perform(action);
        }
        if self.machine.phase() == PhaseName::Stopping {
            assert!(!self.machine.is_ready(), "promise 7: never ready while stopping");
        }
        if starts {
            self.send(Event::AppStarted);
        }
        for answer in answers {
            self.refused |= matches!(answer, Event::SignalRefused(_));
            self.send(answer);
        }
    }

    fn observe(&mut self, action: Action) {
        match action {
            Action::StartApp => {
                assert_eq!(self.app, App::NotYet);
                self.app = App::Alive;
            }
            Action::StartHandler { hook, index, .. } => match hook {
                Hook::PreStart => assert_eq!(self.app, App::NotYet),
                Hook::PostStart => assert_eq!(self.app, App::Alive),
                Hook::PreStop => {
                    assert_eq!(self.app, App::Alive);
                    let starts = self.pre_stop_starts.entry(index).or_default();
                    *starts += 1;
                    let most = 1 + self.plan.hooks[&Hook::PreStop][index].retries;
                    assert!(*starts <= most, "promise 1: preStop at most once per stop");
                }
                Hook::PostStop => {
                    assert_ne!(self.app, App::Alive, "promise 4: postStop after the app");
                    let reason = self.machine.reason().expect("the app is gone");
                    assert!(self.plan.hooks[&hook][index].on.includes(reason), "the reason is configured");
                }
            },
            Action::SignalApp(_) => assert_eq!(self.app, App::Alive, "promise 8: there is an app to signal"),
            Action::WatchConnections => {
                assert!(!self.watched, "the connections are watched once");
                self.watched = true;
            }
            Action::SendSecondSignal(_) => {
                assert_eq!(self.app, App::Alive, "promise 8");
                assert!(self.plan.second_signal.is_some(), "promise 9: only if configured");
                let is_late = self.kill_armed.is_some_and(|kill| self.edge.now + secs(1) >= kill);
                assert!(self.idle || is_late, "promise 9: only idle connections are left, or SIGKILL is near");
                assert!(self.watched && !self.second_signal_sent, "promise 9: once, after the stop signal");
                self.second_signal_sent = true;
            }
            Action::KillApp => {
                assert_eq!(self.app, App::Alive, "promise 8");
                let deadline = self.kill_armed.expect("promise 3: no SIGKILL without a deadline");
                assert!(self.plan.grace.is_some() && self.edge.now >= deadline, "promise 3: SIGKILL at the deadline");
                self.killed = true;
            }
            Action::TerminateLeftovers | Action::KillLeftovers => {
                assert_ne!(self.app, App::Alive, "leftovers remain after the app");
            }
            Action::SetTimer { timer: Timer::Kill, at } => {
                let began = self.stop_began.expect("a stop has begun");
                assert!(at >= began + self.plan.grace.expect("there is a grace period") / 2);
                self.kill_armed = Some(at);
            }
            Action::Tell(Note::StopBegan(_)) => self.stop_began = Some(self.edge.now),
            Action::Tell(Note::StopSignalSent(_)) => {
                assert!(!self.edge.is_running(Hook::PreStop), "promise 2: the signal after preStop");
            }
            Action::Tell(Note::AppEnded(AppStatus::StillRunning)) => {
                assert!(self.killed || (self.refused && self.plan.grace.is_none()), "any other app is waited for");
                self.app = App::Gone;
                self.remaining = Remaining::Children;
            }
            Action::Tell(Note::Rearmed) => {
                self.pre_stop_starts.clear();
                self.stop_began = None;
            }
            Action::Exit(_) => assert_ne!(self.app, App::Alive, "no app is left behind"),
            Action::ContinueApp => assert_eq!(self.app, App::Alive, "promise 8"),
            Action::AbortHandler(_) | Action::Answer { .. } | Action::SetTimer { .. } | Action::Tell(_) => {}
        }
    }

    fn step(&mut self, what: Move) {
        match what {
            // After Exit the edge answers hooks by itself, with `late_outcome`.
            Move::Edge(EdgeMove::Call(_)) if self.edge.exited => {}
            Move::Edge(what) => {
                if let Some(event) = self.edge.step(what) {
                    self.send(event);
                }
            }
            Move::Signal(n) => self.send(Event::Signal(Signal::new(n.into()).expect("a signal"))),
            Move::StopRequested => self.send(Event::StopRequested),
            Move::Idle if self.watched => {
                self.idle = true;
                self.send(Event::ConnectionsIdle);
            }
            Move::LivenessFails => self.send(Event::LivenessFailed),
            Move::AppEnds(status, remaining) if self.app == App::Alive => {
                self.app = App::Gone;
                self.remaining = remaining;
                self.send(Event::AppEnded { status });
            }
            Move::Remains(remaining) if self.app == App::Gone => {
                self.remaining = remaining;
                self.send(Event::Remaining(remaining));
            }
            Move::SignalFromPreStop(n) if self.edge.is_running(Hook::PreStop) => {
                self.send(Event::SignalFromPreStop(Signal::new(n.into()).expect("a signal")));
            }
            Move::Refuse(refuses) => self.refuses = refuses,
            Move::Idle | Move::AppEnds(..) | Move::Remains(_) | Move::SignalFromPreStop(_) => {}
        }
    }

    /// From here on everything that has begun ends.
    fn settle(&mut self) {
        for _ in 0..200 {
            if self.edge.exited {
                return;
            }
            self.step(Move::Edge(EdgeMove::HandlerEnds(0, SUCCEEDED)));
            self.step(Move::Edge(EdgeMove::CallerDone(0)));
            self.step(Move::AppEnds(AppStatus::Exited(0), Remaining::Nothing));
            self.step(Move::Remains(Remaining::Nothing));
            self.step(Move::Edge(EdgeMove::TimerFires(0)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_holds_in_every_history(
        plan in container_plans(),
        history in proptest::collection::vec(moves(), 0..60),
    ) {
        let mut world = World::new(plan);
        for what in history {
            world.step(what);
        }
        world.settle();
        prop_assert!(world.edge.exited, "promise 5: a history in which the app ends reaches Exit");
    }

    #[test]
    fn a_grace_period_ends_an_app_that_ignores_everything(
        plan in container_plans().prop_filter("with a grace period", |plan| plan.grace.is_some()),
        history in proptest::collection::vec(moves(), 0..30),
    ) {
        let mut world = World::new(plan);
        for what in history.into_iter().filter(|what| !matches!(what, Move::AppEnds(..))) {
            world.step(what);
        }
        // Time passes and stop signals are repeated; handlers hang, and the app ignores the signals.
        for _ in 0..100 {
            world.step(Move::Signal(15));
            world.step(Move::Edge(EdgeMove::TimerFires(0)));
            if world.app != App::Alive {
                break;
            }
        }
        prop_assert!(world.edge.exited || world.app != App::Alive, "the budget ends every stop");
    }
}
