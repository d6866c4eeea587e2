//! `bookend probe startup|readiness|liveness`: an exec probe of a Pod, or a HEALTHCHECK. It runs every few seconds for
//! as long as the container lives, so it is read without clap and answered without an async runtime.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::client::Client;
use super::outcome::{Failure, Outcome, print};

#[derive(Debug, clap::Args)]
pub(super) struct ProbeArgs {
    /// The probe to run
    #[arg(value_name = "PROBE")]
    probe: ProbeName,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ProbeName {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeArgs {
    /// Reads the form that a Pod spec contains: `probe NAME` without an option.
    pub(super) fn of_plain(args: &[OsString]) -> Option<ProbeArgs> {
        let [_, subcommand, name] = args else { return None };
        if subcommand != "probe" {
            return None;
        }
        let probe = match name.to_str()? {
            "startup" => ProbeName::Startup,
            "readiness" => ProbeName::Readiness,
            "liveness" => ProbeName::Liveness,
            _ => return None,
        };
        Some(ProbeArgs { probe, client: Client::default() })
    }

    pub(super) fn run(&self) -> Outcome {
        let path = match self.probe {
            ProbeName::Startup => "/startupz",
            ProbeName::Readiness => "/readyz",
            ProbeName::Liveness => "/livez",
        };
        let response = self.client.request(&format!("GET {path}"), Some(Instant::now() + TIMEOUT))?;
        match response.code {
            200 => {
                print(&response.body);
                Ok(())
            }
            _ => Err(Failure::new(format!("{}\n", response.body.trim_end()))),
        }
    }
}

/// A safety limit. The kubelet's own timeoutSeconds is the limit of a probe.
const TIMEOUT: Duration = Duration::from_secs(10);
