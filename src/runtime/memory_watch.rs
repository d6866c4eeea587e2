//! Looks for kills of the OOM killer: when a child has been killed, and on cgroup v2 when the counters change. Nothing wakes
//! up while nothing happens.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::info;

use super::dispatcher::TaskMessage;
use crate::process::cgroup::{Cgroup, OOM_GROUP, OOM_GROUP_FIX};
use crate::process::reaper::ReapRound;
use bookend_lifecycle::Time;
use bookend_lifecycle::oom::{OomKill, OomWatch};

#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    has_begun: bool,
    /// `None` without a memory cgroup.
    cgroup: Option<Cgroup>,
    watch: OomWatch,
}

impl MemoryWatch {
    /// Whether [`MemoryWatch::begin`] is to be called: when the app runs, and the loop has nothing else to do.
    pub(super) fn is_to_begin(&self) -> bool {
        !self.has_begun
    }

    pub(super) fn begin(&mut self, to_loop: mpsc::Sender<TaskMessage>) {
        self.has_begun = true;
        self.cgroup = Cgroup::own();
        let Some(cgroup) = &self.cgroup else { return };
        if cgroup.dies_as_a_group() {
            info!("{OOM_GROUP}; {OOM_GROUP_FIX}");
        }
        // Without it the look at each killed child is left.
        let events = cgroup.watch().ok().flatten();
        self.look(Time::ZERO);
        if let Some(events) = events {
            crate::tasks::spawn(async move {
                while events.changed().await && to_loop.send(TaskMessage::MemoryEvents).await.is_ok() {
                    // An app at its limit changes the counters all the time.
                    sleep(PAUSE).await;
                }
            });
        }
    }

    /// Kills since the last look.
    pub(super) fn look(&mut self, now: Time) -> Option<OomKill> {
        self.watch.look(now, self.cgroup.as_ref()?.oom_counts()?)
    }

    /// The same when children have ended, and whether a kill explains the end of one.
    pub(super) fn reaped(&mut self, now: Time, round: &ReapRound) -> (Option<OomKill>, bool) {
        if round.killed { (self.look(now), self.watch.explains(now)) } else { (None, false) }
    }
}

/// `out of memory: the kernel killed 2 processes of this container: its own limit is reached`
pub(super) fn describe(kill: OomKill) -> String {
    let plural = if kill.processes == 1 { "" } else { "es" };
    let limit = match kill.own_limit {
        Some(true) => ": its own limit is reached",
        Some(false) => ": the limit of the pod, or the node's memory",
        None => "",
    };
    format!("out of memory: the kernel killed {} process{plural} of this container{limit}", kill.processes)
}

/// The least time between two looks because of changed counters.
const PAUSE: Duration = Duration::from_secs(1);
