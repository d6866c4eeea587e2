//! `bookend reload [NAME]`: lets the app of the running bookend read its files again, and waits for the result.

use super::client::Client;
use super::outcome::{Failure, Outcome, print};

#[derive(Debug, clap::Args)]
pub(super) struct ReloadArgs {
    /// The name of an entry of [[reload]]; without it all are reloaded
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    client: Client,
}

impl ReloadArgs {
    pub(super) fn run(&self) -> Outcome {
        let name = self.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        // It becomes part of an HTTP path and must not end it.
        if !name.bytes().skip(1).all(|b| b.is_ascii_alphanumeric() || b == b'-') || name == "/" {
            return Err(Failure::usage("bookend: the name of a reload has only letters, digits and `-`\n"));
        }
        // The check and the action have their own time limits.
        let response = self.client.request(&format!("POST /reload{name}"), None)?;
        if response.code != 500 {
            return response.print_if_accepted();
        }
        // The results of all entries.
        print(&response.body);
        Err(Failure::new("bookend: not everything was reloaded\n".to_owned()))
    }
}
