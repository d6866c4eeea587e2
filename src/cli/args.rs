//! The words of the command line as a subcommand with its options.

use std::ffi::OsString;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

#[cfg(feature = "completions")]
use super::completions;
#[cfg(feature = "doctor")]
use super::doctor;
use super::load::RunArgs;
#[cfg(feature = "sidecar")]
use super::sidecar;
use super::{check, copy, events, hook, probe, signal, sleep, status, stop};
use super::{version, wait};
use crate::exit;

/// The first and last process of a container.
#[derive(Debug, Parser)]
#[command(
    name = "bookend",
    version,
    long_version = version::text(),
    override_help = help(),
    subcommand_value_name = "SUBCOMMAND",
    args_conflicts_with_subcommands = true,
    next_line_help = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    subcommand: Option<Subcommand>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Run the container's application (the default)
    Run(RunArgs),
    /// Run the hooks of apps in other containers, and start no app
    #[cfg(feature = "sidecar")]
    Sidecar(sidecar::SidecarArgs),
    /// Validate the configuration and show the values in effect
    Check(check::CheckArgs),
    /// Run the handlers of a hook: an exec hook for images without a shell
    Hook(hook::HookArgs),
    /// Report startup, readiness or liveness: an exec probe or a HEALTHCHECK
    Probe(probe::ProbeArgs),
    /// Show the state of the running bookend
    Status(status::StatusArgs),
    /// List the handlers that ran, and follow new events
    Events(events::EventsArgs),
    /// Begin a stop, as a stop signal does
    Stop(stop::StopArgs),
    /// Send a signal to the application
    Signal(signal::SignalArgs),
    /// Let the application read its changed files again, and wait for the result
    #[cfg(feature = "reload")]
    Reload(super::reload::ReloadArgs),
    /// Find what would lose requests at a stop, and how to fix it
    #[cfg(feature = "doctor")]
    Doctor(doctor::DoctorArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Wait for a number of seconds: for images without sleep(1)
    Sleep(sleep::SleepArgs),
    /// Wait until a port, a URL or a file is available
    Wait(wait::WaitArgs),
    /// Copy this binary: for images without cp(1)
    Copy(copy::CopyArgs),
    /// Print the completion script of a shell
    #[cfg(feature = "completions")]
    Completions(completions::CompletionsArgs),
    /// Print the manual page in the format of man(1)
    #[cfg(feature = "completions")]
    Man,
    /// Only reap until SIGTERM or SIGINT: the pause container of a pod
    Pause,
}

/// Reads the command line.
///
/// clap's tables cost more time than starting the application. The forms that containers use are therefore read
/// without it: `-- COMMAND` and `COMMAND` of an ENTRYPOINT, with files or without, and the exec probe of a Pod spec.
pub(super) fn parse(args: Vec<OsString>) -> Result<Subcommand, UsageMessage> {
    if let Some(probe) = probe::ProbeArgs::of_plain(&args) {
        return Ok(Subcommand::Probe(probe));
    }
    if let Some(run) = RunArgs::of_plain(&args) {
        return Ok(Subcommand::Run(run));
    }
    match args.get(1).and_then(|first| first.to_str()) {
        // It was a subcommand of bookend: a script must not start an app of this name.
        Some("import") => {
            let text = "`bookend import` is now `kubectl bookend import`, a tool of its own\n";
            Err(UsageMessage(clap::Error::raw(clap::error::ErrorKind::InvalidSubcommand, text)))
        }
        // Reserved in every build, so that no build starts an app of this name.
        Some(first) if !is_built(first) => {
            let text = format!("this bookend is built without `{first}`; use a build that has it\n");
            Err(UsageMessage(clap::Error::raw(clap::error::ErrorKind::InvalidSubcommand, text)))
        }
        Some(first) if first.starts_with('-') || first.is_empty() || SUBCOMMANDS.contains(&first) => parse_all(args),
        Some(_) => Ok(Subcommand::Run(RunArgs { command: args.into_iter().skip(1).collect(), ..RunArgs::default() })),
        None => parse_all(args),
    }
}

