//! `bookend sidecar [-c FILE]`: the hooks of apps in other containers.

use std::ffi::OsString;
use std::path::PathBuf;

use super::run;
use crate::error::describe;
use crate::exit;
use crate::process::inherited::Inherited;
use crate::process::last_resort;
use crate::report::log::last_words;
use crate::runtime::sidecar;
use bookend_config::{Mode, Override};

#[derive(Debug, clap::Args)]
pub(super) struct Sidecar {
    /// Configuration file (TOML); may be given several times, the last one wins
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; a list or a table is said in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = run::read_override)]
    set: Vec<Override>,
    /// Taken in to be refused with a reason: whoever says it means `bookend run`
    #[arg(trailing_var_arg = true, hide = true)]
    command: Vec<OsString>,
}

impl Sidecar {
    pub(super) fn run(self, inherited: Inherited) -> u8 {
        let (effective, quiet) = match run::load(&self.config, self.set, self.command, Mode::Sidecar) {
            Ok(loaded) => loaded,
            Err(text) => {
                last_words(&text);
                return exit::FAILED;
            }
        };
        last_resort::catch_panics();
        sidecar::run(effective.settings, inherited, quiet).unwrap_or_else(|error| {
            last_words(&format!("bookend: {}\n", describe(&error)));
            exit::FAILED
        })
    }
}
