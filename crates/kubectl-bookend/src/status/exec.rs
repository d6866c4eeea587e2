//! The answer of one command in a container. Depends on `child`.

use std::process::Command;
use std::time::Duration;

use crate::child::{RunError, run};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("{0}")]
    Failed(String),
    /// The program does not exist in the container.
    #[error("the program does not exist in the container")]
    NotFound,
    #[error(transparent)]
    NotRun(#[from] RunError),
    #[error("it is longer than {} kB", MOST_OUTPUT / 1000)]
    TooLong,
}

/// The standard output of the command.
pub(super) fn exec(command: &mut Command, timeout: Duration) -> Result<String, ExecError> {
    let ended = run(command, Some(timeout), MOST_OUTPUT)?;
    if !ended.status.success() {
        let lines: Vec<_> = ended.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        let reason: String = if lines.is_empty() { ended.status.to_string() } else { lines.join("; ") };
        let is_of_runtime = is_missing(&ended.stderr);
        return Err(if is_of_runtime {
            ExecError::NotFound
        } else {
            ExecError::Failed(reason.chars().take(MOST_CHARS).collect())
        });
    }
    if ended.is_cut {
        return Err(ExecError::TooLong);
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Whether the runtime reports that the program does not exist: runc names exec and the file, crun an executable file. bookend's own
/// message may name a missing socket.
fn is_missing(errors: &str) -> bool {
    let is_of_bookend = errors.lines().any(|line| line.starts_with("bookend: "));
    let errors = errors.to_lowercase();
    let missing = ["no such file or directory", "not found"].iter().any(|text| errors.contains(text));
    !is_of_bookend && missing && errors.contains("exec")
}

/// `/status` has at most some hundred kB.
const MOST_OUTPUT: usize = 1_000_000;
/// Of the reason for a failure.
const MOST_CHARS: usize = 2_000;

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
        assert!(matches!(
            shell("exec sleep 20", Duration::from_millis(100)),
            Err(ExecError::NotRun(RunError::TimedOut(_)))
        ));
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
