//! `bookend [run] [-c FILE] [--] COMMAND`: the container's process.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{files, outcome};
use crate::compat::policy::Policy;
use crate::compat::{self, Meaning, Personality, Stream};
use crate::error::describe;
use crate::exit;
use crate::process::inherited::Inherited;
use crate::process::{gets_orphans, is_first_process, last_resort};
use crate::report::log::last_words;
use crate::runtime::container;
use bookend_config::settings::Settings;
use bookend_config::{Effective, Features, Mode, Override, Sources};

#[derive(Debug, Default, clap::Args)]
pub(super) struct Run {
    /// Configuration file (TOML); may be given several times, the last one wins
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; a list or a table is said in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = read_override)]
    pub(super) set: Vec<Override>,
    /// The application and its arguments; replaces app.command
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl Run {
    /// `[run] [-c FILE]... [--set KEY=VALUE]... -- COMMAND`, and nothing that could be a mistake.
    pub(super) fn of_plain(args: &[OsString]) -> Option<Run> {
        let mut run = Run::default();
        let mut words = args.get(1..)?.iter().peekable();
        words.next_if(|word| *word == "run");
        loop {
            let option = words.next()?.to_str()?;
            if option == "--" {
                run.command = words.cloned().collect();
                return Some(run);
            }
            let value = words.next()?.to_str().filter(|value| !value.is_empty() && !value.starts_with('-'))?;
            match option {
                "-c" | "--config" => run.config.push(value.into()),
                "--set" => run.set.push(read_override(value).ok()?),
                _ => return None,
            }
        }
    }
}

pub(super) fn run_container(run: Run, inherited: Inherited) -> u8 {
    run_configured(run, inherited)
}

/// Under another init's name.
pub(super) fn run_as(personality: Personality, args: &[OsString], inherited: Inherited) -> u8 {
    let run = match personality.read(args, |name| std::env::var_os(name)) {
        Meaning::Run(run) => *run,
        Meaning::Say { text, code, to } => {
            match to {
                Stream::Out => outcome::print(&text),
                Stream::Err => last_words(&text),
            }
            return code;
        }
    };
    let said = std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    if is_first_process() && compat::asks_for_bookend(said) {
        let command = run.settings.app.program.command;
        return run_configured(Run { config: Vec::new(), set: run.overrides, command }, inherited);
    }
    if let (Some(warning), false, None | Some(false)) = (&run.without_orphans, gets_orphans(), run.settings.subreaper) {
        last_words(warning);
    }
    live(run.settings, run.policy, inherited, true, run.failed)
}

fn run_configured(run: Run, inherited: Inherited) -> u8 {
    match load(&run.config, run.set, run.command, Mode::App) {
        Ok((effective, quiet)) => live(effective.settings, Policy::default(), inherited, quiet, exit::FAILED),
        Err(text) => {
            last_words(&text);
            exit::FAILED
        }
    }
}

fn live(settings: Settings, policy: Policy, inherited: Inherited, quiet: bool, failed: u8) -> u8 {
    last_resort::catch_panics();
    let Err(error) = container::run(settings, policy, inherited, quiet);
    last_words(&format!("bookend: {}\n", describe(&error)));
    failed
}

/// Reads and checks every layer. The flag: nothing was configured at all.
pub(super) fn load(
    files: &[PathBuf],
    overrides: Vec<Override>,
    command: Vec<OsString>,
    mode: Mode,
) -> Result<(Effective, bool), String> {
    let files = files::read(files)?;
    // An empty variable counts as not set.
    let env: Vec<_> = std::env::vars_os()
        .filter(|(key, value)| key.as_encoded_bytes().starts_with(b"BOOKEND_") && !value.is_empty())
        .collect();
    // Where the socket is does not make an init talkative.
    let quiet = files.is_empty() && overrides.is_empty() && env.iter().all(|(key, _)| key == "BOOKEND_SOCKET");
    if quiet && env.is_empty() && mode == Mode::App {
        // Zero config: there is nothing to read, and reading nothing costs more than starting the application.
        return Ok((Effective::of_command(command), quiet));
    }
    let sources = Sources { files, env, command, overrides, mode, features: BUILT_WITH };
    let effective = bookend_config::load(&sources).map_err(|mistakes| format!("{mistakes}\n"))?;
    Ok((effective, quiet))
}

/// `app.stopSignal=SIGQUIT`. Keys and values are checked with all the others.
pub(super) fn read_override(said: &str) -> Result<Override, String> {
    match said.split_once('=') {
        Some((path, value)) => {
            let path = path.trim().to_owned();
            Ok(Override { flag: format!("--set {path}"), path, value: value.to_owned() })
        }
        None => Err("it has no `=`; accepted: KEY=VALUE like app.stopSignal=SIGQUIT".to_owned()),
    }
}

/// What this binary was built with.
const BUILT_WITH: Features = Features { tls: cfg!(feature = "tls"), page: cfg!(feature = "page") };
