//! Runs a program such as `nginx -T` and returns its output, bounded in time and in bytes. Only `bookend doctor` uses it,
//! which is never PID 1: there is no reaper whose statuses it could take.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};

use crate::error::describe;
use crate::process::Pid;
use crate::process::inherited::Inherited;
use crate::process::placement::ProcessPlacement;
use crate::process::reaper::{Ended, end_of};
use crate::process::spawn::{ActivationSockets, ChildEnv, ExecProgress, Spawn};
use crate::process::stdio::{empty_input, pipe};
use bookend_lifecycle::seconds::Seconds;

/// The output of a program.
pub(super) struct Printed {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) success: bool,
}

/// Longer than a configuration test takes on a throttled machine.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Far more than any configuration; the rest is cut off.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Runs the program to its end, within the timeout.
pub(super) fn run(inherited: &Inherited, program: &str, args: &[String]) -> Result<Printed, String> {
    run_within(TIMEOUT, inherited, program, args)
}

fn run_within(timeout: Duration, inherited: &Inherited, program: &str, args: &[String]) -> Result<Printed, String> {
    let command: Vec<OsString> =
        std::iter::once(program).chain(args.iter().map(String::as_str)).map(OsString::from).collect();
    let end = Instant::now() + timeout;
    let (pid, pipes) = start(inherited, &command)?;
    // A process that it left behind may hold a pipe open.
    if let Some([out, err]) = read(pipes.map(Some), end)
        && let Some(ended) = wait(pid, end)
    {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        return Ok(Printed { out: text(out), err: text(err), success: ended == Ended::Exited(0) });
    }
    // We have not waited for the program yet, so its pid cannot be reused.
    let _ = killpg(pid, Signal::SIGKILL);
    wait(pid, Instant::now() + TIMEOUT);
    Err(format!("{program} did not end within {} s", Seconds(timeout)))
}

/// Starts it in a group of its own, so that processes it leaves behind are ended with it. Returns our ends of its stdout
/// and stderr.
fn start(inherited: &Inherited, command: &[OsString]) -> Result<(Pid, [OwnedFd; 2]), String> {
    let pipe = || pipe().map_err(|error| format!("cannot make a pipe: {error}"));
    let input = empty_input().map_err(|error| format!("cannot open /dev/null: {error}"))?;
    let ((out, its_out), (err, its_err)) = (pipe()?, pipe()?);
    let spawn = Spawn {
        command,
        env: ChildEnv::Inherited,
        fds: &[(input.as_fd(), 0), (its_out.as_fd(), 1), (its_err.as_fd(), 2)],
        placement: ProcessPlacement::BackgroundGroup,
        parent_death: None,
        sockets: ActivationSockets::NotForChild,
        setup: Arc::default(),
    };
    let child = spawn.start(inherited).map_err(|error| describe(&error))?;
    if let ExecProgress::Failed(error) = child.exec.wait(TIMEOUT) {
        wait(child.pid, Instant::now() + TIMEOUT);
        return Err(describe(&error));
    }
    Ok((child.pid, [out, err]))
}

/// Reads both streams to their ends. `None`: the time is over.
fn read(mut pipes: [Option<OwnedFd>; 2], end: Instant) -> Option<[Vec<u8>; 2]> {
    for pipe in pipes.iter().flatten() {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok()?;
    }
    let mut texts = [Vec::new(), Vec::new()];
    while pipes.iter().any(Option::is_some) {
        let left = end.checked_duration_since(Instant::now())?;
        let mut fds: Vec<_> = pipes.iter().flatten().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
        // If interrupted, there is nothing to read yet.
        let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        for (pipe, text) in pipes.iter_mut().zip(&mut texts) {
            pipe.take_if(|pipe| !read_on(pipe, text));
        }
    }
    Some(texts)
}

/// Reads what is available. `false`: the end or the limit is reached. Closing the pipe then ends a program that prints
/// without end.
fn read_on(pipe: &OwnedFd, text: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16 * 1024];
    match nix::unistd::read(pipe, &mut buffer) {
        Ok(length) => {
            text.extend_from_slice(buffer.get(..length).unwrap_or_default());
            text.truncate(MAX_BYTES);
            length > 0 && text.len() < MAX_BYTES
        }
        // The output before an error is still useful.
        Err(error) => matches!(error, Errno::EAGAIN | Errno::EINTR),
    }
}

/// `None`: the program has not ended in time.
#[expect(clippy::disallowed_methods, reason = "`bookend doctor` is a tool of its own, never PID 1's loop")]
fn wait(pid: Pid, end: Instant) -> Option<Ended> {
    loop {
        match end_of(pid) {
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_for(timeout: Duration, program: &str, args: &[&str]) -> Result<Printed, String> {
        let inherited = Inherited::take();
        inherited.restore_mask();
        run_within(timeout, &inherited, program, &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    fn run(program: &str, args: &[&str]) -> Result<Printed, String> {
        run_for(TIMEOUT, program, args)
    }

    #[test]
    fn output_and_success_are_returned() {
        let printed = run("sh", &["-c", "echo out; echo err >&2; exit 3"]).map(|p| (p.out, p.err, p.success));
        assert_eq!(printed, Ok(("out\n".to_owned(), "err\n".to_owned(), false)));
        assert!(run("/no/such/program", &["x"]).is_err_and(|error| error.contains("/no/such/program")));
    }

    #[test]
    fn a_program_that_does_not_end_is_an_error() {
        let printed = run_for(Duration::from_millis(100), "sleep", &["1000"]).map(|_| ());
        assert_eq!(printed, Err("sleep did not end within 0.1 s".to_owned()));
    }

    #[test]
    fn a_process_that_holds_the_pipe_open_is_ended() {
        let file = std::env::temp_dir().join(format!("bookend-doctor-{}", std::process::id()));
        let text = format!("sleep 1000 & echo $! >{}", file.display());
        // Long enough for a shell on a busy machine to have written it.
        assert!(run_for(Duration::from_secs(1), "sh", &["-c", &text]).is_err());
        let pid = std::fs::read_to_string(&file).expect("it was written");
        let _ = std::fs::remove_file(&file);
        let stat = format!("/proc/{}/stat", pid.trim());
        let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let end = Instant::now() + TIMEOUT;
        while !ended() {
            assert!(Instant::now() < end, "it still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn endless_output_is_cut_off() {
        let printed = run("yes", &["line"]).expect("it ended");
        assert_eq!(printed.out.len(), MAX_BYTES);
        assert!(!printed.success);
    }
}
