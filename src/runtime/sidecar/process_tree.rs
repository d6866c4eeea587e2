//! The processes of a pod as a tree of parents and children. Pure.

use litemap::LiteMap;

use super::observed::{ObservedProcess, PodProcesses};
use bookend_lifecycle::sorted::collect_map;

pub(super) struct ProcessTree<'a> {
    pod: &'a PodProcesses,
    by_pid: LiteMap<i32, &'a ObservedProcess>,
    own: Option<&'a ObservedProcess>,
    /// The processes that came from outside the PID namespace, by age. The first one in a container is its main process.
    entered: LiteMap<(u64, i32), &'a ObservedProcess>,
}

impl<'a> ProcessTree<'a> {
    pub(super) fn of(pod: &'a PodProcesses) -> ProcessTree<'a> {
        let by_pid = collect_map(pod.processes.iter().map(|one| (one.member.pid, one)));
        let entered = pod.processes.iter().filter(|one| one.member.parent == 0);
        let entered = collect_map(entered.map(|one| ((one.member.started, one.member.pid), one)));
        ProcessTree { own: by_pid.get(&pod.own).copied(), pod, by_pid, entered }
    }

    /// The ancestors, from the parent upwards. /proc is read process by process, so the parents may form a ring.
    pub(super) fn ancestors(&self, process: &'a ObservedProcess) -> impl Iterator<Item = &'a ObservedProcess> {
        let parent = |process: &&'a ObservedProcess| self.by_pid.get(&process.member.parent).copied();
        std::iter::successors(parent(&process), parent).take(MAX_GENERATIONS)
    }

    /// Whether the process can be the app, or a part of it.
    pub(super) fn is_candidate(&self, process: &'a ObservedProcess) -> bool {
        let own = self.pod.own;
        let is_below_us =
            || process.member.parent == own || self.ancestors(process).any(|one| one.member.parent == own);
        let is_above_us =
            || self.own.is_some_and(|own| self.ancestors(own).any(|one| one.member.pid == process.member.pid));
        let is_pause = process.member.pid == 1 && self.pod.first_is_pause;
        !(process.member.is_kernel_thread
            || process.member.is_zombie
            || is_pause
            || process.member.pid == own
            || is_below_us()
            || is_above_us()
            || self.entered_our_container(process))
    }

    /// Whether the process came into our own container from outside, as by `kubectl exec` into the sidecar.
    fn entered_our_container(&self, process: &'a ObservedProcess) -> bool {
        let root = self.root(process);
        let is_ours = |own| root.container.is_same(&self.container_root(own).container) || root.is_in_our_cgroup;
        root.member.parent == 0 && root.member.pid != 1 && self.own.is_some_and(is_ours)
    }

    /// Whether its parent has ended, so that the pause process reaps it.
    pub(super) fn is_orphan(&self, process: &ObservedProcess) -> bool {
        self.pod.first_is_pause && process.member.parent == 1
    }

    /// Whether it descends from a process that came into its container later than the main process, as by `kubectl exec`.
    pub(super) fn entered_later(&self, process: &'a ObservedProcess) -> bool {
        let root = self.root(process);
        let first = self.entered.values().find(|one| one.container.is_same(&root.container));
        root.member.parent == 0 && first.is_some_and(|first| first.member.pid != root.member.pid)
    }

    /// The process itself, or its nearest ancestor, whose container is known.
    pub(super) fn container_root(&self, process: &'a ObservedProcess) -> &'a ObservedProcess {
        let is_known = |one: &&ObservedProcess| matches!(one.member.parent, 0 | 1);
        std::iter::once(process).chain(self.ancestors(process)).find(is_known).unwrap_or(process)
    }

    fn root(&self, process: &'a ObservedProcess) -> &'a ObservedProcess {
        self.ancestors(process).last().unwrap_or(process)
    }
}

/// The limit for a chain of parents.
const MAX_GENERATIONS: usize = 1_000;
