//! How a subcommand ends: its output, and its exit code.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::exit;
use crate::process::is_first_process;
use crate::report::journal::shortened;
use crate::report::log::last_words;
use crate::report::message::MOST_BYTES;
use crate::report::rewritten_file::{RewrittenFile, TERMINATION_LOG};

/// The end of a subcommand.
pub(super) type Outcome = Result<(), Failure>;

/// Why a subcommand did not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    /// Whole lines for stderr.
    pub(super) text: String,
}

impl Failure {
    /// The request was right and did not succeed: exit code 1.
    pub(super) fn new(text: impl Into<String>) -> Failure {
        Failure { code: exit::FAILURE, text: text.into() }
    }

    /// The request was wrong (usage, configuration) or bookend itself failed: exit code 125.
    pub(super) fn usage(text: impl Into<String>) -> Failure {
        Failure { code: exit::BOOKEND_FAILED, text: text.into() }
    }
}

/// Reports why a container does not start: on stderr, and in the termination message, which `kubectl describe pod` shows. A
/// process that was started beside another one writes no message: that is the other one's. `path`: where it is configured.
pub(super) fn report_failed_start(path: Option<PathBuf>, text: String) {
    last_words(&text);
    if is_first_process() {
        let path = path.unwrap_or_else(|| TERMINATION_LOG.into());
        let file = RewrittenFile::new(path, "cannot write the termination message", Vec::new());
        // A kubelet reads the last bytes, and the first mistakes matter most.
        file.write(shortened(text, MOST_BYTES - "...".len()), true);
        file.wait(MOST_WAIT);
    }
}

/// The configuration cannot be read or has mistakes.
pub(super) fn refused(failure: Failure) -> u8 {
    let path = std::env::var_os("BOOKEND_TERMINATION_MESSAGE_PATH").map(Into::into);
    report_failed_start(path, failure.text);
    failure.code
}

/// A file system that hangs must not hold the exit.
const MOST_WAIT: Duration = Duration::from_millis(100);

/// Writes to stdout. If the reader has gone, there is no other place to report it.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
