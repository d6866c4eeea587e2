//! Runs one command with limits on its time and on its output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("{0}")]
    Failed(String),
    /// The program does not exist in the container.
    #[error("the program does not exist in the container")]
    NotFound,
    #[error("not within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("it is longer than {} kB", MOST_OUTPUT / 1000)]
    TooLong,
}

/// The standard output of the command.
pub(super) fn exec(command: &mut Command, timeout: Duration) -> Result<String, ExecError> {
    let end = Instant::now() + timeout;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| ExecError::Failed(error.to_string()))?;
    let output = read(child.stdout.take(), MOST_OUTPUT);
    let errors = read(child.stderr.take(), MOST_ERRORS);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => std::thread::sleep(PAUSE),
            Ok(None) | Err(_) => {
                // It may have ended just now; then there is nothing to end.
                let _ = child.kill();
                let _ = child.wait();
                return Err(ExecError::TimedOut(timeout));
            }
        }
    };
    // A program that it started may hold the pipes: they are not waited for.
    let output = output.recv_timeout(LAST_BYTES).unwrap_or_default();
    let errors = errors.recv_timeout(LAST_BYTES).unwrap_or_default();
    let errors = String::from_utf8_lossy(&errors);
    if !status.success() {
        let is_of_runtime = is_missing(&errors);
        let lines: Vec<_> = errors.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        let reason = if lines.is_empty() { status.to_string() } else { lines.join("; ") };
        return Err(if is_of_runtime { ExecError::NotFound } else { ExecError::Failed(reason) });
    }
    if output.len() > MOST_OUTPUT {
        return Err(ExecError::TooLong);
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Whether the runtime reports that the program does not exist: runc names exec and the file, crun an executable file. bookend's own
/// message may name a missing socket.
fn is_missing(errors: &str) -> bool {
    let is_of_bookend = errors.lines().any(|line| line.starts_with("bookend: "));
    let errors = errors.to_lowercase();
    let missing = ["no such file or directory", "not found"].iter().any(|text| errors.contains(text));
    !is_of_bookend && missing && errors.contains("exec")
}

/// Reads a pipe to its end in a thread; of its bytes at most `most` and one are kept.
fn read(pipe: Option<impl Read + Send + 'static>, most: usize) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // Bytes that cannot be read are missing; the exit code tells whether the command succeeded.
            let _ = pipe.by_ref().take(most as u64 + 1).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        // The receiver has gone if the command took too long.
        let _ = sender.send(bytes);
    });
    receiver
}

/// `/status` has at most some hundred kB.
const MOST_OUTPUT: usize = 1_000_000;
const MOST_ERRORS: usize = 8_000;
const PAUSE: Duration = Duration::from_millis(10);
/// For output that was written before the end.
const LAST_BYTES: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use super::*;

    #[cfg(unix)]
    fn shell(script: &str, timeout: Duration) -> Result<String, ExecError> {
        exec(Command::new("sh").args(["-c", script]), timeout)
    }

    #[cfg(unix)]
    #[test]
    fn output_time_and_errors_are_limited() {
        let long = Duration::from_secs(60);
        assert_eq!(shell("echo up; echo warning >&2", long).unwrap(), "up\n");
        assert!(matches!(shell("exec sleep 20", Duration::from_millis(100)), Err(ExecError::TimedOut(_))));
        assert!(matches!(shell("head -c 3000000 /dev/zero", long), Err(ExecError::TooLong)));
        let error = shell("echo one >&2; head -c 100000 /dev/zero >&2; exit 3", long).unwrap_err().to_string();
        assert!(error.starts_with("one; ") && error.len() < 9000, "{}", error.len());
        for missing in [
            r#"OCI runtime exec failed: exec failed: unable to start container process: exec: \"/bookend\": stat /bookend: no such file or directory: unknown"#,
            "executable file /bookend not found: No such file or directory: OCI runtime attempted to invoke a command that was not found",
        ] {
            let script = format!("echo '{missing}' >&2; exit 1");
            assert!(matches!(shell(&script, long), Err(ExecError::NotFound)), "{missing}");
        }
        let not_running =
            "echo 'bookend: no bookend is running at /run/bookend.sock: No such file or directory' >&2; exit 1";
        assert!(matches!(shell(not_running, long), Err(ExecError::Failed(_))));
    }
}
