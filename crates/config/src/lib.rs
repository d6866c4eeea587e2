//! What the user said, as what the program needs. Pure: texts and the environment are passed in, so
//! every mistake can be shown in a unit test. Knows the words of `bookend_lifecycle::signal` and `bookend_lifecycle`.
//!
//! ```text
//!   files ──► document ─┐
//!   BOOKEND_* ► environment ─┼─► tree (layers, origins) ─► rules ─► assemble ─► Settings
//!   options, `--` ──────┘        │                                             │
//!                                └─► print: `bookend check`                    └─► budget
//!   vocabulary (every key, once) ─► all of these, the schema and the README's reference
//! ```
//!
//! Precedence: command line, environment, later file, earlier file, profile, default. Tables merge by key;
//! lists, and the handlers of a hook, are replaced as a whole.

use std::ffi::OsString;
use std::fmt;

mod assemble;
pub mod assignments;
pub mod budget;
mod diagnostic;
mod document;
mod environment;
pub mod expand;
mod hint;
mod key;
mod kind;
mod modes;
pub mod network;
mod print;
mod profiles;
mod rules;
mod schema;
pub mod settings;
mod snippet;
mod tree;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::MAX_BYTES;
pub use environment::RESERVED as RESERVED_VARIABLES;
pub use tree::Origin;

use diagnostic::{Collector, SourceKind, Span};
use kind::Value;
use settings::{CommandFrom, Settings};
use tree::{Entry, Tree};

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its path as it was said; mistakes and origins name it so.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// One option of the command line that says a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The key's path: `http.listen`, `app.env.LANG`.
    pub path: String,
    /// A scalar as bare text, anything else in TOML.
    pub value: String,
    /// The option as it was said; mistakes and origins name it so.
    pub flag: String,
}

/// What the configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What it says tells: `bookend check`.
    #[default]
    Either,
    /// `bookend run`: an app of our own.
    App,
    /// `bookend sidecar`: apps of other containers.
    Sidecar,
}

/// What the bookend that will use the configuration was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// HTTPS.
    pub tls: bool,
    /// The page for people.
    pub page: bool,
}

impl Default for Features {
    /// The default features of the `bookend` package.
    fn default() -> Features {
        Features { tls: true, page: true }
    }
}

/// Everything that was said, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The files; a later one is stronger.
    pub files: Vec<Document>,
    /// The whole environment; `BOOKEND_...` is ours.
    pub env: Vec<(OsString, OsString)>,
    /// Options of the command line; a later one is stronger.
    pub overrides: Vec<Override>,
    /// What stood after `--`; empty: nothing.
    pub command: Vec<OsString>,
    /// What it is for.
    pub mode: Mode,
    /// The features of the bookend that will use it.
    pub features: Features,
}

/// The settings and where each of them comes from.
#[derive(Debug, Clone)]
pub struct Effective {
    /// What the program needs.
    pub settings: Settings,
    mode: Mode,
    tree: Tree,
}

/// Reads, checks and merges everything. A missing `app.command` is no mistake here: a sidecar has none.
///
/// # Errors
/// Every mistake of every source at once.
pub fn load(sources: &Sources) -> Result<Effective, Diagnostics> {
    let mut report = Collector::default();
    let mut tree = Tree::default();
    for file in &sources.files {
        let source = report.source(SourceKind::File, &file.name, &file.text);
        let layer = document::read(&mut report, source, vocabulary::ROOT);
        lay(&mut tree, layer, &mut report);
    }
    let layer = environment::read(&mut report, &sources.env);
    lay(&mut tree, layer, &mut report);
    let layer = environment::read_overrides(&mut report, &sources.overrides);
    lay(&mut tree, layer, &mut report);
    if !sources.command.is_empty() {
        let origin = Origin::CommandLine("--".to_owned());
        let words = sources.command.iter().map(|word| Value::Text(word.to_string_lossy().into_owned())).collect();
        let span = Span { source: usize::MAX, start: 0, end: 0 };
        tree.insert("app.command".to_owned(), Entry { value: Value::List(words), origin, span });
    }
    if let Some(Value::Text(name)) = tree.get("app.profile").map(|entry| &entry.value) {
        let mut profile = profile(name, &mut report);
        profile.overlay(tree);
        tree = profile;
    }
    let mode = match sources.mode {
        Mode::Either if modes::is_sidecar(&tree) => Mode::Sidecar,
        mode => mode,
    };
    if mode == Mode::Sidecar && !sources.command.is_empty() {
        report.unseen("app.command", modes::NO_APP.to_owned());
    }
    rules::check_merged(&tree, mode, sources.features, &mut report);
    report.finish()?;
    let mut settings = assemble::settings(&tree);
    if !sources.command.is_empty() {
        // As the kernel gave it: an argument need not be UTF-8.
        settings.app.program.command.clone_from(&sources.command);
        settings.app.command_from = CommandFrom::CommandLine;
    }
    Ok(Effective { settings, mode, tree })
}

/// The JSON Schema (draft 2020-12) of a configuration, as text.
pub fn schema() -> String {
    format!("{:#}\n", schema::schema())
}

/// The layer of a profile: weaker than all that was said.
fn profile(name: &str, report: &mut Collector<'_>) -> Tree {
    let Some(text) = profiles::text(name) else { return Tree::default() };
    let source = report.source(SourceKind::File, "profile", text);
    document::read(report, source, vocabulary::ROOT).with_origin(&Origin::Profile(name.to_owned()))
}

/// Checks one layer for itself and lays it over what is weaker.
fn lay(tree: &mut Tree, layer: Tree, report: &mut Collector<'_>) {
    rules::check_layer(&layer, report);
    tree.overlay(layer);
}

impl fmt::Display for Effective {
    /// What `bookend check` prints: TOML as a whole, the budget in comments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.to_toml())?;
        self.budget().to_string().lines().try_for_each(|line| writeln!(f, "# {line}"))
    }
}

impl Effective {
    /// Zero config: the defaults, and a command. The same as loading nothing but the command, without its cost.
    pub fn of_command(command: Vec<OsString>) -> Effective {
        let program = settings::Program { command, ..settings::Program::default() };
        let app = settings::AppSettings { program, ..settings::AppSettings::default() };
        Effective { settings: Settings { app, ..Settings::default() }, mode: Mode::App, tree: Tree::default() }
    }

    /// Where the value of a key path comes from.
    pub fn origin(&self, path: &str) -> Origin {
        self.tree.get(path).map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Whether anything was said besides a command: without, bookend is as silent as tini.
    pub fn is_configured(&self) -> bool {
        self.tree.iter().any(|(_, entry)| entry.origin != Origin::CommandLine("--".to_owned()))
    }

    /// The effective configuration as TOML, each value with a comment where it comes from.
    pub fn to_toml(&self) -> String {
        print::toml(&self.tree, self.mode)
    }

    /// Whether the stages of a stop fit into the grace period.
    pub fn budget(&self) -> budget::BudgetTable {
        match self.mode {
            Mode::Sidecar => budget::BudgetTable::of_sidecar(&self.settings),
            Mode::Either | Mode::App => budget::BudgetTable::of(&self.settings),
        }
    }
}
