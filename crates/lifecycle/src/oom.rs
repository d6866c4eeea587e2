//! Whether the kernel's OOM killer was at work, by the counters of the container's memory cgroup.
//!
//! The kernel counts a kill before it sends the SIGKILL, so the counter has grown when the reaper sees the end. It counts in
//! the cgroup of the victim, whichever limit was reached: the container's, the pod's, or the node's memory.

use std::time::Duration;

use crate::time::Time;

/// The counters of a memory cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OomCounts {
    /// Processes that the OOM killer ended: `oom_kill`.
    pub kills: u64,
    /// How often the cgroup's own limit was reached: `oom`. cgroup v1 does not count it.
    pub own_limit: Option<u64>,
}

impl OomCounts {
    /// From the texts of `memory.events` and `memory.events.local`, or of `memory.oom_control` and nothing (v1). `None`:
    /// this kernel does not count kills.
    pub fn read(events: &str, local: &str) -> Option<OomCounts> {
        Some(OomCounts { kills: field(events, "oom_kill")?, own_limit: field(local, "oom") })
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

/// The kills of the OOM killer since the last reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OomKill {
    /// How many processes it ended.
    pub processes: u64,
    /// Whether the container's own limit was reached. `None`: not known.
    pub own_limit: Option<bool>,
}

/// Compares each look with the one before, and attributes kills to the children that ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct OomWatch {
    last: Option<OomCounts>,
    /// Kills whose victims have not been reaped. Those of grandchildren never are.
    unexplained: u64,
    /// When the last kill was seen.
    seen: Time,
}

impl OomWatch {
    /// Takes the counters of now. The first look only remembers them: a cgroup may be older than bookend.
    pub fn look(&mut self, at: Time, now: OomCounts) -> Option<OomKill> {
        let before = self.last.replace(now)?;
        // The counters of another cgroup, after a checkpoint, begin again.
        let processes = now.kills.checked_sub(before.kills).filter(|kills| *kills > 0)?;
        (self.unexplained, self.seen) = (self.unexplained + processes, at);
        let own_limit = now.own_limit.map(|reached| Some(reached) > before.own_limit);
        Some(OomKill { processes, own_limit })
    }

    /// A child was ended by a SIGKILL. Whether a kill explains it that was seen now or a moment ago: the counter grows first,
    /// and a process with much memory takes its time to end.
    pub fn explains(&mut self, at: Time) -> bool {
        let explains = self.unexplained > 0 && at.saturating_sub(self.seen) <= DYING;
        self.unexplained = if explains { self.unexplained - 1 } else { 0 };
        explains
    }
}

/// How long a killed process may take to end.
const DYING: Duration = Duration::from_secs(3);

/// The memory cgroup of a process, from its /proc/PID/cgroup: the folder below /sys/fs/cgroup, and whether it is of v2.
/// A v1 hierarchy with the memory controller takes precedence, because v2 then has no memory controller.
pub fn memory_cgroup(text: &str) -> Option<(bool, &str)> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = lines().find(|(controllers, _)| controllers.split(',').any(|one| one == "memory"));
    let found = v1.map(|(_, path)| (false, path));
    found.or_else(|| lines().find(|(controllers, _)| controllers.is_empty()).map(|(_, path)| (true, path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(kills: u64, own_limit: Option<u64>) -> OomCounts {
        OomCounts { kills, own_limit }
    }

    #[test]
    fn the_counters_of_both_cgroup_versions_are_read() {
        let v2 = "low 0\nhigh 0\nmax 12\noom 2\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(OomCounts::read(v2, "max 12\noom 1\noom_kill 0\n"), Some(counts(3, Some(1))));
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n";
        assert_eq!(OomCounts::read(v1, ""), Some(counts(4, None)));
        assert_eq!(OomCounts::read("oom_kill_disable 0\nunder_oom 0\n", ""), None, "before Linux 4.13");
        assert_eq!(OomCounts::read("oom_kill x\noom_kill -1\n", ""), None);
    }

    #[test]
    fn only_a_grown_counter_is_a_kill() {
        let mut watch = OomWatch::default();
        assert_eq!(watch.look(Time::ZERO, counts(7, Some(1))), None, "they were before us");
        assert_eq!(watch.look(Time::ZERO, counts(7, Some(5))), None, "the limit alone");
        assert_eq!(watch.look(Time::ZERO, counts(9, Some(6))), Some(OomKill { processes: 2, own_limit: Some(true) }));
        assert_eq!(watch.look(Time::ZERO, counts(10, Some(6))), Some(OomKill { processes: 1, own_limit: Some(false) }));
        assert_eq!(watch.look(Time::ZERO, counts(0, None)), None);
        assert_eq!(watch.look(Time::ZERO, counts(1, None)), Some(OomKill { processes: 1, own_limit: None }));
    }

    #[test]
    fn a_kill_explains_one_end_that_follows_soon() {
        let at = Duration::from_millis;
        let mut watch = OomWatch::default();
        watch.look(at(0), counts(0, None));
        assert!(!watch.explains(at(1)), "another process sent this SIGKILL");
        watch.look(at(10), counts(2, None));
        assert!(watch.explains(at(900)) && watch.explains(at(900)));
        assert!(!watch.explains(at(901)), "both are explained");
        watch.look(at(2000), counts(3, None));
        assert!(!watch.explains(at(9000)), "the OOM killer ended a grandchild");
    }

    #[test]
    fn the_memory_cgroup_is_that_of_the_controller() {
        assert_eq!(memory_cgroup("0::/\n"), Some((true, "/")));
        assert_eq!(memory_cgroup("0::/kubepods/a:b/c\n"), Some((true, "/kubepods/a:b/c")));
        let hybrid = "12:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/system.slice\n";
        assert_eq!(memory_cgroup(hybrid), Some((false, "/docker/x")));
        assert_eq!(memory_cgroup("3:cpu:/\n"), None);
        assert_eq!(memory_cgroup(""), None);
    }
}
