//! The lists of handlers of one life, and those who wait for them. postStart and preStop may overlap; each caller gets
//! one answer. What the end of a list means is for the machine to say that has them.

use crate::list::{HandlerList, HandlerPlan, HandlerResult, NextStep, RunId};
use crate::small_map::SmallMap;
use crate::time::Time;
use crate::vocabulary::{Action, CallerId, Hook, Note, Outcome, Reason, Timer};

/// postStart and preStop, each on its own: the two may overlap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum HookState {
    Idle,
    InFlight(HandlerList),
    Over(Outcome),
}

/// What a step of a list has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListStep {
    /// A handler was started.
    Started,
    /// Nothing, or a pause.
    Waits,
    /// The list is over; those who wait for it have not been told.
    Over(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Hooks {
    plans: SmallMap<Hook, Vec<HandlerPlan>>,
    pub(super) pre_start: HookState,
    pub(super) post_start: HookState,
    pub(super) pre_stop: HookState,
    pub(super) post_stop: HookState,
    /// Callers whose hook is not over, and callers on the way to their answer.
    waiting: Vec<(CallerId, Hook)>,
    answering: Vec<CallerId>,
    runs: u64,
}

impl Hooks {
    /// Lists that have not begun; the first run is the one after `runs`.
    pub(super) fn new(plans: SmallMap<Hook, Vec<HandlerPlan>>, runs: u64) -> Hooks {
        Hooks {
            plans,
            pre_start: HookState::Idle,
            post_start: HookState::Idle,
            pre_stop: HookState::Idle,
            post_stop: HookState::Idle,
            waiting: Vec::new(),
            answering: Vec::new(),
            runs,
        }
    }

    pub(super) fn handlers(&self, hook: Hook) -> &[HandlerPlan] {
        self.plans.get(&hook).map_or(&[], Vec::as_slice)
    }

    pub(super) fn state(&mut self, hook: Hook) -> &mut HookState {
        match hook {
            Hook::PreStart => &mut self.pre_start,
            Hook::PostStart => &mut self.post_start,
            Hook::PreStop => &mut self.pre_stop,
            Hook::PostStop => &mut self.post_stop,
        }
    }

    /// The hook whose handler this run is.
    pub(super) fn hook_of(&mut self, run: RunId) -> Option<Hook> {
        // None: the end of a run that was aborted or overtaken; it has been reported already.
        [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop]
            .into_iter()
            .find(|hook| matches!(self.state(*hook), HookState::InFlight(list) if list.current() == Some(run)))
    }

    /// Whether preStop is in flight, and what runs of it is nothing but a pause.
    pub(super) fn pre_stop_only_waits(&self) -> bool {
        matches!(&self.pre_stop, HookState::InFlight(list) if list.waits_only(self.handlers(Hook::PreStop)))
    }

    /// Begins the list of a hook; an empty list is over at once.
    pub(super) fn run(
        &mut self,
        out: &mut Vec<Action>,
        now: Time,
        hook: Hook,
        deadline: Option<Time>,
        reason: Option<Reason>,
    ) -> ListStep {
        *self.state(hook) = HookState::InFlight(HandlerList::new(hook, deadline, reason));
        self.advance(out, now, hook, HandlerList::begin)
    }

    /// The run in flight is over. `last`: none may follow it.
    pub(super) fn ended(
        &mut self,
        out: &mut Vec<Action>,
        now: Time,
        hook: Hook,
        result: HandlerResult,
        last: bool,
    ) -> ListStep {
        self.advance(out, now, hook, |list, plans, now| list.ended(plans, now, result, last))
    }

    /// The back-off before a retry is over.
    pub(super) fn retry(&mut self, out: &mut Vec<Action>, now: Time, hook: Hook) -> ListStep {
        self.advance(out, now, hook, HandlerList::retry)
    }

    /// Lets the list decide its next move with what has just happened to it, and carries it out.
    fn advance(
        &mut self,
        out: &mut Vec<Action>,
        now: Time,
        hook: Hook,
        step: impl FnOnce(&mut HandlerList, &[HandlerPlan], Time) -> NextStep,
    ) -> ListStep {
        let state = self.state(hook);
        let mut list = match std::mem::replace(state, HookState::Idle) {
            HookState::InFlight(list) => list,
            // The alarm of a retry that an abort has overtaken: what is over stays as it is.
            other => {
                *state = other;
                return ListStep::Waits;
            }
        };
        let mut progress = step(&mut list, self.handlers(hook), now);
        loop {
            match progress {
                NextStep::Start { index, attempt, timeout } => {
                    self.runs += 1;
                    let run = RunId(self.runs);
                    list.started(run);
                    out.push(Action::StartHandler { run, hook, index, attempt, timeout });
                    *self.state(hook) = HookState::InFlight(list);
                    return ListStep::Started;
                }
                NextStep::RetryAt(at) => {
                    out.push(Action::SetTimer { timer: Timer::Retry(hook), at });
                    *self.state(hook) = HookState::InFlight(list);
                    return ListStep::Waits;
                }
                NextStep::Wait => {
                    *self.state(hook) = HookState::InFlight(list);
                    return ListStep::Waits;
                }
                NextStep::NoTimeLeft { index } => {
                    out.push(Action::Tell(Note::NoTimeLeft(hook, index)));
                    progress = list.failed(self.handlers(hook), now);
                }
                NextStep::Over(outcome) => {
                    *self.state(hook) = HookState::Over(outcome);
                    if !self.handlers(hook).is_empty() {
                        out.push(Action::Tell(Note::HookOver(hook, outcome)));
                    }
                    return ListStep::Over(outcome);
                }
            }
        }
    }

    /// Ends what runs of a hook, and says so to those who wait for it.
    pub(super) fn abort(&mut self, out: &mut Vec<Action>, hook: Hook, outcome: Outcome) {
        let HookState::InFlight(list) = self.state(hook) else { return };
        let run = list.current();
        *self.state(hook) = HookState::Over(outcome);
        if let Some(run) = run {
            out.push(Action::AbortHandler(run));
        }
        out.push(Action::Tell(Note::HookOver(hook, outcome)));
        self.answer_all(out, hook, outcome);
    }

    /// The life is over: the lists of the next one have not begun.
    pub(super) fn forget(&mut self) {
        for hook in [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop] {
            *self.state(hook) = HookState::Idle;
        }
    }

    /// What a hook is told that arrives when everything is over.
    pub(super) fn late_outcome(&self, hook: Hook) -> Outcome {
        match (hook, &self.post_start, &self.pre_stop) {
            (Hook::PostStart, HookState::Over(outcome), _) | (Hook::PreStop, _, HookState::Over(outcome)) => *outcome,
            (Hook::PostStart, ..) => Outcome::Aborted,
            // Nothing is left to be prepared for a stop.
            _ => Outcome::Succeeded,
        }
    }

    // ---- Callers --------------------------------------------------------------------------------

    /// The caller gets its answer when the hook is over.
    pub(super) fn wait(&mut self, caller: CallerId, hook: Hook) {
        self.waiting.push((caller, hook));
    }

    pub(super) fn answer(&mut self, out: &mut Vec<Action>, caller: CallerId, hook: Hook, outcome: Outcome) {
        self.answering.push(caller);
        out.push(Action::Answer { caller, hook, outcome });
    }

    pub(super) fn answer_all(&mut self, out: &mut Vec<Action>, hook: Hook, outcome: Outcome) {
        let waiting = std::mem::take(&mut self.waiting);
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, waits_for)| *waits_for == hook);
        self.waiting = later;
        for (caller, _) in now {
            self.answer(out, caller, hook, outcome);
        }
    }

    pub(super) fn is_waited_for(&self, hook: Hook) -> bool {
        self.waiting.iter().any(|(_, waits_for)| *waits_for == hook)
    }

    /// The caller has its answer, or has gone away.
    pub(super) fn caller_done(&mut self, caller: CallerId) {
        self.waiting.retain(|(waiting, _)| *waiting != caller);
        self.answering.retain(|answering| *answering != caller);
    }

    /// Whether an answer is still on its way.
    pub(super) fn is_answering(&self) -> bool {
        !self.answering.is_empty()
    }
}
