//! Reads one TOML text by the vocabulary: unknown keys, wrong types, impossible values. Valid parts go into a layer even
//! if others are wrong, so that one run reports everything.
//!
//! The parser recovers from syntax errors; its guesses on an invalid line are not reported.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::collector::Collector;
use crate::deprecated::Renamed;
use crate::hint;
use crate::key::{Key, Role, Shape, find};
use crate::scalar::{Scalar, read_name};
use crate::secrets::{is_secret, mentions_secret, without_secrets};
use crate::source::{SourceKind, Span, in_order};
use crate::toml_text::{join, quote};
use crate::tree::{Entry, Origin, Tree};
use crate::value::{Value, describe, type_of};
use crate::vocabulary;

/// The largest text that is read.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A text with more syntax errors than this is not read any further.
const MOST_ERRORS: usize = 500;

/// The parser's words for a key that stands twice.
pub(crate) const DUPLICATE: &str = "duplicate key";

/// Reads the text of a file into a layer. `name` is shown in diagnostics and origins.
pub(crate) fn read_file<'a>(name: &'a str, text: &'a str, collector: &mut Collector<'a>) -> Tree {
    let source = collector.source(SourceKind::File, name, text, "", Some(Shape::Table(vocabulary::ROOT)));
    read(collector, source, vocabulary::ROOT)
}

