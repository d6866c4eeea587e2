//! `bookend sleep N`, for images without sleep(1).

use std::time::Duration;

use super::seconds::seconds;
use crate::process::inherited::Inherited;
use crate::process::{is_first_process, pause as init};
use bookend_lifecycle::signal::Signal;

#[derive(Debug, clap::Args)]
pub(super) struct SleepArgs {
    /// Number of seconds, fractions are accepted; or `infinity`
    #[arg(value_parser = seconds_or_infinity)]
    seconds: Duration,
}

impl SleepArgs {
    /// As PID 1 it reaps, and a signal that would end any other process ends it as well.
    pub(super) fn run(&self, inherited: Inherited) -> u8 {
        if is_first_process() {
            return init::run(inherited, Some(self.seconds)).map_or(0, Signal::exit_code);
        }
        inherited.restore_mask();
        pause(self.seconds);
        0
    }
}

fn seconds_or_infinity(text: &str) -> Result<Duration, String> {
    match text {
        "infinity" | "inf" => Ok(Duration::MAX),
        _ => seconds(text),
    }
}

#[expect(clippy::disallowed_methods, reason = "the small tools are programs of their own, never PID 1's loop")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
