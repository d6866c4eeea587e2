//! One TOML text against the vocabulary: unknown keys, wrong types, impossible values. What is right
//! goes into a layer even if something else is wrong, so that one run tells everything. Pure.
//!
//! The parser recovers from syntax errors; what it guesses on a broken line is not reported again.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Collector, SourceKind, Span, in_order};
use super::hint;
use super::key::{Key, Role, Shape, find, join, quote};
use super::kind::{Scalar, Value, describe};
use super::tree::{Entry, Origin, Tree};

/// A text larger than this is no configuration.
pub const MAX_BYTES: usize = 1024 * 1024;

/// With more errors than this it is no TOML.
const MOST_ERRORS: usize = 500;

/// Reads one file into a layer.
pub(super) fn read(report: &mut Collector<'_>, source: usize, keys: &'static [Key]) -> Tree {
    let Some((name, text)) = report.sources.get(source).map(|said| (said.name, said.text)) else {
        return Tree::default();
    };
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes are too many for a configuration (at most {MAX_BYTES})", text.len());
        report.diagnostic(Span { source, start: 0, end: 0 }, "", message, Vec::new());
        return Tree::default();
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    // Another language, a binary: there is nothing in it to be read, and each error costs a look from the beginning.
    let is_toml = errors.len() <= MOST_ERRORS;
    for error in errors.into_iter().take(MOST_ERRORS) {
        let span = error.span().unwrap_or(0..0);
        let message = match (error.message(), text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("the key {} is said twice", quote(key)),
            (message, _) => format!("not TOML: {message}"),
        };
        report.syntax(Span { source, start: span.start, end: span.end }, "", &message);
    }
    if !is_toml {
        return Tree::default();
    }
    let lines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect();
    let origin = Origin::File { name: Arc::from(name), line: 1 };
    let mut walk = Reader { report, source, lines, origin, layer: Tree::default() };
    walk.table("", keys, table.get_ref());
    walk.layer
}

/// Reads the text of one variable or option, whose key is known, into a layer.
pub(super) fn read_one(
    report: &mut Collector<'_>,
    source: usize,
    path: &str,
    shape: Shape,
    role: Role,
    layer: Tree,
) -> Tree {
    let Some((medium, name, text)) = report.sources.get(source).map(|said| (said.medium, said.name, said.text)) else {
        return layer;
    };
    let whole = 0..text.len();
    let origin = match medium {
        SourceKind::Variable => Origin::Variable(name.to_owned()),
        SourceKind::Flag | SourceKind::File => Origin::CommandLine(name.to_owned()),
    };
    let mut walk = Reader { report, source, lines: Vec::new(), origin, layer };
    // A scalar's text is the value itself; whatever has a structure is said in TOML.
    let bare = || Spanned::new(whole.clone(), DeValue::String(text.into()));
    let value = match shape {
        Shape::One(kind) if kind.is_text() => bare(),
        Shape::One(_) => DeValue::parse(text.trim()).unwrap_or_else(|_| bare()),
        _ => match DeValue::parse(text) {
            Ok(value) => value,
            Err(error) => {
                let span = error.span().unwrap_or(whole);
                let message = format!("{} (accepted: {} in TOML)", error.message(), hint::shape(shape));
                walk.report.syntax(Span { source, start: span.start, end: span.end }, path, &message);
                return walk.layer;
            }
        },
    };
    walk.value(path, shape, role, 0..0, &value);
    walk.layer
}

struct Reader<'r, 'a> {
    report: &'r mut Collector<'a>,
    source: usize,
    /// Where each line ends.
    lines: Vec<usize>,
    origin: Origin,
    layer: Tree,
}

