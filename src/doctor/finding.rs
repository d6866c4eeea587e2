//! One result of a check.

use std::fmt;

/// A problem, or something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// The state that was found.
    pub(crate) what: String,
    /// Its effect at a stop.
    pub(crate) why: String,
    /// The remedy.
    pub(crate) fix: String,
    /// The line to change.
    pub(crate) at: Option<FileLine>,
}

/// Whether it changes the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Requests, or the stop's own work, are lost.
    Finding,
    /// Worth knowing.
    Note,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileLine {
    pub(crate) file: String,
    /// Counted from 1; 0: the file as a whole.
    pub(crate) line: usize,
}

impl Finding {
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { severity: Severity::Finding, what: what.into(), why: why.into(), fix: fix.into(), at: None }
    }

    pub(crate) fn note(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { severity: Severity::Note, ..Finding::new(what, why, fix) }
    }

    pub(crate) fn at(self, at: Option<FileLine>) -> Finding {
        Finding { at, ..self }
    }
}

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}
