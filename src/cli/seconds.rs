//! A number of seconds on the command line.

use std::time::Duration;

use bookend_lifecycle::seconds::Seconds;

/// Reads it; a value parser for clap.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(|Seconds(time)| time).map_err(|()| format!("{text:?} is not a number of seconds (0 or more)"))
}
