//! Our own stop: a stop signal for the sidecar itself, or `bookend stop`. It waits for a hook that may still arrive and for
//! a process that is known to exist, within the grace period.

use std::time::Duration;

use super::presence::AppPresence;
use crate::budget::{Budget, SHORTEST};
use crate::context::Context;
use crate::event::Timer;
use crate::hook::Hook;
use crate::life::Trigger;
use crate::time::Time;

/// Our own stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct OwnStop {
    pub(super) trigger: Trigger,
    pub(super) began: Time,
    awaits_hook: bool,
    awaits_app: bool,
}

impl OwnStop {
    pub(super) fn new(trigger: Trigger, began: Time) -> OwnStop {
        OwnStop { trigger, began, awaits_hook: true, awaits_app: true }
    }

    /// Limits the wait for a life that still goes on. `began`: the first beginning of a stop.
    pub(super) fn arm(cx: &mut Context, now: Time, began: Time) {
        if let Some(at) = cx.budget.kill_at(began, now) {
            cx.set_timer(Timer::Kill, at);
        }
        let late_hook = cx.plan.grace.map_or(LATE_HOOK, |grace| LATE_HOOK.min(grace / 4));
        cx.set_timer(Timer::LateHook, now + late_hook);
    }

    /// A hook that has not arrived by now will not arrive.
    pub(super) fn hook_is_late(&mut self) {
        self.awaits_hook = false;
    }

    pub(super) fn wait_no_longer(&mut self) {
        (self.awaits_app, self.awaits_hook) = (false, false);
    }

    /// Whether there is still something to wait for, besides handlers in flight.
    pub(super) fn waits(&self, cx: &Context, app: AppPresence) -> bool {
        let owes_pre_stop = cx.is_idle(Hook::PreStop) && !cx.plan.handlers(Hook::PreStop).is_empty();
        match app {
            AppPresence::There => self.awaits_app,
            AppPresence::Unseen => self.awaits_hook && owes_pre_stop,
            AppPresence::Gone => false,
        }
    }

    /// When postStop handlers that begin now must be over. `at` is the limit without our own stop; `has_next`: whether the
    /// next life has been found already.
    pub(super) fn post_stop_end(&self, budget: &Budget, now: Time, at: Time, has_next: bool) -> Time {
        let at = at.max(budget.late_post_stop_end(self.began, now));
        // The stop of the next life is still to come. It gets the other half of the time for preStop handlers.
        match budget.pre_stop_deadline(self.began).filter(|_| has_next) {
            Some(deadline) => at.min((self.began + (deadline - self.began) / 2).max(now + SHORTEST)),
            None => at,
        }
    }
}

/// A kubelet that stops all containers at once calls the hooks and signals the containers without a hook at the same moment.
/// A hook may still arrive for this long, or for a quarter of a short grace period.
const LATE_HOOK: Duration = Duration::from_secs(1);
