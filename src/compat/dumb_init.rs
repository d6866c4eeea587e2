//! dumb-init's options and behaviour: <https://github.com/Yelp/dumb-init>.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::c_number;
use super::drop_in::{DropInRun, Invocation, OutputStream, option, silent, usage};
use super::policy::{Convention, Leftovers, Policy, Suspend};
use crate::process::placement::ProcessPlacement;
use bookend_config::settings::{LogLevel, SignalScope};
use bookend_lifecycle::signal::Signal;

/// Runs COMMAND as dumb-init does: reaps, forwards signals to its whole session, exits with its code
#[derive(Debug, Default, Parser)]
#[command(name = "dumb-init", disable_help_flag = true, disable_version_flag = true, infer_long_args = true)]
struct DumbInitOptions {
    /// Signal the command alone, which stays in our session (DUMB_INIT_SETSID=0)
    #[arg(short = 'c', long, action = ArgAction::Count)]
    single_child: u8,
    /// Forward signal s as signal r; 0 drops it; may be given several times
    #[arg(short, long, value_name = "s:r", value_parser = rewrite)]
    rewrite: Vec<(Signal, Option<Signal>)>,
    /// Log what is done (DUMB_INIT_DEBUG=1)
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Show this help
    #[arg(short, long, action = ArgAction::Count)]
    help: u8,
    /// Show the version
    #[arg(short = 'V', long, action = ArgAction::Count)]
    version: u8,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required_unless_present_any = ["help", "version"], value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn read(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Invocation {
    let words = args.get(1..).unwrap_or_default();
    let options = match words {
        // The two usual forms, `-- COMMAND` and `COMMAND`, are read without clap's tables.
        [first, command @ ..] if first == "--" && !command.is_empty() => {
            DumbInitOptions { command: command.to_vec(), ..DumbInitOptions::default() }
        }
        [first, ..] if !first.as_encoded_bytes().starts_with(b"-") => {
            DumbInitOptions { command: words.to_vec(), ..DumbInitOptions::default() }
        }
        _ => match DumbInitOptions::try_parse_from(args) {
            Ok(options) => options,
            Err(error) => return usage("dumb-init", &error, FAILED),
        },
    };
    // dumb-init prints both on stderr.
    if options.help > 0 {
        let text = <DumbInitOptions as clap::CommandFactory>::command().render_help().to_string();
        return Invocation::Print { text, code: 0, to: OutputStream::Stderr };
    }
    if options.version > 0 {
        return Invocation::Print { text: format!("{VERSION}\n"), code: 0, to: OutputStream::Stderr };
    }
    Invocation::Run(Box::new(translate(options, &variable)))
}

fn translate(options: DumbInitOptions, variable: &impl Fn(&str) -> Option<OsString>) -> DropInRun {
    let is = |name: &str, value: &str| variable(name).is_some_and(|found| found == value);
    let alone = options.single_child > 0 || is("DUMB_INIT_SETSID", "0");
    let debug = options.verbose > 0 || is("DUMB_INIT_DEBUG", "1");
    let mut settings = silent(options.command, if debug { LogLevel::Debug } else { LogLevel::Warn });
    let mut overrides = Vec::new();
    for (received, sent) in options.rewrite {
        settings.app.signals.insert(received, sent);
        let sent = sent.map_or("ignore".to_owned(), |signal| signal.to_string());
        overrides.push(option(&format!("app.signals.{received}"), sent, "-r"));
    }
    let policy = Policy {
        leftovers: Leftovers::Leave,
        suspend: Suspend::OnSignal,
        convention: Convention::DumbInit,
        ..Policy::default()
    };
    let policy = if alone {
        // The app gets these signals unchanged; bookend's own default is to drop them.
        for signal in [Signal::TTIN, Signal::TTOU] {
            settings.app.signals.entry(signal).or_insert(Some(signal));
        }
        Policy { placement: ProcessPlacement::OurGroup, ..policy }
    } else {
        settings.app.signal_scope = SignalScope::ProcessGroup;
        overrides.push(option("app.signalScope", "ProcessGroup", "DUMB_INIT_SETSID"));
        // In a session without a shell such a signal has no effect, so its processes get SIGSTOP.
        for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU] {
            settings.app.signals.entry(signal).or_insert(Some(Signal::STOP));
        }
        // dumb-init rewrites this signal like every signal that it sends.
        let exit_signal = settings.app.signals.get(&Signal::TERM).copied().unwrap_or(Some(Signal::TERM));
        Policy { placement: ProcessPlacement::Session, exit_signal, ..policy }
    };
    DropInRun { settings, policy, overrides, without_orphans: None, failed: FAILED }
}

/// `15:2`, `15:0`: two numbers up to 31, read as by sscanf(3) with `%d:%d`: white space before them and text after them
/// are allowed.
fn rewrite(text: &str) -> Result<(Signal, Option<Signal>), String> {
    let number = |text| c_number::leading(text).filter(|(number, _)| (0..=31).contains(number));
    let parts = number(text).and_then(|(from, rest)| Some((from, number(rest.strip_prefix(':')?)?.0)));
    let signal = |number: i64| i32::try_from(number).ok().and_then(Signal::new);
    parts
        .and_then(|(from, to)| Some((signal(from)?, signal(to))))
        .ok_or_else(|| format!("{text:?} is not s:r, two signal numbers between 1 and 31; r may be 0"))
}

const VERSION: &str = concat!("dumb-init v1.2.5 (bookend ", env!("CARGO_PKG_VERSION"), ")");

/// A usage error, and any failure before the command runs.
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(words: &[&str], variables: &[(&str, &str)]) -> Invocation {
        let args: Vec<_> = std::iter::once("dumb-init").chain(words.iter().copied()).map(OsString::from).collect();
        read(&args, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    fn run(words: &[&str], variables: &[(&str, &str)]) -> DropInRun {
        match invocation(words, variables) {
            Invocation::Run(run) => *run,
            other @ Invocation::Print { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn by_default_the_whole_session_gets_signals_and_stops() {
        let run = run(&["--", "app"], &[]);
        assert_eq!(run.policy.placement, ProcessPlacement::Session);
        assert_eq!(run.policy.exit_signal, Some(Signal::TERM));
        assert_eq!(run.settings.app.signal_scope, SignalScope::ProcessGroup);
        assert_eq!(run.settings.app.signals.get(&Signal::TSTP), Some(&Some(Signal::STOP)));
        assert_eq!(run.settings.app.stop_signals, Some(vec![]));
    }

    #[test]
    fn a_single_child_gets_each_signal_alone_and_unchanged() {
        for run in [run(&["-c", "app"], &[]), run(&["app"], &[("DUMB_INIT_SETSID", "0")])] {
            assert_eq!(run.policy.placement, ProcessPlacement::OurGroup);
            assert_eq!(run.policy.exit_signal, None);
            assert_eq!(run.settings.app.signal_scope, SignalScope::Process);
            assert!(run.settings.app.signals.iter().all(|(received, sent)| *sent == Some(*received)));
        }
    }

    #[test]
    fn rewriting_applies_to_the_exit_signal_as_well() {
        let settings = run(&["-r", "15:3", "--rewrite", "28:0", "-r20:20", "app"], &[]);
        let signals = &settings.settings.app.signals;
        assert_eq!(signals.get(&Signal::TERM), Some(&Some(Signal::QUIT)));
        assert_eq!(signals.get(&Signal::new(28).unwrap()), Some(&None));
        assert_eq!(signals.get(&Signal::TSTP), Some(&Some(Signal::TSTP)));
        assert_eq!(settings.policy.exit_signal, Some(Signal::QUIT));
        assert_eq!(run(&["-r", "15:0", "app"], &[]).policy.exit_signal, None);
    }

    #[test]
    fn a_rewrite_is_read_as_sscanf_reads_it() {
        for text in ["15:2x", " 15: 2", "015:2:3", "+15:2"] {
            assert_eq!(
                run(&["-c", "-r", text, "app"], &[]).settings.app.signals.get(&Signal::TERM),
                Some(&Some(Signal::INT)),
                "{text:?}"
            );
        }
        for text in ["15 :2", "x15:2", "15:-1", "15:"] {
            assert!(matches!(invocation(&["-r", text, "app"], &[]), Invocation::Print { code: 1, .. }), "{text:?}");
        }
    }

    #[test]
    fn long_options_may_be_abbreviated() {
        let run = run(&["--single", "--verb", "app", "-c", "--", "-V"], &[]);
        assert_eq!(run.settings.app.program.command, ["app", "-c", "--", "-V"]);
        assert_eq!(run.settings.log.level, Some(LogLevel::Debug));
    }

    #[test]
    fn usage_errors_have_dumb_inits_exit_code() {
        let refused: [&[&str]; 9] = [
            &[],
            &["--yolo", "a"],
            &["-r"],
            &["-r", "", "a"],
            &["-r", "15", "a"],
            &["-r", "15::12", "a"],
            &["-r", "15:derp", "a"],
            &["-r", "15:12", "-r", "1:32", "a"],
            &["-r", "0:1", "a"],
        ];
        for words in refused {
            assert!(
                matches!(invocation(words, &[]), Invocation::Print { code: 1, to: OutputStream::Stderr, .. }),
                "{words:?}"
            );
        }
    }

    #[test]
    fn help_and_version_go_to_stderr_with_exit_code_0() {
        for words in [["-h"], ["--help"], ["-V"], ["--version"]] {
            let Invocation::Print { text, code: 0, to: OutputStream::Stderr } = invocation(&words, &[]) else {
                panic!("{words:?}")
            };
            assert!(text.contains("dumb-init"), "{text}");
        }
    }
}
