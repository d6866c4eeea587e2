//! What the observer has seen: the stop that goes on, how far each list of handlers is, what the app is owed.

use std::collections::BTreeMap;

use bookend::lifecycle::{AppStatus, HandlerResult, Hook, Outcome, Reason, Time, Trigger};
use bookend::signal::Signal;

use crate::settings::Setting;
use crate::world::Run;

/// How far a list of handlers is, by the rules of the documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Progress {
    /// Whose turn it is, and how often it has been started.
    pub(crate) index: usize,
    pub(crate) starts: u32,
    /// It has failed, and may be tried again.
    pub(crate) retry_open: bool,
    /// A required handler has failed for good.
    pub(crate) failed: bool,
    /// How the machine said it ended.
    pub(crate) over: Option<Outcome>,
}

/// A stop that is going on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Stop {
    pub(crate) trigger: Trigger,
    pub(crate) began: Time,
    /// Somebody wants the app gone, not only its handlers run: what it is to get.
    pub(crate) wanted: Vec<Signal>,
    /// When the signal went out, the first and the last time.
    pub(crate) signalled: Option<(Time, Time)>,
    /// When the preStop handlers were over.
    pub(crate) pre_stop_over: Option<Time>,
}

/// What has been seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Memory {
    pub(crate) stop: Option<Stop>,
    /// The stop signal that went out last.
    pub(crate) sent: Option<Signal>,
    /// The connections are watched; how often they became idle or busy again, and idle since when.
    pub(crate) watched: bool,
    pub(crate) turns: u8,
    pub(crate) idle_since: Option<Time>,
    pub(crate) hurried: Option<Signal>,
    pub(crate) killed: bool,
    pub(crate) lists: BTreeMap<Hook, Progress>,
    pub(crate) app_starts: u8,
    /// Signals that are owed to the app.
    pub(crate) owed: Vec<Signal>,
    /// How the app ended, and when.
    pub(crate) ended: Option<(AppStatus, Time)>,
    pub(crate) expected_status: Option<AppStatus>,
    /// Why there is no app any more: postStop handlers choose by it.
    pub(crate) reason: Option<Reason>,
    pub(crate) leftovers_terminated: bool,
    pub(crate) last_run: u64,
}

impl Memory {
    pub(crate) fn list(&mut self, hook: Hook) -> &mut Progress {
        self.lists.entry(hook).or_default()
    }

    pub(crate) fn outcome(&self, hook: Hook) -> Option<Outcome> {
        self.lists.get(&hook).and_then(|list| list.over)
    }

    pub(crate) fn has_begun(&self, hook: Hook) -> bool {
        self.lists.contains_key(&hook)
    }

    /// A handler has ended: whose turn is it?
    pub(crate) fn handler_ended(&mut self, setting: &Setting, run: &Run, result: HandlerResult) {
        let plan = &setting.plan.hooks[&run.hook][run.index];
        let list = self.list(run.hook);
        match result {
            HandlerResult::Succeeded => {
                list.index += 1;
                list.starts = 0;
            }
            HandlerResult::Failed | HandlerResult::TimedOut if list.starts <= plan.retries => list.retry_open = true,
            HandlerResult::Failed | HandlerResult::TimedOut => self.give_up(setting, run.hook),
        }
    }

    /// The handler whose turn it is has failed for good.
    pub(crate) fn give_up(&mut self, setting: &Setting, hook: Hook) {
        let plans = &setting.plan.hooks[&hook];
        let list = self.list(hook);
        list.failed |= plans[list.index].required;
        list.retry_open = false;
        list.index += 1;
        list.starts = 0;
    }

    /// Handlers that are for other ends are passed over. Whether there were any.
    pub(crate) fn pass_over(&mut self, setting: &Setting, hook: Hook) -> bool {
        let Some(reason) = self.reason.filter(|_| hook == Hook::PostStop) else { return false };
        let before = self.list(hook).index;
        let others = setting.plan.hooks[&hook].iter().skip(before).take_while(|plan| !match reason {
            Reason::Completed => plan.on.completed,
            Reason::Failed => plan.on.failed,
            Reason::Stopped => plan.on.stopped,
            Reason::Unknown => unreachable!("only of an app in another container"),
        });
        self.list(hook).index += others.count();
        self.list(hook).index > before
    }
}
