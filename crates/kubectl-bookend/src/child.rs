//! Runs one program to its end, with limits on its time and on its output. kubectl, container engines and `kubectl exec` go through it.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The end of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// At most the wanted number of bytes; the rest was read and dropped.
    pub(crate) stdout: Vec<u8>,
    /// There were more bytes.
    pub(crate) is_cut: bool,
    pub(crate) stderr: String,
}

/// Why a program has no end that is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    NotStarted(io::Error),
    #[error("cannot wait for its end: {0}")]
    NotWaitedFor(io::Error),
    #[error("not within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("it has ended, and another program holds its output open")]
    OutputHeld,
}

/// Runs the command with no input, for any time or until `timeout`; then it is killed.
pub(crate) fn run(command: &mut Command, timeout: Option<Duration>, most: usize) -> Result<Ended, RunError> {
    let began = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(RunError::NotStarted)?;
    let stdout = read(child.stdout.take(), most);
    let stderr = read(child.stderr.take(), MOST_ERRORS);
    let status = loop {
        let Some(timeout) = timeout else { break child.wait().map_err(RunError::NotWaitedFor)? };
        match child.try_wait().map_err(RunError::NotWaitedFor)? {
            Some(status) => break status,
            None if began.elapsed() < timeout => std::thread::sleep(PAUSE),
            None => {
                // It may have ended just now; then there is nothing to end.
                let _ = child.kill();
                let _ = child.wait();
                return Err(RunError::TimedOut(timeout));
            }
        }
    };
    // A program that it started may hold the pipes. Its own output was written before the end.
    let mut stdout = stdout.recv_timeout(LAST_BYTES).map_err(|_| RunError::OutputHeld)?;
    let stderr = stderr.recv_timeout(LAST_BYTES).unwrap_or_default();
    let is_cut = stdout.len() > most;
    stdout.truncate(most);
    Ok(Ended { status, stdout, is_cut, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

/// Reads a pipe to its end in a thread, so that the writer does not wait; of its bytes at most `most` and one are kept.
fn read(pipe: Option<impl Read + Send + 'static>, most: usize) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // Bytes that cannot be read are missing; the exit code tells whether the command succeeded.
            let _ = pipe.by_ref().take(most as u64 + 1).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        // The receiver has gone if the command took too long.
        let _ = sender.send(bytes);
    });
    receiver
}

const MOST_ERRORS: usize = 64_000;
const PAUSE: Duration = Duration::from_millis(10);
/// For the last bytes of a pipe.
const LAST_BYTES: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use super::*;

    #[cfg(unix)]
    #[test]
    fn time_and_output_of_a_program_are_limited() {
        let shell = |script: &str, timeout| run(Command::new("sh").args(["-c", script]), timeout, 100);
        let long = Some(Duration::from_secs(60));
        for timeout in [None, long] {
            let ended = shell("cat; echo up; echo warning >&2; exit 3", timeout).unwrap();
            assert_eq!((ended.stdout.as_slice(), ended.stderr.as_str()), (&b"up\n"[..], "warning\n"));
            assert_eq!((ended.status.code(), ended.is_cut), (Some(3), false));
            let ended = shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2", timeout).unwrap();
            assert_eq!((ended.stdout.len(), ended.is_cut, ended.stderr.len()), (100, true, MOST_ERRORS + 1));
        }
        let late = shell("exec sleep 20", Some(Duration::from_millis(100)));
        assert!(matches!(late, Err(RunError::TimedOut(_))));
        let held = shell("sleep 8 & echo up", None);
        assert!(matches!(held, Err(RunError::OutputHeld)));
        let missing = run(&mut Command::new("a-program-that-is-missing"), None, 1);
        assert!(matches!(missing, Err(RunError::NotStarted(error)) if error.kind() == io::ErrorKind::NotFound));
    }
}
