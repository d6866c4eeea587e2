//! pidfds: a pidfd names the same process even if its number is reused.

#![expect(unsafe_code, reason = "pidfd_open(2) and pidfd_send_signal(2), which nix does not have")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use bookend_lifecycle::signal::Signal;

/// Opens a close-on-exec pidfd for `pid`: pidfd_open(2). The caller must verify the process identity afterwards.
pub(in crate::process) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just created this descriptor, and only this function knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process of a pidfd, or only asks whether that is allowed: pidfd_send_signal(2).
pub(in crate::process) fn pidfd_send(fd: BorrowedFd<'_>, signal: Option<Signal>) -> io::Result<()> {
    let null = std::ptr::null::<libc::c_void>();
    let number = signal.map_or(0, Signal::number);
    // SAFETY: a live descriptor and integers; null for siginfo is allowed.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), number, null, 0) })?;
    Ok(())
}
