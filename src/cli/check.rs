//! `bookend check [-c FILE] [--set KEY=VALUE] [FILE...]`: the values in effect, and whether a stop fits its budget.

use std::path::PathBuf;

use super::outcome::{Outcome, print};
use super::run;
use bookend_config::{Mode, Override};

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration files; the last one that sets a key wins; `-` is standard input
    files: Vec<PathBuf>,
    /// Configuration file, as `bookend run` takes it; read before FILES
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; lists and tables in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = run::read_override)]
    set: Vec<Override>,
    /// Check it as `bookend sidecar` would, instead of `bookend run`
    #[arg(long)]
    sidecar: bool,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Outcome {
        let mode = if self.sidecar { Mode::Sidecar } else { Mode::App };
        let files = [&*self.config, &*self.files].concat();
        let (effective, _) = run::load(&files, self.set.clone(), Vec::new(), mode)?;
        print(&effective.to_string());
        Ok(())
    }
}
