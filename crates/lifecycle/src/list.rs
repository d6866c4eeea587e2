//! One run through the handlers of a hook: one by one, each with its retries, its failure policy and
//! its share of the time. Pure, as all of the lifecycle; the machine carries out what it says.

use std::time::Duration;

use serde::Serialize;

use crate::budget::{longest, pause};
use crate::time::Time;
use crate::vocabulary::{Hook, Outcome, Reason};

/// The name of one run of one handler; never used twice, so a late report cannot be mistaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// What the machine needs to know of a handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HandlerPlan {
    /// `timeoutSeconds`.
    pub timeout: Option<Duration>,
    /// Whether its failure is the hook's failure (`failurePolicy = "Fail"`).
    pub required: bool,
    /// How often it is tried again.
    pub retries: u32,
    /// The pause before the first retry; doubles with each.
    pub backoff: Duration,
    /// It only waits (sleep, drain): pointless as soon as the app has ended.
    pub waits_only: bool,
    /// For which ends it is there (`on`); only postStop looks at it.
    pub on: On,
}

impl HandlerPlan {
    /// The longest it may take, if anything but the budget limits it.
    pub(super) fn longest(&self) -> Option<Duration> {
        longest(self.timeout, self.retries, self.backoff)
    }
}

/// The ends a postStop handler is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct On {
    /// `Completed`.
    pub completed: bool,
    /// `Failed`.
    pub failed: bool,
    /// `Stopped`.
    pub stopped: bool,
}

impl On {
    /// Where nothing else is said.
    pub const EVERY: On = On { completed: true, failed: true, stopped: true };

    /// Whether this end is among them.
    pub fn includes(self, reason: Reason) -> bool {
        match reason {
            Reason::Completed => self.completed,
            Reason::Failed => self.failed,
            Reason::Stopped => self.stopped,
            // One of the two, whichever it was.
            Reason::Unknown => self.completed || self.failed,
        }
    }
}

impl Default for On {
    fn default() -> On {
        On::EVERY
    }
}

/// The result of a handler run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum HandlerResult {
    /// The handler did its work.
    Succeeded,
    /// The handler reported a failure, or could not be run.
    Failed,
    /// The handler did not finish within its timeout.
    TimedOut,
    /// The machine aborted the run. The edge records this result, but never reports it back.
    Aborted,
}

impl HandlerResult {
    /// The name in `/status`, in the events and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            HandlerResult::Succeeded => "Succeeded",
            HandlerResult::Failed => "Failed",
            HandlerResult::TimedOut => "TimedOut",
            HandlerResult::Aborted => "Aborted",
        }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextStep {
    Start {
        index: usize,
        attempt: u32,
        timeout: Option<Duration>,
    },
    RetryAt(Time),
    /// Nothing: it is another's turn.
    Wait,
    NoTimeLeft {
        index: usize,
    },
    Over(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HandlerList {
    hook: Hook,
    deadline: Option<Time>,
    /// How the app ended: postStop's handlers choose by it.
    reason: Option<Reason>,
    index: usize,
    attempt: u32,
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
    pub(super) fn new(hook: Hook, deadline: Option<Time>, reason: Option<Reason>) -> HandlerList {
        HandlerList { hook, deadline, reason, index: 0, attempt: 0, state: RunState::Between, failed: false }
    }

    /// The run that is in flight.
    pub(super) fn current(&self) -> Option<RunId> {
        match self.state {
            RunState::InFlight(run) => Some(run),
            RunState::Between | RunState::BackingOff => None,
        }
    }

    /// Whether what is going on is nothing but a pause.
    pub(super) fn waits_only(&self, plans: &[HandlerPlan]) -> bool {
        match self.state {
            RunState::InFlight(_) => plans.get(self.index).is_none_or(|plan| plan.waits_only),
            RunState::Between | RunState::BackingOff => true,
        }
    }

    pub(super) fn begin(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        let is_for_this = |plan: &HandlerPlan| self.reason.is_none_or(|reason| plan.on.includes(reason));
        self.index += plans.get(self.index..).unwrap_or_default().iter().take_while(|plan| !is_for_this(plan)).count();
        let Some(plan) = plans.get(self.index) else {
            return NextStep::Over(if self.failed { Outcome::Failed } else { Outcome::Succeeded });
        };
        let left = self.deadline.map(|deadline| deadline.saturating_sub(now));
        if left == Some(Duration::ZERO) {
            return NextStep::NoTimeLeft { index: self.index };
        }
        let timeout = match (plan.timeout, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        };
        NextStep::Start { index: self.index, attempt: self.attempt + 1, timeout }
    }

    pub(super) fn started(&mut self, run: RunId) {
        self.state = RunState::InFlight(run);
    }

    /// The run in flight is over. `last`: none may follow it.
    pub(super) fn ended(&mut self, plans: &[HandlerPlan], now: Time, result: HandlerResult, last: bool) -> NextStep {
        self.state = RunState::Between;
        let progress = match result {
            HandlerResult::Succeeded => self.next(plans, now),
            HandlerResult::Failed | HandlerResult::TimedOut | HandlerResult::Aborted if last => self.failed(plans, now),
            HandlerResult::Failed | HandlerResult::TimedOut | HandlerResult::Aborted => self.retry_or_fail(plans, now),
        };
        if last { NextStep::Over(if self.failed { Outcome::Failed } else { Outcome::Succeeded }) } else { progress }
    }

    /// The back-off is over.
    pub(super) fn retry(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        match self.state {
            RunState::BackingOff => {
                self.state = RunState::Between;
                self.begin(plans, now)
            }
            // An alarm of a run before this one.
            RunState::Between | RunState::InFlight(_) => NextStep::Wait,
        }
    }

    fn retry_or_fail(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        let again = plans.get(self.index).filter(|plan| self.attempt < plan.retries);
        let Some(plan) = again else { return self.failed(plans, now) };
        let pause = pause(plan.backoff, self.attempt);
        if self.deadline.is_some_and(|deadline| now + pause >= deadline) {
            // The retry would come when the time is over.
            return self.failed(plans, now);
        }
        self.attempt += 1;
        self.state = RunState::BackingOff;
        NextStep::RetryAt(now + pause)
    }

    /// The handler has failed for good: what that means depends on its policy and on the hook.
    pub(super) fn failed(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        if plans.get(self.index).is_some_and(|plan| plan.required) {
            self.failed = true;
            if self.hook != Hook::PostStop {
                return NextStep::Over(Outcome::Failed);
            }
            // postStop: each one deserves its chance, nothing is built on the one before it.
        }
        self.next(plans, now)
    }

    fn next(&mut self, plans: &[HandlerPlan], now: Time) -> NextStep {
        self.index += 1;
        self.attempt = 0;
        self.begin(plans, now)
    }
}
