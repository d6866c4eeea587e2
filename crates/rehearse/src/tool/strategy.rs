//! The ways to stop a server that are compared.

use std::path::PathBuf;

use super::bookend::Bookend;
use super::place::{Launch, Place};

/// One way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Strategy {
    /// The stop signal, to the image as it is.
    AsIs,
    /// Another init in front: its name, its file and its options.
    Init(String, PathBuf, Vec<String>),
    /// A preStop hook that sleeps, then the stop signal.
    Sleep(u64),
    /// A preStop hook that runs a script in the container, then the stop signal.
    Script(String),
    /// bookend in front, and the stop signal.
    BookendSignal,
    /// bookend in front, the kubelet's preStop hook, and the stop signal after its answer.
    BookendHook,
}

impl Strategy {
    /// For `--judge`, `--strategies` and JSON.
    pub(crate) fn id(&self) -> String {
        match self {
            Strategy::AsIs => "as-is".to_owned(),
            Strategy::Init(name, ..) => name.clone(),
            Strategy::Sleep(seconds) => format!("sleep-{seconds}"),
            Strategy::Script(_) => "script".to_owned(),
            Strategy::BookendSignal => "bookend-signal".to_owned(),
            Strategy::BookendHook => "bookend-hook".to_owned(),
        }
    }

    /// For people.
    pub(crate) fn title(&self) -> String {
        match self {
            Strategy::AsIs => "the image as it is".to_owned(),
            Strategy::Init(name, ..) => format!("under {name}"),
            Strategy::Sleep(seconds) => format!("a sleep of {seconds} s, then the signal"),
            Strategy::Script(_) => "the preStop script, then the signal".to_owned(),
            Strategy::BookendSignal => "bookend, by signal".to_owned(),
            Strategy::BookendHook => "bookend, by hook".to_owned(),
        }
    }

    /// How the server is started for it.
    pub(crate) fn launch(&self, place: &dyn Place, bookend: Option<&Bookend>) -> Result<Launch, String> {
        match self {
            Strategy::AsIs | Strategy::Sleep(_) | Strategy::Script(_) => Ok(Launch::default()),
            Strategy::Init(name, file, options) => {
                let inside = place.inside(file, name);
                let init = [inside.clone()].into_iter().chain(options.iter().cloned()).collect();
                // Otherwise an init that is not PID 1 would not get the orphans.
                let env = vec![("TINI_SUBREAPER".to_owned(), String::new())];
                Ok(Launch { init, files: vec![(file.clone(), inside)], env })
            }
            Strategy::BookendSignal | Strategy::BookendHook => {
                let bookend = bookend.ok_or("bookend is missing: --bookend FILE")?;
                Ok(bookend.launch(place, *self == Strategy::BookendHook))
            }
        }
    }
}
