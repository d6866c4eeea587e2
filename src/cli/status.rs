//! `bookend status`: the state of the running bookend, as a table for people or as JSON.

mod table;
mod terminal;
mod view;

use std::time::{Duration, Instant};

use super::client::Client;
use super::outcome::{Outcome, print};
use crate::report::identity::PodIdentity;
use terminal::Terminal;
pub(super) use view::{HandlerRun, StatusView};

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Print the JSON object of `GET /status`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: Client,
}

impl StatusArgs {
    pub(super) fn run(&self) -> Outcome {
        let response = self.client.request("GET /status", Some(Instant::now() + Duration::from_secs(10)))?;
        if response.code != 200 {
            return Err(response.refusal());
        }
        if self.json {
            print(&response.body);
            return Ok(());
        }
        let identity = PodIdentity::of_environment();
        print(&table::draw(&StatusView::read(&response.body)?, &identity, Terminal::of_stdout()));
        Ok(())
    }
}