/// Whether this build has a subcommand. A build can leave out the subcommands of features.
fn is_built(subcommand: &str) -> bool {
    OPTIONAL.iter().all(|(name, is_built)| *name != subcommand || *is_built)
}

const OPTIONAL: [(&str, bool); 5] = [
    ("completions", cfg!(feature = "completions")),
    ("doctor", cfg!(feature = "doctor")),
    ("man", cfg!(feature = "completions")),
    ("reload", cfg!(feature = "reload")),
    ("sidecar", cfg!(feature = "sidecar")),
];

/// The grouped help, without the lines of a subcommand that this build lacks.
fn help() -> String {
    // A line of a group, `  doctor   Find ...`, or an example, `  bookend doctor ...`.
    let subcommand = |line: &str| line.split_whitespace().find(|word| *word != "bookend").map(str::to_owned);
    let is_there = |line: &&str| !line.starts_with("  ") || subcommand(line).is_none_or(|word| is_built(&word));
    include_str!("help.txt").split_inclusive('\n').filter(is_there).collect()
}

/// Reads the command line of another bookend. `None`: it does not run a container.
#[cfg(feature = "doctor")]
pub(super) fn parse_run(args: Vec<OsString>) -> Option<RunArgs> {
    match parse(args) {
        Ok(Subcommand::Run(run)) => Some(run),
        _ => None,
    }
}

fn parse_all(args: Vec<OsString>) -> Result<Subcommand, UsageMessage> {
    let cli = Cli::try_parse_from(args).map_err(|error| UsageMessage(without_secrets(error)))?;
    Ok(cli.subcommand.unwrap_or(Subcommand::Run(cli.run)))
}

/// A value that is refused is shown without a secret: a URL has a user, `--set app.env.PASSWORD:hunter2` has no `=`.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let shown = bookend_config::without_secrets(value).into_owned();
        error.insert(ContextKind::InvalidValue, ContextValue::String(shown));
    }
    error
}

/// The words that are subcommands if they come first. A test compares them with clap's.
pub(super) const SUBCOMMANDS: &[&str] = &[
    "run",
    "sidecar",
    "check",
    "doctor",
    "schema",
    "hook",
    "probe",
    "status",
    "events",
    "stop",
    "signal",
    "reload",
    "sleep",
    "wait",
    "copy",
    "completions",
    "man",
    "pause",
    "help",
];

/// Help, the version, or a usage error.
pub(super) struct UsageMessage(clap::Error);

impl UsageMessage {
    pub(super) fn print_and_code(self) -> u8 {
        // If the reader has gone, there is no other place to report it.
        let _ = self.0.print();
        if self.0.use_stderr() { exit::BOOKEND_FAILED } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn args(words: &[&str]) -> Vec<OsString> {
        std::iter::once("bookend").chain(words.iter().copied()).map(OsString::from).collect()
    }

    /// The subcommands of this build.
    fn subcommands() -> impl Iterator<Item = &'static str> {
        SUBCOMMANDS.iter().copied().filter(|word| is_built(word))
    }

    fn command_of(words: &[&str]) -> Vec<OsString> {
        match parse(args(words)) {
            Ok(Subcommand::Run(run)) => run.command,
            _ => panic!("{words:?} is not a run"),
        }
    }

    #[test]
    fn the_list_of_subcommands_is_that_of_clap() {
        let mut cli = Cli::command();
        cli.build();
        let mut known: Vec<_> = cli.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        known.sort();
        let mut ours: Vec<_> = subcommands().collect();
        ours.sort_unstable();
        assert_eq!(known, ours);
    }

