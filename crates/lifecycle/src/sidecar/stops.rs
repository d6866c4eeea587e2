//! The two stops of a sidecar: the stop of the app's current life, and our own. They share one grace period, because all
//! containers of a pod do.

use super::app_stop::AppStop;
use super::own_stop::OwnStop;
use crate::context::Context;
use crate::life::{Reason, Trigger};
use crate::time::Time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Stops {
    /// The stop of the current life.
    pub(super) app: Option<AppStop>,
    pub(super) own: Option<OwnStop>,
}

impl Stops {
    /// The trigger and the begin of the stop in progress: the stop of the life, or else our own.
    pub(super) fn trigger(&self) -> Option<(Trigger, Time)> {
        let own = self.own.map(|own| (own.trigger, own.began));
        self.app.map(|stop| (stop.trigger, stop.began)).or(own)
    }

    pub(super) fn began(&self) -> Option<Time> {
        self.trigger().map(|(_, began)| began)
    }

    /// Why the app has ended. Without a stop the reason is unknown, because the app is not our child.
    pub(super) fn reason(&self) -> Reason {
        if self.trigger().is_some() { Reason::Stopped } else { Reason::Unknown }
    }

    /// When postStop handlers that begin now must be over. `has_next`: whether the next life has been found already.
    pub(super) fn post_stop_end(&self, cx: &Context, now: Time, has_next: bool) -> Time {
        let at = cx.budget.post_stop_end(self.began(), now);
        self.own.map_or(at, |own| own.post_stop_end(&cx.budget, now, at, has_next))
    }
}
