//! Descriptors: copies out of the way of a child's standard ones, closing what we inherited, writing without blocking.

#![expect(unsafe_code, reason = "descriptors by number, and pwritev2(2) with RWF_NOWAIT")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A close-on-exec copy of the descriptor with the lowest free number that is at least `lowest`.
pub(in crate::process) fn duplicate_from(lowest: RawFd, fd: impl AsFd) -> io::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
    // SAFETY: the kernel has just created this descriptor, and only this function knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Closes a descriptor that is not close-on-exec: one that we inherited, never one that we opened.
pub(in crate::process) fn close_if_inherited(fd: RawFd) {
    // SAFETY: fcntl(2) with F_GETFD takes integers; for a number that is not open it returns EBADF.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
        // SAFETY: every descriptor that we open is close-on-exec, so no `OwnedFd` of ours has this number. The
        // standard ones, which std borrows without owning, are below 3: the one caller leaves them out.
        unsafe { libc::close(fd) };
    }
}

/// Lets the runtime report when this descriptor can be read.
pub(in crate::process) fn watch_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open file for as long as it lives, and it moves into the `AsyncFd`, which
    // deregisters it before it drops it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

/// pwritev2(2) with RWF_NOWAIT: EAGAIN instead of waiting for a reader, for this one write.
pub(crate) fn write_without_blocking(fd: BorrowedFd<'_>, bytes: io::IoSlice<'_>) -> Result<usize, nix::errno::Errno> {
    // The kernel takes the offset in two halves; -1 in both means the file's own position.
    let (one, low, high): (libc::c_long, libc::c_long, libc::c_long) = (1, -1, -1);
    let (fd, vector) = (fd.as_raw_fd(), (&raw const bytes).cast::<libc::iovec>());
    // A whole register, as the kernel reads it.
    let flags = libc::c_long::from(libc::RWF_NOWAIT);
    // SAFETY: a live descriptor; std guarantees that `IoSlice` has the layout of an iovec, and the kernel reads one.
    let written = unsafe { libc::syscall(libc::SYS_pwritev2, fd, vector, one, low, high, flags) };
    usize::try_from(written).map_err(|_| nix::errno::Errno::last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_descriptor_gets_an_allowed_number() {
        let (ours, _theirs) = nix::unistd::pipe().unwrap();
        for lowest in [3, 10] {
            let copy = duplicate_from(lowest, &ours).unwrap();
            assert!(copy.as_raw_fd() >= lowest && copy.as_raw_fd() != ours.as_raw_fd());
        }
    }
}
