//! Finishing: the app is gone, for whatever reason. A handler that outlived it, then the leftovers, then postStop,
//! then the answers that are still on their way, then the exit code. Every step is bounded.

use std::time::Duration;

use super::{ContainerLifecycle, HookState, Phase, Step, Stop};
use crate::time::Time;
use crate::vocabulary::{Action, AppStatus, Hook, Note, Outcome, Reason, Timer, Trigger};

impl ContainerLifecycle {
    pub(super) fn app_ended(&mut self, now: Time, status: AppStatus, others: bool) {
        if matches!(self.phase, Phase::Finishing { .. }) {
            // It can end only once; an abort that races with a failed start comes here.
            return;
        }
        self.finish(now, status, self.stop(), others);
    }

    /// Everything that comes when there is no app (any more).
    pub(super) fn finish(&mut self, now: Time, status: AppStatus, stop: Option<Stop>, others: bool) {
        self.others = others;
        self.reason = Some(match (stop, status) {
            (Some(_), _) => Reason::Stopped,
            (None, AppStatus::NotStarted { .. }) => Reason::Failed,
            (None, _) if self.exit_code(status, stop) == 0 => Reason::Completed,
            (None, _) => Reason::Failed,
        });
        self.phase = Phase::Finishing { status, stop, step: Step::Linger };
        self.out.push(Action::Tell(Note::AppEnded(status)));
        self.abort_list(Hook::PostStart, Outcome::Aborted);
        self.answer_all(Hook::PostStart, Outcome::Aborted);
        match &self.hooks.pre_stop {
            HookState::InFlight(_) if self.hooks.pre_stop_only_waits() => {
                // A pause or a drain before a stop that has just happened: nothing done is waited out.
                self.abort_list(Hook::PreStop, Outcome::Succeeded);
                self.enter_leftovers(now);
            }
            HookState::InFlight(_) => {
                let at = self.before_end(now, crate::budget::LINGER);
                self.out.push(Action::SetTimer { timer: Timer::Linger, at });
            }
            HookState::Idle | HookState::Over(_) => self.enter_leftovers(now),
        }
    }

    /// `now + wish`, but early enough for postStop to have its share of the budget.
    pub(super) fn before_end(&self, now: Time, wish: Duration) -> Time {
        self.budget.before_post_stop(self.stop().map(|stop| stop.began), now, wish)
    }

    pub(super) fn enter_leftovers(&mut self, now: Time) {
        if !self.others {
            return self.enter_post_stop(now);
        }
        self.set_step(Step::Leftovers { killed: false });
        self.out.push(Action::TerminateLeftovers);
        self.out.push(Action::Tell(Note::LeftoversTerminated));
        self.arm_leftovers(now);
    }

    pub(super) fn arm_leftovers(&mut self, now: Time) {
        let at = self.before_end(now, LEFTOVERS_TERM);
        self.out.push(Action::SetTimer { timer: Timer::Leftovers, at });
    }

    pub(super) fn kill_leftovers(&mut self, now: Time) {
        self.set_step(Step::Leftovers { killed: true });
        self.out.push(Action::KillLeftovers);
        self.out.push(Action::Tell(Note::LeftoversKilled));
        let at = self.before_end(now, LEFTOVERS_KILL);
        self.out.push(Action::SetTimer { timer: Timer::Leftovers, at });
    }

    pub(super) fn no_others(&mut self, now: Time) {
        self.others = false;
        if matches!(self.phase, Phase::Finishing { step: Step::Leftovers { .. }, .. }) {
            self.enter_post_stop(now);
        }
    }

    pub(super) fn enter_post_stop(&mut self, now: Time) {
        self.set_step(Step::PostStop);
        let deadline = self.budget.post_stop_end(self.stop().map(|stop| stop.began), now);
        self.run_list(now, Hook::PostStop, Some(deadline));
    }

    pub(super) fn cut_post_stop(&mut self, now: Time) {
        self.abort_list(Hook::PostStop, Outcome::Aborted);
        self.enter_answers(now);
    }

    pub(super) fn enter_answers(&mut self, now: Time) {
        self.set_step(Step::Answers);
        if !self.hooks.is_answering() {
            return self.exit();
        }
        let at = self.budget.answers_end(self.stop().map(|stop| stop.began), now);
        self.out.push(Action::SetTimer { timer: Timer::Answers, at });
    }

    pub(super) fn set_step(&mut self, next: Step) {
        if let Phase::Finishing { step, .. } = &mut self.phase {
            *step = next;
        }
    }

    pub(super) fn exit(&mut self) {
        let Phase::Finishing { status, stop, .. } = self.phase else { return };
        let code = self.exit_code(status, stop);
        self.phase = Phase::Exited;
        self.out.push(Action::Exit(code));
    }

    /// The app's own code; 128+n for a signal; 125 where bookend itself failed.
    pub(super) fn exit_code(&self, status: AppStatus, stop: Option<Stop>) -> u8 {
        if stop.is_some_and(|stop| stop.trigger == Trigger::PostStartFailed) {
            return 125;
        }
        let code = match status {
            AppStatus::Exited(code) => code,
            AppStatus::Signalled(signal) if self.plan.stop_is_success && self.sent.contains(&signal) => return 0,
            AppStatus::Signalled(signal) => signal.exit_code(),
            // Not a child of ours: there is no code to pass on.
            AppStatus::Unknown => return 0,
            // Not the app's code: nothing of it is remapped.
            AppStatus::NotStarted { code } => return code,
        };
        self.plan.exit_codes.get(&code).copied().unwrap_or(code)
    }
}
/// How long leftover processes have after SIGTERM, and after SIGKILL.
const LEFTOVERS_TERM: Duration = Duration::from_secs(2);
const LEFTOVERS_KILL: Duration = Duration::from_millis(500);
