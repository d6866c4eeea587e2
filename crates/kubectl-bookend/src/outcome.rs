//! How a subcommand ends: its output, and its exit code.

use std::io::Write;

/// The end of a subcommand.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a subcommand did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// Lines for stderr, without the name of the program.
    pub(crate) text: String,
}

impl Failure {
    /// The request was right, and the answer is no: exit code 1.
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure { code: 1, text: text.into() }
    }

    /// The output has shown everything: exit code 1.
    pub(crate) fn silent() -> Failure {
        Failure { code: 1, text: String::new() }
    }

    /// The request was wrong, or a file or kubectl cannot be used: exit code 2, as for a wrong command line.
    pub(crate) fn usage(text: impl Into<String>) -> Failure {
        Failure { code: 2, text: text.into() }
    }
}

/// Writes to stdout. If the reader has gone, there is no other place to report it.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes a line to stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
