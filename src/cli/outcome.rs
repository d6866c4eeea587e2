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

impl Failure {
    /// It was asked for rightly, and did not succeed: the answer is no, a wait was in vain, nobody was there.
    pub(super) fn no(text: impl Into<String>) -> Failure {
        Failure { code: exit::FAILURE, text: text.into() }
    }
}

/// It was asked for wrongly: usage, configuration.
impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure { code: exit::FAILED, text }
    }
}

/// To stdout. Nobody reads it: nobody is to be told so.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