impl Reader<'_, '_> {
    fn table(&mut self, path: &str, keys: &'static [Key], table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            let below = join(path, name.get_ref());
            match find(keys, name.get_ref()) {
                Some(key) => self.value(&below, key.shape, key.role, name.span(), value),
                None => {
                    let help = hint::unknown_key(path, keys, name.get_ref());
                    self.layer.doubt(path);
                    self.diagnostic(name.span(), &below, "unknown key".to_owned(), help);
                }
            }
        }
    }

    fn value(&mut self, path: &str, shape: Shape, role: Role, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let found = value.get_ref();
        match (shape, found) {
            (Shape::One(kind), _) => {
                let read = self.scalar(path, kind, value).unwrap_or(Value::Refused);
                self.insert(path.to_owned(), read, value.span());
            }
            (Shape::List(kind), DeValue::Array(list)) => {
                let read: Vec<Option<Value>> = list
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.scalar(&format!("{path}[{index}]"), kind, item))
                    .collect();
                let read = read.into_iter().collect::<Option<_>>().map_or(Value::Refused, Value::List);
                self.insert(path.to_owned(), read, value.span());
            }
            (Shape::Map { names, values }, DeValue::Table(table)) => {
                self.insert(path.to_owned(), Value::Table, key);
                for (name, value) in in_order(table.iter().collect(), |(name, _)| self.span(&name.span())) {
                    self.pair(path, names, values, name, value);
                }
            }
            (Shape::Named { names, keys }, DeValue::Table(table)) => {
                self.insert(path.to_owned(), Value::Table, key);
                for (name, value) in table.iter() {
                    match read_name(names, name.get_ref()) {
                        Ok(known) => {
                            self.value(&join(path, &known), Shape::Table(keys), Role::Optional, name.span(), value);
                        }
                        Err(why) => self.diagnostic(name.span(), &join(path, name.get_ref()), why, Vec::new()),
                    }
                }
            }
            (Shape::Table(keys), DeValue::Table(table)) => {
                let opened = if matches!(role, Role::OneOf(_)) { Value::Kind } else { Value::Table };
                self.insert(path.to_owned(), opened, key);
                self.table(path, keys, table);
            }
            (Shape::Tables(keys), DeValue::Table(table)) => {
                self.insert(path.to_owned(), Value::Single, key);
                self.table(path, keys, table);
            }
            (Shape::Tables(keys), DeValue::Array(list)) => {
                self.insert(path.to_owned(), Value::Tables(list.len()), key);
                for (index, item) in list.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    match item.get_ref() {
                        DeValue::Table(table) => {
                            self.insert(path.clone(), Value::Table, item.span());
                            self.table(&path, keys, table);
                        }
                        other => {
                            let message = format!("{} is not a table", describe(other));
                            self.diagnostic(item.span(), &path, message, hint::instead_of_table(&path, keys, other));
                        }
                    }
                }
            }
            (Shape::Table(keys) | Shape::Tables(keys), other) => {
                self.insert(path.to_owned(), Value::Refused, key);
                let message = format!("{} is not {}", self.found(path, other), hint::shape(shape));
                self.diagnostic(value.span(), path, message, hint::instead_of_table(path, keys, other));
            }
            (Shape::List(_) | Shape::Map { .. } | Shape::Named { .. }, other) => {
                self.insert(path.to_owned(), Value::Refused, key);
                let message = format!("{} is not {}", self.found(path, other), hint::shape(shape));
                self.diagnostic(value.span(), path, message, hint::instead_of_list(path, shape, other));
            }
        }
    }

    /// One pair of a table whose names are the user's. Names are stored in one spelling, so that
    /// `HUP` in one file and `SIGHUP` in the next are the same key.
    fn pair(
        &mut self,
        path: &str,
        names: Scalar,
        values: Scalar,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let said = name.get_ref();
        let known = read_name(names, said);
        let spelled = match known {
            Ok(spelled) => spelled,
            Err(why) => return self.diagnostic(name.span(), &join(path, said), why, Vec::new()),
        };
        let below = join(path, &spelled);
        let read = self.scalar(&below, values, value).unwrap_or(Value::Refused);
        if self.insert(below.clone(), read, value.span()) {
            let message = format!("{} is {spelled}, which is said already", quote(said));
            self.diagnostic(name.span(), &below, message, Vec::new());
        }
    }

    fn scalar(&mut self, path: &str, kind: Scalar, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        match kind.read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(why) => {
                self.diagnostic(value.span(), path, why, hint::instead_of_scalar(path, kind, value.get_ref()));
                None
            }
        }
    }

    /// A value as a mistake may show it: what could be a secret is only called by its type.
    fn found(&self, path: &str, value: &DeValue<'_>) -> String {
        match value {
            DeValue::String(_) if path.contains("env") || path.contains("httpHeaders") => "a string".to_owned(),
            other => describe(other),
        }
    }

    fn span(&self, span: &Range<usize>) -> Span {
        Span { source: self.source, start: span.start, end: span.end }
    }

    fn insert(&mut self, path: String, value: Value, span: Range<usize>) -> bool {
        let span = self.span(&span);
        let origin = match &self.origin {
            Origin::File { name, .. } => {
                let line = self.lines.partition_point(|end| *end < span.start) + 1;
                Origin::File { name: Arc::clone(name), line }
            }
            other => other.clone(),
        };
        self.layer.insert(path, Entry { value, origin, span }).is_some()
    }

    fn diagnostic(&mut self, span: Range<usize>, path: &str, message: String, help: Vec<String>) {
        let span = self.span(&span);
        self.report.diagnostic(span, path, message, help);
    }
}

/// A name of the user's choice in its one spelling.
pub(super) fn read_name(names: Scalar, said: &str) -> Result<String, String> {
    let as_number = || said.parse::<i64>().ok().filter(|_| said.bytes().all(|b| b.is_ascii_digit()));
    match names {
        Scalar::Integer { what, min, max } => match as_number() {
            Some(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => Err(format!("{} is not {what} ({min}-{max})", quote(said))),
        },
        kind => match kind.read(&DeValue::String(said.into()))? {
            Value::Signal(signal) => Ok(signal.to_string()),
            _ => Ok(said.to_owned()),
        },
    }
}
