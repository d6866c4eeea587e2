//! The door: what was said on the command line, and the way to the room that answers it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Document, Effective, Sources};
use crate::exit;
use crate::handler::describe;
use crate::log::last_words;
use crate::process::inherited::Inherited;
use crate::process::last_resort;
use crate::supervisor;

/// Runs bookend with these arguments (the program's name first), and returns its exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    // First of all: PID 1's default is to drop a SIGTERM, and reading the command line takes its time.
    let inherited = Inherited::take();
    let command = match parse(args) {
        Ok(command) => command,
        Err(said) => return said.print_and_code(),
    };
    if !matches!(command, Command::Run(_)) {
        inherited.restore_mask();
    }
    let done = match command {
        Command::Run(run) => return run_container(run, inherited),
        Command::Check { files } => check(&files),
        Command::Sleep { seconds } => {
            pause(seconds);
            Ok(())
        }
    };
    match done {
        Ok(()) => 0,
        Err(text) => {
            last_words(&text);
            exit::FAILED
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
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the container's application (the default)
    Run(Run),
    /// Validate the configuration and show what is in effect
    Check {
        /// Configuration files; where several set the same key, the last one wins
        files: Vec<PathBuf>,
    },
    /// Wait for so many seconds, in images that have no sleep(1)
    Sleep {
        /// Seconds; fractions are fine
        #[arg(value_parser = seconds)]
        seconds: Duration,
    },
}

#[derive(Debug, Default, Args)]
struct Run {
    /// Configuration file (TOML); may be given several times, the last one wins
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// The application and its arguments; replaces app.command
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Says what was meant. The two forms a container's ENTRYPOINT has, `-- COMMAND` and `COMMAND`, are read
/// without clap, whose tables cost more time than starting the application does.
fn parse(args: Vec<OsString>) -> Result<Command, Said> {
    match args.get(1).and_then(|first| first.to_str()) {
        Some("--") => Ok(Command::Run(Run { config: Vec::new(), command: args.into_iter().skip(2).collect() })),
        Some(first) if first.starts_with('-') || first.is_empty() || SUBCOMMANDS.contains(&first) => parse_all(args),
        Some(_) => Ok(Command::Run(Run { config: Vec::new(), command: args.into_iter().skip(1).collect() })),
        None => parse_all(args),
    }
}

fn parse_all(args: Vec<OsString>) -> Result<Command, Said> {
    let cli = Cli::try_parse_from(args).map_err(Said)?;
    Ok(cli.command.unwrap_or(Command::Run(cli.run)))
}

/// Words that are ours when they come first; a test holds them to what clap knows.
const SUBCOMMANDS: &[&str] = &["run", "check", "sleep", "help"];

/// Help, the version, or a usage error.
struct Said(clap::Error);

impl Said {
    fn print_and_code(self) -> u8 {
        // Nobody reads it: nobody is to be told so.
        let _ = self.0.print();
        if self.0.use_stderr() { exit::FAILED } else { 0 }
    }
}

fn run_container(run: Run, inherited: Inherited) -> u8 {
    last_resort::catch_panics();
    let (effective, quiet) = match load(&run.config, run.command) {
        Ok(loaded) => loaded,
        Err(text) => {
            last_words(&text);
            return exit::FAILED;
        }
    };
    match supervisor::run(effective.settings, inherited, quiet) {
        Ok(code) => code,
        Err(error) => {
            last_words(&format!("bookend: {}\n", describe(&error)));
            exit::FAILED
        }
    }
}

/// Reads and checks every layer. The flag: nothing was configured at all.
fn load(files: &[PathBuf], command: Vec<OsString>) -> Result<(Effective, bool), String> {
    let files = read_files(files)?;
    let env: Vec<_> = std::env::vars_os().filter(|(key, _)| key.as_encoded_bytes().starts_with(b"BOOKEND_")).collect();
    let quiet = files.is_empty() && env.is_empty();
    if quiet {
        // Zero config: there is nothing to read, and reading nothing costs more than starting the application.
        return Ok((Effective::of_command(command), quiet));
    }
    let sources = Sources { files, env, command, overrides: Vec::new() };
    let effective = config::load(&sources).map_err(|mistakes| format!("{mistakes}\n"))?;
    Ok((effective, quiet))
}

/// The files that were named, or those of /etc/bookend that exist. All that cannot be read are told at once.
fn read_files(named: &[PathBuf]) -> Result<Vec<Document>, String> {
    let files = if named.is_empty() { default_files() } else { named.to_vec() };
    let mut errors = String::new();
    let mut documents = Vec::new();
    for path in files {
        match std::fs::read_to_string(&path) {
            Ok(text) => documents.push(Document { name: path.display().to_string(), text }),
            Err(error) => {
                errors.push_str(&format!("bookend: cannot read the configuration {}: {error}\n", path.display()));
            }
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// `BOOKEND_CONFIG`, or /etc/bookend/bookend.toml and then /etc/bookend/conf.d/*.toml in the order of their names.
fn default_files() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("BOOKEND_CONFIG") {
        return vec![path.into()];
    }
    let main = PathBuf::from("/etc/bookend/bookend.toml");
    let mut parts: Vec<PathBuf> = std::fs::read_dir("/etc/bookend/conf.d")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    parts.sort();
    main.exists().then_some(main).into_iter().chain(parts).collect()
}

fn check(files: &[PathBuf]) -> Result<(), String> {
    let (effective, _) = load(files, Vec::new())?;
    use std::io::Write;
    // Nobody reads it: nobody is to be told so.
    let _ = write!(std::io::stdout(), "{effective}");
    Ok(())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a number of seconds (0 or more)"))
}

#[expect(clippy::disallowed_methods, reason = "`bookend sleep` is a tool of its own, never PID 1's loop")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
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
    fn a_word_is_a_subcommand_only_as_the_first_argument() {
        assert_eq!(command_of(&["nginx", "check"]), ["nginx", "check"]);
        assert_eq!(command_of(&["-c", "f", "nginx", "-g", "daemon off;"]), ["nginx", "-g", "daemon off;"]);
    }
}
