//! Descriptors for a child's stdin, stdout and stderr. None of ours has the number 0, 1 or 2: while one of the three is
//! put on its number, the others must not be overwritten.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::fcntl::OFlag;

use super::sys::duplicate_from;

/// A pipe: our end to read from, and the child's end.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((read, duplicate_from(3, write)?))
}

/// /dev/null. If it is missing, or is not the device (a FIFO would block), the end of a closed pipe: both read as an end
/// of file.
pub(crate) fn empty_input() -> io::Result<OwnedFd> {
    let null = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/null");
    let is_device = |null: &File| null.metadata().is_ok_and(|file| file.file_type().is_char_device());
    match null.ok().filter(is_device) {
        Some(null) => duplicate_from(3, null),
        None => duplicate_from(3, pipe()?.0),
    }
}
