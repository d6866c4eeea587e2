//! `bookend stop`: begins a stop of the running bookend.

use std::time::{Duration, Instant};

use super::client::Client;
use super::events::{self, EventFormat};
use super::outcome::{Failure, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct StopArgs {
    /// Print the events of the stop until the container has ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    client: Client,
}

impl StopArgs {
    pub(super) fn run(&self) -> Outcome {
        // Subscribe first, so that no event of the stop is missed.
        let events = self.wait.then(|| self.client.stream("GET /events", None)).transpose()?;
        self.client.request("POST /stop", Some(Instant::now() + TIMEOUT))?.print_if_accepted()?;
        match events {
            Some(events) if events.code != 200 => {
                Err(Failure::new("bookend: the stop has begun, but its events cannot be followed\n"))
            }
            Some(events) => events::print_stream(events, EventFormat::Text),
            None => Ok(()),
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
