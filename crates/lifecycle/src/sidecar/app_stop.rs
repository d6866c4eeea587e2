//! The stop of an app in another container: preStop, then the configured stop signal if its process is there, then the rest
//! is the kubelet's.

use crate::action::{Action, Note};
use crate::budget::REARM_WITHOUT_GRACE;
use crate::context::Context;
use crate::event::Timer;
use crate::hook::Hook;
use crate::life::Trigger;
use crate::time::Time;

/// The stop of the current life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AppStop {
    pub(super) trigger: Trigger,
    pub(super) began: Time,
    stage: AppStopStage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AppStopStage {
    /// preStop handlers run.
    PreStop,
    /// bookend has sent the stop signal to the process. The hook is answered when the process has ended.
    AppEnds,
    /// The hook has been answered. The kubelet does the rest.
    Answered,
}

impl AppStop {
    /// Begins a stop. The caller must run the preStop handlers next.
    pub(super) fn begin(cx: &mut Context, trigger: Trigger, began: Time) -> AppStop {
        cx.tell(Note::StopBegan(trigger));
        AppStop { trigger, began, stage: AppStopStage::PreStop }
    }

    /// Whether preStop handlers run.
    pub(super) fn is_preparing(self) -> bool {
        self.stage == AppStopStage::PreStop
    }

    /// Whether the hook waits for the end of the process.
    pub(super) fn awaits_app(self) -> bool {
        self.stage == AppStopStage::AppEnds
    }

    /// Whether the hook has been answered.
    pub(super) fn is_answered(self) -> bool {
        self.stage == AppStopStage::Answered
    }

    /// The preStop handlers are over or abandoned. `app_is_there`: whether the process is known to exist.
    pub(super) fn pre_stop_over(&mut self, cx: &mut Context, now: Time, app_is_there: bool) {
        match cx.plan.stop_signal.filter(|_| app_is_there) {
            Some(signal) => {
                self.stage = AppStopStage::AppEnds;
                cx.act(Action::SignalApp(signal));
                if let Some(at) = cx.budget.kill_at(self.began, now) {
                    cx.set_timer(Timer::Kill, at);
                }
            }
            None => self.answer(cx, now),
        }
    }

    /// The process has not ended on its stop signal within the budget.
    pub(super) fn app_stays(&mut self, cx: &mut Context, now: Time) {
        if self.awaits_app() {
            cx.tell(Note::AppStays);
            self.answer(cx, now);
        }
    }

    /// Nothing is left to wait for: the kubelet's own signal follows the answer.
    pub(super) fn answer(&mut self, cx: &mut Context, now: Time) {
        answer_pre_stop(cx);
        self.stage = AppStopStage::Answered;
        // The caller has this long to end the app. If the process is not known and no postStart hook tells that the
        // container was started again, this timer also separates this stop from the next one.
        let patience = cx.plan.grace.unwrap_or(REARM_WITHOUT_GRACE);
        cx.set_timer(Timer::Rearm, now + patience);
    }
}

/// Answers the callers of preStop, if its handlers are over.
pub(super) fn answer_pre_stop(cx: &mut Context) {
    if let Some(outcome) = cx.outcome(Hook::PreStop) {
        cx.answer_all(Hook::PreStop, outcome);
    }
}
