//! Why a program could not be started, in words that help where an errno does not: ENOENT is also a missing loader, a
//! command that is one word, or a `--` too many.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// Why there is no child, or why it did not execute its program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The kernel gave us no process: EAGAIN (pids limit), ENOMEM.
    #[error("cannot create a process for {program:?}{}", which_limit(source.raw_os_error()))]
    Clone {
        /// The program that was to run.
        program: OsString,
        /// EAGAIN or ENOMEM.
        #[source]
        source: io::Error,
    },
    /// The program could not be executed.
    #[error("cannot execute {program:?}{}", hint(program, source.raw_os_error()))]
    Exec {
        /// The program as the configuration or the command line names it.
        program: OsString,
        /// ENOENT, EACCES, ENOEXEC, ...
        #[source]
        source: io::Error,
    },
    /// The child could not apply a key of the configuration to itself.
    #[error("{key}: {what}")]
    SetUp {
        /// `app.user`, ...
        key: String,
        /// The step that failed.
        what: String,
        /// EPERM, ENOENT, ...
        #[source]
        source: io::Error,
    },
    /// An argument or a variable has a NUL byte in it, which no program can be given.
    #[error("cannot pass {0:?} to a program: it contains a NUL byte")]
    Nul(OsString),
}

/// A text as the kernel takes it.
pub(crate) fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError::Nul(text.to_owned()))
}

/// EAGAIN's own text, "Resource temporarily unavailable", does not name the resource.
fn which_limit(errno: Option<i32>) -> &'static str {
    match errno {
        Some(libc::EAGAIN) => " (the container's pids limit, or ulimit -u, is reached)",
        _ => "",
    }
}

/// A hint, in brackets after the program's name; empty if the errno says enough.
fn hint(program: &OsStr, errno: Option<i32>) -> &'static str {
    match errno.map(Errno::from_raw) {
        Some(Errno::ENOENT) => what_is_missing(program.as_bytes(), Path::new(program).exists()),
        Some(Errno::ENOEXEC) => " (it is neither a program for this machine nor a script)",
        _ => "",
    }
}

fn what_is_missing(program: &[u8], exists: bool) -> &'static str {
    let has_slash = program.contains(&b'/');
    match program {
        [b'-', ..] => " (the word after the `--` of the ENTRYPOINT is taken as the program)",
        _ if has_slash && exists => " (the file exists, but the interpreter or loader that it names does not)",
        _ if program.contains(&b' ') => " (program and arguments are one word; separate them)",
        _ if has_slash => "",
        _ => " (it is in no directory of PATH)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enoent_is_explained_by_how_the_program_is_named() {
        for (program, exists, expected) in [
            ("--", false, "ENTRYPOINT"),
            ("--version", false, "ENTRYPOINT"),
            ("/app/server", true, "loader"),
            ("/app/server --port 80", false, "one word"),
            ("nginx -g", false, "one word"),
            ("no-such-program", false, "PATH"),
        ] {
            assert!(what_is_missing(program.as_bytes(), exists).contains(expected), "{program}");
        }
        assert_eq!(what_is_missing(b"/app/server", false), "");
    }
}
