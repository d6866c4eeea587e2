//! `bookend check [-c FILE] [--set KEY=VALUE] [FILE...]`: what is in effect, and whether a stop fits its budget.

use std::path::PathBuf;

use super::outcome::{Done, print};
use super::run;
use bookend_config::{Mode, Override};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Configuration files; where several set the same key, the last one wins
    files: Vec<PathBuf>,
    /// A configuration file, as `bookend run` takes it; read before FILES
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; a list or a table is said in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = run::read_override)]
    set: Vec<Override>,
    /// Check it for `bookend sidecar`; without, it may be for either
    #[arg(long)]
    sidecar: bool,
}

impl Check {
    pub(super) fn run(&self) -> Done {
        let mode = if self.sidecar { Mode::Sidecar } else { Mode::Either };
        let files = [&*self.config, &*self.files].concat();
        let (effective, _) = run::load(&files, self.set.clone(), Vec::new(), mode)?;
        print(&effective.to_string());
        Ok(())
    }
}
