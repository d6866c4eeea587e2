//! The layers and what comes of them: a flat map from key path to value, with where each was said.
//! `lifecycle.preStop[1].exec.command` is one entry; tables and lists of tables have an entry of
//! their own, so that an empty one is not lost. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::diagnostic::Span;
use super::key::join;
use super::kind::Value;
use bookend_lifecycle::small_map::SmallMap;

/// Values by key path.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
    /// Tables with an unknown key: what seems missing there may be what was misspelt.
    doubtful: SmallMap<String, ()>,
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The value.
    pub(super) value: Value,
    /// Where it comes from, for people.
    pub(super) origin: Origin,
    /// Where it comes from, for mistakes.
    pub(super) span: Span,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// `app.profile`: what is known of this server.
    Profile(String),
    /// A file and the line in it, from 1.
    File {
        /// As it was named.
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
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether there may be an entry of this path or below it: one that begins so.
    pub(super) fn says(&self, path: &str) -> bool {
        let from = (Bound::Included(path), Bound::Unbounded);
        self.entries.range::<str, _>(from).next().is_some_and(|(first, _)| first.starts_with(path))
    }

    /// Puts an entry in and returns what stood there.
    pub(super) fn insert(&mut self, path: String, entry: Entry) -> Option<Entry> {
        self.entries.insert(path, entry)
    }

    /// The same, all of it from there.
    pub(super) fn with_origin(mut self, origin: &Origin) -> Tree {
        self.entries.values_mut().for_each(|entry| entry.origin = origin.clone());
        self
    }

    /// Notes that a table has an unknown key.
    pub(super) fn doubt(&mut self, table: &str) {
        self.doubtful.insert(table.to_owned(), ());
    }

    /// Whether a table has an unknown key.
    pub(super) fn is_doubtful(&self, table: &str) -> bool {
        self.doubtful.contains_key(table)
    }

    /// Every entry in the order of the paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The names right below a table of the user's own names, with their paths.
    pub(super) fn names(&self, table: &str) -> Vec<(String, String)> {
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
    pub(super) fn tables(&self, path: &str) -> Vec<String> {
        match self.get(path).map(|entry| &entry.value) {
            Some(Value::Single) => vec![path.to_owned()],
            Some(Value::Tables(count)) => (0..*count).map(|index| format!("{path}[{index}]")).collect(),
            _ => Vec::new(),
        }
    }

    /// Lays a stronger layer over this one. Tables merge by key. A list of tables replaces the one
    /// below as a whole, and so does another kind of handler: half of each would be neither.
    pub(super) fn overlay(&mut self, layer: Tree) {
        for (path, entry) in layer.iter() {
            match entry.value {
                Value::Single | Value::Tables(_) => self.entries.retain(|below, _| !is_under(below, path)),
                Value::Kind => {
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
        self.doubtful.extend(layer.doubtful);
    }

    /// The kinds of handler that are said in one entry.
    pub(super) fn kinds_of(&self, parent: &str) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(|(_, entry)| entry.value == Value::Kind)
            .map(|(path, _)| path)
            .filter(move |path| path.rsplit_once('.').is_some_and(|(above, _)| above == parent))
    }
}

/// Whether `path` is somewhere below `table`.
fn is_under(path: &str, table: &str) -> bool {
    path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
}

/// The first name of a relative path, unquoted.
fn first_name(rest: &str) -> String {
    let Some(quoted) = rest.strip_prefix('"') else {
        return rest.split(['.', '[']).next().unwrap_or_default().to_owned();
    };
    let mut name = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => name.push('\n'),
                Some('t') => name.push('\t'),
                Some('u') => {
                    let code: String = chars.by_ref().take(4).collect();
                    name.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                Some(other) => name.push(other),
                None => break,
            },
            c => name.push(c),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_text_are_read_back() {
        let mut tree = Tree::default();
        for name in ["A", "a.b", "q\"\\", "new\nline", "\u{1b}", "ä", ""] {
            let entry = Entry { value: Value::Ignore, origin: Origin::Default, span: Span::default() };
            tree.insert(join("app.env", name), entry);
        }
        let mut names: Vec<String> = tree.names("app.env").into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(
            names,
            ["", "\n".replace('\n', "new\nline").as_str(), "\u{1b}", "A", "a.b", "q\"\\", "ä"]
                .map(str::to_owned)
                .iter()
                .cloned()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
    }
}
