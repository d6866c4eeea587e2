//! `bookend status`: what the running bookend says of itself, as a table for people or as its own JSON.

mod table;
mod terminal;
mod view;

use std::time::{Duration, Instant};

use super::outcome::{Done, Failure, print};
use super::peer::Peer;
use terminal::Terminal;
pub(super) use view::{HandlerRun, View};

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    peer: Peer,
}

impl Status {
    pub(super) fn run(&self) -> Done {
        let answer = self.peer.ask("GET /status", Some(Instant::now() + Duration::from_secs(10)))?;
        if answer.code != 200 {
            return Err(Failure::no(format!("bookend: refused ({}): {}\n", answer.code, answer.body.trim_end())));
        }
        if self.json {
            print(&answer.body);
            return Ok(());
        }
        print(&table::draw(&View::read(&answer.body)?, Terminal::of_stdout()));
        Ok(())
    }
}
