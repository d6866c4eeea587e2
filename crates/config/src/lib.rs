//! bookend's configuration: texts and variables go in, settings or diagnostics come out. No I/O and no Linux API, so that
//! tools for people and CI read the same configuration on any system.
//!
//! ```text
//!   files ──► document ─┐
//!   BOOKEND_* ► environment ─┼─► tree (layers, origins) ─► rules ─► assemble ─► Settings
//!   options, `--` ──────┘        │                                             │
//!                                └─► print: `bookend check`                    └─► budget
//!   vocabulary (every key, once) ─► all of these, hints, the schema and the reference
//! ```
//!
//! Precedence: command line, environment, later file, earlier file, profile, default. Tables merge by key;
//! lists, and the handlers of a hook, are replaced as a whole.
//!
//! ```
//! use bookend_config::{Document, Sources, load};
//!
//! let text = "[app]\ncommand = [\"nginx\"]\nstopSignal = \"SIGQUIT\"\n".to_owned();
//! let sources = Sources { files: vec![Document { name: "bookend.toml".to_owned(), text }], ..Sources::default() };
//! let effective = load(&sources)?;
//! assert_eq!(effective.settings.app.program.command, ["nginx"]);
//! assert_eq!(effective.origin("app.stopSignal").to_string(), "bookend.toml:3");
//! # Ok::<(), bookend_config::Diagnostics>(())
//! ```

pub mod address;
mod assemble;
pub mod assignments;
mod auto_profile;
pub mod budget;
mod collector;
mod deprecated;
mod diagnostic;
mod document;
mod effective;
mod environment;
pub mod expand;
mod hint;
mod inputs;
mod json;
mod key;
mod masking;
mod modes;
pub mod network;
mod print;
pub mod profiles;
#[cfg(feature = "reload")]
mod reloads;
mod rules;
mod scalar;
mod schema;
mod secrets;
pub mod settings;
mod snippet;
mod source;
mod toml_text;
mod tree;
mod value;
mod view;
mod vocabulary;
mod words;
#[cfg(feature = "auto")]
pub mod wrapper;

#[cfg(test)]
mod tests;

pub use auto_profile::AutoProfile;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::MAX_BYTES;
pub use effective::Effective;
pub use environment::{RESERVED as RESERVED_VARIABLES, is_configuration as is_configuration_variable};
pub use inputs::{Document, Features, Mode, Override, Sources};
pub use scalar::receivable;
pub use secrets::{command_without_secrets, without_secrets};
pub use tree::Origin;

use std::cell::OnceCell;

use collector::Collector;
use settings::CommandFrom;
use source::Span;
use tree::{Entry, Tree};
use value::Value;

/// Reads, checks and merges all sources. A missing `app.command` is not an error here, because a sidecar has no app of its own.
///
/// # Errors
/// All errors and warnings of all sources at once.
pub fn load(sources: &Sources) -> Result<Effective, Diagnostics> {
    // This is declared before the collector, which borrows it.
    let profile = OnceCell::new();
    let mut collector = Collector::default();
    let mut tree = Tree::default();
    for file in &sources.files {
        let layer = document::read_file(&file.name, &file.text, &mut collector);
        merge(&mut tree, layer, &mut collector);
    }
    let layer = environment::read(&mut collector, &sources.env);
    merge(&mut tree, layer, &mut collector);
    let layer = environment::read_overrides(&mut collector, &sources.overrides);
    merge(&mut tree, layer, &mut collector);
    if !sources.command.is_empty() {
        let origin = Origin::CommandLine("--".to_owned());
        let words = sources.command.iter().map(|word| Value::Text(word.to_string_lossy().into_owned())).collect();
        let span = Span { source: usize::MAX, start: 0, end: 0 };
        let value = Value::List(words);
        let replaced = tree.insert("app.command".to_owned(), Entry { value: value.clone(), origin, span });
        if let Some(replaced) = replaced.filter(|replaced| replaced.value != value) {
            let help = "remove it here, or the image's CMD, the Pod's args or the command after `--`".to_owned();
            collector.warning(replaced.span, "app.command", "not used: the command line has a command", vec![help]);
        }
    }
    let mut auto = None;
    if let Some(Value::Text(name)) = tree.get("app.profile").map(|entry| &entry.value) {
        auto = auto_profile::of_start(name, &sources.command, &tree);
        let name = auto.as_ref().map_or_else(|| name.clone(), |auto| auto.chosen().to_owned());
        let has_grace_period = tree.get("terminationGracePeriodSeconds").is_some();
        let text = profile.get_or_init(|| profiles::text(&name, has_grace_period));
        tree = auto_profile::above_profile(tree, &name, text, auto.is_some(), &mut collector);
        #[cfg(feature = "reload")]
        reloads::fill(&mut tree, &name, &mut collector);
    }
    let mode = match sources.mode {
        Mode::Either if modes::is_sidecar(&tree) => Mode::Sidecar,
        mode => mode,
    };
    if mode == Mode::Sidecar && !sources.command.is_empty() {
        collector.error_without_place("app.command", modes::NO_APP);
    }
    rules::check_merged(&tree, mode, sources.features, &mut collector);
    #[cfg(feature = "reload")]
    reloads::check(&tree, mode, &mut collector);
    let warnings = collector.finish()?;
    let mut settings = assemble::settings(&tree);
    if !sources.command.is_empty() {
        // Byte for byte: an argument need not be UTF-8.
        settings.app.program.command.clone_from(&sources.command);
        settings.app.command_from = CommandFrom::CommandLine;
    }
    if let Some(auto) = &auto {
        settings.app.profile = Some(auto.chosen().to_owned());
    }
    Ok(Effective { settings, warnings, mode, auto, tree })
}

/// The JSON Schema (draft 2020-12) of a configuration, as text.
pub fn schema() -> String {
    schema::schema()
}

/// Checks one layer for itself and merges it into the weaker ones.
fn merge(tree: &mut Tree, layer: Tree, collector: &mut Collector<'_>) {
    rules::check_layer(&layer, collector);
    tree.overlay(layer);
}
