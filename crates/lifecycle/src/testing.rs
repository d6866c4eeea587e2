//! Helpers for the tests of both machines: a driver for examples, and the edge for random histories.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::signal::Signal;
use crate::{
    Action, AppStatus, CallerId, Event, HandlerPlan, HandlerResult, Hook, Machine, On, Outcome, Plan, Remaining, RunId,
    Time, Timer,
};

pub(crate) const SUCCEEDED: HandlerResult = HandlerResult::Succeeded;

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn handler(timeout: Option<u64>, required: bool, waits_only: bool) -> HandlerPlan {
    HandlerPlan { timeout: timeout.map(secs), required, retries: 0, backoff: secs(1), waits_only, on: On::EVERY }
}

/// A plan with so many handlers for each hook, and without a grace period.
pub(crate) fn plan_with(hooks: &[(Hook, usize)]) -> Plan {
    Plan {
        hooks: hooks.iter().map(|(hook, n)| (*hook, vec![handler(None, true, false); *n])).collect(),
        stop_signals: vec![Signal::TERM, Signal::INT, Signal::QUIT],
        ..Plan::default()
    }
}

// ---- Examples -----------------------------------------------------------------------------------

/// A machine, the time and the number of callers so far.
pub(crate) struct ExampleLife<M> {
    pub(crate) machine: M,
    pub(crate) now: Time,
    callers: u64,
    /// Whether the kernel refuses signals to the app. The test reports it.
    pub(crate) refuses: bool,
    /// The processes that remain when the app has ended.
    pub(crate) remaining: Remaining,
}

impl<M: Machine> ExampleLife<M> {
    pub(crate) fn new(machine: M) -> ExampleLife<M> {
        ExampleLife { machine, now: Duration::ZERO, callers: 0, refuses: false, remaining: Remaining::Nothing }
    }

    /// The event happens a millisecond later.
    pub(crate) fn then(&mut self, event: Event) -> Vec<Action> {
        self.at(self.now + Duration::from_millis(1), event)
    }

    /// The event, and the kernel's answers to the signals that follow it.
    pub(crate) fn at(&mut self, now: Time, event: Event) -> Vec<Action> {
        self.now = now;
        let mut actions = self.machine.apply(now, event);
        let mut at = 0;
        while let Some(action) = actions.get(at) {
            let answer = match signal_to_app(*action) {
                Some(signal) if !self.refuses => Some(Event::SignalSent(signal)),
                _ if *action == Action::TerminateLeftovers => Some(Event::Remaining(self.remaining)),
                _ => None,
            };
            actions.extend(answer.into_iter().flat_map(|answer| self.machine.apply(now, answer)));
            at += 1;
        }
        actions
    }

    /// The next caller, numbered from 1, calls a hook.
    pub(crate) fn call(&mut self, hook: Hook) -> Vec<Action> {
        self.call_at(self.now + Duration::from_millis(1), hook)
    }

    pub(crate) fn call_at(&mut self, now: Time, hook: Hook) -> Vec<Action> {
        self.callers += 1;
        self.at(now, Event::HookCalled { hook, caller: CallerId(self.callers) })
    }

    /// The run that these actions started ends.
    pub(crate) fn end_run(&mut self, actions: &[Action], result: HandlerResult) -> Vec<Action> {
        self.end_run_at(self.now + Duration::from_millis(1), actions, result)
    }

    pub(crate) fn end_run_at(&mut self, now: Time, actions: &[Action], result: HandlerResult) -> Vec<Action> {
        let run = started(actions).expect("a handler was started");
        self.at(now, Event::HandlerEnded { run, result })
    }

    pub(crate) fn caller_done(&mut self, caller: u64) -> Vec<Action> {
        self.then(Event::CallerDone(CallerId(caller)))
    }

    pub(crate) fn term(&mut self) -> Vec<Action> {
        self.then(Event::Signal(Signal::TERM))
    }

    pub(crate) fn fire(&mut self, at: Time, timer: Timer) -> Vec<Action> {
        self.at(at, Event::TimerFired(timer))
    }
}

pub(crate) fn app_ended(status: AppStatus) -> Event {
    Event::AppEnded { status }
}

/// No process remains.
pub(crate) const ALONE: Event = Event::Remaining(Remaining::Nothing);

/// The signal that this action sends to the app.
pub(crate) fn signal_to_app(action: Action) -> Option<Signal> {
    match action {
        Action::SignalApp(signal) | Action::SendSecondSignal(signal) => Some(signal),
        Action::KillApp => Some(Signal::KILL),
        _ => None,
    }
}

fn start(actions: &[Action]) -> Option<(RunId, Hook)> {
    actions.iter().find_map(|action| match action {
        Action::StartHandler { run, hook, .. } => Some((*run, *hook)),
        _ => None,
    })
}

/// The first run that was started.
pub(crate) fn started(actions: &[Action]) -> Option<RunId> {
    start(actions).map(|(run, _)| run)
}

/// The hook of the first run that was started.
pub(crate) fn hook_in(actions: &[Action]) -> Option<Hook> {
    start(actions).map(|(_, hook)| hook)
}

pub(crate) fn answers(actions: &[Action]) -> Vec<(u64, Outcome)> {
    let one = |action: &Action| match action {
        Action::Answer { caller, outcome, .. } => Some((caller.0, *outcome)),
        _ => None,
    };
    actions.iter().filter_map(one).collect()
}

