//! A command line of another init as a request to bookend, and what the translations share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::policy::Policy;
use bookend_config::Override;
use bookend_config::settings::{AppSettings, LogLevel, LogSettings, Program, Settings, SocketPath};

/// A command line of another init, as a request to bookend.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run a program.
    Run(Box<DropInRun>),
    /// Print this and exit.
    Print {
        /// Whole lines.
        text: String,
        /// The exit code.
        code: u8,
        /// The stream that the init uses for it.
        to: OutputStream,
    },
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// A program to run as that init does.
#[derive(Debug)]
pub(crate) struct DropInRun {
    /// The options, and the fixed behaviour of the init.
    pub(crate) settings: Settings,
    /// The differences that settings cannot express.
    pub(crate) policy: Policy,
    /// The options alone, as bookend's keys. PID 1 uses them if the environment switches it back to bookend.
    pub(crate) overrides: Vec<Override>,
    /// The init's warning if it gets no orphans.
    pub(crate) without_orphans: Option<String>,
    /// The init's exit code if it fails before it runs the program.
    pub(crate) failed: u8,
}

/// The settings that all of them share: every signal goes to the app, and nothing of ours is logged or written.
pub(super) fn silent(command: Vec<OsString>, level: LogLevel) -> Settings {
    let program = Program { command, ..Program::default() };
    Settings {
        // An empty path: no termination message is written.
        termination_message_path: Some(PathBuf::new()),
        subreaper: Some(false),
        socket: SocketPath::None,
        app: AppSettings { program, stop_signals: Some(Vec::new()), ..AppSettings::default() },
        log: LogSettings { level: Some(level), ..LogSettings::default() },
        ..Settings::default()
    }
}

/// An option of another init as a key of ours.
pub(super) fn option(path: &str, value: impl Into<String>, flag: &str) -> Override {
    Override { path: path.to_owned(), value: value.into(), flag: flag.to_owned() }
}

/// A usage error or the help, with the exit code of that init.
pub(super) fn usage(name: &str, error: &clap::Error, code: u8) -> Invocation {
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => Some(option),
        _ => None,
    };
    let text = unknown.map(|option| format!("{name}: unrecognized option '{option}'\n"));
    let text = text.unwrap_or_else(|| error.render().to_string());
    if error.use_stderr() {
        Invocation::Print { text, code, to: OutputStream::Stderr }
    } else {
        Invocation::Print { text, code: 0, to: OutputStream::Stdout }
    }
}
