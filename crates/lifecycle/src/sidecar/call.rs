//! The meaning of a hook call for an app in another container. It only decides; the machine acts.

use super::presence::AppPresence;
use crate::context::Context;
use crate::hook::{Hook, Outcome};

/// The known state of the life when a hook is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct LifeState {
    /// The life goes on: it is not ending.
    pub(super) is_living: bool,
    pub(super) app: AppPresence,
    /// A stop of this life has begun.
    pub(super) has_stop: bool,
    /// The hook of that stop waits for the end of the process.
    pub(super) awaits_app: bool,
    /// Our own stop has begun.
    pub(super) has_own_stop: bool,
}

/// The meaning of a call of postStart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostStartCall {
    /// The handlers do not run for this call.
    Answer(Outcome),
    /// The caller waits: for the handlers in flight, or for the end of the life before.
    Wait,
    /// A life begins.
    BeginLife,
    /// The container was started again, and the end of the life before was not seen.
    EndLifeBefore,
}

/// The meaning of a call of preStop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PreStopCall {
    /// The handlers do not run for this call.
    Answer(Outcome),
    /// The caller waits for the stop that goes on.
    Wait,
    /// A stop begins.
    BeginStop,
}

pub(super) fn post_start(cx: &Context, life: LifeState) -> PostStartCall {
    let is_there = life.app == AppPresence::There;
    match cx.outcome(Hook::PostStart) {
        _ if cx.is_in_flight(Hook::PostStart) => PostStartCall::Wait,
        // The process is the same, or our own stop goes on: this life has had its postStart.
        Some(outcome) if life.is_living && (is_there || life.has_own_stop) => PostStartCall::Answer(outcome),
        // Our own stop goes on, so no life begins any more.
        _ if life.has_own_stop => PostStartCall::Answer(Outcome::Aborted),
        // The next life begins after postStop of the life before.
        _ if !life.is_living => PostStartCall::Wait,
        None if is_there && life.has_stop => PostStartCall::Answer(Outcome::Aborted),
        None if !life.has_stop => PostStartCall::BeginLife,
        _ => PostStartCall::EndLifeBefore,
    }
}

pub(super) fn pre_stop(cx: &Context, life: LifeState) -> PreStopCall {
    match cx.outcome(Hook::PreStop) {
        _ if cx.is_in_flight(Hook::PreStop) => PreStopCall::Wait,
        // The handlers are over and the process has the stop signal. The answer comes when the process has ended.
        Some(_) if life.is_living && life.awaits_app => PreStopCall::Wait,
        Some(outcome) => PreStopCall::Answer(outcome),
        None if life.is_living && life.app != AppPresence::Gone => PreStopCall::BeginStop,
        // No app serves, so there is nothing to prepare.
        None => PreStopCall::Answer(Outcome::Succeeded),
    }
}
