//! The observer's record of the handler lists, by the rules of the documentation: which handler is next, which may be
//! retried, which has failed.

use std::collections::BTreeMap;

use bookend_lifecycle::{HandlerPlan, HandlerResult, Hook, Outcome, Plan, Reason, RunId};

use crate::edge::Run;
use crate::landmarks::Landmark;

/// The progress of a list of handlers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct NextStep {
    /// The next handler, and how often it has been started.
    pub(crate) index: usize,
    pub(crate) starts: u32,
    /// It has failed, and may be retried.
    pub(crate) retry_open: bool,
    /// A required handler has failed for good.
    pub(crate) failed: bool,
    /// The outcome that the machine reported.
    pub(crate) over: Option<Outcome>,
}

impl NextStep {
    pub(crate) fn has_begun(&self) -> bool {
        self.starts > 0 || self.index > 0 || self.over.is_some()
    }
}

/// The facts of the record about a handler that was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// It was the next one, and it may be started.
    pub(crate) its_turn: bool,
    /// The list has not ended with a failure.
    pub(crate) goes_on: bool,
    pub(crate) landmarks: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Lists {
    lists: BTreeMap<Hook, NextStep>,
    last_run: u64,
}

impl Lists {
    pub(crate) fn list(&mut self, hook: Hook) -> &mut NextStep {
        self.lists.entry(hook).or_default()
    }

    pub(crate) fn get(&self, hook: Hook) -> Option<&NextStep> {
        self.lists.get(&hook)
    }

    pub(crate) fn outcome(&self, hook: Hook) -> Option<Outcome> {
        self.get(hook).and_then(|list| list.over)
    }

    /// A list that must begin.
    pub(crate) fn expect(&mut self, hook: Hook) {
        self.lists.insert(hook, NextStep::default());
    }

    pub(crate) fn forget(&mut self, hook: Hook) {
        self.lists.remove(&hook);
    }

    /// Whether every handler of the hook was started and no required one has failed.
    pub(crate) fn succeeded(&self, plan: &Plan, hook: Hook) -> bool {
        let all = handlers(plan, hook).len();
        all == 0 || self.get(hook).is_some_and(|list| list.index == all && !list.failed)
    }

    /// A handler has ended: determines the next one.
    pub(crate) fn handler_ended(&mut self, plan: &Plan, run: &Run, result: HandlerResult) {
        let retries = handlers(plan, run.hook)[run.index].retries;
        let list = self.list(run.hook);
        match result {
            HandlerResult::Succeeded => {
                list.index += 1;
                list.starts = 0;
            }
            HandlerResult::Failed | HandlerResult::TimedOut if list.starts <= retries => list.retry_open = true,
            HandlerResult::Failed | HandlerResult::TimedOut => self.give_up(plan, run.hook),
            HandlerResult::Aborted => unreachable!("an aborted run does not report back"),
        }
    }

    /// The present handler has failed for good.
    pub(crate) fn give_up(&mut self, plan: &Plan, hook: Hook) {
        let list = self.list(hook);
        list.failed |= handlers(plan, hook)[list.index].required;
        list.retry_open = false;
        list.index += 1;
        list.starts = 0;
    }

    /// Whether a retry must follow, and the pause before it: the settings have one at most, so it is the first.
    pub(crate) fn owed_retry(&mut self, plan: &Plan, hook: Hook) -> Option<std::time::Duration> {
        let list = self.list(hook);
        list.retry_open.then(|| handlers(plan, hook)[list.index].backoff)
    }

    /// postStop handlers for other reasons are skipped. Returns whether there were any.
    pub(crate) fn pass_over(&mut self, plan: &Plan, hook: Hook, reason: Option<Reason>) -> bool {
        let Some(reason) = reason.filter(|_| hook == Hook::PostStop) else { return false };
        let before = self.list(hook).index;
        let others = handlers(plan, hook).iter().skip(before).take_while(|plan| !match reason {
            Reason::Completed => plan.on.completed,
            Reason::Failed => plan.on.failed,
            Reason::Stopped => plan.on.stopped,
            // In another container it is unknown whether the app succeeded.
            Reason::Unknown => plan.on.completed || plan.on.failed,
            Reason::Unseen => plan.on.unseen,
        });
        self.list(hook).index += others.count();
        self.list(hook).index > before
    }

    /// A handler was started. The one before it is settled.
    pub(crate) fn started(
        &mut self,
        plan: &Plan,
        run: RunId,
        hook: Hook,
        index: usize,
        reason: Option<Reason>,
    ) -> Start {
        let is_new = run.0 > self.last_run;
        self.last_run = run.0;
        let passed_over = self.pass_over(plan, hook, reason);
        let retries = handlers(plan, hook)[index].retries;
        let list = self.list(hook);
        let its_turn = is_new && list.index == index && list.starts <= retries && list.over.is_none();
        // postStop handlers do not depend on each other; in every other list a failure ends it.
        let goes_on = !list.failed || hook == Hook::PostStop;
        list.starts += 1;
        list.retry_open = false;
        let landmark = |passed: bool, landmark: Landmark| if passed { landmark.bit() } else { 0 };
        let landmarks = landmark(list.starts > 1, Landmark::Retried) | landmark(passed_over, Landmark::PassedOver);
        Start { its_turn, goes_on, landmarks }
    }

    /// The machine reports that the list is over. Returns whether that is true, and for the first time.
    pub(crate) fn over(&mut self, plan: &Plan, hook: Hook, outcome: Outcome) -> bool {
        let succeeded = self.succeeded(plan, hook);
        let list = self.list(hook);
        let is_true = match outcome {
            // A pause that the app's end made pointless is a success, too.
            Outcome::Succeeded => succeeded || hook == Hook::PreStop && !list.failed,
            Outcome::Failed => list.failed,
            Outcome::Aborted => true,
        };
        let is_first = list.over.is_none();
        list.over = Some(outcome);
        is_true && is_first
    }
}

/// Works for a hook with and without handlers.
pub(crate) fn handlers(plan: &Plan, hook: Hook) -> &[HandlerPlan] {
    plan.hooks.get(&hook).map_or(&[], Vec::as_slice)
}

pub(crate) fn is_empty(plan: &Plan, hook: Hook) -> bool {
    handlers(plan, hook).is_empty()
}
