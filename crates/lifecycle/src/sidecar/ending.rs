//! The end of a life in another container: a preStop handler that outlives the app, then postStop. The process of the next
//! life may be found meanwhile.

use super::app_stop::answer_pre_stop;
use super::stops::Stops;
use crate::context::{Context, ListStep};
use crate::event::Timer;
use crate::hook::{CallerId, Hook, Outcome};
use crate::time::Time;

/// A life that ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ending {
    step: EndStep,
    /// postStop has still to run for this life.
    owes_post_stop: bool,
    /// The callers of preStop of the next life, if its process has been found already.
    next: Option<Vec<CallerId>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum EndStep {
    /// A preStop handler that was in flight when the app ended finishes.
    Linger,
    /// postStop handlers run.
    PostStop,
    /// The life is over. The machine goes on at once.
    Over,
}

impl Ending {
    /// The life ends now. `owes_post_stop`: whether postStop has still to run for it.
    pub(super) fn begin(cx: &mut Context, now: Time, stops: &Stops, owes_post_stop: bool) -> Ending {
        let mut ending = Ending { step: EndStep::Linger, owes_post_stop, next: None };
        cx.abort(Hook::PostStart, Outcome::Aborted);
        answer_pre_stop(cx);
        if !cx.linger(now, stops.began()) {
            ending.enter_post_stop(cx, now, stops);
        }
        ending
    }

    pub(super) fn is_over(&self) -> bool {
        self.step == EndStep::Over
    }

    /// The process of the next life was found.
    pub(super) fn next_found(&mut self) {
        self.next.get_or_insert_default();
    }

    /// The callers of preStop of the next life, if its process has been found already.
    pub(super) fn next(&mut self) -> Option<&mut Vec<CallerId>> {
        self.next.as_mut()
    }

    /// The preStop handler that outlived the app has ended.
    pub(super) fn pre_stop_over(&mut self, cx: &mut Context, now: Time, stops: &Stops) {
        if self.step == EndStep::Linger {
            answer_pre_stop(cx);
            self.enter_post_stop(cx, now, stops);
        }
    }

    /// The postStop handlers are over.
    pub(super) fn post_stop_over(&mut self) {
        self.step = EndStep::Over;
    }

    /// Our own stop has begun, so from now on there is a budget. The first step is short anyway.
    pub(super) fn own_stop_began(&mut self, cx: &mut Context, now: Time, stops: &Stops) {
        if self.step == EndStep::PostStop {
            cx.set_timer(Timer::PostStop, stops.post_stop_end(cx, now, self.next.is_some()));
        }
    }

    /// A repeated stop signal ends the current step early.
    pub(super) fn escalate(&mut self, cx: &mut Context, now: Time, stops: &Stops) {
        match self.step {
            EndStep::Linger => {
                cx.escalate(Hook::PreStop);
                self.enter_post_stop(cx, now, stops);
            }
            EndStep::PostStop => {
                cx.escalate(Hook::PostStop);
                self.post_stop_over();
            }
            EndStep::Over => {}
        }
    }

    pub(super) fn timer_fired(&mut self, cx: &mut Context, now: Time, timer: Timer, stops: &Stops) {
        match (timer, self.step) {
            (Timer::Linger, EndStep::Linger) => {
                cx.abort(Hook::PreStop, Outcome::Aborted);
                self.enter_post_stop(cx, now, stops);
            }
            (Timer::PostStop, EndStep::PostStop) => {
                cx.abort(Hook::PostStop, Outcome::Aborted);
                self.post_stop_over();
            }
            // The timer of a step that is over.
            _ => {}
        }
    }

    fn enter_post_stop(&mut self, cx: &mut Context, now: Time, stops: &Stops) {
        self.step = EndStep::PostStop;
        if !std::mem::take(&mut self.owes_post_stop) {
            return self.post_stop_over();
        }
        let deadline = stops.post_stop_end(cx, now, self.next.is_some());
        if stops.own.is_some() {
            // This replaces a timer that was set for the life before.
            cx.set_timer(Timer::PostStop, deadline);
        }
        if let ListStep::Over(_) = cx.run(now, Hook::PostStop, Some(deadline), Some(stops.reason())) {
            self.post_stop_over();
        }
    }
}
