//! `bookend sleep N`, for images that have no sleep(1).

use std::time::Duration;

use super::outcome::Done;
use bookend_lifecycle::seconds::Seconds;

#[derive(Debug, clap::Args)]
pub(super) struct Sleep {
    /// Seconds; fractions are fine
    #[arg(value_parser = seconds)]
    seconds: Duration,
}

impl Sleep {
    pub(super) fn run(&self) -> Done {
        pause(self.seconds);
        Ok(())
    }
}

/// A number of seconds on the command line.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(|Seconds(time)| time).map_err(|()| format!("{text:?} is not a number of seconds (0 or more)"))
}

#[expect(clippy::disallowed_methods, reason = "the small tools are programs of their own, never PID 1's loop")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
