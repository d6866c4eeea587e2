//! A table of the merged tree, read key by key with the type that is expected.

use std::ffi::OsString;
use std::time::Duration;

use crate::settings::ValueSource;
use crate::source::in_order;
use crate::toml_text::join;
use crate::tree::Tree;
use crate::value::Value;
use bookend_lifecycle::signal::Signal;

/// One table of the tree.
pub(crate) struct TableView<'a> {
    tree: &'a Tree,
    path: String,
}

impl<'a> TableView<'a> {
    /// The top level.
    pub(crate) fn root(tree: &'a Tree) -> TableView<'a> {
        TableView { tree, path: String::new() }
    }

    pub(crate) fn table(&self, name: &str) -> TableView<'a> {
        TableView { tree: self.tree, path: join(&self.path, name) }
    }

    /// The tables of a list of tables.
    pub(crate) fn tables(&self, name: &str) -> Vec<TableView<'a>> {
        let paths = self.tree.tables(&join(&self.path, name)).into_iter();
        paths.map(|path| TableView { tree: self.tree, path }).collect()
    }

    /// The tables with names of the user's choice, by their names.
    pub(crate) fn named(&self, name: &str) -> Vec<(String, TableView<'a>)> {
        let paths = self.tree.names(&join(&self.path, name)).into_iter();
        paths.map(|(name, path)| (name, TableView { tree: self.tree, path })).collect()
    }

    /// One of several words.
    pub(crate) fn choice<T>(&self, name: &str, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.text(name).and_then(of)
    }

    /// A port by its number, or by its name in the table `ports`.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        match self.value(name)? {
            Value::Text(name) => as_integer(&self.tree.get(&join("ports", name))?.value),
            value => as_integer(value),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.tree.get(&self.path).is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        self.tree.get(&join(&self.path, name)).map(|entry| &entry.value)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(Value::Bool(yes)) => Some(*yes),
            _ => None,
        }
    }

    pub(crate) fn seconds(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Value::Seconds(time)) => Some(*time),
            _ => None,
        }
    }

    pub(crate) fn integer<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        self.value(name).and_then(as_integer)
    }

    pub(crate) fn signal(&self, name: &str) -> Option<Signal> {
        self.value(name).and_then(as_signal)
    }

    pub(crate) fn list(&self, name: &str) -> Option<&'a [Value]> {
        match self.value(name) {
            Some(Value::List(list)) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn words(&self, name: &str) -> Vec<OsString> {
        let words = self.list(name).unwrap_or_default().iter();
        words.filter_map(|word| if let Value::Text(text) = word { Some(text.into()) } else { None }).collect()
    }

    /// A table of value sources in the order of the configuration, weaker layers first.
    pub(crate) fn sources(&self, name: &str) -> Vec<(String, ValueSource)> {
        let found: Vec<_> = self
            .tree
            .names(&join(&self.path, name))
            .into_iter()
            .filter_map(|(name, path)| Some((name, self.tree.get(&path)?)))
            .collect();
        let found = in_order(found, |(_, entry)| entry.span);
        found.into_iter().filter_map(|(name, entry)| Some((name, as_source(&entry.value)?))).collect()
    }

    pub(crate) fn pairs(&self, name: &str) -> impl Iterator<Item = (String, &'a Value)> {
        let names = self.tree.names(&join(&self.path, name)).into_iter();
        names.filter_map(|(name, path)| Some((name, &self.tree.get(&path)?.value)))
    }
}

pub(crate) fn as_source(value: &Value) -> Option<ValueSource> {
    match value {
        Value::Text(text) => Some(ValueSource::Plain(text.clone())),
        Value::File(file) => Some(ValueSource::File(file.clone())),
        _ => None,
    }
}

pub(crate) fn as_integer<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    match value {
        Value::Integer(number) => T::try_from(*number).ok(),
        _ => None,
    }
}

pub(crate) fn as_signal(value: &Value) -> Option<Signal> {
    match value {
        Value::Signal(signal) => Some(*signal),
        _ => None,
    }
}
