//! One run through the handlers of a hook: in order, each with its retries, its failure policy and its share of the time.
//! The list decides the next step; its owner carries it out.

use std::time::Duration;

use crate::budget::pause;
use crate::hook::{HandlerResult, Hook, Outcome, RunId};
use crate::life::Reason;
use crate::plan::HandlerPlan;
use crate::time::Time;

/// The next step of a list's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Start the handler, and name its run with [`HandlerList::started`].
    Start { index: usize, attempt: u32, timeout: Option<Duration> },
    /// Call [`HandlerList::retry`] at this time.
    RetryAt(Time),
    /// Do nothing: a handler runs.
    Wait,
    /// The budget is used up. Report that the handler does not run, and call [`HandlerList::failed`].
    NoTimeLeft { index: usize },
    /// The list is over.
    Over(Outcome),
}

/// The progress through the handlers of a hook. Their plans are passed to each method.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HandlerList {
    hook: Hook,
    deadline: Option<Time>,
    /// Why the app ended. Only postStop has it, and skips handlers that are not configured for it.
    reason: Option<Reason>,
    index: usize,
    /// How many attempts of the current handler have failed.
    failures: u32,
    state: RunState,
    failed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum RunState {
    Between,
    InFlight(RunId),
    BackingOff,
}

impl HandlerList {
    pub(crate) fn new(hook: Hook, deadline: Option<Time>, reason: Option<Reason>) -> HandlerList {
        HandlerList { hook, deadline, reason, index: 0, failures: 0, state: RunState::Between, failed: false }
    }

    /// The run in flight.
    pub(crate) fn current(&self) -> Option<RunId> {
        match self.state {
            RunState::InFlight(run) => Some(run),
            RunState::Between | RunState::BackingOff => None,
        }
    }

    /// Whether the list is only waiting: for a sleep, a drain or a retry.
    pub(crate) fn waits_only(&self, plans: &[HandlerPlan]) -> bool {
        match self.state {
            RunState::InFlight(_) => plans.get(self.index).is_none_or(|plan| plan.waits_only),
            RunState::Between | RunState::BackingOff => true,
        }
    }

    /// Begins the list, or the next attempt.
    pub(crate) fn begin(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        let is_for_this = |plan: &HandlerPlan| self.reason.is_none_or(|reason| plan.on.includes(reason));
        self.index += plans.get(self.index..).unwrap_or_default().iter().take_while(|plan| !is_for_this(plan)).count();
        let Some(plan) = plans.get(self.index) else { return NextStep::Over(self.outcome()) };
        let left = self.deadline.map(|deadline| deadline.saturating_sub(now));
        if left == Some(Duration::ZERO) {
            return NextStep::NoTimeLeft { index: self.index };
        }
        let timeout = match (plan.timeout, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        };
        NextStep::Start { index: self.index, attempt: self.failures + 1, timeout }
    }

    /// Names the run that `NextStep::Start` asked for.
    pub(crate) fn started(&mut self, run: RunId) {
        self.state = RunState::InFlight(run);
    }

    /// The run in flight has ended. With `last`, no other run may follow.
    pub(crate) fn ended(&mut self, plans: &[HandlerPlan], now: Time, result: HandlerResult, last: bool) -> NextStep {
        self.state = RunState::Between;
        let next = match result {
            HandlerResult::Succeeded => self.next(plans, now),
            HandlerResult::Failed | HandlerResult::TimedOut | HandlerResult::Aborted if last => self.failed(plans, now),
            HandlerResult::Failed | HandlerResult::TimedOut | HandlerResult::Aborted => self.retry_or_fail(plans, now),
        };
        if last { NextStep::Over(self.outcome()) } else { next }
    }

    /// The pause before a retry is over.
    pub(crate) fn retry(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        match self.state {
            RunState::BackingOff => {
                self.state = RunState::Between;
                self.begin(plans, now)
            }
            // The timer of an earlier attempt.
            RunState::Between | RunState::InFlight(_) => NextStep::Wait,
        }
    }

    /// The current handler has failed for good. Its policy and its hook decide what follows.
    pub(crate) fn failed(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        if plans.get(self.index).is_some_and(|plan| plan.required) {
            self.failed = true;
            if self.hook != Hook::PostStop {
                return NextStep::Over(Outcome::Failed);
            }
            // Each postStop handler gets its chance, because they do not depend on one another.
        }
        self.next(plans, now)
    }

    fn retry_or_fail(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        let again = plans.get(self.index).filter(|plan| self.failures < plan.retries);
        let Some(plan) = again else { return self.failed(plans, now) };
        let pause = pause(plan.backoff, self.failures);
        if self.deadline.is_some_and(|deadline| now + pause >= deadline) {
            // The time would be over before the retry.
            return self.failed(plans, now);
        }
        self.failures += 1;
        self.state = RunState::BackingOff;
        NextStep::RetryAt(now + pause)
    }

    fn next(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        self.index += 1;
        self.failures = 0;
        self.begin(plans, now)
    }

    fn outcome(&self) -> Outcome {
        if self.failed { Outcome::Failed } else { Outcome::Succeeded }
    }
}
