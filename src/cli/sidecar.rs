//! `bookend sidecar [-c FILE]`: runs the hooks of apps in other containers.

use std::ffi::OsString;
use std::path::PathBuf;

use super::load::{load, read_override};
use super::outcome::{refused, report_failed_start};
use crate::error::describe;
use crate::exit;
use crate::process::inherited::Inherited;
use crate::process::last_resort;
use crate::report::log::last_words;
use crate::runtime::sidecar;
use bookend_config::{Mode, Override};

#[derive(Debug, clap::Args)]
pub(super) struct SidecarArgs {
    /// Configuration file (TOML); repeatable, the last one wins; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; lists and tables in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = read_override)]
    set: Vec<Override>,
    /// Accepted only to be refused with a reason: a command belongs to `bookend run`
    #[arg(trailing_var_arg = true, hide = true)]
    command: Vec<OsString>,
}

impl SidecarArgs {
    pub(super) fn run(self, inherited: Inherited) -> u8 {
        let (effective, log) = match load(&self.config, self.set, self.command, Mode::Sidecar) {
            Ok(loaded) => loaded,
            Err(failure) => return refused(failure),
        };
        last_resort::catch_panics(last_words);
        let message = effective.settings.termination_message_path.clone();
        sidecar::run(effective.settings, inherited, log).unwrap_or_else(|error| {
            report_failed_start(message, format!("bookend: {}\n", describe(&error)));
            exit::BOOKEND_FAILED
        })
    }
}
