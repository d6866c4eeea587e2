//! The phase after the end of the app: a preStop handler that outlives it, then the leftover processes, then postStop, then
//! the answers that are on their way, then the exit. Every step has a limit.

use std::time::Duration;

use super::ending;
use super::stopping::Stop;
use crate::action::{Action, Note};
use crate::context::{Context, ListStep};
use crate::event::Timer;
use crate::hook::{Hook, Outcome};
use crate::life::{AppStatus, Reason, Trigger};
use crate::time::Time;

/// The phase after the end of the app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Finishing {
    status: AppStatus,
    stop: Option<Stop>,
    reason: Reason,
    /// Whether other child processes remain.
    others: bool,
    step: FinishStep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum FinishStep {
    /// A preStop handler that was in flight when the app ended finishes.
    Linger,
    /// Leftover processes have got SIGTERM, or SIGKILL.
    Leftovers { killed: bool },
    /// postStop handlers run.
    PostStop,
    /// Answers are on their way to callers.
    Answers,
    /// Everything is over.
    Exited,
}

impl Finishing {
    /// The app has ended, or will not be started. `others`: whether other child processes remain.
    pub(super) fn begin(cx: &mut Context, now: Time, status: AppStatus, stop: Option<Stop>, others: bool) -> Finishing {
        let reason = ending::reason(&cx.plan, status, stop.as_ref());
        let mut finishing = Finishing { status, stop, reason, others, step: FinishStep::Linger };
        cx.tell(Note::AppEnded(status));
        cx.abort(Hook::PostStart, Outcome::Aborted);
        cx.answer_all(Hook::PostStart, Outcome::Aborted);
        if !cx.linger(now, finishing.began()) {
            finishing.enter_leftovers(cx, now);
        }
        finishing
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn has_exited(&self) -> bool {
        self.step == FinishStep::Exited
    }

    /// The current stop; `None` after the exit.
    pub(super) fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref().filter(|_| !self.has_exited())
    }

    /// The preStop handler that outlived the app has ended.
    pub(super) fn pre_stop_over(&mut self, cx: &mut Context, now: Time) {
        if self.step == FinishStep::Linger {
            self.enter_leftovers(cx, now);
        }
    }

    /// No other child process remains.
    pub(super) fn no_others(&mut self, cx: &mut Context, now: Time) {
        self.others = false;
        if let FinishStep::Leftovers { .. } = self.step {
            self.enter_post_stop(cx, now);
        }
    }

    /// The postStop handlers are over.
    pub(super) fn post_stop_over(&mut self, cx: &mut Context, now: Time) {
        self.step = FinishStep::Answers;
        if !cx.await_answers(now, self.began()) {
            self.exit(cx);
        }
    }

    /// A caller has received its answer, or has hung up.
    pub(super) fn caller_done(&mut self, cx: &mut Context) {
        if self.step == FinishStep::Answers && !cx.is_answering() {
            self.exit(cx);
        }
    }

    /// A stop signal has come.
    pub(super) fn stop_signal(&mut self, cx: &mut Context, now: Time, trigger: Trigger) {
        match &mut self.stop {
            Some(stop) if stop.signal_seen => self.escalate(cx, now),
            // The signal that follows a hook, after the app has ended by itself. It is expected and changes nothing.
            Some(stop) => stop.signal_seen = true,
            // The app had ended by itself. From now on there is a budget.
            None => {
                self.stop = Some(Stop::new(trigger, now));
                cx.tell(Note::StopBegan(trigger));
                match (self.step, cx.budget.post_stop_deadline(now)) {
                    (FinishStep::PostStop, Some(end)) => cx.set_timer(Timer::PostStop, end),
                    (FinishStep::Leftovers { killed: false }, Some(_)) => self.arm_leftovers(cx, now, LEFTOVERS_TERM),
                    // The other steps are short anyway.
                    _ => {}
                }
            }
        }
    }

    /// A repeated stop signal ends the current step early.
    fn escalate(&mut self, cx: &mut Context, now: Time) {
        match self.step {
            FinishStep::Linger => {
                cx.escalate(Hook::PreStop);
                self.enter_leftovers(cx, now);
            }
            FinishStep::Leftovers { killed: false } => self.kill_leftovers(cx, now),
            FinishStep::PostStop => {
                cx.escalate(Hook::PostStop);
                self.post_stop_over(cx, now);
            }
            // The last steps take only fractions of a second.
            FinishStep::Leftovers { killed: true } | FinishStep::Answers | FinishStep::Exited => {}
        }
    }

    pub(super) fn timer_fired(&mut self, cx: &mut Context, now: Time, timer: Timer) {
        match (timer, self.step) {
            (Timer::Linger, FinishStep::Linger) => {
                cx.abort(Hook::PreStop, Outcome::Aborted);
                self.enter_leftovers(cx, now);
            }
            (Timer::Leftovers, FinishStep::Leftovers { killed: false }) => self.kill_leftovers(cx, now),
            (Timer::Leftovers, FinishStep::Leftovers { killed: true }) => {
                cx.tell(Note::LeftoversRemain);
                self.enter_post_stop(cx, now);
            }
            (Timer::PostStop, FinishStep::PostStop) => {
                cx.abort(Hook::PostStop, Outcome::Aborted);
                self.post_stop_over(cx, now);
            }
            (Timer::Answers, FinishStep::Answers) => {
                cx.tell(Note::AnswerNotTaken);
                self.exit(cx);
            }
            // The timer of a step that is over.
            _ => {}
        }
    }

    fn enter_leftovers(&mut self, cx: &mut Context, now: Time) {
        if !self.others {
            return self.enter_post_stop(cx, now);
        }
        self.step = FinishStep::Leftovers { killed: false };
        cx.act(Action::TerminateLeftovers);
        cx.tell(Note::LeftoversTerminated);
        self.arm_leftovers(cx, now, LEFTOVERS_TERM);
    }

    fn kill_leftovers(&mut self, cx: &mut Context, now: Time) {
        self.step = FinishStep::Leftovers { killed: true };
        cx.act(Action::KillLeftovers);
        cx.tell(Note::LeftoversKilled);
        self.arm_leftovers(cx, now, LEFTOVERS_KILL);
    }

    fn arm_leftovers(&self, cx: &mut Context, now: Time, time: Duration) {
        cx.set_timer(Timer::Leftovers, cx.budget.before_post_stop(self.began(), now, time));
    }

    fn enter_post_stop(&mut self, cx: &mut Context, now: Time) {
        self.step = FinishStep::PostStop;
        let deadline = cx.budget.post_stop_end(self.began(), now);
        if let ListStep::Over(_) = cx.run(now, Hook::PostStop, Some(deadline), Some(self.reason)) {
            self.post_stop_over(cx, now);
        }
    }

    fn exit(&mut self, cx: &mut Context) {
        self.step = FinishStep::Exited;
        cx.act(Action::Exit(ending::exit_code(&cx.plan, self.status, self.stop.as_ref())));
    }

    fn began(&self) -> Option<Time> {
        self.stop.as_ref().map(|stop| stop.began)
    }
}

/// How long leftover processes have after SIGTERM, and after SIGKILL.
const LEFTOVERS_TERM: Duration = Duration::from_secs(2);
const LEFTOVERS_KILL: Duration = Duration::from_millis(500);
