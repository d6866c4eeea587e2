//! The command line: reads the arguments and runs the subcommand that they name. One module per subcommand.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::outcome::note;
use crate::{check, doctor, import, inject, kit, status, stops};

/// Carry manifests over to bookend, and look at containers and at their stops.
#[derive(Debug, Parser)]
#[command(name = "kubectl-bookend", bin_name = "kubectl bookend", version, next_line_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Convert the hooks and probes of a manifest to a bookend.toml
    Import(import::ImportArgs),
    /// Write manifests with bookend in front of the containers, or beside them
    Inject(inject::InjectArgs),
    /// Write manifests as they were before inject or import
    Uninject(inject::UninjectArgs),
    /// Check bookend's configuration in manifests or in the cluster, and whether it fits the Pod
    Check(check::CheckArgs),
    /// Find what in manifests or in the cluster loses requests at a stop or a rollout
    Doctor(doctor::DoctorArgs),
    /// Show all containers of pods as `bookend status` shows one
    Status(status::StatusArgs),
    /// Show how stops went: clean, killed, out of memory, over budget, requests lost
    Stops(stops::StopsArgs),
    /// Print the admission policies that bring bookend into pods by a label
    Kit(kit::KitArgs),
}

/// Writes a manifest with bookend, as `inject OPTIONS -` does with one on standard input.
///
/// # Errors
/// An option is wrong, the text is not a manifest, or a container stays as it is.
pub fn injected(text: &str, options: &[&str]) -> Result<String, String> {
    let args = ["kubectl-bookend", "inject"].iter().chain(options).chain(&["-"]);
    match Cli::try_parse_from(args).map_err(|error| error.to_string())?.subcommand {
        Subcommand::Inject(args) => args.inject_text(text).map_err(|failure| failure.text),
        _ => Err("the subcommand is not inject".to_owned()),
    }
}

/// Runs the subcommand of these arguments (the program's name first).
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(message) => {
            // If the reader has gone, there is no other place to report it.
            let _ = message.print();
            return if message.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match cli.subcommand {
        Subcommand::Import(args) => args.run(),
        Subcommand::Inject(args) => args.run(),
        Subcommand::Uninject(args) => args.run(),
        Subcommand::Check(args) => args.run(),
        Subcommand::Doctor(args) => args.run(),
        Subcommand::Status(args) => args.run(),
        Subcommand::Stops(args) => args.run(),
        Subcommand::Kit(args) => args.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                note(&format!("kubectl-bookend: {}", failure.text));
            }
            ExitCode::from(failure.code)
        }
    }
}
