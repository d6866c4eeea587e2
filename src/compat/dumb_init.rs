//! dumb-init's options and ways: <https://github.com/Yelp/dumb-init>.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::{Meaning, Run, Stream, complaint, option, silent};
use crate::compat::policy::{Convention, Leftovers, Place, Policy, Suspend};
use bookend_config::settings::{LogLevel, SignalScope};
use bookend_lifecycle::signal::Signal;

/// Runs COMMAND as dumb-init does: reaps, forwards signals to its whole session, exits with its code
#[derive(Debug, Default, Parser)]
#[command(name = "dumb-init", disable_help_flag = true, disable_version_flag = true, infer_long_args = true)]
struct Options {
    /// Signal the command alone, which stays in our session (DUMB_INIT_SETSID=0)
    #[arg(short = 'c', long, action = ArgAction::Count)]
    single_child: u8,
    /// Forward signal s as signal r; 0 drops it; may be given several times
    #[arg(short, long, value_name = "s:r", value_parser = rewrite)]
    rewrite: Vec<(Signal, Option<Signal>)>,
    /// Say what is done (DUMB_INIT_DEBUG=1)
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

pub(super) fn read(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Meaning {
    let words = args.get(1..).unwrap_or_default();
    let options = match words {
        // The two forms nearly everybody uses are read without clap's tables.
        [first, command @ ..] if first == "--" && !command.is_empty() => {
            Options { command: command.to_vec(), ..Options::default() }
        }
        [first, ..] if !first.as_encoded_bytes().starts_with(b"-") => {
            Options { command: words.to_vec(), ..Options::default() }
        }
        _ => match Options::try_parse_from(args) {
            Ok(options) => options,
            Err(error) => return complaint("dumb-init", &error, FAILED),
        },
    };
    // It says both of them on stderr.
    if options.help > 0 {
        let text = <Options as clap::CommandFactory>::command().render_help().to_string();
        return Meaning::Say { text, code: 0, to: Stream::Err };
    }
    if options.version > 0 {
        return Meaning::Say { text: format!("{VERSION}\n"), code: 0, to: Stream::Err };
    }
    Meaning::Run(Box::new(translate(options, &variable)))
}

fn translate(options: Options, variable: &impl Fn(&str) -> Option<OsString>) -> Run {
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
        Policy { place: Place::Ours, ..policy }
    } else {
        settings.app.signal_scope = SignalScope::ProcessGroup;
        overrides.push(option("app.signalScope", "ProcessGroup", "DUMB_INIT_SETSID"));
        // Such a signal would do nothing in a session without a shell: its processes are stopped all the same.
        for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU] {
            settings.app.signals.or_insert(signal, Some(Signal::STOP));
        }
        // Rewritten, as everything that it sends.
        let exit_signal = settings.app.signals.get(&Signal::TERM).copied().unwrap_or(Some(Signal::TERM));
        Policy { place: Place::Session, exit_signal, ..policy }
    };
    Run { settings, policy, overrides, without_orphans: None, failed: FAILED }
}

/// `15:2`, `15:0`: numbers, 1 to 31.
fn rewrite(text: &str) -> Result<(Signal, Option<Signal>), String> {
    let number = |text: &str| text.parse::<u8>().ok().filter(|number| *number <= 31);
    let parts = text.split_once(':').and_then(|(from, to)| Some((number(from)?, number(to)?)));
    parts
        .and_then(|(from, to)| Some((Signal::new(i32::from(from))?, Signal::new(i32::from(to)))))
        .ok_or_else(|| format!("{text:?} is not s:r, two signal numbers between 1 and 31; r may be 0"))
}

const VERSION: &str = concat!("dumb-init v1.2.5 (bookend ", env!("CARGO_PKG_VERSION"), ")");

/// Usage, and whatever else is no matter of the command's own.
const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(words: &[&str], variables: &[(&str, &str)]) -> Meaning {
        let args: Vec<_> = std::iter::once("dumb-init").chain(words.iter().copied()).map(OsString::from).collect();
        read(&args, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    fn run(words: &[&str], variables: &[(&str, &str)]) -> Run {
        match meaning(words, variables) {
            Meaning::Run(run) => *run,
            said => panic!("{said:?}"),
        }
    }

    #[test]
    fn by_default_the_whole_session_is_signalled_and_stopped() {
        let run = run(&["--", "app"], &[]);
        assert_eq!(run.policy.place, Place::Session);
        assert_eq!(run.policy.exit_signal, Some(Signal::TERM));
        assert_eq!(run.settings.app.signal_scope, SignalScope::ProcessGroup);
        assert_eq!(run.settings.app.signals.get(&Signal::TSTP), Some(&Some(Signal::STOP)));
        assert_eq!(run.settings.app.stop_signals, Some(vec![]));
    }

    #[test]
    fn a_single_child_is_signalled_alone_and_with_what_was_received() {
        for run in [run(&["-c", "app"], &[]), run(&["app"], &[("DUMB_INIT_SETSID", "0")])] {
            assert_eq!(run.policy.place, Place::Ours);
            assert_eq!(run.policy.exit_signal, None);
            assert_eq!(run.settings.app.signal_scope, SignalScope::Process);
            assert!(run.settings.app.signals.is_empty());
        }
    }

    #[test]
    fn signals_are_rewritten_dropped_and_the_farewell_with_them() {
        let settings = run(&["-r", "15:3", "--rewrite", "28:0", "-r20:20", "app"], &[]);
        let signals = &settings.settings.app.signals;
        assert_eq!(signals.get(&Signal::TERM), Some(&Some(Signal::QUIT)));
        assert_eq!(signals.get(&Signal::new(28).unwrap()), Some(&None));
        assert_eq!(signals.get(&Signal::TSTP), Some(&Some(Signal::TSTP)));
        assert_eq!(settings.policy.exit_signal, Some(Signal::QUIT));
        assert_eq!(run(&["-r", "15:0", "app"], &[]).policy.exit_signal, None);
    }

    #[test]
    fn long_options_may_be_cut_and_the_commands_own_are_the_commands() {
        let run = run(&["--single", "--verb", "app", "-c", "--", "-V"], &[]);
        assert_eq!(run.settings.app.program.command, ["app", "-c", "--", "-V"]);
        assert_eq!(run.settings.log.level, Some(LogLevel::Debug));
    }

    #[test]
    fn what_it_refuses_is_refused_with_its_code() {
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
            assert!(matches!(meaning(words, &[]), Meaning::Say { code: 1, to: Stream::Err, .. }), "{words:?}");
        }
    }

    #[test]
    fn help_and_version_are_said_on_stderr_and_are_no_failure() {
        for words in [["-h"], ["--help"], ["-V"], ["--version"]] {
            let Meaning::Say { text, code: 0, to: Stream::Err } = meaning(&words, &[]) else { panic!("{words:?}") };
            assert!(text.contains("dumb-init"), "{text}");
        }
    }
}
