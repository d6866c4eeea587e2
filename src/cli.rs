//! The command line: reads the arguments and runs the subcommand that they name. One file per subcommand.
//!
//! Depends on everything below it; nothing depends on it. `args` reads the arguments, `client` talks to the running
//! bookend, `outcome` prints the result and sets the exit code. The other files are subcommands.

mod args;
mod check;
mod client;
#[cfg(feature = "completions")]
mod completions;
mod copy;
#[cfg(feature = "doctor")]
mod doctor;
mod events;
mod files;
#[cfg(test)]
#[cfg(all(feature = "completions", feature = "doctor", feature = "reload"))]
mod generated;
mod hook;
mod load;
#[cfg(test)]
#[cfg(all(feature = "completions", feature = "doctor", feature = "reload"))]
mod manual;
mod nested;
mod outcome;
mod probe;
#[cfg(feature = "reload")]
mod reload;
mod run;
mod runtimes;
mod schema;
mod seconds;
#[cfg(feature = "sidecar")]
mod sidecar;
mod signal;
mod sleep;
mod status;
mod stop;
mod suggest;
mod trust;
mod version;
mod wait;

use std::ffi::OsString;

use args::Subcommand;

use crate::compat::Personality;
use crate::process::inherited::Inherited;
use crate::process::pause;
use crate::report::log::last_words;

/// Runs bookend with these arguments (the program's name first), and returns its exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    // This comes first: PID 1 drops a SIGTERM by default, and reading the command line takes time.
    let inherited = Inherited::take();
    if let Some(personality) = Personality::of(args.first()) {
        return run::run_as(personality, &args, inherited);
    }
    let subcommand = match args::parse(args) {
        Ok(subcommand) => subcommand,
        Err(message) => return message.print_and_code(),
    };
    if !handles_signals(&subcommand) {
        inherited.restore_mask();
    }
    let outcome = match subcommand {
        Subcommand::Run(args) => return run::run_container(args, inherited),
        #[cfg(feature = "sidecar")]
        Subcommand::Sidecar(args) => return args.run(inherited),
        Subcommand::Pause => {
            pause::run(inherited, None);
            Ok(())
        }
        Subcommand::Sleep(args) => return args.run(inherited),
        Subcommand::Check(args) => args.run(),
        #[cfg(feature = "doctor")]
        Subcommand::Doctor(args) => args.run(&inherited, args::parse_run),
        Subcommand::Schema => schema::run(),
        Subcommand::Hook(args) => args.run(),
        Subcommand::Probe(args) => args.run(),
        Subcommand::Status(args) => args.run(),
        Subcommand::Events(args) => args.run(),
        Subcommand::Stop(args) => args.run(),
        Subcommand::Signal(args) => args.run(),
        #[cfg(feature = "reload")]
        Subcommand::Reload(args) => args.run(),
        Subcommand::Wait(args) => args.run(),
        Subcommand::Copy(args) => args.run(),
        #[cfg(feature = "completions")]
        Subcommand::Completions(args) => args.run(),
        #[cfg(feature = "completions")]
        Subcommand::Man => completions::man(),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            last_words(&failure.text);
            failure.code
        }
    }
}

/// Whether a subcommand takes the signals itself. They stay blocked for such a subcommand.
fn handles_signals(subcommand: &Subcommand) -> bool {
    #[cfg(feature = "sidecar")]
    if matches!(subcommand, Subcommand::Sidecar(_)) {
        return true;
    }
    matches!(subcommand, Subcommand::Run(_) | Subcommand::Pause | Subcommand::Sleep(_))
}
