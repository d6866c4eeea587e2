//! The common base of both machines: the plan and its budget, the handler lists, the callers, and the actions decided so far.
//!
//! The context carries out what a machine decides about a hook. It does not know the phases of a life: when a list is over,
//! it returns [`ListStep::Over`], and the machine decides what follows. postStart and preStop may overlap.

use crate::action::{Action, Note};
use crate::budget::{Budget, LINGER};
use crate::callers::Callers;
use crate::event::Timer;
use crate::hook::{CallerId, HandlerResult, Hook, Outcome, RunId};
use crate::life::Reason;
use crate::list::{HandlerList, NextStep};
use crate::plan::{HandlerPlan, Plan};
use crate::time::Time;

/// The state of a handler list after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListStep {
    /// The list waits for a handler or for a retry.
    Waits,
    /// The list is over. Its callers have not been answered yet.
    Over(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum HookState {
    Idle,
    InFlight(HandlerList),
    Over(Outcome),
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Context {
    pub(crate) plan: Plan,
    pub(crate) budget: Budget,
    pre_start: HookState,
    post_start: HookState,
    pre_stop: HookState,
    post_stop: HookState,
    callers: Callers,
    /// The number of the last run.
    runs: u64,
    actions: Vec<Action>,
}

impl Context {
    /// No list has begun. Runs are numbered from `runs + 1`, so that several machines can share one loop.
    pub(crate) fn new(plan: Plan, runs: u64) -> Context {
        let post_stop = plan.handlers(Hook::PostStop).iter().filter(|h| h.on.stopped).map(HandlerPlan::longest);
        Context {
            budget: Budget::new(plan.grace, post_stop),
            plan,
            pre_start: HookState::Idle,
            post_start: HookState::Idle,
            pre_stop: HookState::Idle,
            post_stop: HookState::Idle,
            callers: Callers::default(),
            runs,
            actions: Vec::new(),
        }
    }

    // ---- Actions --------------------------------------------------------------------------------

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(crate) fn tell(&mut self, note: Note) {
        self.act(Action::Tell(note));
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, at: Time) {
        self.act(Action::SetTimer { timer, at });
    }

    /// Takes the actions decided since the last call, in order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    // ---- The state of a hook --------------------------------------------------------------------

    /// Whether the handlers have not begun.
    pub(crate) fn is_idle(&self, hook: Hook) -> bool {
        *self.state(hook) == HookState::Idle
    }

    /// Whether the handlers are in flight.
    pub(crate) fn is_in_flight(&self, hook: Hook) -> bool {
        matches!(self.state(hook), HookState::InFlight(_))
    }

    /// The outcome of the handlers, if they are over.
    pub(crate) fn outcome(&self, hook: Hook) -> Option<Outcome> {
        match self.state(hook) {
            HookState::Over(outcome) => Some(*outcome),
            HookState::Idle | HookState::InFlight(_) => None,
        }
    }

    /// The outcome for a caller that comes when everything is over.
    pub(crate) fn late_outcome(&self, hook: Hook) -> Outcome {
        match hook {
            Hook::PostStart => self.outcome(hook).unwrap_or(Outcome::Aborted),
            // Nothing is left to prepare for a stop.
            Hook::PreStop => self.outcome(hook).unwrap_or(Outcome::Succeeded),
            Hook::PreStart | Hook::PostStop => Outcome::Succeeded,
        }
    }

    fn state(&self, hook: Hook) -> &HookState {
        match hook {
            Hook::PreStart => &self.pre_start,
            Hook::PostStart => &self.post_start,
            Hook::PreStop => &self.pre_stop,
            Hook::PostStop => &self.post_stop,
        }
    }

    fn set_state(&mut self, hook: Hook, state: HookState) -> HookState {
        let place = match hook {
            Hook::PreStart => &mut self.pre_start,
            Hook::PostStart => &mut self.post_start,
            Hook::PreStop => &mut self.pre_stop,
            Hook::PostStop => &mut self.post_stop,
        };
        std::mem::replace(place, state)
    }

    // ---- Handler lists --------------------------------------------------------------------------

    /// Begins the handlers of a hook; an empty list is over at once. `reason` is why the app has ended, for postStop.
    pub(crate) fn run(&mut self, now: Time, hook: Hook, deadline: Option<Time>, reason: Option<Reason>) -> ListStep {
        self.set_state(hook, HookState::InFlight(HandlerList::new(hook, deadline, reason)));
        self.advance(now, hook, HandlerList::begin)
    }

    /// The hook to which this run belongs; `None` if the run was aborted, because then its end has been reported.
    pub(crate) fn hook_of(&self, run: RunId) -> Option<Hook> {
        let is_current = |hook: &Hook| match self.state(*hook) {
            HookState::InFlight(list) => list.current() == Some(run),
            HookState::Idle | HookState::Over(_) => false,
        };
        Hook::ALL.into_iter().find(is_current)
    }

    /// The run in flight has ended. With `last`, no other run of the hook may follow.
    pub(crate) fn ended(&mut self, now: Time, hook: Hook, result: HandlerResult, last: bool) -> ListStep {
        self.advance(now, hook, |list, plans, now| list.ended(plans, now, result, last))
    }

    /// The pause before a retry is over.
    pub(crate) fn retry(&mut self, now: Time, hook: Hook) -> ListStep {
        self.advance(now, hook, HandlerList::retry)
    }

    /// Lets the list decide its next step after `step`, and carries it out.
    fn advance(
        &mut self,
        now: Time,
        hook: Hook,
        step: impl FnOnce(&mut HandlerList, &[HandlerPlan], Time) -> NextStep,
    ) -> ListStep {
        let mut list = match self.set_state(hook, HookState::Idle) {
            HookState::InFlight(list) => list,
            // The timer of a retry that was aborted meanwhile.
            other => {
                self.set_state(hook, other);
                return ListStep::Waits;
            }
        };
        let mut next = step(&mut list, self.plan.handlers(hook), now);
        loop {
            match next {
                NextStep::Start { index, attempt, timeout } => {
                    self.runs += 1;
                    let run = RunId(self.runs);
                    list.started(run);
                    self.set_state(hook, HookState::InFlight(list));
                    self.act(Action::StartHandler { run, hook, index, attempt, timeout });
                    return ListStep::Waits;
                }
                NextStep::RetryAt(at) => {
                    self.set_state(hook, HookState::InFlight(list));
                    self.set_timer(Timer::Retry(hook), at);
                    return ListStep::Waits;
                }
                NextStep::Wait => {
                    self.set_state(hook, HookState::InFlight(list));
                    return ListStep::Waits;
                }
                NextStep::NoTimeLeft { index } => {
                    self.tell(Note::NoTimeLeft(hook, index));
                    next = list.failed(self.plan.handlers(hook), now);
                }
                NextStep::Over(outcome) => {
                    self.set_state(hook, HookState::Over(outcome));
                    if !self.plan.handlers(hook).is_empty() {
                        self.tell(Note::HookOver(hook, outcome));
                    }
                    return ListStep::Over(outcome);
                }
            }
        }
    }

    /// Ends the handlers of a hook that are in flight, and answers its callers.
    pub(crate) fn abort(&mut self, hook: Hook, outcome: Outcome) {
        let HookState::InFlight(list) = self.state(hook) else { return };
        let run = list.current();
        self.set_state(hook, HookState::Over(outcome));
        if let Some(run) = run {
            self.act(Action::AbortHandler(run));
        }
        self.tell(Note::HookOver(hook, outcome));
        self.answer_all(hook, outcome);
    }

    /// Ends the handlers of a hook because a stop signal moves the stop on.
    pub(crate) fn escalate(&mut self, hook: Hook) {
        self.tell(Note::Escalated(hook));
        self.abort(hook, Outcome::Aborted);
    }

    /// The handlers of the hook may run again.
    pub(crate) fn reset(&mut self, hook: Hook) {
        self.set_state(hook, HookState::Idle);
    }

    // ---- Callers --------------------------------------------------------------------------------

    /// The caller gets its answer when the hook is over.
    pub(crate) fn wait(&mut self, caller: CallerId, hook: Hook) {
        self.callers.wait(caller, hook);
    }

    pub(crate) fn is_waited_for(&self, hook: Hook) -> bool {
        self.callers.is_waiting_for(hook)
    }

    pub(crate) fn answer(&mut self, caller: CallerId, hook: Hook, outcome: Outcome) {
        self.callers.answer(caller);
        self.act(Action::Answer { caller, hook, outcome });
    }

    /// Answers every caller that waits for this hook.
    pub(crate) fn answer_all(&mut self, hook: Hook, outcome: Outcome) {
        for caller in self.callers.take_waiting(hook) {
            self.answer(caller, hook, outcome);
        }
    }

    /// The caller has received its answer, or has hung up.
    pub(crate) fn caller_done(&mut self, caller: CallerId) {
        self.callers.done(caller);
    }

    /// Whether an answer is still on its way.
    pub(crate) fn is_answering(&self) -> bool {
        self.callers.is_answering()
    }

    // ---- The end of a life, which both machines share -------------------------------------------

    /// The app has ended. Returns whether a preStop handler outlives it, which then has a limited time to finish: the
    /// handler of Kubernetes' own example waits for the app's end. `began` is the beginning of the stop, if there is one.
    pub(crate) fn linger(&mut self, now: Time, began: Option<Time>) -> bool {
        let HookState::InFlight(list) = &self.pre_stop else { return false };
        if list.waits_only(self.plan.handlers(Hook::PreStop)) {
            // A sleep or a drain that prepares a stop has no purpose after the app's end.
            self.abort(Hook::PreStop, Outcome::Succeeded);
            return false;
        }
        self.set_timer(Timer::Linger, self.budget.before_post_stop(began, now, LINGER));
        true
    }

    /// Everything is done. Returns whether callers still have to receive their answers, for which they have a limited time.
    pub(crate) fn await_answers(&mut self, now: Time, began: Option<Time>) -> bool {
        let is_answering = self.is_answering();
        if is_answering {
            self.set_timer(Timer::Answers, self.budget.answers_end(began, now));
        }
        is_answering
    }
}
