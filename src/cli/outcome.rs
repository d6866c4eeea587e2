//! How a verb ends: what is said, and the number.

use std::io::Write;

use crate::exit;

/// A verb that is over.
pub(super) type Done = Result<(), Failure>;

/// A verb that did not do what it is for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    /// Whole lines for stderr.
    pub(super) text: String,
}

/// bookend itself could not do it: usage, configuration, a file that cannot be read.
impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure { code: exit::FAILED, text }
    }
}

/// To stdout. Nobody reads it: nobody is to be told so.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
