//! The door: what was said on the command line, and the way to the room that answers it. One file a verb.

mod check;
mod copy;
mod doctor;
mod events;
mod files;
mod generated;
mod hook;
mod import;
#[cfg(test)]
mod manual;
mod orders;
mod outcome;
mod peer;
mod probe;
mod run;
mod schema;
mod sidecar;
mod sleep;
mod status;
mod wait;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::compat::Personality;
use crate::exit;
use crate::process::inherited::Inherited;
use crate::process::pause;
use crate::report::log::last_words;

/// Runs bookend with these arguments (the program's name first), and returns its exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    // First of all: PID 1's default is to drop a SIGTERM, and reading the command line takes its time.
    let inherited = Inherited::take();
    if let Some(personality) = Personality::of(args.first()) {
        return run::run_as(personality, &args, inherited);
    }
    let command = match parse(args) {
        Ok(command) => command,
        Err(said) => return said.print_and_code(),
    };
    if !matches!(command, Command::Run(_) | Command::Sidecar(_) | Command::Pause) {
        inherited.restore_mask();
    }
    let done = match command {
        Command::Run(run) => return run::run_container(run, inherited),
        Command::Sidecar(sidecar) => return sidecar.run(inherited),
        Command::Pause => {
            pause::run(inherited);
            Ok(())
        }
        Command::Check(verb) => verb.run(),
        Command::Doctor(verb) => verb.run(&inherited),
        Command::Schema => schema::run(),
        Command::Hook(verb) => verb.run(),
        Command::Probe(verb) => verb.run(),
        Command::Status(verb) => verb.run(),
        Command::Events(verb) => verb.run(),
        Command::Stop(verb) => verb.run(),
        Command::Signal(verb) => verb.run(),
        Command::Sleep(verb) => verb.run(),
        Command::Wait(verb) => verb.run(),
        Command::Copy(verb) => verb.run(),
        Command::Completions(verb) => verb.run(),
        Command::Import(verb) => verb.run(),
        Command::Man => generated::man(),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            last_words(&failure.text);
            failure.code
        }
    }
}

/// The first and the last process of a container
///
/// Runs COMMAND as the container's application: starts it, reaps, forwards signals, runs the handlers before
/// and after it, answers lifecycle hooks over HTTP, and makes a stop lose nothing. Without a configuration it
/// is a correct init and nothing more.
#[derive(Debug, Parser)]
#[command(name = "bookend", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the container's application (the default)
    Run(run::Run),
    /// Answer the hooks of apps in other containers, and start none
    Sidecar(sidecar::Sidecar),
    /// Validate the configuration and show what is in effect
    Check(check::Check),
    /// Run the handlers of a hook, as an exec hook in an image without a shell
    Hook(hook::Hook),
    /// Say whether all is well, as an exec probe or a HEALTHCHECK
    Probe(probe::Probe),
    /// Show what the running bookend does
    Status(status::Status),
    /// Show what has happened, and follow what happens
    Events(events::Events),
    /// Begin a stop, as a stop signal does
    Stop(orders::Stop),
    /// Send a signal to the application
    Signal(orders::SendSignal),
    /// Say what in this image or pod would drop requests at a stop, and the fix
    Doctor(doctor::Doctor),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Wait for so many seconds, in images that have no sleep(1)
    Sleep(sleep::Sleep),
    /// Wait until a port, a URL or a file is there
    Wait(wait::Wait),
    /// Put this very binary there, in images that have no cp(1)
    Copy(copy::Copy),
    /// Print the completions of a shell
    Completions(generated::Completions),
    /// Carry a Kubernetes manifest's lifecycle and probes over (in builds with the feature `import`)
    Import(import::Import),
    /// Print the manual page, as man(1) reads it
    Man,
    /// Do nothing but reap until SIGTERM or SIGINT: a pod's pause container
    Pause,
}

