//! tini's options and behaviour: <https://github.com/krallin/tini>. Also `docker-init`, which is tini under another name.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::c_number;
use super::drop_in::{DropInRun, Invocation, OutputStream, option, silent, usage};
use super::policy::{Convention, Leftovers, Policy};
use crate::process::reaper::OrphanLog;
use bookend_config::settings::{LogLevel, SignalScope};
use bookend_lifecycle::signal::Signal;

/// Runs PROGRAM as tini does: reaps, forwards signals, exits with its code
#[derive(Debug, Default, Parser)]
#[command(name = "tini", disable_help_flag = true, disable_version_flag = true)]
struct TiniOptions {
    /// Take over orphans although not PID 1 (TINI_SUBREAPER)
    #[arg(short, action = ArgAction::Count)]
    subreaper: u8,
    /// The signal to get when the parent dies: SIGTERM, SIGKILL, ...
    #[arg(short, value_name = "SIGNAL", overrides_with = "parent_death")]
    parent_death: Option<Signal>,
    /// Exit code that becomes 0; may be given several times
    #[arg(short, value_name = "EXIT_CODE", value_parser = exit_code, allow_negative_numbers = true)]
    exit_codes: Vec<u8>,
    /// Log more; may be given several times (TINI_VERBOSITY)
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
    /// Warn about every orphan that was reaped
    #[arg(short, action = ArgAction::Count)]
    warn: u8,
    /// Signal the program's whole process group (TINI_KILL_PROCESS_GROUP)
    #[arg(short, action = ArgAction::Count)]
    group: u8,
    /// Show this help
    #[arg(short = 'h', action = ArgAction::Help)]
    help: Option<bool>,
    /// Show the license
    #[arg(short, action = ArgAction::Count)]
    license: u8,
    /// The program and its arguments; `tini --version` alone shows the version
    #[arg(trailing_var_arg = true, required_unless_present = "license", value_name = "PROGRAM")]
    command: Vec<OsString>,
}

pub(super) fn read(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Invocation {
    let words = args.get(1..).unwrap_or_default();
    let options = match words {
        [only] if only == "--version" => {
            return Invocation::Print { text: format!("{VERSION}\n"), code: 0, to: OutputStream::Stdout };
        }
        // The two usual forms, `-- PROGRAM` and `PROGRAM`, are read without clap's tables.
        [first, program @ ..] if first == "--" && !program.is_empty() => {
            TiniOptions { command: program.to_vec(), ..TiniOptions::default() }
        }
        [first, ..] if !first.as_encoded_bytes().starts_with(b"-") => {
            TiniOptions { command: words.to_vec(), ..TiniOptions::default() }
        }
        _ => match TiniOptions::try_parse_from(args) {
            Ok(options) => options,
            Err(error) => return usage("tini", &error, FAILED),
        },
    };
    if options.license > 0 {
        return Invocation::Print { text: LICENSE.to_owned(), code: 0, to: OutputStream::Stdout };
    }
    Invocation::Run(Box::new(translate(options, &variable)))
}

/// A run without options and variables.
pub(super) fn run(command: Vec<OsString>) -> DropInRun {
    translate(TiniOptions { command, ..TiniOptions::default() }, &|_| None)
}

fn translate(options: TiniOptions, variable: &impl Fn(&str) -> Option<OsString>) -> DropInRun {
    let subreaper = options.subreaper > 0 || variable("TINI_SUBREAPER").is_some();
    let group = options.group > 0 || variable("TINI_KILL_PROCESS_GROUP").is_some();
    // The variable replaces what the options add up to.
    let verbosity = match variable("TINI_VERBOSITY") {
        // As atoi(3) reads it: 0 if the text does not begin with a number.
        Some(text) => c_number::leading(text.to_str().unwrap_or_default()).map_or(0, |(number, _)| number),
        None => 1 + i64::from(options.verbose),
    };
    let mut settings = silent(options.command, level(verbosity));
    let mut overrides = Vec::new();
    if subreaper {
        settings.subreaper = Some(true);
        overrides.push(option("subreaper", "true", "-s"));
    }
    if group {
        settings.app.signal_scope = SignalScope::ProcessGroup;
        overrides.push(option("app.signalScope", "ProcessGroup", "-g"));
    }
    if let Some(signal) = options.parent_death {
        settings.pdeath_signal = Some(signal);
        overrides.push(option("pdeathSignal", signal.to_string(), "-p"));
    }
    for code in options.exit_codes {
        settings.app.exit_codes.insert(code, 0);
        overrides.push(option(&format!("app.exitCodes.{code}"), "0", "-e"));
    }
    let orphan_log = if options.warn > 0 { OrphanLog::Warn } else { OrphanLog::Silent };
    DropInRun {
        settings,
        policy: Policy { leftovers: Leftovers::Leave, orphan_log, convention: Convention::Tini, ..Policy::default() },
        overrides,
        without_orphans: (verbosity > 0).then(warning),
        failed: FAILED,
    }
}

fn level(verbosity: i64) -> LogLevel {
    match verbosity {
        ..=0 => LogLevel::Error,
        1 => LogLevel::Warn,
        2 => LogLevel::Info,
        3.. => LogLevel::Debug,
    }
}

/// An exit code as tini reads it, with strtol(3): an empty text is 0, and white space before the number is allowed.
fn exit_code(text: &str) -> Result<u8, String> {
    c_number::whole(text)
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| format!("{text:?} is not a number between 0 and 255"))
}

