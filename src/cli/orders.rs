//! `bookend stop` and `bookend signal NAME`: orders to the running bookend.

use std::time::{Duration, Instant};

use super::events;
use super::outcome::{Done, Failure, print};
use super::peer::{Answer, Peer};
use bookend_lifecycle::signal::Signal;

#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    /// Tell what happens until the container has ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    peer: Peer,
}

impl Stop {
    pub(super) fn run(&self) -> Done {
        // Listened to first: nothing of the stop is missed.
        let story = self.wait.then(|| self.peer.open("GET /events", None)).transpose()?;
        done(self.peer.ask("POST /stop", soon())?)?;
        match story {
            Some(story) if story.code != 200 => {
                Err(Failure::no("bookend: the stop has begun; it cannot be followed\n"))
            }
            Some(story) => events::tell(story, events::Shown::Stop),
            None => Ok(()),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct SendSignal {
    /// SIGHUP, HUP or 1; the application gets it as if bookend had received it
    #[arg(value_name = "NAME", value_parser = str::parse::<Signal>)]
    signal: Signal,
    #[command(flatten)]
    peer: Peer,
}

impl SendSignal {
    pub(super) fn run(&self) -> Done {
        done(self.peer.ask(&format!("POST /signal/{}", self.signal), soon())?)
    }
}

fn done(answer: Answer) -> Done {
    match answer.code {
        200..300 => {
            print(&answer.body);
            Ok(())
        }
        code => Err(Failure::no(format!("bookend: refused ({code}): {}\n", answer.body.trim_end()))),
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(10))
}
