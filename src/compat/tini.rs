//! tini's options and ways: <https://github.com/krallin/tini>. Also `docker-init`, which is tini under another name.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::{Meaning, Run, Stream, complaint, option, silent};
use crate::compat::policy::{Convention, Leftovers, Policy, Reaped};
use bookend_config::settings::{LogLevel, SignalScope};
use bookend_lifecycle::signal::Signal;

/// Runs PROGRAM as tini does: reaps, forwards signals, exits with its code
#[derive(Debug, Default, Parser)]
#[command(name = "tini", disable_help_flag = true, disable_version_flag = true)]
struct Options {
    /// Take over orphans although not PID 1 (TINI_SUBREAPER)
    #[arg(short, action = ArgAction::Count)]
    subreaper: u8,
    /// What to get when the parent dies: SIGTERM, SIGKILL, ...
    #[arg(short, value_name = "SIGNAL")]
    parent_death: Option<Signal>,
    /// Exit code that becomes 0; may be given several times
    #[arg(short, value_name = "EXIT_CODE")]
    exit_codes: Vec<u8>,
    /// Say more; may be given several times (TINI_VERBOSITY)
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
    /// Warn of every orphan that was reaped
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

pub(super) fn read(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Meaning {
    let words = args.get(1..).unwrap_or_default();
    let options = match words {
        [only] if only == "--version" => {
            return Meaning::Say { text: format!("{VERSION}\n"), code: 0, to: Stream::Out };
        }
        // The two forms nearly everybody uses, `-- PROGRAM` and `PROGRAM`, are read without clap's tables.
        [first, program @ ..] if first == "--" && !program.is_empty() => {
            Options { command: program.to_vec(), ..Options::default() }
        }
        [first, ..] if !first.as_encoded_bytes().starts_with(b"-") => {
            Options { command: words.to_vec(), ..Options::default() }
        }
        _ => match Options::try_parse_from(args) {
            Ok(options) => options,
            Err(error) => return complaint("tini", &error, FAILED),
        },
    };
    if options.license > 0 {
        return Meaning::Say { text: LICENSE.to_owned(), code: 0, to: Stream::Out };
    }
    Meaning::Run(Box::new(translate(options, &variable)))
}

fn translate(options: Options, variable: &impl Fn(&str) -> Option<OsString>) -> Run {
    let subreaper = options.subreaper > 0 || variable("TINI_SUBREAPER").is_some();
    let group = options.group > 0 || variable("TINI_KILL_PROCESS_GROUP").is_some();
    // The variable replaces what the options add up to.
    let verbosity = match variable("TINI_VERBOSITY") {
        Some(text) => number(text.to_str().unwrap_or_default()),
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
    let reaped = if options.warn > 0 { Reaped::HandlerEnv } else { Reaped::Counted };
    Run {
        settings,
        policy: Policy { leftovers: Leftovers::Leave, reaped, convention: Convention::Tini, ..Policy::default() },
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

/// As atoi(3) reads it: what is no number is 0.
fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text.char_indices().find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && *c == '-'));
    text.get(..end.map_or(text.len(), |(at, _)| at)).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn warning() -> String {
    format!(
        "[WARN  tini ({})] neither PID 1 nor a child subreaper: orphans go to another process, so zombie reaping won't \
         work here. Use -s, set TINI_SUBREAPER, or run it as PID 1.\n",
        std::process::id()
    )
}

/// dockerd reads the first two words, and shows the rest in `docker info`.
const VERSION: &str = concat!("tini version 0.19.0 (bookend ", env!("CARGO_PKG_VERSION"), ")");

const LICENSE: &str = "This is bookend under tini's name: MIT or Apache-2.0, as you like.\n";

/// Usage, and whatever else is no matter of the program's own.
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(words: &[&str], variables: &[(&str, &str)]) -> Meaning {
        let args: Vec<_> = std::iter::once("tini").chain(words.iter().copied()).map(OsString::from).collect();
        read(&args, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    fn run(words: &[&str], variables: &[(&str, &str)]) -> Run {
        match meaning(words, variables) {
            Meaning::Run(run) => *run,
            said => panic!("{said:?}"),
        }
    }

    fn code(words: &[&str]) -> u8 {
        match meaning(words, &[]) {
            Meaning::Say { code, .. } => code,
            said => panic!("{said:?}"),
        }
    }

    #[test]
    fn options_stand_alone_together_and_with_their_values() {
        let run = run(&["-swgvv", "-e143", "-e", "7", "-p", "SIGKILL", "--", "sh", "-c", "exit"], &[]);
        assert_eq!(run.settings.app.program.command, ["sh", "-c", "exit"]);
        assert_eq!(run.settings.subreaper, Some(true));
        assert_eq!(run.settings.app.signal_scope, SignalScope::ProcessGroup);
        assert_eq!(run.settings.app.exit_codes, [(7, 0), (143, 0)].into());
        assert_eq!(run.settings.pdeath_signal, Some(Signal::KILL));
        assert_eq!(run.settings.log.level, Some(LogLevel::Debug));
        assert_eq!(run.policy.reaped, Reaped::HandlerEnv);
    }

    #[test]
    fn the_programs_own_options_are_the_programs() {
        assert_eq!(run(&["sh", "-c", "exit"], &[]).settings.app.program.command, ["sh", "-c", "exit"]);
        assert_eq!(run(&["-v", "ls", "-e", "--"], &[]).settings.app.program.command, ["ls", "-e", "--"]);
        assert_eq!(run(&["--", "-x"], &[]).settings.app.program.command, ["-x"]);
    }

    #[test]
    fn no_signal_begins_a_stop_of_ours() {
        let run = run(&["--", "app"], &[]);
        assert_eq!(run.settings.app.stop_signals, Some(vec![]));
        assert_eq!(run.settings.subreaper, Some(false));
        assert_eq!(run.policy.leftovers, Leftovers::Leave);
        assert!(run.overrides.is_empty());
    }

    #[test]
    fn variables_count_by_being_there() {
        let run = run(&["app"], &[("TINI_SUBREAPER", ""), ("TINI_KILL_PROCESS_GROUP", "0"), ("TINI_VERBOSITY", "0")]);
        assert_eq!(run.settings.subreaper, Some(true));
        assert_eq!(run.settings.app.signal_scope, SignalScope::ProcessGroup);
        assert_eq!(run.settings.log.level, Some(LogLevel::Error));
        assert_eq!(run.without_orphans, None);
    }

    #[test]
    fn a_verbosity_is_read_as_tini_reads_it() {
        for (text, expected) in [("3", 3), (" 2x", 2), ("-1", -1), ("", 0), ("x", 0), ("9999999999999999999999", 0)] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_tini_refuses_is_refused_with_its_code() {
        for words in [&["-z"][..], &[], &["--"], &["-e", "256", "a"], &["-e", "x", "a"], &["-p", "FOO", "a"], &["-e"]] {
            assert_eq!(code(words), 1, "{words:?}");
        }
        assert_eq!(code(&["--version", "app"]), 1, "only alone");
        assert_eq!(code(&["-h"]), 0);
        assert_eq!(code(&["-l"]), 0);
    }

    #[test]
    fn the_version_is_what_dockerd_expects_and_who_it_is() {
        let Meaning::Say { text, code: 0, to: Stream::Out } = meaning(&["--version"], &[]) else { panic!() };
        assert!(text.starts_with("tini version ") && text.contains("bookend"), "{text}");
    }
}
