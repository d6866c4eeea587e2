//! The promises of a configuration, from the text to the settings.

use std::ffi::OsString;

use crate::{Diagnostic, Diagnostics, Document, Effective, Features, Override, Sources, load};

mod check;
mod deprecated;
mod diagnostics;
mod endpoint;
mod environment;
mod every_key;
mod examples;
mod files;
mod fuzz;
mod hints;
mod layers;
mod pod_spec;
mod profiles;
mod reference;
#[cfg(feature = "reload")]
mod reload;
mod secrets;
mod values;

/// A single file as the only source.
fn file(text: &str) -> Sources {
    Sources { files: vec![document("bookend.toml", text)], ..Sources::default() }
}

fn document(name: &str, text: &str) -> Document {
    Document { name: name.to_owned(), text: text.to_owned() }
}

/// The environment as the only source.
fn env(pairs: &[(&str, &str)]) -> Sources {
    Sources { env: variables(pairs), ..Sources::default() }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn option(path: &str, value: &str) -> Override {
    Override { path: path.to_owned(), value: value.to_owned(), flag: format!("--set {path}") }
}

/// Accepts the sources, or shows the diagnostics.
#[track_caller]
fn accept(sources: &Sources) -> Effective {
    match load(sources) {
        Ok(effective) => effective,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

#[track_caller]
fn refuse(sources: &Sources) -> Diagnostics {
    match load(sources) {
        Ok(effective) => panic!("accepted:\n{}", effective.to_toml()),
        Err(diagnostics) => diagnostics,
    }
}

/// Path and sentence of each diagnostic of refused sources.
#[track_caller]
fn sentences(sources: &Sources) -> Vec<String> {
    refuse(sources).iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
}

/// Path, sentence and help of each diagnostic of refused sources.
#[track_caller]
fn helped(sources: &Sources) -> Vec<String> {
    refuse(sources).iter().map(with_help).collect()
}

/// Path, sentence and help of each warning about accepted sources.
#[track_caller]
fn warnings(sources: &Sources) -> Vec<String> {
    accept(sources).warnings.iter().map(with_help).collect()
}

fn with_help(one: &Diagnostic) -> String {
    format!("{}: {} | {}", one.path, one.message, one.help.join(" | "))
}
