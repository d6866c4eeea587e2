//! The phase after the end of the app: a preStop handler that outlives it, then the remaining processes, then postStop, then
//! the answers that are on their way, then a hold if one is configured, then the exit. Every step has a limit.

use std::time::Duration;

use super::ending;
use super::stopping::Stop;
use crate::action::{Action, Note};
use crate::context::{Context, ListStep};
use crate::event::Timer;
use crate::hook::{Hook, Outcome};
use crate::life::{AppStatus, Reason, Remaining, Trigger};
use crate::time::Time;

/// The phase after the end of the app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Finishing {
    status: AppStatus,
    stop: Option<Stop>,
    reason: Reason,
    step: FinishStep,
    /// The container has been held.
    held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum FinishStep {
    /// A preStop handler that was in flight when the app ended finishes.
    Linger,
    /// The remaining processes have got SIGTERM.
    Leftovers(Leftovers),
    /// The remaining processes have got SIGKILL.
    LeftoversKilled,
    /// postStop handlers run.
    PostStop,
    /// Answers are on their way to callers.
    Answers,
    /// The app has failed by itself, and the container is held for inspection.
    Held,
    /// Everything is over.
    Exited,
}

/// The wait for the remaining processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Leftovers {
    /// When they got SIGTERM.
    since: Time,
    /// When they get SIGKILL.
    until: Time,
    /// Whether it has been reported that there are some.
    reported: bool,
}

impl Leftovers {
    /// Gives them this time, unless they have less.
    fn shorten(&mut self, cx: &mut Context, until: Time) {
        if until < self.until {
            self.until = until;
            cx.set_timer(Timer::Leftovers, until);
        }
    }
}

impl Finishing {
    /// The app has ended, or will not be started.
    pub(super) fn begin(cx: &mut Context, now: Time, status: AppStatus, stop: Option<Stop>) -> Finishing {
        let reason = ending::reason(&cx.plan, status, stop.as_ref());
        let mut finishing = Finishing { status, stop, reason, step: FinishStep::Linger, held: false };
        cx.tell(Note::AppEnded(status));
        cx.abort(Hook::PostStart, Outcome::Aborted);
        cx.answer_all(Hook::PostStart, Outcome::Aborted);
        if !cx.linger(now, finishing.began()) {
            finishing.enter_leftovers(cx, now);
        }
        finishing
    }

