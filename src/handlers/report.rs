//! The report of a handler run.

use super::program::Variables;
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
        HandlerReport { result, detail: detail.into(), output: Vec::new(), set: Vec::new() }
    }

    /// The report of a run that was not begun.
    #[cfg(feature = "reload")]
    pub(crate) fn failed(why: String) -> HandlerReport {
        HandlerReport::new(HandlerResult::Failed, why)
    }
}
