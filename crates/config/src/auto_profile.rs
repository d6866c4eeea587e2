//! `app.profile = "auto"`: the profile is chosen by the command when the app starts, and by the running app when a stop
//! begins, because an entrypoint script may have become any server until then.

use std::ffi::OsString;

#[cfg(feature = "auto")]
use crate::assemble;
use crate::collector::Collector;
use crate::document::read_file;
#[cfg(feature = "auto")]
use crate::profiles::{self, HTTP};
use crate::settings::Settings;
use crate::tree::{Entry, Origin, Tree};
use crate::value::Value;
use bookend_lifecycle::signal::Signal;

/// The inputs of the choice, so that it can be made again.
#[cfg(feature = "auto")]
#[derive(Debug, Clone)]
pub struct AutoProfile {
    /// The layers above the profile.
    tree: Tree,
    chosen: &'static str,
}

/// A build without the feature `auto` creates no value of this type, so the compiler leaves out the code that uses it.
#[cfg(not(feature = "auto"))]
#[derive(Debug, Clone)]
pub enum AutoProfile {}

#[cfg(feature = "auto")]
impl AutoProfile {
    /// The profile in effect.
    pub fn chosen(&self) -> &'static str {
        self.chosen
    }

    /// Chooses another one, and returns the settings with it.
    pub fn choose(&mut self, name: &'static str) -> Settings {
        self.chosen = name;
        let has_grace_period = self.tree.get("terminationGracePeriodSeconds").is_some();
        let text = profiles::text(name, has_grace_period);
        let tree = above_profile(self.tree.clone(), name, &text, true, &mut Collector::default());
        let mut settings = assemble::settings(&tree);
        settings.app.profile = Some(name.to_owned());
        settings
    }
}

#[cfg(not(feature = "auto"))]
impl AutoProfile {
    /// The profile in effect.
    pub fn chosen(&self) -> &'static str {
        match *self {}
    }

    /// Chooses another one, and returns the settings with it.
    pub fn choose(&mut self, _name: &'static str) -> Settings {
        match *self {}
    }
}

/// The choice by the command. `None`: `profile` is not `auto`.
#[cfg(feature = "auto")]
pub(crate) fn of_start(profile: &str, command: &[OsString], tree: &Tree) -> Option<AutoProfile> {
    if profile != profiles::AUTO {
        return None;
    }
    let words: Vec<String> = match tree.get("app.command").map(|entry| &entry.value) {
        _ if !command.is_empty() => command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        Some(Value::List(words)) => words
            .iter()
            .filter_map(|word| if let Value::Text(text) = word { Some(text.clone()) } else { None })
            .collect(),
        _ => Vec::new(),
    };
    Some(AutoProfile { tree: tree.clone(), chosen: profiles::of_command(&words).unwrap_or(HTTP) })
}

#[cfg(not(feature = "auto"))]
pub(crate) fn of_start(_profile: &str, _command: &[OsString], _tree: &Tree) -> Option<AutoProfile> {
    None
}

/// The layers with the text of a profile below them: it is weaker than every other source.
pub(crate) fn above_profile<'a>(
    tree: Tree,
    name: &str,
    text: &'a str,
    is_auto: bool,
    collector: &mut Collector<'a>,
) -> Tree {
    let origin = Origin::Profile(format!("{name}{}", if is_auto { " (auto)" } else { "" }));
    let mut profile = read_file("profile", text, collector).with_origin(&origin);
    profile.overlay(tree);
    yield_stop_signals(&mut profile);
    profile
}

/// A signal to which the user's `app.signals` gives another meaning does not begin a stop because a profile names it.
fn yield_stop_signals(tree: &mut Tree) {
    const PATH: &str = "app.stopSignals";
    let is_of_profile = |entry: &&Entry| matches!(entry.origin, Origin::Profile(_));
    let Some(Entry { value: Value::List(signals), origin, span }) = tree.get(PATH).filter(is_of_profile) else {
        return;
    };
    let is_of_user = |path: &str| tree.get(path).is_some_and(|entry| !is_of_profile(&entry));
    let names = tree.names("app.signals").into_iter();
    let named: Vec<Signal> =
        names.filter(|(_, path)| is_of_user(path)).filter_map(|(name, _)| name.parse().ok()).collect();
    let begins_stop = |value: &&Value| match value {
        Value::Signal(signal) => [Signal::TERM, Signal::INT, Signal::QUIT].contains(signal) || !named.contains(signal),
        _ => true,
    };
    let value = Value::List(signals.iter().filter(begins_stop).cloned().collect());
    let entry = Entry { value, origin: origin.clone(), span: *span };
    tree.insert(PATH.to_owned(), entry);
}