fn read(collector: &mut Collector<'_>, source: usize, keys: &'static [Key]) -> Tree {
    let Some((name, text)) = collector.sources.get(source).map(|source| (source.name, source.text)) else {
        return Tree::default();
    };
    if text.len() > MAX_BYTES {
        let message = format!("the configuration is too large: {} bytes (at most {MAX_BYTES})", text.len());
        collector.error(Span { source, start: 0, end: 0 }, "", message, Vec::new());
        return Tree::default();
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    // In another language or a binary file there is nothing to read, and each error is searched from the beginning.
    let is_toml = errors.len() <= MOST_ERRORS;
    let may_leak = errors.iter().any(|error| error.message() != DUPLICATE) && mentions_secret(text);
    for (index, error) in errors.into_iter().take(MOST_ERRORS).enumerate() {
        let span = error.span().unwrap_or(0..0);
        let place = Span { source, start: span.start, end: span.end };
        match (error.message(), text.get(span)) {
            (DUPLICATE, Some(key)) if !may_leak => {
                collector.duplicate(place, format!("{DUPLICATE} {}", quote(key.trim())));
            }
            (message, _) => {
                let help = if index == 0 { hint::invalid_toml(text, place.start, message) } else { Vec::new() };
                collector.syntax(place, "", format!("invalid TOML: {message}"), help);
            }
        }
    }
    if !is_toml {
        return Tree::default();
    }
    let lines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect();
    let origin = Origin::File { name: Arc::from(name), line: 1 };
    let mut reader = Reader { collector, source, lines, origin, layer: Tree::default() };
    reader.table("", keys, table.get_ref());
    reader.layer
}

/// Reads the text of one variable or option, whose key is known, into a layer.
pub(crate) fn read_one(
    collector: &mut Collector<'_>,
    source: usize,
    path: &str,
    shape: Shape,
    role: Role,
    layer: Tree,
) -> Tree {
    let Some(origin) = origin_of(collector, source) else { return layer };
    let text = collector.sources.get_mut(source).map_or("", |source| {
        source.path = path.to_owned();
        source.shape = Some(shape);
        source.text
    });
    let whole = 0..text.len();
    let mut reader = Reader { collector, source, lines: Vec::new(), origin, layer };
    // A scalar's text is the value itself; lists and tables are written in TOML.
    let bare = || Spanned::new(whole.clone(), DeValue::String(text.into()));
    let value = match shape {
        Shape::One(scalar) if scalar.is_text() => bare(),
        Shape::One(Scalar::Bool) => match text.trim() {
            yes if yes.eq_ignore_ascii_case("true") => Spanned::new(whole, DeValue::Boolean(true)),
            no if no.eq_ignore_ascii_case("false") => Spanned::new(whole, DeValue::Boolean(false)),
            _ => bare(),
        },
        Shape::One(_) => DeValue::parse(text.trim()).unwrap_or_else(|_| bare()),
        _ => match DeValue::parse(text) {
            Ok(value) => value,
            Err(error) => {
                let span = error.span().unwrap_or(whole);
                let message = format!("invalid TOML: {}; accepted: {} in TOML", error.message(), shape.accepts());
                reader.collector.syntax(Span { source, start: span.start, end: span.end }, path, message, Vec::new());
                return reader.layer;
            }
        },
    };
    reader.value(path, shape, role, 0..0, &value);
    reader.layer
}

/// The origin of everything that a variable or an option sets.
pub(crate) fn origin_of(collector: &Collector<'_>, source: usize) -> Option<Origin> {
    collector.sources.get(source).map(|source| match source.kind {
        SourceKind::Variable => Origin::Variable(source.name.to_owned()),
        SourceKind::Flag | SourceKind::File => Origin::CommandLine(source.name.to_owned()),
    })
}

struct Reader<'r, 'a> {
    collector: &'r mut Collector<'a>,
    source: usize,
    /// The ends of the lines.
    lines: Vec<usize>,
    origin: Origin,
    layer: Tree,
}

impl Reader<'_, '_> {
    fn table(&mut self, path: &str, keys: &'static [Key], table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            match find(keys, name.get_ref()) {
                Some(key) => self.key(&join(path, key.name), key, name, value),
                None => match Renamed::find(path, name.get_ref()) {
                    Some(renamed) => self.renamed(renamed, keys, table, name, value),
                    None => {
                        // `"PASSWORD=hunter2" = ""`: the name holds a secret.
                        let shown = without_secrets(name.get_ref());
                        let help = hint::unknown_key(path, keys, &shown);
                        self.layer.mark_incomplete(path);
                        self.error(name.span(), &join(path, &shown), "unknown key".to_owned(), help);
                    }
                },
            }
        }
    }

    fn key(&mut self, path: &str, key: &'static Key, name: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        if !key.warning.is_empty() {
            let span = self.span(&name.span());
            self.collector.warning(span, path, key.warning, Vec::new());
        }
        self.value(path, key.shape, key.role, name.span(), value);
    }

    /// The value counts as if it had the new name.
    fn renamed(
        &mut self,
        renamed: &Renamed,
        keys: &'static [Key],
        table: &DeTable<'_>,
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let Some(key) = find(keys, renamed.new) else { return };
        let span = self.span(&name.span());
        if table.contains_key(renamed.new) {
            let message = format!("set twice: it is the old name of {}", renamed.new_path());
            return self.collector.error(span, &renamed.old_path(), message, Vec::new());
        }
        self.collector.warning(span, &renamed.old_path(), renamed.message(), Vec::new());
        self.value(&renamed.new_path(), key.shape, key.role, name.span(), value);
    }

    fn value(&mut self, path: &str, shape: Shape, role: Role, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let found = value.get_ref();
        match (shape, found) {
            (Shape::One(scalar), _) => {
                let read = self.scalar(path, scalar, value).unwrap_or(Value::Refused);
                if hint::is_unexpanded(path, scalar, found) {
                    self.warn_unexpanded(path, value);
                }
                self.insert(path.to_owned(), read, value.span());
            }
            (Shape::List(scalar), DeValue::Array(list)) => {
                let read: Vec<Option<Value>> = list
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.scalar(&format!("{path}[{index}]"), scalar, item))
                    .collect();
                let read = read.into_iter().collect::<Option<_>>().map_or(Value::Refused, Value::List);
                self.insert(path.to_owned(), read, value.span());
                // The argument of `sh -c` is the shell's to expand.
                let words = list.iter().enumerate().take_while(|(_, item)| item.get_ref().as_str() != Some("-c"));
                for (index, item) in words.filter(|(_, item)| hint::is_unexpanded(path, scalar, item.get_ref())) {
                    self.warn_unexpanded(&format!("{path}[{index}]"), item);
                }
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
                        Err(why) => {
                            let shown = without_secrets(name.get_ref());
                            self.error(name.span(), &join(path, &shown), why, Vec::new());
                        }
                    }
                }
            }
            (Shape::Table(keys), DeValue::Table(table)) => {
                let opened = if matches!(role, Role::OneOf(_)) { Value::OneOf } else { Value::Table };
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
                            let message = format!("{} is not a table", found_at(&path, other));
                            self.error(item.span(), &path, message, hint::instead_of_table(&path, keys, other));
                        }
                    }
                }
            }
            (Shape::Table(keys) | Shape::Tables(keys), other) => {
                self.insert(path.to_owned(), Value::Refused, key);
                let message = format!("{} is not {}", found_at(path, other), shape.accepts());
                self.error(value.span(), path, message, hint::instead_of_table(path, keys, other));
            }
            (Shape::List(_) | Shape::Map { .. } | Shape::Named { .. }, other) => {
                self.insert(path.to_owned(), Value::Refused, key);
                let message = format!("{} is not {}", found_at(path, other), shape.accepts());
                self.error(value.span(), path, message, hint::instead_of_list(path, shape, other));
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
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let found = name.get_ref();
        let spelled = match read_name(names, found) {
            Ok(spelled) => spelled,
            Err(_) if is_secret(path) && found.contains('=') => {
                let message = format!("a name with \"=\" is not {}", names.accepts());
                return self.error(name.span(), path, message, Vec::new());
            }
            Err(why) => return self.error(name.span(), &join(path, &without_secrets(found)), why, Vec::new()),
        };
        let below = join(path, &spelled);
        let read = self.scalar(&below, values, value).unwrap_or(Value::Refused);
        if hint::is_unexpanded(&below, values, value.get_ref()) {
            self.warn_unexpanded(&below, value);
        }
        if self.insert(below.clone(), read, value.span()) {
            let message = format!("duplicate key: {} is another name of {spelled}", quote(found));
            self.error(name.span(), &below, message, Vec::new());
        }
    }

    fn scalar(&mut self, path: &str, scalar: Scalar, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let found = value.get_ref();
        match scalar.read(found) {
            Ok(read) => Some(read),
            Err(why) => {
                let help = hint::instead_of_scalar(path, scalar, found);
                let is_seen = scalar == Scalar::Source || !is_secret(path);
                let why = if is_seen { why } else { scalar.refuse_unseen(found) };
                self.error(value.span(), path, why, if is_seen { help } else { Vec::new() });
                None
            }
        }
    }

    fn warn_unexpanded(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        let span = self.span(&value.span());
        let help = vec!["write $(NAME), as in a Pod spec".to_owned()];
        self.collector.warning(span, path, "${NAME} is not expanded", help);
    }

    fn span(&self, span: &Range<usize>) -> Span {
        Span { source: self.source, start: span.start, end: span.end }
    }

    /// Whether the key was there before.
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

    fn error(&mut self, span: Range<usize>, path: &str, message: String, help: Vec<String>) {
        let span = self.span(&span);
        self.collector.error(span, path, message, help);
    }
}

/// A value as a message may show it: of a possible secret only the type.
fn found_at(path: &str, value: &DeValue<'_>) -> String {
    if is_secret(path) { type_of(value).to_owned() } else { describe(value) }
}
