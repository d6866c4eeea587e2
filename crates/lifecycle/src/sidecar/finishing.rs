//! How a life in another container ends, and how our own stop does: what is in flight, then what may be on its way, then
//! a process that is seen, then postStop, then the answers. Every step is bounded, where there is a grace period.

use std::time::Duration;

use super::{App, End, Phase, SidecarLifecycle, Stage, Step, Stop};
use crate::budget::SHORTEST;
use crate::hooks::HookState;
use crate::time::Time;
use crate::vocabulary::{Action, CallerId, Hook, Note, Outcome, Timer, Trigger};

impl SidecarLifecycle {
    // ---- The end of a life ----------------------------------------------------------------------

    pub(super) fn finish(&mut self, now: Time) {
        self.phase = Phase::Finishing(Step::Linger);
        self.hooks.abort(&mut self.out, Hook::PostStart, Outcome::Aborted);
        self.answer_pre_stop();
        match self.hooks.pre_stop {
            HookState::InFlight(_) if self.hooks.pre_stop_only_waits() => {
                // A pause or a drain before an end that has just happened: nothing done is waited out.
                self.hooks.abort(&mut self.out, Hook::PreStop, Outcome::Succeeded);
                self.enter_post_stop(now);
            }
            HookState::InFlight(_) => {
                let at = self.budget.before_post_stop(self.origin(), now, crate::budget::LINGER);
                self.out.push(Action::SetTimer { timer: Timer::Linger, at });
            }
            HookState::Idle | HookState::Over(_) => self.enter_post_stop(now),
        }
    }

    pub(super) fn enter_post_stop(&mut self, now: Time) {
        self.phase = Phase::Finishing(Step::PostStop);
        if !std::mem::take(&mut self.owes_post_stop) {
            return self.life_over(now);
        }
        let (deadline, reason) = (self.post_stop_end(now), self.reason());
        if self.end.is_some() {
            // In place of an alarm that was set for the life before.
            self.out.push(Action::SetTimer { timer: Timer::PostStop, at: deadline });
        }
        let turn = self.hooks.run(&mut self.out, now, Hook::PostStop, Some(deadline), Some(reason));
        self.list_stepped(now, Hook::PostStop, turn);
    }

    pub(super) fn post_stop_end(&self, now: Time) -> Time {
        let mut at = self.budget.post_stop_end(self.origin(), now);
        if let Some(end) = self.end {
            at = at.max(self.budget.late_post_stop_end(end.began, now));
        }
        // The next life's stop is still to come, and has the other half of the time for preStop handlers.
        let next = self.end.filter(|_| self.next.is_some());
        let half = next.and_then(|end| Some(end.began + (self.budget.pre_stop_deadline(end.began)? - end.began) / 2));
        half.map_or(at, |half| at.min(half.max(now + SHORTEST)))
    }

    pub(super) fn life_over(&mut self, now: Time) {
        if self.end.is_some() {
            // No hook begins a life any more.
            self.hooks.answer_all(&mut self.out, Hook::PostStart, Outcome::Aborted);
        }
        match self.next.take() {
            None if self.end.is_some() => self.enter_answers(now),
            next => self.turn(now, next),
        }
    }

    /// The life is over, and the next one may have been found meanwhile.
    fn turn(&mut self, now: Time, next: Option<Vec<CallerId>>) {
        self.phase = Phase::Living;
        self.stop = None;
        self.owes_post_stop = next.is_some();
        self.hooks.forget();
        if next.is_some() && self.app != App::There {
            // It is over, too.
            return self.finish(now);
        }
        if self.hooks.is_waited_for(Hook::PostStart) {
            self.begin_life(now);
        }
        if self.end.is_some() {
            self.arm_end(now);
        }
        let callers = next.unwrap_or_default();
        if !callers.is_empty() {
            callers.into_iter().for_each(|caller| self.hooks.wait(caller, Hook::PreStop));
            self.begin_stop(now, Trigger::Hook);
        }
    }

    fn enter_answers(&mut self, now: Time) {
        self.phase = Phase::Finishing(Step::Answers);
        if !self.hooks.is_answering() {
            return self.exit();
        }
        let at = self.budget.answers_end(self.origin(), now);
        self.out.push(Action::SetTimer { timer: Timer::Answers, at });
    }