fn warning() -> String {
    format!(
        "[WARN  tini ({})] neither PID 1 nor a child subreaper: orphans go to another process, so zombie reaping won't \
         work here. Use -s, set TINI_SUBREAPER, or run it as PID 1.\n",
        std::process::id()
    )
}

/// dockerd reads the first two words, and shows the rest in `docker version`.
const VERSION: &str = concat!("tini version 0.19.0 (bookend ", env!("CARGO_PKG_VERSION"), ")");

const LICENSE: &str = "This is bookend under tini's name: MIT or Apache-2.0, at your option.\n";

/// A usage error, and any failure before the program runs.
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(words: &[&str], variables: &[(&str, &str)]) -> Invocation {
        let args: Vec<_> = std::iter::once("tini").chain(words.iter().copied()).map(OsString::from).collect();
        read(&args, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    fn run(words: &[&str], variables: &[(&str, &str)]) -> DropInRun {
        match invocation(words, variables) {
            Invocation::Run(run) => *run,
            other @ Invocation::Print { .. } => panic!("{other:?}"),
        }
    }

    fn code(words: &[&str]) -> u8 {
        match invocation(words, &[]) {
            Invocation::Print { code, .. } => code,
            other @ Invocation::Run(_) => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_stand_alone_together_and_with_their_values() {
        let run = run(&["-swgvv", "-e143", "-e", "7", "-p", "SIGKILL", "--", "sh", "-c", "exit"], &[]);
        assert_eq!(run.settings.app.program.command, ["sh", "-c", "exit"]);
        assert_eq!(run.settings.subreaper, Some(true));
        assert_eq!(run.settings.app.signal_scope, SignalScope::ProcessGroup);
        assert_eq!(run.settings.app.exit_codes, [(7, 0), (143, 0)].into_iter().collect());
        assert_eq!(run.settings.pdeath_signal, Some(Signal::KILL));
        assert_eq!(run.settings.log.level, Some(LogLevel::Debug));
        assert_eq!(run.policy.orphan_log, OrphanLog::Warn);
    }

    #[test]
    fn options_after_the_program_are_passed_to_it() {
        assert_eq!(run(&["sh", "-c", "exit"], &[]).settings.app.program.command, ["sh", "-c", "exit"]);
        assert_eq!(run(&["-v", "ls", "-e", "--"], &[]).settings.app.program.command, ["ls", "-e", "--"]);
        assert_eq!(run(&["--", "-x"], &[]).settings.app.program.command, ["-x"]);
    }

    #[test]
    fn no_signal_begins_a_stop() {
        let run = run(&["--", "app"], &[]);
        assert_eq!(run.settings.app.stop_signals, Some(vec![]));
        assert_eq!(run.settings.subreaper, Some(false));
        assert_eq!(run.policy.leftovers, Leftovers::Leave);
        assert!(run.overrides.is_empty());
    }

    #[test]
    fn a_variable_counts_even_if_it_is_empty() {
        let run = run(&["app"], &[("TINI_SUBREAPER", ""), ("TINI_KILL_PROCESS_GROUP", "0"), ("TINI_VERBOSITY", "0")]);
        assert_eq!(run.settings.subreaper, Some(true));
        assert_eq!(run.settings.app.signal_scope, SignalScope::ProcessGroup);
        assert_eq!(run.settings.log.level, Some(LogLevel::Error));
        assert_eq!(run.without_orphans, None);
    }

    #[test]
    fn numbers_are_read_as_tini_reads_them() {
        for (text, expected) in
            [("3", LogLevel::Debug), (" 2x", LogLevel::Info), ("-1", LogLevel::Error), ("", LogLevel::Error)]
        {
            assert_eq!(run(&["app"], &[("TINI_VERBOSITY", text)]).settings.log.level, Some(expected), "{text:?}");
        }
        for (text, expected) in [("", 0), (" 1", 1), ("+7", 7), ("0255", 255)] {
            assert_eq!(
                run(&["-e", text, "app"], &[]).settings.app.exit_codes,
                [(expected, 0)].into_iter().collect(),
                "{text:?}"
            );
        }
        for text in [" ", "1 ", "0x1", "-1"] {
            assert_eq!(code(&["-e", text, "app"]), 1, "{text:?}");
        }
    }

    #[test]
    fn usage_errors_have_tinis_exit_code() {
        for words in [&["-z"][..], &[], &["--"], &["-e", "256", "a"], &["-e", "x", "a"], &["-p", "FOO", "a"], &["-e"]] {
            assert_eq!(code(words), 1, "{words:?}");
        }
        assert_eq!(code(&["--version", "app"]), 1, "only alone");
        assert_eq!(code(&["-h"]), 0);
        assert_eq!(code(&["-l"]), 0);
    }

    #[test]
    fn the_version_is_what_dockerd_expects_and_names_bookend() {
        let Invocation::Print { text, code: 0, to: OutputStream::Stdout } = invocation(&["--version"], &[]) else {
            panic!()
        };
        assert!(text.starts_with("tini version ") && text.contains("bookend"), "{text}");
    }
}
