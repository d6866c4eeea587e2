//! The promises of elsewhere.rs, held over random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Move {
    Handler(usize, HandlerResult),
    Hook(bool),
    CallerDone(usize),
    Signal,
    Stop,
    Ring(usize),
    AppStarts,
    AppEnds,
    AppUnseen,
    Wait(u16),
}

fn moves() -> impl Strategy<Value = Move> {
    let result = prop_oneof![3 => Just(DONE), 1 => Just(HandlerResult::Failed), 1 => Just(HandlerResult::TimedOut)];
    prop_oneof![
        6 => (0..4usize, result).prop_map(|(n, result)| Move::Handler(n, result)),
        6 => any::<bool>().prop_map(Move::Hook),
        3 => (0..4usize).prop_map(Move::CallerDone),
        1 => Just(Move::Signal),
        1 => Just(Move::Stop),
        4 => (0..4usize).prop_map(Move::Ring),
        3 => Just(Move::AppStarts),
        3 => Just(Move::AppEnds),
        1 => Just(Move::AppUnseen),
        3 => any::<u16>().prop_map(Move::Wait),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let one = (proptest::option::of(1..5u64), any::<bool>(), any::<bool>(), 0..2u32).prop_map(
        |(timeout, required, waits_only, retries)| HandlerPlan { retries, ..handler(timeout, required, waits_only) },
    );
    let list = || proptest::collection::vec(one.clone(), 0..3);
    (proptest::option::of(0..20u64), list(), list(), list(), any::<bool>()).prop_map(
        |(grace, post_start, pre_stop, post_stop, signals)| Plan {
            grace: grace.map(secs),
            hooks: SmallMap::from([
                (Hook::PostStart, post_start),
                (Hook::PreStop, pre_stop),
                (Hook::PostStop, post_stop),
            ]),
            stop_signal: signals.then_some(Signal::QUIT),
            ..plan()
        },
    )
}

struct World {
    machine: SidecarLifecycle,
    plan: Plan,
    now: Time,
    runs: Vec<(RunId, Hook)>,
    unanswered: Vec<CallerId>,
    answering: Vec<CallerId>,
    timers: BTreeMap<Timer, Time>,
    is_there: bool,
    callers: u64,
    starts: BTreeMap<(Hook, usize), u32>,
    /// So many there may have been: one unseen, and one for each sign of another.
    lives: u32,
    /// Our own stop has begun; it was signalled only once.
    ending: bool,
    stepped: bool,
    exited: bool,
}

impl World {
    fn new(plan: Plan) -> World {
        World {
            machine: SidecarLifecycle::new(plan.clone(), 0),
            plan,
            now: Duration::ZERO,
            runs: Vec::new(),
            unanswered: Vec::new(),
            answering: Vec::new(),
            timers: BTreeMap::new(),
            is_there: false,
            callers: 0,
            starts: BTreeMap::new(),
            lives: 1,
            ending: false,
            stepped: false,
            exited: false,
        }
    }

    fn send(&mut self, event: Event) {
        let is_first_signal = matches!(event, Event::Signal(_) | Event::StopRequested) && !self.ending;
        if matches!(event, Event::Signal(_) | Event::StopRequested) {
            self.stepped |= self.ending && matches!(event, Event::Signal(_));
            self.ending = true;
        }
        for action in self.machine.apply(self.now, event) {
            assert!(!self.exited || matches!(action, Action::Answer { .. }), "nothing but answers after Exit");
            let in_time = self.plan.grace.is_none_or(|grace| !grace.is_zero());
            if is_first_signal && in_time && self.machine.phase() == PhaseName::Stopping {
                assert!(!matches!(action, Action::AbortHandler(_)), "promise 6: our own stop cuts no hook short");
            }
            self.check_and_perform(action);
        }
    }

    fn check_and_perform(&mut self, action: Action) {
        match action {
            Action::StartHandler { run, hook, index, .. } => {
                assert!(!self.runs.iter().any(|(_, running)| *running == hook), "one handler of a list at a time");
                if hook == Hook::PostStart {
                    assert!(!self.runs.iter().any(|(_, running)| *running == Hook::PostStop), "promise 3: in order");
                }
                let starts = self.starts.entry((hook, index)).or_default();
                *starts += 1;
                let lives = if hook == Hook::PostStop { self.lives } else { 1 };
                let most = lives * (1 + self.plan.hooks[&hook][index].retries);
                assert!(*starts <= most, "promises 1 and 3: {hook:?} at most once");
                self.runs.push((run, hook));
            }
            Action::AbortHandler(run) => self.runs.retain(|(running, _)| *running != run),
            Action::SignalApp(_) => {
                assert!(self.is_there, "promise 2: to a process that is there");
                assert!(!self.runs.iter().any(|(_, hook)| *hook == Hook::PreStop), "promise 2: after preStop");
            }
            Action::Answer { caller, .. } => {
                assert!(self.unanswered.contains(&caller), "an answer goes to somebody who waits");
                self.unanswered.retain(|waiting| *waiting != caller);
                self.answering.push(caller);
            }
            Action::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
            Action::Exit(code) => {
                assert_eq!((code, self.unanswered.as_slice()), (0, &[][..]), "promise 4: who waits is answered");
                assert!(self.runs.is_empty(), "nothing runs on");
                self.exited = true;
            }
            Action::Tell(_) => {}
            other => panic!("a sidecar has no app of its own: {other:?}"),
        }
    }

    /// Another life or another stop may begin: these lists may run again.
    fn allow(&mut self, hooks: &[Hook]) {
        self.starts.retain(|(hook, _), _| !hooks.contains(hook));
    }

    fn step(&mut self, what: Move) {
        match what {
            Move::Handler(n, result) if !self.runs.is_empty() => {
                let (run, _) = self.runs.remove(n % self.runs.len());
                self.send(Event::HandlerEnded { run, result });
            }
            Move::Hook(pre_stop) => {
                self.callers += 1;
                let caller = CallerId(self.callers);
                self.unanswered.push(caller);
                let hook = if pre_stop { Hook::PreStop } else { Hook::PostStart };
                match hook {
                    Hook::PreStop => self.lives += 1,
                    // It joins.
                    _ if self.runs.iter().any(|(_, running)| *running == hook) => {}
                    _ => {
                        self.lives += 1;
                        self.allow(&[Hook::PostStart, Hook::PreStop]);
                    }
                }
                self.send(Event::HookCalled { hook, caller });
                assert!(!self.exited || !self.unanswered.contains(&caller), "promise 4: also after Exit");
            }
            Move::CallerDone(n) if !self.answering.is_empty() => {
                let caller = self.answering.remove(n % self.answering.len());
                self.send(Event::CallerDone(caller));
            }
            Move::Signal => self.send(Event::Signal(Signal::TERM)),
            Move::Stop => self.send(Event::StopRequested),
            Move::Ring(n) => {
                if let Some((&timer, &at)) = self.timers.iter().nth(n) {
                    self.timers.remove(&timer);
                    if timer == Timer::Rearm {
                        self.allow(&[Hook::PreStop]);
                    }
                    self.now = self.now.max(at);
                    self.send(Event::TimerFired(timer));
                }
            }
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
            Move::Wait(ms) => self.now += Duration::from_millis(ms.into()),
            Move::Handler(..) | Move::CallerDone(_) | Move::AppStarts | Move::AppEnds | Move::AppUnseen => {}
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
        // From here on the world is kind: everything that was begun ends.
        world.step(Move::Stop);
        for _ in 0..200 {
            if world.exited {
                break;
            }
            world.step(Move::Handler(0, DONE));
            world.step(Move::CallerDone(0));
            world.step(Move::AppEnds);
            world.step(Move::Ring(0));
        }
        prop_assert!(world.exited, "promise 5: a stop of our own reaches Exit");
    }

    #[test]
    fn a_grace_period_ends_every_stop_of_our_own(
        plan in plans().prop_filter("with a grace period", |plan| plan.grace.is_some()),
        history in proptest::collection::vec(moves(), 0..40),
    ) {
        let mut world = World::new(plan);
        for what in history {
            world.step(what);
        }
        world.step(Move::Signal);
        // Only time goes on: the app stays, no hook comes, each handler ends with its timeout.
        for _ in 0..200 {
            if world.exited {
                break;
            }
            world.step(Move::Ring(0));
            world.step(Move::Handler(0, HandlerResult::TimedOut));
        }
        prop_assert!(world.exited, "promise 5");
    }
}
