//! How a subcommand ends: its output, and its exit code.

use std::io::Write;

use crate::exit;

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

/// Writes to stdout. If the reader has gone, there is no other place to report it.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
