//! A layer, and the layers merged: a flat map from key path to value, each with its origin.
//! `lifecycle.preStop[1].exec.command` is one entry; tables and lists of tables have an entry of
//! their own, so that an empty one is not lost.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use crate::source::Span;
use crate::toml_text::{first_name, join};
use crate::value::Value;

/// Values by key path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<String, Entry>,
    /// Tables with an unknown key: a key that seems missing there may be misspelt.
    incomplete: HashSet<String>,
}

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The value.
    pub(crate) value: Value,
    /// Its origin, for `bookend check`.
    pub(crate) origin: Origin,
    /// Its place, for diagnostics.
    pub(crate) span: Span,
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No source sets it.
    Default,
    /// `app.profile`: its name.
    Profile(String),
    /// A file and the line in it, from 1.
    File {
        /// Its name, [`Document::name`](crate::Document::name).
        name: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The command line: the option's name, or `--` for the command.
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Profile(name) => write!(f, "profile {name}"),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::CommandLine(flag) => write!(f, "command line {flag}"),
        }
    }
}

impl Tree {
    /// The entry of a path.
    pub(crate) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether there may be an entry of this path or below it: one that begins with it.
    pub(crate) fn may_have(&self, path: &str) -> bool {
        let from = (Bound::Included(path), Bound::Unbounded);
        self.entries.range::<str, _>(from).next().is_some_and(|(first, _)| first.starts_with(path))
    }

    /// Adds an entry and returns the one it replaces.
    pub(crate) fn insert(&mut self, path: String, entry: Entry) -> Option<Entry> {
        self.entries.insert(path, entry)
    }

    /// The same entries with this origin.
    pub(crate) fn with_origin(mut self, origin: &Origin) -> Tree {
        self.entries.values_mut().for_each(|entry| entry.origin = origin.clone());
        self
    }

    /// Notes that a table has an unknown key.
    pub(crate) fn mark_incomplete(&mut self, table: &str) {
        self.incomplete.insert(table.to_owned());
    }

    /// Whether a table has an unknown key.
    pub(crate) fn is_incomplete(&self, table: &str) -> bool {
        self.incomplete.contains(table)
    }

    /// Every entry in the order of the paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The names right below a table of the user's own names, with their paths.
    pub(crate) fn names(&self, table: &str) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = Vec::new();
        for path in self.entries.keys() {
            let Some(rest) = path.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let name = first_name(rest);
            let below = join(table, &name);
            if names.last().is_none_or(|(last, _)| *last != name) && below.len() <= path.len() {
                names.push((name, below));
            }
        }
        names
    }

    /// The paths of the tables of a list: itself for a single one, `path[i]` for a list.
    pub(crate) fn tables(&self, path: &str) -> Vec<String> {
        match self.get(path).map(|entry| &entry.value) {
            Some(Value::Single) => vec![path.to_owned()],
            Some(Value::Tables(count)) => (0..*count).map(|index| format!("{path}[{index}]")).collect(),
            _ => Vec::new(),
        }
    }

    /// Merges a stronger layer into this one. Tables merge by key. A list of tables replaces the weaker one
    /// as a whole, and so does another kind of handler: half of each would be neither.
    pub(crate) fn overlay(&mut self, layer: Tree) {
        for (path, entry) in layer.iter() {
            match entry.value {
                Value::Single | Value::Tables(_) => self.entries.retain(|below, _| !is_under(below, path)),
                Value::OneOf => {
                    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                    let others: Vec<String> =
                        self.kinds_of(parent).filter(|kind| *kind != path).map(str::to_owned).collect();
                    self.entries
                        .retain(|below, _| !others.iter().any(|other| below == other || is_under(below, other)));
                }
                _ => {}
            }
        }
        self.entries.extend(layer.entries);
        self.incomplete.extend(layer.incomplete);
    }

    /// The kinds of handler that are set in one entry.
    fn kinds_of(&self, parent: &str) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(|(_, entry)| entry.value == Value::OneOf)
            .map(|(path, _)| path)
            .filter(move |path| path.rsplit_once('.').is_some_and(|(above, _)| above == parent))
    }
}

/// Whether `path` is somewhere below `table`.
fn is_under(path: &str, table: &str) -> bool {
    path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
}
