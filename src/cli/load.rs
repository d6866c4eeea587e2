//! The options that say what is configured, and the configuration that they lead to. For `run`, `sidecar`, `check` and
//! `doctor`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;

use super::files;
use super::outcome::Failure;
use crate::report::log::LogStart;
use bookend_config::{Diagnostic, Effective, Features, Mode, Override, Sources, is_configuration_variable};

/// The options and the command of `bookend [run]`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RunArgs {
    /// Configuration file (TOML); repeatable, the last one wins; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; lists and tables in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = read_override)]
    pub(super) set: Vec<Override>,
    /// Defaults for a server, as app.profile: nginx, gunicorn, ..., or auto
    #[arg(long, value_name = "NAME", value_parser = read_profile)]
    pub(super) profile: Option<Override>,
    /// The application and its arguments; replaces app.command
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl RunArgs {
    /// Reads `[run] [-c FILE]... [--set KEY=VALUE]... -- COMMAND`, and no line that may contain a mistake.
    pub(super) fn of_plain(args: &[OsString]) -> Option<RunArgs> {
        let mut run = RunArgs::default();
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
                "--profile" if run.profile.is_none() => run.profile = read_profile(value).ok(),
                _ => return None,
            }
        }
    }
}

/// Reads and checks every layer. The log begins with the warnings, and is quiet if nothing is configured at all.
pub(super) fn load(
    files: &[PathBuf],
    overrides: Vec<Override>,
    command: Vec<OsString>,
    mode: Mode,
) -> Result<(Effective, LogStart), Failure> {
    load_with(files, overrides, command, environment(), mode)
}

/// The variables that configure bookend. An empty variable counts as unset.
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    let configures = |name: &OsString, value: &OsString| !value.is_empty() && is_configuration_variable(name, value);
    std::env::vars_os().filter(|(name, value)| configures(name, value)).collect()
}

/// Reads and checks every layer, with this environment.
pub(super) fn load_with(
    files: &[PathBuf],
    overrides: Vec<Override>,
    command: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    mode: Mode,
) -> Result<(Effective, LogStart), Failure> {
    let files = files::read(files).map_err(Failure::usage)?;
    let is_empty = files.is_empty() && overrides.is_empty();
    if is_empty && env.is_empty() && mode == Mode::App {
        // Even reading an empty configuration costs more than starting the application.
        return Ok((Effective::of_command(command), LogStart::quiet()));
    }
    let sources = Sources { files, env, command, overrides, mode, features: BUILT_WITH };
    let effective = bookend_config::load(&sources).map_err(|diagnostics| Failure::usage(format!("{diagnostics}\n")))?;
    let warnings = effective.warnings.iter().map(Diagnostic::one_line).collect();
    let log = LogStart { quiet: is_empty && !effective.is_configured(), warnings };
    Ok((effective, log))
}

/// Reads `app.stopSignal=SIGQUIT`. Key and value are checked later, with those of the other layers.
pub(super) fn read_override(text: &str) -> Result<Override, String> {
    match text.split_once('=') {
        Some((path, value)) => {
            let path = path.trim().to_owned();
            Ok(Override { flag: format!("--set {path}"), path, value: value.to_owned() })
        }
        None => Err("it contains no `=`; accepted: KEY=VALUE like app.stopSignal=SIGQUIT".to_owned()),
    }
}

/// Reads the value of `--profile`, which is checked later, too.
pub(super) fn read_profile(name: &str) -> Result<Override, Infallible> {
    Ok(Override { flag: "--profile".to_owned(), path: "app.profile".to_owned(), value: name.to_owned() })
}

/// The features of this binary.
const BUILT_WITH: Features = Features { tls: cfg!(feature = "tls"), page: cfg!(feature = "page") };
