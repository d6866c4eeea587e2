//! inotify(7): reports changes of files and directories. One instance for all, as a user may have few of them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use super::sys::watch_readable;

pub(crate) use nix::sys::inotify::{InotifyEvent, WatchDescriptor};

/// Adds and removes watches. Clones share one instance.
#[derive(Debug, Clone)]
pub(crate) struct FileWatch(Arc<Inotify>);

/// The events of all watches.
#[derive(Debug)]
pub(crate) struct FileEvents {
    readable: AsyncFd<OwnedFd>,
    inotify: Arc<Inotify>,
}

impl FileWatch {
    /// Called inside the runtime.
    pub(crate) fn begin() -> std::io::Result<(FileWatch, FileEvents)> {
        let inotify = Arc::new(Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?);
        let readable = watch_readable(inotify.as_fd().try_clone_to_owned()?)?;
        Ok((FileWatch(Arc::clone(&inotify)), FileEvents { readable, inotify }))
    }

    /// Watches a file or a directory; a link is followed. It may block where the file system hangs.
    pub(crate) fn add(&self, path: &Path) -> Result<WatchDescriptor, Errno> {
        self.0.add_watch(path, CHANGES)
    }

    /// Ends a watch. The kernel may have ended it already.
    pub(crate) fn remove(&self, watch: WatchDescriptor) {
        let _ = self.0.rm_watch(watch);
    }
}

impl FileEvents {
    /// The next events; `None`: there are no more.
    pub(crate) async fn next(&self) -> Option<Vec<InotifyEvent>> {
        loop {
            let mut ready = self.readable.readable().await.ok()?;
            match self.inotify.read_events() {
                Ok(events) => return Some(events),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(_) => return None,
            }
        }
    }
}

/// Whether events were lost: the queue was full.
pub(crate) fn is_overflow(event: &InotifyEvent) -> bool {
    event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
}

/// Whether an event only reports that its watch has ended.
pub(crate) fn is_end(event: &InotifyEvent) -> bool {
    event.mask.contains(AddWatchFlags::IN_IGNORED)
}

const CHANGES: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);
