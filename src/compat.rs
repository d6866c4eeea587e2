//! Other inits' names. Called as one of them, bookend takes its options and does what it does: a personality
//! translates what was said into the same settings, and a policy for the rest. There is no second implementation.
//!
//! | name                             | translated by | differs from bookend's own way in                              |
//! | -------------------------------- | ------------- | -------------------------------------------------------------- |
//! | `tini`, `tini-...`, `docker-init` | `tini`       | no signal begins a stop of ours; nobody who is left is ended   |
//! | `dumb-init`                      | `dumb_init`   | likewise; the app leads a session, all of its group is signalled |
//!
//! A drop-in is silent: no file is read, nothing is written but what that init would have said. One exception:
//! `docker run --init` can pass nothing but the environment, so for PID 1 a `BOOKEND_...` variable switches the
//! personality off: bookend's own way, with the options on the command line counting as they are.

mod dumb_init;
pub(crate) mod policy;
mod tini;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::compat::policy::{Convention, Policy};
use crate::handlers::program::ProgramError;
use crate::process::spawn::SpawnError;
use bookend_config::settings::{AppSettings, LogLevel, LogSettings, Program, Settings, SocketPath};
use bookend_config::{Override, is_configuration_variable};

/// Whose name we were called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Personality {
    /// tini, docker-init.
    Tini,
    /// dumb-init.
    DumbInit,
}

/// What the options of another init mean.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// Run this.
    Run(Box<Run>),
    /// Say this, and end.
    Say {
        /// Whole lines.
        text: String,
        /// The exit code.
        code: u8,
        /// Where that init says it.
        to: Stream,
    },
}

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Descriptor 1.
    Out,
    /// Descriptor 2.
    Err,
}

/// A container's life in that init's way.
#[derive(Debug)]
pub(crate) struct Run {
    /// What the options say, and what that init does unasked.
    pub(crate) settings: Settings,
    /// The rest.
    pub(crate) policy: Policy,
    /// The options alone, as keys of ours: for a life in bookend's own way.
    pub(crate) overrides: Vec<Override>,
    /// What that init says where it gets no orphans.
    pub(crate) without_orphans: Option<String>,
    /// Its exit code where there is nothing to run for a reason of its own.
    pub(crate) failed: u8,
}

impl Personality {
    /// By the name of the program, without its folder.
    pub(crate) fn of(program: Option<&OsString>) -> Option<Personality> {
        match Path::new(program?).file_name()?.as_bytes() {
            b"tini" | b"docker-init" => Some(Personality::Tini),
            name if name.starts_with(b"tini-") => Some(Personality::Tini),
            b"dumb-init" => Some(Personality::DumbInit),
            _ => None,
        }
    }

    /// Reads that init's command line and environment.
    pub(crate) fn read(self, args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Meaning {
        match self {
            Personality::Tini => tini::read(args, variable),
            Personality::DumbInit => dumb_init::read(args, variable),
        }
    }
}

/// Whether the environment asks for bookend itself. An empty variable counts as unset.
pub(crate) fn asks_for_bookend(mut variables: impl Iterator<Item = (OsString, OsString)>) -> bool {
    variables.any(|(name, value)| !value.is_empty() && is_configuration_variable(&name, &value))
}

/// What all of them have in common: every signal is the app's, and nothing of ours is said or written.
fn silent(command: Vec<OsString>, level: LogLevel) -> Settings {
    let program = Program { command, ..Program::default() };
    Settings {
        // No path: nothing is written there.
        termination_message_path: Some(PathBuf::new()),
        subreaper: Some(false),
        socket: SocketPath::None,
        app: AppSettings { program, stop_signals: Some(Vec::new()), ..AppSettings::default() },
        log: LogSettings { level: Some(level), ..LogSettings::default() },
        ..Settings::default()
    }
}

/// An option as a key of ours.
fn option(path: &str, value: impl Into<String>, flag: &str) -> Override {
    Override { path: path.to_owned(), value: value.into(), flag: flag.to_owned() }
}

/// An app that could not be started, as that init says it; `None`: in bookend's own way.
pub(crate) fn say_not_started(convention: Convention, error: &ProgramError) -> Option<String> {
    let ProgramError::Spawn(SpawnError::Exec { program, source } | SpawnError::Clone { program, source }) = error
    else {
        return None;
    };
    // As strerror(3) has it, without the number that Rust adds.
    let (program, why) = (program.display(), source.to_string());
    let why = why.split(" (os error").next().unwrap_or_default();
    match convention {
        Convention::Env => None,
        Convention::Tini => Some(format!("[FATAL tini ({})] exec {program} failed: {why}\n", std::process::id())),
        Convention::DumbInit => Some(format!("[dumb-init] {program}: {why}\n")),
    }
}

/// What clap has to say, as that init's exit code has it.
fn complaint(name: &str, error: &clap::Error, code: u8) -> Meaning {
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => Some(option),
        _ => None,
    };
    let text = unknown.map(|option| format!("{name}: unrecognized option '{option}'\n"));
    let text = text.unwrap_or_else(|| error.render().to_string());
    if error.use_stderr() {
        Meaning::Say { text, code, to: Stream::Err }
    } else {
        Meaning::Say { text, code: 0, to: Stream::Out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_wherever_the_program_lies() {
        let of = |name: &str| Personality::of(Some(&name.into()));
        for name in ["tini", "/sbin/tini", "tini-static", "/usr/bin/tini-static-amd64", "/sbin/docker-init"] {
            assert_eq!(of(name), Some(Personality::Tini), "{name}");
        }
        assert_eq!(of("./dumb-init"), Some(Personality::DumbInit));
        for name in ["bookend", "/bookend", "tiny", "init", "", "/"] {
            assert_eq!(of(name), None, "{name}");
        }
        assert_eq!(Personality::of(None), None);
    }

    #[test]
    fn what_handlers_are_told_asks_for_nothing() {
        let asks = |name: &str| asks_for_bookend(std::iter::once((OsString::from(name), OsString::from("x"))));
        assert!(asks("BOOKEND_CONFIG") && asks("BOOKEND_HTTP_LISTEN"));
        assert!(!asks("BOOKEND_HOOK") && !asks("BOOKEND_BIN") && !asks("BOOKEND_VERSION") && !asks("PATH"));
    }
}
