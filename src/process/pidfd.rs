//! A process that is not our child, named by a pidfd: signals reach only that process, and we see its end,
//! even if its number is reused. If the kernel refuses pidfds there is no substitute: kill(2) on a number that we do
//! not hold may reach another process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::unix::AsyncFd;

use super::Pid;
use super::sys;
use bookend_lifecycle::signal::Signal;

/// A process that is not our child.
#[derive(Debug)]
pub(crate) struct PidFd {
    pid: Pid,
    fd: AsyncFd<OwnedFd>,
}

impl PidFd {
    /// Opens a pidfd for `pid`. The caller must verify the process identity afterwards.
    /// Called inside the runtime. ESRCH: no process has this number.
    pub(crate) fn open(pid: Pid) -> io::Result<PidFd> {
        Ok(PidFd { pid, fd: sys::watch_readable(sys::pidfd_open(pid)?)? })
    }

    /// The pid, for messages.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal. `NotFound`: it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        sys::pidfd_send(self.fd.as_fd(), Some(signal)).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
            Some(libc::EPERM) => io::Error::new(
                io::ErrorKind::PermissionDenied,
                "not permitted: only the same user (runAsUser) or a process with CAP_KILL may signal it",
            ),
            Some(libc::ENOSYS) => io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel or a seccomp profile refuses pidfd_send_signal(2), which Linux has since 5.1",
            ),
            _ => error,
        })
    }

    /// Waits for its end: from then on its pidfd is readable (pidfd_open(2)).
    pub(crate) async fn ended(&self) {
        if self.fd.readable().await.is_err() {
            // The runtime is shutting down, and this task with it.
            std::future::pending::<()>().await;
        }
    }
}
