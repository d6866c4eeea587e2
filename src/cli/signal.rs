//! `bookend signal NAME`: sends a signal to the app of the running bookend.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};

use super::client::Client;
use super::outcome::Outcome;
use bookend_lifecycle::signal::Signal;

#[derive(Debug, clap::Args)]
pub(super) struct SignalArgs {
    /// SIGHUP, HUP or 1; the application gets it as if bookend had received it
    #[arg(value_name = "NAME", value_parser = SignalParser, hide_possible_values = true)]
    signal: Signal,
    #[command(flatten)]
    client: Client,
}

impl SignalArgs {
    pub(super) fn run(&self) -> Outcome {
        let request = format!("POST /signal/{}", self.signal);
        self.client.request(&request, Some(Instant::now() + TIMEOUT))?.print_if_accepted()
    }
}

/// Reads every name and number; the completion scripts offer the common names.
#[derive(Debug, Clone)]
struct SignalParser;

impl TypedValueParser for SignalParser {
    type Value = Signal;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Signal, clap::Error> {
        str::parse::<Signal>.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(OFFERED.iter().map(PossibleValue::new)))
    }
}

/// The signals of signal(7) that a server gives a meaning to.
const OFFERED: [&str; 11] = [
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM", "SIGCONT", "SIGTSTP", "SIGWINCH",
    "SIGIO",
];

const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_name_is_a_signal() {
        for name in OFFERED {
            assert_eq!(name.parse::<Signal>().unwrap().to_string(), name);
        }
    }
}
