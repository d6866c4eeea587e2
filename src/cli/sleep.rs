//! `bookend sleep N`, for images without sleep(1).

use std::time::Duration;

use super::outcome::Outcome;
use super::seconds::seconds;

#[derive(Debug, clap::Args)]
pub(super) struct SleepArgs {
    /// Number of seconds; fractions are accepted
    #[arg(value_parser = seconds)]
    seconds: Duration,
}

impl SleepArgs {
    pub(super) fn run(&self) -> Outcome {
        pause(self.seconds);
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the small tools are programs of their own, never PID 1's loop")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