pub(crate) fn timer(actions: &[Action], wanted: Timer) -> Option<Time> {
    actions.iter().find_map(|action| match action {
        Action::SetTimer { timer, at } if *timer == wanted => Some(*at),
        _ => None,
    })
}

pub(crate) fn exit(actions: &[Action]) -> Option<u8> {
    actions.iter().find_map(|action| match action {
        Action::Exit(code) => Some(*code),
        _ => None,
    })
}

// ---- Random histories ---------------------------------------------------------------------------

/// Something that can happen at the edge of both machines. Numbers choose among what is possible at that moment.
#[derive(Debug, Clone)]
pub(crate) enum EdgeMove {
    HandlerEnds(usize, HandlerResult),
    Call(Hook),
    CallerDone(usize),
    TimerFires(usize),
    Wait(u16),
}

pub(crate) fn edge_moves() -> impl Strategy<Value = EdgeMove> {
    let result = prop_oneof![
        3 => Just(HandlerResult::Succeeded),
        1 => Just(HandlerResult::Failed),
        1 => Just(HandlerResult::TimedOut),
    ];
    prop_oneof![
        6 => (0..4usize, result).prop_map(|(n, result)| EdgeMove::HandlerEnds(n, result)),
        5 => prop_oneof![Just(Hook::PreStop), Just(Hook::PostStart)].prop_map(EdgeMove::Call),
        3 => (0..4usize).prop_map(EdgeMove::CallerDone),
        4 => (0..4usize).prop_map(EdgeMove::TimerFires),
        3 => any::<u16>().prop_map(EdgeMove::Wait),
    ]
}

/// Up to two handlers for each of these hooks, with or without a grace period.
pub(crate) fn plans(hooks: &'static [Hook]) -> impl Strategy<Value = Plan> {
    let on =
        any::<[bool; 3]>().prop_map(|[completed, failed, stopped]| On { completed, failed, stopped, unseen: false });
    let one = (proptest::option::of(1..5u64), any::<bool>(), any::<bool>(), 0..2u32, on).prop_map(
        |(timeout, required, waits_only, retries, on)| HandlerPlan {
            retries,
            on,
            ..handler(timeout, required, waits_only)
        },
    );
    let lists = proptest::collection::vec(proptest::collection::vec(one, 0..3), hooks.len());
    let hold = proptest::option::of(0..9u64);
    (proptest::option::of(0..20u64), lists, any::<bool>(), hold).prop_map(
        move |(grace, lists, has_stop_signal, hold)| Plan {
            grace: grace.map(secs),
            hold: hold.map(secs),
            hooks: hooks.iter().copied().zip(lists).collect(),
            stop_signal: has_stop_signal.then_some(Signal::QUIT),
            ..plan_with(&[])
        },
    )
}

/// The edge in a random history: the clock, the handlers that run, the callers, the timers.
#[derive(Default)]
pub(crate) struct Edge {
    pub(crate) now: Time,
    pub(crate) runs: Vec<(RunId, Hook)>,
    pub(crate) unanswered: Vec<CallerId>,
    answering: Vec<CallerId>,
    timers: BTreeMap<Timer, Time>,
    callers: u64,
    pub(crate) exited: bool,
}

impl Edge {
    /// Lets it happen. Returns the event, if it is possible at this moment.
    pub(crate) fn step(&mut self, what: EdgeMove) -> Option<Event> {
        match what {
            EdgeMove::HandlerEnds(n, result) if !self.runs.is_empty() => {
                let (run, _) = self.runs.remove(n % self.runs.len());
                Some(Event::HandlerEnded { run, result })
            }
            EdgeMove::Call(hook) => {
                self.callers += 1;
                self.unanswered.push(CallerId(self.callers));
                Some(Event::HookCalled { hook, caller: CallerId(self.callers) })
            }
            EdgeMove::CallerDone(n) if !self.answering.is_empty() => {
                Some(Event::CallerDone(self.answering.remove(n % self.answering.len())))
            }
            EdgeMove::TimerFires(n) => {
                let (&timer, &at) = self.timers.iter().nth(n)?;
                self.timers.remove(&timer);
                self.now = self.now.max(at);
                Some(Event::TimerFired(timer))
            }
            EdgeMove::Wait(ms) => {
                self.now += Duration::from_millis(ms.into());
                None
            }
            EdgeMove::HandlerEnds(..) | EdgeMove::CallerDone(_) => None,
        }
    }

    pub(crate) fn is_running(&self, hook: Hook) -> bool {
        self.runs.iter().any(|(_, running)| *running == hook)
    }

    /// Performs an action, and checks what both machines promise.
    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::StartHandler { run, hook, .. } => {
                assert!(!self.is_running(hook), "one handler of a hook at a time");
                self.runs.push((run, hook));
            }
            Action::AbortHandler(run) => self.runs.retain(|(running, _)| *running != run),
            Action::Answer { caller, .. } => {
                assert!(self.unanswered.contains(&caller), "an answer goes to a caller that waits");
                self.unanswered.retain(|waiting| *waiting != caller);
                self.answering.push(caller);
            }
            Action::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
            Action::Exit(_) => {
                assert_eq!(self.unanswered, [], "every caller that waits is answered before Exit");
                assert!(self.runs.is_empty(), "no handler runs after Exit");
                self.exited = true;
            }
            _ => {}
        }
    }
}