    pub(super) fn exit(&mut self) {
        self.phase = Phase::Exited;
        self.out.push(Action::Exit(0));
    }

    // ---- Our own stop ---------------------------------------------------------------------------

    pub(super) fn begin_end(&mut self, now: Time, trigger: Trigger) {
        self.end = Some(End { trigger, began: now, awaits_hook: true, awaits_app: true });
        match self.phase {
            Phase::Living => self.arm_end(now),
            // From now on somebody counts the seconds.
            Phase::Finishing(Step::PostStop) => {
                let at = self.post_stop_end(now);
                self.out.push(Action::SetTimer { timer: Timer::PostStop, at });
            }
            // Short by themselves.
            Phase::Finishing(_) | Phase::Exited => {}
        }
    }

    /// Nothing is waited for longer than this.
    fn arm_end(&mut self, now: Time) {
        let at = self.budget.kill_at(self.origin().unwrap_or(now), now);
        self.out.extend(at.map(|at| Action::SetTimer { timer: Timer::Kill, at }));
        let late_hook = self.plan.grace.map_or(LATE_HOOK, |grace| LATE_HOOK.min(grace / 4));
        self.out.push(Action::SetTimer { timer: Timer::LateHook, at: now + late_hook });
    }

    /// With our own stop begun, goes on as soon as nothing is waited for any more.
    pub(super) fn go_on(&mut self, now: Time) {
        let Some(end) = self.end.filter(|_| self.phase == Phase::Living) else { return };
        let in_flight = [&self.hooks.post_start, &self.hooks.pre_stop]
            .into_iter()
            .any(|state| matches!(state, HookState::InFlight(_)));
        let owes_pre_stop = self.hooks.pre_stop == HookState::Idle && !self.hooks.handlers(Hook::PreStop).is_empty();
        let waits = match self.app {
            App::There => end.awaits_app,
            App::Unseen => end.awaits_hook && owes_pre_stop,
            App::Gone => false,
        };
        if !in_flight && !waits {
            self.finish(now);
        }
    }

    pub(super) fn wait_no_longer(&mut self) {
        if let Some(end) = &mut self.end {
            (end.awaits_app, end.awaits_hook) = (false, false);
        }
    }

    /// A repeated stop signal moves the stop on by one step.
    pub(super) fn escalate(&mut self, now: Time) {
        let (starting, stage) = (self.is_starting(), self.stop.map(|stop| stop.stage));
        match self.phase {
            Phase::Living if starting || stage == Some(Stage::PreStop) => self.abandon_hooks(now),
            Phase::Living => self.wait_no_longer(),
            Phase::Finishing(Step::Linger) => {
                self.out.push(Action::Tell(Note::Escalated(Hook::PreStop)));
                self.hooks.abort(&mut self.out, Hook::PreStop, Outcome::Aborted);
                self.enter_post_stop(now);
            }
            Phase::Finishing(Step::PostStop) => {
                self.out.push(Action::Tell(Note::Escalated(Hook::PostStop)));
                self.cut_post_stop(now);
            }
            Phase::Finishing(Step::Answers) | Phase::Exited => {}
        }
    }

    pub(super) fn abandon_hooks(&mut self, now: Time) {
        for hook in [Hook::PostStart, Hook::PreStop] {
            if matches!(self.hooks.state(hook), HookState::InFlight(_)) {
                self.out.push(Action::Tell(Note::Escalated(hook)));
                self.hooks.abort(&mut self.out, hook, Outcome::Aborted);
            }
        }
        if matches!(self.stop, Some(Stop { stage: Stage::PreStop, .. })) {
            self.pre_stop_over(now);
        }
    }

    pub(super) fn cut_post_stop(&mut self, now: Time) {
        self.hooks.abort(&mut self.out, Hook::PostStop, Outcome::Aborted);
        self.life_over(now);
    }
}

/// A kubelet that stops all containers at once calls the hooks and signals those without one in the same moment: so
/// long a hook may be on its way, or a quarter of a grace period that is shorter than four of these.
const LATE_HOOK: Duration = Duration::from_secs(1);
