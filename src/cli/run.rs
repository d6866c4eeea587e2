//! `bookend [run] [-c FILE] [--] COMMAND`: the container's process.

use std::ffi::OsString;

use super::load::{RunArgs, environment, load, load_with};
use super::{args, nested, outcome, suggest};
use crate::compat::policy::Policy;
use crate::compat::{self, Invocation, OutputStream, Personality};
use crate::error::describe;
use crate::exit;
use crate::process::inherited::Inherited;
use crate::process::{gets_orphans, is_first_process, last_resort};
use crate::report::log::{LogStart, last_words};
use crate::runtime::container;
use bookend_config::settings::Settings;
use bookend_config::{AutoProfile, Mode};

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
        return run_container(RunArgs { set: run.overrides, command, ..RunArgs::default() }, inherited);
    }
    let will_get_orphans = gets_orphans() || run.settings.subreaper == Some(true);
    if let Some(warning) = run.without_orphans.as_ref().filter(|_| !will_get_orphans) {
        last_words(warning);
    }
    run_settings(run.settings, None, run.policy, inherited, LogStart::quiet(), run.failed)
}

/// Runs the app under bookend's own name.
pub(super) fn run_container(mut run: RunArgs, inherited: Inherited) -> u8 {
    run.set.extend(run.profile.take());
    let (names_files, is_nested) = (!run.config.is_empty(), nested::outer().is_some());
    if is_nested && !names_files && run.set.is_empty() {
        return run_nested(run.command, inherited);
    }
    let suggestion = suggestion(&run);
    let environment = if is_nested { Vec::new() } else { environment() };
    // A bookend below this one would find the same variables and the same files of /etc/bookend.
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
            run_settings(effective.settings, effective.auto, Policy::default(), inherited, log, exit::BOOKEND_FAILED)
        }
        Err(failure) => outcome::refused(failure),
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
            Err(failure) => return outcome::refused(failure),
        }
    }
    let policy = Policy { convention: Policy::default().convention, ..run.policy };
    run_settings(run.settings, None, policy, inherited, LogStart::quiet(), exit::BOOKEND_FAILED)
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

/// Runs the app until the end of this process. Returns a code only if the app could not be started.
fn run_settings(
    settings: Settings,
    auto: Option<AutoProfile>,
    policy: Policy,
    inherited: Inherited,
    log: LogStart,
    failed: u8,
) -> u8 {
    last_resort::catch_panics(last_words);
    let message = settings.termination_message_path.clone();
    let Err(error) = container::run(settings, auto, policy, inherited, log);
    outcome::report_failed_start(message, format!("bookend: {}\n", describe(&error)));
    failed
}
