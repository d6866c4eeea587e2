//! The report of a handler run.

use super::program::Variables;
use crate::report::journal::{LONGEST_DETAIL, shortened};
use bookend_lifecycle::HandlerResult;

/// How a run went: the result for the machine, the rest for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandlerReport {
    pub(crate) result: HandlerResult,
    /// `exit code 3`, `timed out after 2.000 s`, ...
    pub(crate) detail: String,
    /// The last lines of the output.
    pub(crate) output: Vec<String>,
    /// The variables that a preStart handler has set for the app.
    pub(crate) set: Variables,
}

impl HandlerReport {
    pub(super) fn new(result: HandlerResult, detail: impl Into<String>) -> HandlerReport {
        // A line of the log that is too long would be dropped, and followers of events keep a copy each.
        let detail = shortened(detail.into(), LONGEST_DETAIL);
        HandlerReport { result, detail, output: Vec::new(), set: Vec::new() }
    }

    /// The report of a run that was not begun.
    pub(crate) fn failed(why: String) -> HandlerReport {
        HandlerReport::new(HandlerResult::Failed, why)
    }
}
