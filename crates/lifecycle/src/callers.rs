//! The callers of hooks. Each caller gets exactly one answer.

use crate::hook::{CallerId, Hook};

/// The callers that wait for a hook, and those whose answer is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Callers {
    waiting: Vec<(CallerId, Hook)>,
    answering: Vec<CallerId>,
}

impl Callers {
    /// The caller waits until the hook is over.
    pub(crate) fn wait(&mut self, caller: CallerId, hook: Hook) {
        self.waiting.push((caller, hook));
    }

    pub(crate) fn is_waiting_for(&self, hook: Hook) -> bool {
        self.waiting.iter().any(|(_, waits_for)| *waits_for == hook)
    }

    /// Takes the callers that wait for this hook, in the order in which they came.
    pub(crate) fn take_waiting(&mut self, hook: Hook) -> Vec<CallerId> {
        let waiting = std::mem::take(&mut self.waiting);
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, waits_for)| *waits_for == hook);
        self.waiting = later;
        now.into_iter().map(|(caller, _)| caller).collect()
    }

    /// The caller is being answered.
    pub(crate) fn answer(&mut self, caller: CallerId) {
        self.answering.push(caller);
    }

    /// The caller has received its answer, or has hung up.
    pub(crate) fn done(&mut self, caller: CallerId) {
        self.waiting.retain(|(waiting, _)| *waiting != caller);
        self.answering.retain(|answering| *answering != caller);
    }

    /// Whether an answer is still on its way.
    pub(crate) fn is_answering(&self) -> bool {
        !self.answering.is_empty()
    }
}
