//! How the start of a program went: the child reports a failure through a pipe, which execve(2) closes.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::process::setup::{ChildSetup, ChildStep};
use crate::process::spawn_error::SpawnError;
use crate::process::sys;

/// Tells whether a child has executed its program: our end of a pipe that execve(2) closes.
#[derive(Debug)]
pub(crate) struct ExecStatus {
    /// `None`: no descriptor was left for it. The child's exit code then tells whether its program could be executed.
    pub(super) pipe: Option<OwnedFd>,
    pub(super) program: OsString,
    pub(super) setup: Arc<ChildSetup>,
}

/// The progress of a child towards its program.
#[derive(Debug)]
pub(crate) enum ExecProgress {
    /// It executes its program, or was killed before it could.
    Executed,
    /// It has neither executed its program nor failed yet.
    Pending,
    /// It could not execute its program, and has ended or is about to end.
    Failed(SpawnError),
}

impl ExecStatus {
    /// Looks without waiting.
    pub(crate) fn look(&self) -> ExecProgress {
        let Some(pipe) = &self.pipe else { return ExecProgress::Executed };
        let mut report = [0; REPORT_BYTES];
        match nix::unistd::read(pipe, &mut report) {
            Ok(REPORT_BYTES) => {
                let [step, error] = decode(report);
                ExecProgress::Failed(self.error(step, io::Error::from_raw_os_error(error)))
            }
            Ok(_) => ExecProgress::Executed,
            // EAGAIN, EINTR
            Err(_) => ExecProgress::Pending,
        }
    }

    /// Waits for at most this long.
    pub(crate) fn wait(&self, most: Duration) -> ExecProgress {
        let Some(pipe) = &self.pipe else { return ExecProgress::Executed };
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        // Interrupted or timed out: `look` finds out.
        let _ = poll(&mut fds, PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX));
        self.look()
    }

    fn error(&self, step: i32, source: io::Error) -> SpawnError {
        match step {
            step if step == ChildStep::Exec as i32 => SpawnError::Exec { program: self.program.clone(), source },
            step => self.setup.error(step, source),
        }
    }
}

/// A pipe for the failure of a child before its program runs: our end and the child's.
pub(super) fn report_pipe() -> Option<(OwnedFd, OwnedFd)> {
    let (ours, childs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
    // Not one of the numbers that `fds` are put on.
    Some((ours, sys::duplicate_from(FIRST_FREE, childs).ok()?))
}

/// A failed step and its errno, as they go through the pipe.
pub(super) fn encode(numbers: [i32; 2]) -> [u8; REPORT_BYTES] {
    let mut bytes = [0; REPORT_BYTES];
    let (first, second) = bytes.split_at_mut(REPORT_BYTES / 2);
    first.copy_from_slice(&numbers[0].to_ne_bytes());
    second.copy_from_slice(&numbers[1].to_ne_bytes());
    bytes
}

fn decode(bytes: [u8; REPORT_BYTES]) -> [i32; 2] {
    let [a, b, c, d, e, f, g, h] = bytes;
    [i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h])]
}

/// The step and the errno.
const REPORT_BYTES: usize = 2 * size_of::<i32>();
/// The lowest number that no `fds` of ours uses: 0 to 2, and 3 for a preStart handler.
const FIRST_FREE: RawFd = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_a_failure_survives_the_pipe() {
        for numbers in [[0, libc::ENOENT], [ChildStep::Limit as i32 + 7, libc::EPERM], [-1, i32::MAX]] {
            assert_eq!(decode(encode(numbers)), numbers);
        }
    }
}
