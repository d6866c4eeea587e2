//! What a child's stdin, stdout and stderr become: never one of the numbers 0, 1 and 2 of ours, which another of the
//! three may be put on before it is copied itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::fcntl::OFlag;

use super::sys::duplicate_above;

/// The end to read from, and the child's.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((read, duplicate_above(write.as_fd())?))
}

/// /dev/null. If it is missing, or is not the device (a FIFO would block), the end of a closed pipe: both read as an end
/// of file.
pub(crate) fn empty_input() -> io::Result<OwnedFd> {
    let null = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/null");
    let is_device = |null: &File| null.metadata().is_ok_and(|file| file.file_type().is_char_device());
    match null.ok().filter(is_device) {
        Some(null) => duplicate_above(null.as_fd()),
        None => duplicate_above(pipe()?.0.as_fd()),
    }
}