/// Says what was meant. What a container's ENTRYPOINT says, `-- COMMAND` and `COMMAND`, with files or without, is read
/// without clap, whose tables cost more time than starting the application does; so is a Pod spec's exec probe.
fn parse(args: Vec<OsString>) -> Result<Command, Said> {
    if let Some(probe) = probe::Probe::of_plain(&args) {
        return Ok(Command::Probe(probe));
    }
    if let Some(run) = run::Run::of_plain(&args) {
        return Ok(Command::Run(run));
    }
    match args.get(1).and_then(|first| first.to_str()) {
        Some(first) if first.starts_with('-') || first.is_empty() || SUBCOMMANDS.contains(&first) => parse_all(args),
        Some(_) => Ok(Command::Run(run::Run { command: args.into_iter().skip(1).collect(), ..run::Run::default() })),
        None => parse_all(args),
    }
}

fn parse_all(args: Vec<OsString>) -> Result<Command, Said> {
    let cli = Cli::try_parse_from(args).map_err(Said)?;
    Ok(cli.command.unwrap_or(Command::Run(cli.run)))
}

/// Words that are ours when they come first; a test holds them to what clap knows.
const SUBCOMMANDS: &[&str] = &[
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
    "sleep",
    "wait",
    "copy",
    "completions",
    "import",
    "man",
    "pause",
    "help",
];

/// Help, the version, or a usage error.
struct Said(clap::Error);

impl Said {
    fn print_and_code(self) -> u8 {
        // Nobody reads it: nobody is to be told so.
        let _ = self.0.print();
        if self.0.use_stderr() { exit::FAILED } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn args(words: &[&str]) -> Vec<OsString> {
        std::iter::once("bookend").chain(words.iter().copied()).map(OsString::from).collect()
    }

    fn command_of(words: &[&str]) -> Vec<OsString> {
        match parse(args(words)) {
            Ok(Command::Run(run)) => run.command,
            _ => panic!("{words:?} is not a run"),
        }
    }

    #[test]
    fn the_words_that_are_ours_are_those_that_clap_knows() {
        let mut cli = Cli::command();
        cli.build();
        let mut known: Vec<_> = cli.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        known.sort();
        let mut ours = SUBCOMMANDS.to_vec();
        ours.sort_unstable();
        assert_eq!(known, ours);
    }

    #[test]
    fn after_two_dashes_everything_is_the_apps() {
        assert_eq!(command_of(&["--", "check", "-c", "x"]), ["check", "-c", "x"]);
        assert_eq!(command_of(&["-c", "f", "--", "run", "--", "-x"]), ["run", "--", "-x"]);
        assert_eq!(command_of(&["run", "--", "sleep", "1"]), ["sleep", "1"]);
    }

    #[test]
    fn what_is_read_without_clap_means_what_clap_takes_it_for() {
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
            let by_hand = run::Run::of_plain(&args(&words)).unwrap_or_else(|| panic!("{line} is left to clap"));
            let Ok(Command::Run(by_clap)) = parse_all(args(&words)) else { panic!("{line} is not a run") };
            assert_eq!(format!("{by_hand:?}"), format!("{by_clap:?}"), "{line}");
        }
    }

    #[test]
    fn what_may_be_a_mistake_is_left_to_clap() {
        for line in
            ["-c", "-c -- a", "-c  -- a", "--set a -- b", "--set -- a", "-x -- a", "-c f a", "-c=f -- a", "check -- a"]
        {
            assert!(run::Run::of_plain(&args(&line.split(' ').collect::<Vec<_>>())).is_none(), "{line}");
        }
    }

    #[test]
    fn a_word_is_a_subcommand_only_as_the_first_argument() {
        assert_eq!(command_of(&["nginx", "check"]), ["nginx", "check"]);
        assert_eq!(command_of(&["-c", "f", "nginx", "-g", "daemon off;"]), ["nginx", "-g", "daemon off;"]);
    }
}
