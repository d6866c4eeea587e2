//! The result of a raw system call, as a `Result`.

use std::io;

/// A negative result is an error, and errno says which.
pub(super) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
