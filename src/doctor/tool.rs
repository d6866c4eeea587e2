//! Runs a program such as `nginx -T` and takes what it prints, bounded in time and in bytes. A tool of its own,
//! never PID 1's loop: no reaper is there that this could take a status from.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::process::Pid;

/// What a program printed.
pub(super) struct Printed {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) success: bool,
}

/// Longer than a configuration test takes on a throttled machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Far more than anybody's configuration; what prints more is cut off.
const MOST: u64 = 4 * 1024 * 1024;

/// Runs it to its end, or to ours.
pub(super) fn run<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Result<Printed, String> {
    run_within(PATIENCE, program, args)
}

fn run_within<A: AsRef<OsStr>>(patience: Duration, program: &str, args: &[A]) -> Result<Printed, String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: what it leaves behind is ended with it.
    command.process_group(0);
    #[expect(clippy::disallowed_methods, reason = "`bookend doctor` is a tool of its own, never PID 1's loop")]
    let mut child = command.spawn().map_err(|error| format!("cannot run {program}: {error}"))?;
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let end = Instant::now() + patience;
    let left = || end.saturating_duration_since(Instant::now());
    let text = |pipe: &mpsc::Receiver<Vec<u8>>| {
        pipe.recv_timeout(left()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).ok()
    };
    // A pipe that stays open is held by something it has left behind.
    if let (Some(out), Some(err)) = (text(&out), text(&err))
        && let Some(success) = wait(&mut child, end)
    {
        return Ok(Printed { out, err, success });
    }
    end_group(&mut child);
    Err(format!("{program} did not end within {} s", patience.as_secs_f64()))
}

/// Reads a pipe on a thread of its own; closing it early ends a program that prints without end.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before an error is worth looking at, too.
            let _ = pipe.take(MOST).read_to_end(&mut bytes);
        }
        // Nobody waits any more: it took too long.
        let _ = sender.send(bytes);
    });
    receiver
}

/// Whether it succeeded; `None`: it has not ended.
#[expect(clippy::disallowed_methods, reason = "`bookend doctor` is a tool of its own, never PID 1's loop")]
fn wait(child: &mut Child, end: Instant) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}

/// Kills a program that has not been waited for, and what it has started.
#[expect(clippy::disallowed_methods, reason = "`bookend doctor` is a tool of its own, never PID 1's loop")]
fn end_group(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // Not waited for: the number is still its own.
        let _ = nix::sys::signal::killpg(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_and_whether_it_succeeded_is_known() {
        let printed = run("sh", &["-c", "echo out; echo err >&2; exit 3"]).map(|p| (p.out, p.err, p.success));
        assert_eq!(printed, Ok(("out\n".to_owned(), "err\n".to_owned(), false)));
        assert!(run("/no/such/program", &["x"]).is_err_and(|error| error.contains("/no/such/program")));
    }

    #[test]
    fn a_program_that_does_not_end_is_an_error() {
        let printed = run_within(Duration::from_millis(100), "sleep", &["1000"]).map(|_| ());
        assert_eq!(printed, Err("sleep did not end within 0.1 s".to_owned()));
    }

    #[test]
    fn what_holds_the_pipe_open_is_ended() {
        let file = std::env::temp_dir().join(format!("bookend-doctor-{}", std::process::id()));
        let text = format!("sleep 1000 & echo $! >{}", file.display());
        // Long enough for a shell on a busy machine to have written it.
        assert!(run_within(Duration::from_secs(1), "sh", &["-c", &text]).is_err());
        let pid = std::fs::read_to_string(&file).expect("it was written");
        let _ = std::fs::remove_file(&file);
        let stat = format!("/proc/{}/stat", pid.trim());
        let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let end = Instant::now() + PATIENCE;
        while !ended() {
            assert!(Instant::now() < end, "it still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_prints_without_end_is_cut_off() {
        let printed = run("yes", &["line"]).expect("it ended");
        assert_eq!(printed.out.len() as u64, MOST);
        assert!(!printed.success);
    }
}
