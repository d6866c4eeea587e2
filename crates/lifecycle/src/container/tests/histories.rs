//! The promises of lifecycle.rs, held over random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One thing the world does next; indexes choose among what is possible at that moment.
#[derive(Debug, Clone)]
enum Move {
    Handler(usize, HandlerResult),
    Hook(bool),
    CallerDone(usize),
    Signal(u8),
    Stop,
    Idle(bool),
    Liveness,
    Ring(usize),
    AppEnds(AppStatus, bool),
    OthersGone,
    Wait(u16),
}

fn moves() -> impl Strategy<Value = Move> {
    let result = prop_oneof![
        3 => Just(HandlerResult::Succeeded),
        1 => Just(HandlerResult::Failed),
        1 => Just(HandlerResult::TimedOut),
    ];
    let status = prop_oneof![
        any::<u8>().prop_map(AppStatus::Exited),
        (1..=64).prop_map(|n| AppStatus::Signalled(Signal::new(n).expect("1 to 64 are signals"))),
    ];
    prop_oneof![
        6 => (0..4usize, result).prop_map(|(n, result)| Move::Handler(n, result)),
        4 => any::<bool>().prop_map(Move::Hook),
        3 => (0..4usize).prop_map(Move::CallerDone),
        4 => prop_oneof![Just(15u8), Just(2), Just(3), Just(1), Just(10)].prop_map(Move::Signal),
        1 => Just(Move::Stop),
        3 => any::<bool>().prop_map(Move::Idle),
        1 => Just(Move::Liveness),
        4 => (0..4usize).prop_map(Move::Ring),
        1 => (status, any::<bool>()).prop_map(|(status, others)| Move::AppEnds(status, others)),
        2 => Just(Move::OthersGone),
        3 => any::<u16>().prop_map(Move::Wait),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let on = any::<[bool; 3]>().prop_map(|[completed, failed, stopped]| On { completed, failed, stopped });
    let one = (proptest::option::of(1..5u64), any::<bool>(), any::<bool>(), 0..2u32, on).prop_map(
        |(timeout, required, waits_only, retries, on)| HandlerPlan {
            retries,
            on,
            ..handler(timeout, required, waits_only)
        },
    );
    let list = || proptest::collection::vec(one.clone(), 0..3);
    let second_signal =
        proptest::option::of((0..3u64).prop_map(|n| SecondSignal { after: secs(n), signal: Signal::INT }));
    (proptest::option::of(0..20u64), list(), list(), list(), list(), any::<bool>(), second_signal).prop_map(
        |(grace, pre_start, post_start, pre_stop, post_stop, rewrites, second_signal)| Plan {
            second_signal,
            grace: grace.map(secs),
            hooks: SmallMap::from([
                (Hook::PreStart, pre_start),
                (Hook::PostStart, post_start),
                (Hook::PreStop, pre_stop),
                (Hook::PostStop, post_stop),
            ]),
            stop_signal: rewrites.then_some(Signal::QUIT),
            ..plan(&[])
        },
    )
}

/// The world around the machine, and what it has seen of the promises.
struct World {
    machine: ContainerLifecycle,
    plan: Plan,
    now: Time,
    runs: Vec<(RunId, Hook)>,
    answering: Vec<CallerId>,
    unanswered: Vec<CallerId>,
    timers: BTreeMap<Timer, Time>,
    app: App,
    others: bool,
    callers: u64,
    pre_stop_starts: BTreeMap<usize, u32>,
    stop_began: Option<Time>,
    kill_armed: Option<Time>,
    /// The connections are watched; idle since then.
    watched: bool,
    idle_since: Option<Time>,
    second_signal_sent: bool,
    exited: bool,
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
            now: Duration::ZERO,
            runs: Vec::new(),
            answering: Vec::new(),
            unanswered: Vec::new(),
            timers: BTreeMap::new(),
            app: App::NotYet,
            others: false,
            callers: 0,
            pre_stop_starts: BTreeMap::new(),
            stop_began: None,
            kill_armed: None,
            watched: false,
            idle_since: None,
            second_signal_sent: false,
            exited: false,
        };
        world.send(Event::Begin);
        world
    }

    fn send(&mut self, event: Event) {
        let actions = self.machine.apply(self.now, event);
        if self.exited {
            assert_eq!(actions, [], "promise 4: nothing happens after Exit");
            return;
        }
        let mut follow_up = Vec::new();
        for action in actions {
            self.check_and_perform(action, &mut follow_up);
        }
        if self.machine.phase() == PhaseName::Stopping {
            assert!(!self.machine.is_ready(), "promise 7: never ready while stopping");
        }
        for event in follow_up {
            self.send(event);
        }
    }

    fn check_and_perform(&mut self, action: Action, follow_up: &mut Vec<Event>) {
        assert!(!self.exited, "promise 4: Exit is the last action");
        match action {
            Action::StartApp => {
                assert_eq!(self.app, App::NotYet);
                self.app = App::Alive;
                self.others = true;
                follow_up.push(Event::AppStarted);
            }
            Action::StartHandler { run, hook, index, .. } => {
                assert!(!self.runs.iter().any(|(_, running)| *running == hook), "one handler of a list at a time");
                match hook {
                    Hook::PreStart => assert_eq!(self.app, App::NotYet),
                    Hook::PostStart | Hook::PreStop => assert_eq!(self.app, App::Alive),
                    Hook::PostStop => {
                        assert_ne!(self.app, App::Alive, "promise 4: postStop after the app");
                        let reason = self.machine.reason().expect("the app is gone");
                        assert!(self.plan.hooks[&hook][index].on.includes(reason), "`on` chooses");
                    }
                }
                if hook == Hook::PreStop {
                    let starts = self.pre_stop_starts.entry(index).or_default();
                    *starts += 1;
                    let most = 1 + self.plan.hooks[&Hook::PreStop][index].retries;
                    assert!(*starts <= most, "promise 1: preStop at most once a stop");
                }
                self.runs.push((run, hook));
            }
            Action::AbortHandler(run) => self.runs.retain(|(running, _)| *running != run),
            Action::SignalApp(_) => assert_eq!(self.app, App::Alive, "promise 8: there is an app to signal"),
            Action::WatchConnections => {
                assert!(!self.watched, "one stop signal, one watch");
                self.watched = true;
            }
            Action::SendSecondSignal(_) => {
                assert_eq!(self.app, App::Alive, "promise 8");
                let after = self.plan.second_signal.expect("promise 9: only where it is asked for").after;
                let since = self.idle_since.expect("promise 9: never while somebody waits");
                assert!(
                    self.now >= since + after && !self.second_signal_sent,
                    "promise 9: once, when idle for long enough"
                );
                self.second_signal_sent = true;
            }
            Action::KillApp => {
                assert_eq!(self.app, App::Alive, "promise 8");
                let deadline = self.kill_armed.expect("promise 3: no SIGKILL without a deadline");
                assert!(self.plan.grace.is_some() && self.now >= deadline, "promise 3: SIGKILL at the deadline");
            }
            Action::TerminateLeftovers | Action::KillLeftovers => {
                assert_ne!(self.app, App::Alive, "leftovers are what the app left");
            }
            Action::Answer { caller, .. } => {
                assert!(self.unanswered.contains(&caller), "an answer goes to somebody who waits");
                self.unanswered.retain(|waiting| *waiting != caller);
                self.answering.push(caller);
            }
            Action::SetTimer { timer, at } => {
                if timer == Timer::Kill {
                    let began = self.stop_began.expect("a stop has begun");
                    assert!(at >= began + self.plan.grace.expect("there is a grace period") / 2);
                    self.kill_armed = Some(at);
                }
                self.timers.insert(timer, at);
            }
            Action::Tell(Note::StopBegan(_)) => self.stop_began = Some(self.now),
            Action::Tell(Note::StopSignalSent(_)) => {
                assert!(!self.runs.iter().any(|(_, hook)| *hook == Hook::PreStop), "promise 2: signal after preStop");
            }
            Action::Tell(Note::Rearmed) => {
                self.pre_stop_starts.clear();
                self.stop_began = None;
            }
            Action::Tell(_) => {}
            Action::Exit(_) => {
                assert_ne!(self.app, App::Alive, "we never leave an app behind");
                assert_eq!(self.unanswered, [], "promise 6: who waits is answered before Exit");
                self.exited = true;
            }
        }
    }

    fn step(&mut self, what: Move) {
        match what {
            Move::Handler(n, result) => {
                if !self.runs.is_empty() {
                    let (run, _) = self.runs.remove(n % self.runs.len());
                    self.send(ended(run, result));
                }
            }
            Move::Hook(pre_stop) => {
                if self.exited {
                    return;
                }
                self.callers += 1;
                self.unanswered.push(CallerId(self.callers));
                self.send(call(if pre_stop { Hook::PreStop } else { Hook::PostStart }, self.callers));
            }
            Move::CallerDone(n) => {
                if !self.answering.is_empty() {
                    let caller = self.answering.remove(n % self.answering.len());
                    self.send(Event::CallerDone(caller));
                }
            }
            Move::Signal(n) => self.send(Event::Signal(Signal::new(n.into()).expect("a signal"))),
            Move::Stop => self.send(Event::StopRequested),
            Move::Idle(idle) => {
                if self.watched && idle {
                    self.idle_since.get_or_insert(self.now);
                    self.send(Event::ConnectionsIdle);
                } else if self.watched {
                    self.idle_since = None;
                    self.send(Event::ConnectionsBusyOrGone);
                }
            }
            Move::Liveness => self.send(Event::LivenessFailed),
            Move::Ring(n) => {
                if let Some((&timer, &at)) = self.timers.iter().nth(n) {
                    self.timers.remove(&timer);
                    self.now = self.now.max(at);
                    self.send(Event::TimerFired(timer));
                }
            }
            Move::AppEnds(status, others) => {
                if self.app == App::Alive {
                    self.app = App::Gone;
                    self.others = others;
                    self.send(Event::AppEnded { status, others });
                }
            }
            Move::OthersGone => {
                if self.app == App::Gone && self.others {
                    self.others = false;
                    self.send(Event::NoOthers);
                }
            }
            Move::Wait(ms) => self.now += Duration::from_millis(ms.into()),
        }
    }

    /// From here on the world is kind: everything that was begun ends.
    fn settle(&mut self) {
        for _ in 0..200 {
            if self.exited {
                return;
            }
            self.step(Move::Handler(0, HandlerResult::Succeeded));
            self.step(Move::CallerDone(0));
            self.step(Move::AppEnds(AppStatus::Exited(0), false));
            self.step(Move::OthersGone);
            self.step(Move::Ring(0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_holds_in_every_history(plan in plans(), history in proptest::collection::vec(moves(), 0..60)) {
        let mut world = World::new(plan);
        for what in history {
            world.step(what);
        }
        world.settle();
        prop_assert!(world.exited, "promise 5: a history that ends the app reaches Exit");
    }

    #[test]
    fn an_app_that_ignores_everything_is_gone_when_a_grace_period_is_over(
        plan in plans().prop_filter("with a grace period", |plan| plan.grace.is_some()),
        history in proptest::collection::vec(moves(), 0..30),
    ) {
        let mut world = World::new(plan);
        for what in history.into_iter().filter(|what| !matches!(what, Move::AppEnds(..))) {
            world.step(what);
        }
        // Only the clock goes on, and a stop signal that is repeated: handlers hang, the app ignores it.
        for _ in 0..100 {
            world.step(Move::Signal(15));
            world.step(Move::Ring(0));
            if world.exited {
                break;
            }
            if world.machine.phase == Phase::Starting || world.app == App::Gone {
                continue;
            }
            let killed = matches!(world.machine.phase, Phase::Stopping { stage: Stage::Killed, .. });
            if killed {
                return Ok(());
            }
        }
        prop_assert!(world.exited || world.app != App::Alive, "the budget ends every stop");
    }
}
