//! What a child's stdin, stdout and stderr become: never one of the numbers 0, 1 and 2 of ours, which another of the
//! three may be put on before it is copied itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;

use super::sys::duplicate_above;

/// The end to read from, and the child's.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((read, duplicate_above(write.as_fd())?))
}

/// /dev/null, or where there is none, a pipe that nobody writes to: both read as an end of file.
pub(crate) fn empty_input() -> io::Result<OwnedFd> {
    match File::open("/dev/null") {
        Ok(null) => duplicate_above(null.as_fd()),
        Err(_) => duplicate_above(pipe()?.0.as_fd()),
    }
}
