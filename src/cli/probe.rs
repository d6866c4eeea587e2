//! `bookend probe startup|readiness|liveness`: a Pod's exec probe, or a HEALTHCHECK. It runs every few seconds for
//! as long as the container lives, so it is read without clap and answered without a runtime.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::outcome::{Done, Failure, print};
use super::peer::Peer;

#[derive(Debug, clap::Args)]
pub(super) struct Probe {
    /// Which probe
    #[arg(value_name = "PROBE")]
    probe: Name,
    #[command(flatten)]
    peer: Peer,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    Startup,
    Readiness,
    Liveness,
}

impl Probe {
    /// The form that stands in a Pod spec, `probe NAME` and nothing else.
    pub(super) fn of_plain(args: &[OsString]) -> Option<Probe> {
        let [_, verb, name] = args else { return None };
        if verb != "probe" {
            return None;
        }
        let probe = match name.to_str()? {
            "startup" => Name::Startup,
            "readiness" => Name::Readiness,
            "liveness" => Name::Liveness,
            _ => return None,
        };
        Some(Probe { probe, peer: Peer::default() })
    }

    pub(super) fn run(&self) -> Done {
        let path = match self.probe {
            Name::Startup => "/startupz",
            Name::Readiness => "/readyz",
            Name::Liveness => "/livez",
        };
        let answer = self.peer.ask(&format!("GET {path}"), Some(Instant::now() + TIMEOUT))?;
        match answer.code {
            200 => {
                print(&answer.body);
                Ok(())
            }
            _ => Err(Failure::no(format!("{}\n", answer.body.trim_end()))),
        }
    }
}

/// A backstop: the kubelet's own timeoutSeconds is the probe's.
const TIMEOUT: Duration = Duration::from_secs(10);
