//! Which parts of a text must not be shown: values of environments and headers, values whose key suggests a secret,
//! secrets inside of other values (a URL's user, `--password=...`), the values of unknown keys, and comments, which may hold
//! an old value.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::hint::nearest;
use crate::key::{Key, Shape, find};
use crate::secrets::{argument, is_secret, is_secret_table, may_be_shown, redact, suggests_secret};
use crate::source::{Source, SourceKind};

/// The ranges of bytes to hide. `None`: no part of the text may be shown, because it is not
/// valid TOML, or because all of it is one value that may be a secret.
pub(crate) fn hidden(source: &Source<'_>) -> Option<Vec<Range<usize>>> {
    let shape = source.shape.filter(|_| source.broken.is_empty() && !is_secret(&source.path))?;
    let mut hidden = Hidden(Vec::new());
    match (source.kind, shape) {
        (SourceKind::File, Shape::Table(keys)) => {
            hidden.table(DeTable::parse(source.text).ok()?.get_ref(), Some(keys), false);
            hidden.0.extend(comments(source.text));
        }
        (_, Shape::One(_)) => return may_show_all_of(source.text).then(Vec::new),
        (_, shape) => hidden.value(&DeValue::parse(source.text).ok()?, Some(shape), false),
    }
    Some(hidden.0)
}

/// The comments of a valid text.
fn comments(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.find(['#', '"', '\''])) {
        let begin = at + offset;
        let rest = text.get(begin..).unwrap_or_default();
        at = begin + if rest.starts_with('#') { rest.find('\n').unwrap_or(rest.len()) } else { string_length(rest) };
        if rest.starts_with('#') {
            found.push(begin..at);
        }
    }
    found
}

/// The length of the string that the text begins with, with its quotes.
fn string_length(text: &str) -> usize {
    let quote = ["\"\"\"", "'''", "\""].into_iter().find(|quote| text.starts_with(quote)).unwrap_or("'");
    let mut at = quote.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(quote) {
            // A string of several lines may have up to two more quotes at its end.
            let more = rest.chars().skip(quote.len()).take_while(|c| quote.len() == 3 && quote.starts_with(*c)).count();
            return at + quote.len() + more;
        }
        let is_escape = quote.starts_with('"') && rest.starts_with('\\');
        at += rest.chars().take(1 + usize::from(is_escape)).map(char::len_utf8).sum::<usize>();
    }
    text.len()
}

/// Whether a key that is not a secret was meant.
fn is_misspelt(keys: Option<&'static [Key]>, name: &str) -> bool {
    let known = keys.unwrap_or_default().iter().map(|key| key.name);
    nearest(name, known).is_some_and(|meant| !is_secret(meant))
}

fn has_parts(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_) | DeValue::Array(_))
}

fn may_show_all_of(text: &str) -> bool {
    redact(text).is_none() && may_be_shown(text)
}

/// Whether a name has a value in it: `"PASSWORD=hunter2" = ""`.
fn holds_secret(name: &str, is_secret: bool) -> bool {
    is_secret && name.contains('=') || redact(name).is_some()
}

struct Hidden(Vec<Range<usize>>);

impl Hidden {
    fn name(&mut self, name: &Spanned<Cow<'_, str>>, is_secret: bool) {
        if holds_secret(name.get_ref(), is_secret) {
            self.0.push(name.span());
        }
    }

    fn table(&mut self, table: &DeTable<'_>, keys: Option<&'static [Key]>, is_secret: bool) {
        for (name, value) in table {
            let is_secret = is_secret || is_secret_table(name.get_ref()) || suggests_secret(name.get_ref());
            // `env = { "PASSWORD=hunter2" = "" }`; and a table in place of a value: without its quotes `DB = "a.b"` has keys.
            let is_part = keys.is_none_or(<[Key]>::is_empty)
                && !["name", "value", "valueFrom", "file"].contains(&&**name.get_ref());
            if is_secret && is_part || holds_secret(name.get_ref(), is_secret) {
                self.0.push(name.span());
            }
            match keys.map(|keys| find(keys, name.get_ref())) {
                Some(Some(key)) => self.value(value, Some(key.shape), is_secret),
                // The scalar of a misspelt key is shown; any other unknown key may be the name of a variable.
                Some(None) if is_misspelt(keys, name.get_ref()) && !has_parts(value.get_ref()) => {
                    self.value(value, Some(Shape::Table(&[])), is_secret);
                }
                Some(None) | None => self.value(value, None, true),
            }
        }
    }

    /// `shape`: `None` below an unknown key.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, shape: Option<Shape>, is_secret: bool) {
        match value.get_ref() {
            DeValue::Table(table) => match shape {
                Some(Shape::Table(keys) | Shape::Tables(keys)) => self.table(table, Some(keys), is_secret),
                Some(Shape::Named { keys, .. }) => {
                    for (name, value) in table {
                        self.name(name, is_secret);
                        self.value(value, Some(Shape::Table(keys)), is_secret);
                    }
                }
                Some(Shape::Map { .. }) => {
                    for (name, value) in table {
                        self.name(name, is_secret);
                        let is_secret = is_secret || suggests_secret(name.get_ref());
                        self.value(value, Some(Shape::Table(&[])), is_secret);
                    }
                }
                Some(Shape::One(_) | Shape::List(_)) | None => self.table(table, None, true),
            },
            DeValue::Array(list) => {
                let mut before = None;
                for item in list {
                    let text = item.get_ref().as_str();
                    match text {
                        Some(text) if argument(before, text).is_some() => self.0.push(item.span()),
                        _ => self.value(item, shape, is_secret),
                    }
                    before = text;
                }
            }
            DeValue::String(text) if !may_show_all_of(text) => self.0.push(value.span()),
            _ if is_secret => self.0.push(value.span()),
            _ => {}
        }
    }
}
