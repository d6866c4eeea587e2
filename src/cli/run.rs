//! `bookend [run] [-c FILE] [--] COMMAND`: the container's process.

use std::ffi::OsString;
use std::path::PathBuf;

use super::outcome::{self, Failure};
use super::{args, files, nested, suggest};
use crate::compat::policy::Policy;
use crate::compat::{self, Invocation, OutputStream, Personality};
use crate::error::describe;
use crate::exit;
use crate::process::inherited::Inherited;
use crate::process::{gets_orphans, is_first_process, last_resort};
use crate::report::log::{LogStart, last_words};
use crate::runtime::container;
use bookend_config::settings::Settings;
use bookend_config::{Diagnostic, Effective, Features, Mode, Override, Sources, is_configuration_variable};

#[derive(Debug, Default, clap::Args)]
pub(super) struct RunArgs {
    /// Configuration file (TOML); repeatable, the last one wins; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; lists and tables in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = read_override)]
    pub(super) set: Vec<Override>,
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
                _ => return None,
            }
        }
    }
}

/// Runs under the name of another init.
pub(super) fn run_as(personality: Personality, args: &[OsString], inherited: Inherited) -> u8 {
    let run = match personality.read(args, |name| std::env::var_os(name)) {
        Invocation::Run(run) => *run,
        Invocation::Print { text, code, to } => {
            match to {
                OutputStream::Stdout => outcome::print(&text),
                OutputStream::Stderr => last_words(&text),
            }
            return code;
        }
    };
    if is_first_process() && compat::asks_for_bookend(std::env::vars_os()) {
        let command = run.settings.app.program.command;
        return run_container(RunArgs { config: Vec::new(), set: run.overrides, command }, inherited);
    }
    if let (Some(warning), false, None | Some(false)) = (&run.without_orphans, gets_orphans(), run.settings.subreaper) {
        last_words(warning);
    }
    live(run.settings, run.policy, inherited, LogStart::quiet(), run.failed)
}

/// Runs the app under bookend's own name.
pub(super) fn run_container(run: RunArgs, inherited: Inherited) -> u8 {
    let (names_files, is_nested) = (!run.config.is_empty(), nested::outer().is_some());
    if is_nested && !names_files && run.set.is_empty() {
        return run_nested(run.command, inherited);
    }
    let suggestion = suggestion(&run);
    let environment = if is_nested { Vec::new() } else { environment() };
    let is_shared = !names_files || !environment.is_empty();
    match load_with(&run.config, run.set, run.command, environment, Mode::App) {
        Ok((mut effective, log)) => {
            if is_shared && !log.quiet {
                nested::mark(&mut effective.settings);
            }
            if is_nested && nested::is_port_taken(&effective.settings) {
                last_words("bookend: http.listen is in use by the bookend above this one: continuing without it\n");
                effective.settings.http = None;
            }
            if let Some(suggestion) = suggestion.filter(|_| !sets_path(&effective.settings)) {
                last_words(&suggestion);
            }
            live(effective.settings, Policy::default(), inherited, log, exit::BOOKEND_FAILED)
        }
        Err(failure) => {
            last_words(&failure.text);
            failure.code
        }
    }
}

/// Runs the app as tini does: a bookend above this one applies the environment and the files of /etc/bookend. They may
/// name the command, though.
fn run_nested(command: Vec<OsString>, inherited: Inherited) -> u8 {
    let mut run = compat::tini_run(command);
    if run.settings.app.program.command.is_empty() {
        match load(&[], Vec::new(), Vec::new(), Mode::App) {
            Ok((effective, _)) => {
                run.settings.app.program.command = effective.settings.app.program.command;
                run.settings.app.command_from = effective.settings.app.command_from;
            }
            Err(failure) => {
                last_words(&failure.text);
                return failure.code;
            }
        }
    }
    let policy = Policy { convention: Policy::default().convention, ..run.policy };
    live(run.settings, policy, inherited, LogStart::quiet(), exit::BOOKEND_FAILED)
}

/// A line for a COMMAND that does not exist and reads like a subcommand. The start then fails as for any other program.
fn suggestion(run: &RunArgs) -> Option<String> {
    let program = run.command.first()?;
    let meant = suggest::subcommand(program, args::SUBCOMMANDS)?;
    let files = run.config.iter().map(|file| format!(" -c {}", file.display())).collect::<String>();
    let set = run.set.iter().map(|set| format!(" {}={}", set.flag, set.value)).collect::<String>();
    let rest = run.command.iter().skip(1).map(|word| format!(" {}", word.to_string_lossy())).collect::<String>();
    let program = program.to_string_lossy();
    Some(format!("bookend: there is no program {program:?}; did you mean `bookend {meant}{files}{set}{rest}`?\n"))
}

/// Whether the app's PATH may differ from ours.
fn sets_path(settings: &Settings) -> bool {
    settings.app.program.env.iter().any(|(name, _)| name == "PATH")
}

fn live(settings: Settings, policy: Policy, inherited: Inherited, log: LogStart, failed: u8) -> u8 {
    last_resort::catch_panics(last_words);
    let Err(error) = container::run(settings, policy, inherited, log);
    last_words(&format!("bookend: {}\n", describe(&error)));
    failed
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
fn environment() -> Vec<(OsString, OsString)> {
    let configures = |name: &OsString, value: &OsString| !value.is_empty() && is_configuration_variable(name, value);
    std::env::vars_os().filter(|(name, value)| configures(name, value)).collect()
}

fn load_with(
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

/// The features of this binary.
const BUILT_WITH: Features = Features { tls: cfg!(feature = "tls"), page: cfg!(feature = "page") };
