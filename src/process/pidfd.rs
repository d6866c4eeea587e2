//! A process that is not our child, held by a pidfd: what is signalled, and what is seen to end, is that process and
//! no other, whatever becomes of its number. Where the kernel refuses pidfds nothing is held: kill(2) on a number
//! that nobody keeps for us may hit a stranger.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::unix::AsyncFd;

use super::Pid;
use super::sys;
use bookend_lifecycle::signal::Signal;

/// The process.
#[derive(Debug)]
pub(crate) struct PidFd {
    pid: Pid,
    fd: AsyncFd<OwnedFd>,
}

impl PidFd {
    /// Takes hold of whoever has this number now; that it is the one who is meant, is to be looked at afterwards.
    /// Called inside the runtime. ESRCH: nobody has it.
    pub(crate) fn open(pid: Pid) -> io::Result<PidFd> {
        Ok(PidFd { pid, fd: sys::watch_readable(sys::pidfd_open(pid)?)? })
    }

    /// Its number, for people.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal. `NotFound`: it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        sys::pidfd_send(self.fd.as_fd(), signal).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
            Some(libc::EPERM) => io::Error::new(
                io::ErrorKind::PermissionDenied,
                "not permitted: only its own user (runAsUser), or one with CAP_KILL, may signal it",
            ),
            Some(libc::ENOSYS) => io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel or a seccomp profile refuses pidfd_send_signal(2), which Linux has since 5.1",
            ),
            _ => error,
        })
    }

    /// Waits for its end. A pidfd can be read from then on, by whoever holds it: pidfd_open(2).
    pub(crate) async fn ended(&self) {
        if self.fd.readable().await.is_err() {
            // The runtime ends, and with it whoever waits.
            std::future::pending::<()>().await;
        }
    }
}
