//! Which parts of a text must not be shown: values of environments and headers, values whose key suggests a secret,
//! secrets inside of other values (a URL's user, `--password=...`), and the values of unknown keys.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::hint::nearest;
use crate::key::{Key, Shape, find};
use crate::secrets::{argument, is_secret, is_secret_table, redact, suggests_secret};
use crate::source::{Source, SourceKind};

/// The ranges of bytes to hide. `None`: no part of the text may be shown, because it is not
/// valid TOML, or because all of it is one value that may be a secret.
pub(crate) fn hidden(source: &Source<'_>) -> Option<Vec<Range<usize>>> {
    let shape = source.shape.filter(|_| source.broken.is_empty() && !is_secret(&source.path))?;
    let mut hidden = Hidden(Vec::new());
    match (source.kind, shape) {
        (SourceKind::File, Shape::Table(keys)) => {
            hidden.table(DeTable::parse(source.text).ok()?.get_ref(), Some(keys), false);
        }
        (_, Shape::One(_)) => return redact(source.text).is_none().then(Vec::new),
        (_, shape) => hidden.value(&DeValue::parse(source.text).ok()?, Some(shape), false),
    }
    Some(hidden.0)
}

/// Whether a key that is not a secret was meant.
fn is_misspelt(keys: Option<&'static [Key]>, name: &str) -> bool {
    let known = keys.unwrap_or_default().iter().map(|key| key.name);
    nearest(name, known).is_some_and(|meant| !is_secret(meant))
}

fn has_parts(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_) | DeValue::Array(_))
}

struct Hidden(Vec<Range<usize>>);

impl Hidden {
    fn table(&mut self, table: &DeTable<'_>, keys: Option<&'static [Key]>, is_secret: bool) {
        for (name, value) in table {
            let is_secret = is_secret || is_secret_table(name.get_ref()) || suggests_secret(name.get_ref());
            if is_secret && name.get_ref().contains('=') {
                // `env = { "PASSWORD=hunter2" = "" }`
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
                    for (_, value) in table {
                        self.value(value, Some(Shape::Table(keys)), is_secret);
                    }
                }
                Some(Shape::Map { .. }) => {
                    for (name, value) in table {
                        if is_secret && name.get_ref().contains('=') {
                            self.0.push(name.span());
                        }
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
            DeValue::String(text) if redact(text).is_some() => self.0.push(value.span()),
            _ if is_secret => self.0.push(value.span()),
            _ => {}
        }
    }
}
