//! A value that has been read and checked, and how a value of a TOML text is described in a message. Knows the words of
//! `bookend_lifecycle::signal` and the TOML parser's values.

use std::time::Duration;

use toml::de::DeValue;

use crate::secrets::{may_be_shown, shown, without_secrets};
use crate::settings::{FileValue, ResourceLimit};
use crate::toml_text::quote;
use bookend_lifecycle::signal::Signal;

/// A value that has been read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A table was opened.
    Table,
    /// A table of which its parent has exactly one: `exec`, `sleep`.
    OneOf,
    /// One table where a list of tables is accepted as well.
    Single,
    /// A list of this many tables.
    Tables(usize),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A span of time.
    Seconds(Duration),
    /// A signal.
    Signal(Signal),
    /// `ignore` where a signal is accepted as well.
    Ignore,
    /// A list of scalars.
    List(Vec<Value>),
    /// A file mode mask.
    Umask(u32),
    /// A resource limit.
    Limit(ResourceLimit),
    /// `{ valueFrom.file = ... }` where a string is accepted as well, and `valueFrom.prefix`.
    File(FileValue),
    /// A value that was refused: the key is set, and a diagnostic exists already.
    Refused,
}

/// A value as a message shows it: short, quoted, without control characters.
pub(crate) fn describe(found: &DeValue<'_>) -> String {
    match found {
        DeValue::String(text) => shorten(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The type of a value, for a message that must not show the value.
pub(crate) fn type_of(found: &DeValue<'_>) -> &'static str {
    match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false without quotes",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A text as a message shows it.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if !may_be_shown(text) {
        return shown(text).into_owned();
    }
    let text = &*without_secrets(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => quote(&format!("{}...", text.get(..end).unwrap_or_default())),
        None => quote(text),
    }
}