    #[test]
    fn the_help_names_each_subcommand_and_option() {
        let help = help();
        for subcommand in Cli::command().get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
            let line = format!("  {:<12} {}", subcommand.get_name(), subcommand.get_about().unwrap());
            assert!(help.lines().any(|shown| shown == line), "help.txt lacks {line:?}");
        }
        for option in Cli::command().get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)) {
            assert!(help.contains(&format!("--{option} ")), "help.txt lacks --{option}");
        }
    }

    #[test]
    fn no_line_of_any_help_is_wider_than_100_columns() {
        let names = subcommands().filter(|name| *name != "help");
        for line in names.map(|name| vec!["bookend", name, "--help"]).chain([vec!["bookend", "--help"]]) {
            let help = Cli::try_parse_from(&line).unwrap_err().render().to_string();
            let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
            assert!(wide.is_empty(), "{line:?}: {wide:#?}");
        }
    }

    #[test]
    fn after_two_dashes_every_word_belongs_to_the_app() {
        assert_eq!(command_of(&["--", "check", "-c", "x"]), ["check", "-c", "x"]);
        assert_eq!(command_of(&["-c", "f", "--", "run", "--", "-x"]), ["run", "--", "-x"]);
        assert_eq!(command_of(&["run", "--", "sleep", "1"]), ["sleep", "1"]);
    }

    #[test]
    fn reading_without_clap_gives_the_same_result() {
        let lines = [
            "-- a b",
            "--",
            "-c f -- a -c g",
            "--config f -c g -- a",
            "--set log.level=Error -c f --set app.env.A=-b -- a -- b",
            "run -- a",
            "run -c f --set a=b=c -- run",
        ];
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let by_hand = RunArgs::of_plain(&args(&words)).unwrap_or_else(|| panic!("{line} is left to clap"));
            let Ok(Subcommand::Run(by_clap)) = parse_all(args(&words)) else { panic!("{line} is not a run") };
            assert_eq!(format!("{by_hand:?}"), format!("{by_clap:?}"), "{line}");
        }
    }

    #[test]
    fn a_line_that_may_be_a_mistake_is_left_to_clap() {
        for line in
            ["-c", "-c -- a", "-c  -- a", "--set a -- b", "--set -- a", "-x -- a", "-c f a", "-c=f -- a", "check -- a"]
        {
            assert!(RunArgs::of_plain(&args(&line.split(' ').collect::<Vec<_>>())).is_none(), "{line}");
        }
    }

    #[test]
    fn a_word_is_a_subcommand_only_as_the_first_argument() {
        assert_eq!(command_of(&["nginx", "check"]), ["nginx", "check"]);
        assert_eq!(command_of(&["-c", "f", "nginx", "-g", "daemon off;"]), ["nginx", "-g", "daemon off;"]);
        // ENTRYPOINT ["/bookend", "-c", "f"] with CMD ["sleep", "10"].
        assert_eq!(command_of(&["-c", "f", "sleep", "10"]), ["sleep", "10"]);
    }

    #[test]
    fn a_refused_argument_is_shown_without_a_secret() {
        for (line, shown) in [
            ("run --set app.env.PASSWORD:hunter2 -- a", "'app.env.PASSWORD:********'"),
            ("check --set app.env.PASSWORD_hunter2", "'app.env.PASSWORD_hunter2'"),
            ("wait https://u:hunter3@db/?hunter3", "'https://********@db/?********'"),
        ] {
            let Err(message) = parse(args(&line.split(' ').collect::<Vec<_>>())) else { panic!("{line} is accepted") };
            let message = message.0.to_string();
            assert!(message.contains(shown) && !message.contains("hunter3"), "{message}");
        }
    }

    #[test]
    fn import_names_its_new_tool_and_starts_no_app() {
        let Err(message) = parse(args(&["import", "x.yaml"])) else { panic!("it is read as an app") };
        assert!(message.0.to_string().contains("kubectl bookend import"), "{}", message.0);
    }

    #[test]
    fn the_camel_case_names_of_options_are_still_read() {
        for line in [
            "hook preStop --timeoutSeconds 1",
            "wait file:/a --timeoutSeconds 1 --caFile /ca --insecureSkipVerify",
            #[cfg(feature = "doctor")]
            "doctor --stopSignal SIGQUIT -- nginx",
        ] {
            assert!(parse(args(&line.split(' ').collect::<Vec<_>>())).is_ok(), "{line}");
        }
    }
}
