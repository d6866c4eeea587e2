//! The observer's memory: one life of the app after another, the stop of each, and our own stop.

use std::collections::BTreeMap;

use bookend_lifecycle::{CallerId, Hook, Outcome, Plan, Reason, Time, Trigger};

use crate::lists::{Lists, is_empty};
use crate::settings::SECOND;

/// The known state of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Seen {
    #[default]
    Unknown,
    There,
    Gone,
}

/// The stop of a life.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stop {
    pub(crate) trigger: Trigger,
    pub(crate) began: Time,
    /// The stop signal was sent.
    pub(crate) signalled: bool,
    /// Its end is not waited for any more: it could not be signalled, or its time is over.
    pub(crate) left_alone: bool,
    /// Since when the rest is the kubelet's.
    pub(crate) answered: Option<Time>,
}

/// Our own stop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct End {
    pub(crate) trigger: Trigger,
    pub(crate) began: Time,
    /// A hook may be on its way.
    pub(crate) waits_for_hook: bool,
    /// At most this long.
    pub(crate) hook_until: Time,
    /// A process is seen to live that has not been stopped yet.
    pub(crate) owes_stop: bool,
    /// A visible process may still end.
    pub(crate) waits_for_app: bool,
}

impl End {
    pub(crate) fn waits_no_longer(&mut self) {
        (self.waits_for_hook, self.waits_for_app, self.owes_stop) = (false, false, false);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Life {
    /// Something was known about it, so postStop must run.
    pub(crate) known: bool,
    pub(crate) stop: Option<Stop>,
    /// It is over: handlers in flight finish, then postStop runs.
    pub(crate) is_over: bool,
    /// A stop must begin now.
    pub(crate) stop_due: Option<Trigger>,
    /// The reason, when postStop began, and when it must be over.
    pub(crate) post_stop: Option<(Reason, Time)>,
}

/// A life that was seen before the end of the last one was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Next {
    #[default]
    None,
    There,
    /// It has ended, too.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    pub(crate) lists: Lists,
    pub(crate) life: Life,
    pub(crate) next: Next,
    /// Callers of a hook of a life that has not begun.
    pub(crate) early: BTreeMap<CallerId, Hook>,
    pub(crate) seen: Seen,
    pub(crate) end: Option<End>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            lists: Lists::default(),
            // There may be a process before anything is known.
            life: Life { known: true, ..Life::default() },
            next: Next::None,
            early: BTreeMap::new(),
            seen: Seen::Unknown,
            end: None,
        }
    }
}

impl Memory {
    /// Whether the handlers of a hook have begun and are not over.
    pub(crate) fn in_flight(&self, hook: Hook) -> bool {
        self.lists.get(hook).is_some_and(|list| list.over.is_none())
    }

    /// The handlers of a hook begin; an empty list is over at once, without a note.
    pub(crate) fn begin(&mut self, plan: &Plan, hook: Hook) {
        self.lists.expect(hook);
        if is_empty(plan, hook) {
            self.lists.list(hook).over = Some(Outcome::Succeeded);
        }
    }

    /// The trigger of the stop that counts, and its time.
    pub(crate) fn origin(&self) -> Option<(Trigger, Time)> {
        let own = self.end.as_ref().map(|end| (end.trigger, end.began));
        self.life.stop.as_ref().map(|stop| (stop.trigger, stop.began)).or(own)
    }

    pub(crate) fn end_of_grace(&self, plan: &Plan) -> Option<Time> {
        Some(self.origin()?.1 + plan.grace?)
    }

    pub(crate) fn reason(&self) -> Reason {
        if self.origin().is_some() { Reason::Stopped } else { Reason::Unknown }
    }

    /// The reason by which handlers of a hook are chosen.
    pub(crate) fn reason_for(&self) -> Option<Reason> {
        self.life.post_stop.map(|(reason, _)| reason)
    }

    /// Whether everything that had to follow the end of this life has followed.
    pub(crate) fn is_finished(&self, plan: &Plan) -> bool {
        let post_stop = self.lists.outcome(Hook::PostStop).is_some() || is_empty(plan, Hook::PostStop);
        self.life.is_over && !self.in_flight(Hook::PreStop) && (post_stop || !self.life.known)
    }

    /// If a life is finished, begins the next one. Returns whether a hook has begun it.
    pub(crate) fn turn(&mut self, plan: &Plan, now: Time) -> bool {
        let mut begun = false;
        while self.is_finished(plan) && (self.end.is_none() || self.next != Next::None) {
            let next = std::mem::take(&mut self.next);
            for hook in [Hook::PostStart, Hook::PreStop, Hook::PostStop] {
                self.lists.forget(hook);
            }
            self.life = Life { known: next != Next::None, is_over: next == Next::Gone, ..Life::default() };
            if self.life.is_over {
                continue;
            }
            if let Some(end) = &mut self.end {
                end.hook_until = now + SECOND;
                end.owes_stop = end.waits_for_app;
            }
            let is_early = |hook| self.early.values().any(|early| *early == hook);
            let (starts, stops) = (is_early(Hook::PostStart) && self.end.is_none(), is_early(Hook::PreStop));
            if starts {
                self.begin_life(plan);
            }
            self.life.stop_due = stops.then_some(Trigger::Hook);
            self.early.clear();
            begun |= starts;
        }
        begun
    }

    /// postStart was called: a life begins, or the visible one is reported.
    pub(crate) fn begin_life(&mut self, plan: &Plan) {
        if self.seen == Seen::Gone {
            // That was another life.
            self.seen = Seen::Unknown;
        }
        self.life.known = true;
        self.begin(plan, Hook::PostStart);
    }
}
