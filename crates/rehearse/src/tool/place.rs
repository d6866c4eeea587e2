//! The place in which a server lives during its rehearsal.

use std::path::PathBuf;
use std::time::Duration;

use bookend_rehearse::counts::Report;
use bookend_rehearse::plan::Plan;

use super::remote::Generator;

/// The program to start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    /// The init in front of the server, with its options; empty for the server as it is. The first word names one of `programs`.
    pub(crate) init: Vec<String>,
    /// Files of this machine that the init needs, each with its name in a container.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Variables of the environment.
    pub(crate) env: Vec<(String, String)>,
}

/// The end of a life.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    /// The exit code; 128+n for signal n.
    pub(crate) code: i32,
    /// SIGKILL at the end of the grace period.
    pub(crate) killed: bool,
    /// The processes that were left when the first one ended; `None`: not seen.
    pub(crate) leftovers: Option<Vec<String>>,
}

/// A place for lives.
pub(crate) trait Place {
    /// Starts the server, and the load generator beside it.
    fn begin(&self, launch: &Launch, plan: &Plan) -> Result<Box<dyn Life + '_>, String>;
    /// The name that a file has where the server runs.
    fn inside(&self, file: &std::path::Path, name: &str) -> String;
    /// The server's command, without an init.
    fn command(&self) -> Vec<String>;
    /// Whether a file exists where the server runs.
    fn has(&self, path: &str) -> bool;
    /// Runs a program of this machine where the server would run, to its end.
    fn run(&self, launch: &Launch, words: &[String]) -> Result<super::bounded::Output, String>;
    /// The image's stop signal, or the one that replaces it; `None` if there is no image.
    fn stop_signal_of_the_image(&self) -> Option<String> {
        None
    }
    /// Facts that a reader must know about this place.
    fn notes(&self) -> Vec<String>;
}

/// A server that runs.
pub(crate) trait Life {
    /// The load generator.
    fn generator(&mut self) -> &mut dyn Generator;
    /// Whether its first process still runs.
    fn is_running(&mut self) -> bool;
    /// The end of what it printed.
    fn log(&mut self) -> String;
    /// Runs a script beside the server, as an exec hook, for at most this long.
    fn script(&mut self, script: &str, most: Duration) -> Result<(), String>;
    /// Sends the stop signal, waits, and after this time sends SIGKILL.
    fn stop(&mut self, most: Duration) -> Result<Ending, String>;
}

/// The results of the load.
pub(crate) fn results(life: &mut dyn Life) -> Result<Report, String> {
    life.generator().finish()
}