    /// The app has ended after it was given up: its tracer was one of the remaining processes, or its cgroup was thawed. Any
    /// other app ends only once. An abort that races with a failed start changes nothing.
    pub(super) fn app_ended(&mut self, cx: &mut Context, status: AppStatus) {
        if self.status == AppStatus::StillRunning && status != AppStatus::StillRunning {
            self.status = status;
            cx.tell(Note::AppEnded(status));
        }
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn exit_code(&self, cx: &Context) -> u8 {
        ending::exit_code(&cx.plan, self.status, self.stop.as_ref())
    }

    pub(super) fn has_exited(&self) -> bool {
        self.step == FinishStep::Exited
    }

    pub(super) fn is_held(&self) -> bool {
        self.step == FinishStep::Held
    }

    /// A stop has come, or the time is over. It does not change how the app's end is reported.
    pub(super) fn end_hold(&mut self, cx: &mut Context, now: Time) {
        self.await_answers(cx, now);
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

    /// Which processes remain.
    pub(super) fn remaining(&mut self, cx: &mut Context, now: Time, remaining: Remaining) {
        let began = self.began();
        match (&mut self.step, remaining) {
            (FinishStep::Leftovers(leftovers), Remaining::Nothing) => {
                if leftovers.reported {
                    cx.tell(Note::LeftoversEnded);
                }
                self.enter_post_stop(cx, now);
            }
            (FinishStep::LeftoversKilled, Remaining::Nothing) => self.enter_post_stop(cx, now),
            (FinishStep::Leftovers(leftovers), Remaining::Sessions | Remaining::Children) => {
                if !std::mem::replace(&mut leftovers.reported, true) {
                    cx.tell(Note::LeftoversTerminated);
                }
                if remaining == Remaining::Sessions {
                    let end = cx.budget.sessions_end(began, leftovers.since, cx.plan.leftovers).max(now);
                    leftovers.shorten(cx, end);
                }
            }
            // bookend waits for another step.
            _ => {}
        }
    }

    /// SIGTERM was refused to all remaining processes. Their time is the same: they may end by themselves.
    pub(super) fn leftovers_refused(&mut self, cx: &mut Context) {
        if let FinishStep::Leftovers(leftovers) = &mut self.step
            && !std::mem::replace(&mut leftovers.reported, true)
        {
            cx.tell(Note::LeftoversRefused);
        }
    }

    /// The postStop handlers are over.
    pub(super) fn post_stop_over(&mut self, cx: &mut Context, now: Time) {
        self.await_answers(cx, now);
    }

    fn await_answers(&mut self, cx: &mut Context, now: Time) {
        self.step = FinishStep::Answers;
        if !cx.await_answers(now, self.began()) {
            self.hold_or_exit(cx, now);
        }
    }

    /// A caller has received its answer, or has hung up.
    pub(super) fn caller_done(&mut self, cx: &mut Context, now: Time) {
        if self.step == FinishStep::Answers && !cx.is_answering() {
            self.hold_or_exit(cx, now);
        }
    }

    /// A stop signal has come.
    pub(super) fn stop_signal(&mut self, cx: &mut Context, now: Time, trigger: Trigger) {
        match &mut self.stop {
            Some(stop) if stop.signal_seen => self.escalate(cx, now),
            // The signal that follows a hook, after the app has ended by itself. It is expected and changes nothing.
            Some(stop) => stop.signal_seen = true,
            None => self.stop_began(cx, now, trigger),
        }
    }

    /// A signal, a request or a hook has come. If the app had ended by itself, there is a budget from now on.
    pub(super) fn stop_began(&mut self, cx: &mut Context, now: Time, trigger: Trigger) {
        if self.stop.is_some() {
            return;
        }
        if self.is_held() {
            return self.end_hold(cx, now);
        }
        self.stop = Some(Stop::new(trigger, now));
        cx.tell(Note::StopBegan(trigger));
        match (&mut self.step, cx.budget.post_stop_deadline(now)) {
            (FinishStep::PostStop, Some(end)) => cx.set_timer(Timer::PostStop, end),
            (FinishStep::Leftovers(leftovers), Some(_)) => {
                // Their end was not requested, so they keep the time that they have, or less.
                let end = cx.budget.leftovers_end(Some(now), now, cx.plan.leftovers);
                leftovers.shorten(cx, end);
            }
            // The other steps are short anyway.
            _ => {}
        }
    }

    /// A repeated stop signal ends the current step early.
    fn escalate(&mut self, cx: &mut Context, now: Time) {
        match self.step {
            FinishStep::Linger => {
                cx.escalate(Hook::PreStop);
                self.enter_leftovers(cx, now);
            }
            // The remaining processes belong to the app, so they get the repeated signal. It never means SIGKILL.
            FinishStep::Leftovers(_) => cx.act(Action::TerminateLeftovers),
            FinishStep::PostStop => {
                cx.escalate(Hook::PostStop);
                self.post_stop_over(cx, now);
            }
            // The last steps take only fractions of a second.
            FinishStep::LeftoversKilled | FinishStep::Answers | FinishStep::Exited => {}
            // The container is held only without a stop.
            FinishStep::Held => {}
        }
    }

    pub(super) fn timer_fired(&mut self, cx: &mut Context, now: Time, timer: Timer) {
        match (timer, self.step) {
            (Timer::Linger, FinishStep::Linger) => {
                cx.abort(Hook::PreStop, Outcome::Aborted);
                self.enter_leftovers(cx, now);
            }
            (Timer::Leftovers, FinishStep::Leftovers(_)) => self.kill_leftovers(cx, now),
            (Timer::Leftovers, FinishStep::LeftoversKilled) => {
                cx.tell(Note::LeftoversRemain);
                self.enter_post_stop(cx, now);
            }
            (Timer::PostStop, FinishStep::PostStop) => {
                cx.abort(Hook::PostStop, Outcome::Aborted);
                self.post_stop_over(cx, now);
            }
            (Timer::Answers, FinishStep::Answers) => {
                cx.tell(Note::AnswerNotTaken);
                self.hold_or_exit(cx, now);
            }
            (Timer::Hold, FinishStep::Held) => self.end_hold(cx, now),
            // The timer of a step that is over.
            _ => {}
        }
    }

    fn enter_leftovers(&mut self, cx: &mut Context, now: Time) {
        let until = cx.budget.leftovers_end(self.began(), now, cx.plan.leftovers);
        self.step = FinishStep::Leftovers(Leftovers { since: now, until, reported: false });
        cx.set_timer(Timer::Leftovers, until);
        cx.act(Action::TerminateLeftovers);
    }

    fn kill_leftovers(&mut self, cx: &mut Context, now: Time) {
        self.step = FinishStep::LeftoversKilled;
        cx.act(Action::KillLeftovers);
        cx.tell(Note::LeftoversKilled);
        cx.set_timer(Timer::Leftovers, cx.budget.before_post_stop(self.began(), now, LEFTOVERS_KILL));
    }

    fn enter_post_stop(&mut self, cx: &mut Context, now: Time) {
        self.step = FinishStep::PostStop;
        let deadline = cx.budget.post_stop_end(self.began(), now);
        if let ListStep::Over(_) = cx.run(now, Hook::PostStop, Some(deadline), Some(self.reason)) {
            self.post_stop_over(cx, now);
        }
    }

    fn hold_or_exit(&mut self, cx: &mut Context, now: Time) {
        let holds = !self.held && self.stop.is_none() && self.reason == Reason::Failed;
        match cx.plan.hold.filter(|_| holds) {
            Some(time) => {
                (self.step, self.held) = (FinishStep::Held, true);
                cx.set_timer(Timer::Hold, now + time);
                cx.tell(Note::Held(time));
            }
            None => self.exit(cx),
        }
    }

    fn exit(&mut self, cx: &mut Context) {
        self.step = FinishStep::Exited;
        cx.act(Action::Exit(self.exit_code(cx)));
    }

    fn began(&self) -> Option<Time> {
        self.stop.as_ref().map(|stop| stop.began)
    }
}

/// How long the remaining processes have after SIGKILL.
const LEFTOVERS_KILL: Duration = Duration::from_millis(500);
