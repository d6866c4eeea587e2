//! The container's memory cgroup, v1 or v2. Only this module reads its files. They are in the kernel's memory, so a read
//! does not block.

use std::fs::read_to_string;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use super::sys::watch_readable;
use bookend_lifecycle::oom::{OomCounts, memory_cgroup};

/// Our own memory cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
    is_v2: bool,
}

impl Cgroup {
    /// `None`: no memory cgroup is visible here, or its kernel does not count kills.
    pub(crate) fn own() -> Option<Cgroup> {
        let text = read_to_string("/proc/self/cgroup").ok()?;
        let (is_v2, path) = memory_cgroup(&text)?;
        let mount = if is_v2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
        // Without a cgroup namespace the path is that of the node, and the mount shows the container's part alone.
        [format!("{mount}{path}"), mount.to_owned()]
            .into_iter()
            .map(|folder| Cgroup { folder: folder.into(), is_v2 })
            .find(|cgroup| cgroup.oom_counts().is_some())
    }

    pub(crate) fn oom_counts(&self) -> Option<OomCounts> {
        let events = if self.is_v2 { "memory.events" } else { "memory.oom_control" };
        OomCounts::read(&self.read(events)?, &self.read("memory.events.local").unwrap_or_default())
    }

    /// Whether an OOM kill ends all processes of the cgroup, bookend too: `memory.oom.group`.
    pub(crate) fn dies_as_a_group(&self) -> bool {
        self.read("memory.oom.group").is_some_and(|text| text.trim() == "1")
    }

    /// Reports when the counters have changed. cgroup v1 does not support that.
    pub(crate) fn watch(&self) -> io::Result<Option<CgroupEvents>> {
        if !self.is_v2 {
            return Ok(None);
        }
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(&self.folder.join("memory.events"), AddWatchFlags::IN_MODIFY)?;
        Ok(Some(CgroupEvents(watch_readable(inotify.into())?)))
    }

    /// The limits of memory and CPU as text; empty: none are visible here.
    #[cfg(feature = "reload")]
    pub(crate) fn limits() -> String {
        let Some(own) = Cgroup::own() else { return String::new() };
        let files = ["memory.max", "memory.high", "cpu.max", "memory.limit_in_bytes"];
        let mut limits: String = files.iter().filter_map(|file| own.read(file)).collect();
        if !own.is_v2 {
            // The CPU controller of cgroup v1 has a hierarchy of its own.
            let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
            let of_cpu = |line: &str| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|controller| controller == "cpu").then(|| path.to_owned())
            };
            let path = groups.lines().find_map(of_cpu).unwrap_or_default();
            for file in ["cpu.cfs_quota_us", "cpu.cfs_period_us"] {
                let folders = [format!("/sys/fs/cgroup/cpu{path}/{file}"), format!("/sys/fs/cgroup/cpu/{file}")];
                limits.extend(folders.iter().find_map(|path| read_to_string(path).ok()));
            }
        }
        limits
    }

    fn read(&self, file: &str) -> Option<String> {
        read_to_string(self.folder.join(file)).ok()
    }
}

/// Changes of `memory.events`.
#[derive(Debug)]
pub(crate) struct CgroupEvents(AsyncFd<OwnedFd>);

impl CgroupEvents {
    /// Completes when the counters have changed since the last call. `false`: they cannot be watched any more.
    pub(crate) async fn changed(&self) -> bool {
        let Ok(mut ready) = self.0.readable().await else { return false };
        // The kernel joins equal events that follow one another, so one read takes all; the rest wakes us again.
        let taken = nix::unistd::read(self.0.get_ref(), &mut [0; 1024]);
        if taken == Err(Errno::EAGAIN) {
            ready.clear_ready();
        }
        matches!(taken, Ok(_) | Err(Errno::EAGAIN))
    }
}

/// The log line for a container that an OOM kill would end as a whole.
pub(crate) const OOM_GROUP: &str =
    "memory.oom.group is 1: the kernel will kill bookend together with the app; postStop does not run then";
/// The setting that prevents this.
pub(crate) const OOM_GROUP_FIX: &str =
    "set singleProcessOOMKill: true in the kubelet's configuration (Kubernetes 1.32)";
