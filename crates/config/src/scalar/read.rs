//! How each kind is read from a TOML value, where that takes more than a line. A refusal is one sentence; an empty one:
//! the caller has the usual words for it.

use std::ops::RangeInclusive;

use toml::de::{DeInteger, DeValue};

use crate::secrets::shown;
use crate::settings::{FileValue, Id, ResourceLimit, User};
use crate::value::{Value, describe};
use bookend_lifecycle::signal::Signal;

/// A string or `{ valueFrom.file = "/path" }`, where `valueFrom` may have a `prefix` as well.
pub(super) fn value_from(found: &DeValue<'_>) -> Result<Value, &'static str> {
    let table = match found {
        DeValue::String(text) if !text.contains('\0') => return Ok(Value::Text(text.to_string())),
        DeValue::Table(table) if table.len() == 1 => table,
        _ => return Err(""),
    };
    let Some(DeValue::Table(from)) = table.get("valueFrom").map(|from| from.get_ref()) else { return Err("") };
    let text = |key: &str| match from.get(key)?.get_ref() {
        DeValue::String(text) if !text.contains('\0') => Some(&**text),
        _ => None,
    };
    let prefix = text("prefix");
    match text("file") {
        // Another key, or a prefix that is not a string.
        _ if from.len() != 1 + usize::from(prefix.is_some()) => Err(""),
        Some(path) if path.starts_with('/') => Ok(Value::File(FileValue::new(path, prefix.unwrap_or_default()))),
        _ if from.contains_key("file") => Err("valueFrom.file is not an absolute path"),
        _ => Err(""),
    }
}

/// Only octal is accepted: the decimal number 22 would mean 026.
pub(super) fn umask(found: &DeValue<'_>) -> Option<u32> {
    let mask = match found {
        DeValue::String(text) => {
            let digits = text.strip_prefix("0o").unwrap_or(text);
            let is_octal = digits.bytes().all(|b| b.is_ascii_digit());
            is_octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
        }
        DeValue::Integer(number) if number.radix() == 8 => integer(number).and_then(|n| u32::try_from(n).ok()),
        _ => None,
    };
    mask.filter(|mask| *mask <= 0o777)
}

/// One number for both halves, or a table of them.
pub(super) fn limit(found: &DeValue<'_>) -> Result<ResourceLimit, &'static str> {
    let table = match found {
        DeValue::Table(table) => table,
        _ => return bound(found).map(|both| ResourceLimit { soft: Some(both), hard: Some(both) }).ok_or(""),
    };
    let mut limit = ResourceLimit::default();
    for (name, value) in table {
        let value = Some(bound(value.get_ref()).ok_or("soft and hard must be numbers or \"unlimited\"")?);
        match name.get_ref().as_ref() {
            "soft" => limit.soft = value,
            "hard" => limit.hard = value,
            _ => return Err("unknown key in a limit; accepted: soft, hard"),
        }
    }
    match limit {
        ResourceLimit { soft: None, hard: None } => Err(""),
        ResourceLimit { soft: Some(soft), hard: Some(hard) } if soft > hard => Err("soft is more than hard"),
        limit => Ok(limit),
    }
}

fn bound(found: &DeValue<'_>) -> Option<u64> {
    match found {
        DeValue::String(word) if word.eq_ignore_ascii_case("unlimited") => Some(u64::MAX),
        DeValue::Integer(number) => integer(number).and_then(|n| u64::try_from(n).ok()),
        _ => None,
    }
}

/// As a Pod spec has it (RFC 1123).
pub(super) fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// As a Pod spec has it (IANA_SVC_NAME).
pub(super) fn is_port_name(name: &str) -> bool {
    let is_made_of = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    is_made_of
        && (1..=15).contains(&name.len())
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// `204`, `200-399`.
pub(crate) fn read_status(range: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let status = |text: &str| {
        let is_number = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| is_number && (100..=599).contains(status))
    };
    let (from, to) = (status(from)?, status(to)?);
    (from <= to).then_some(from..=to)
}

/// A user as text. A name has no colon in it (passwd(5)).
pub(super) fn user(found: &DeValue<'_>) -> Option<String> {
    let text = match found {
        DeValue::Integer(number) => number.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => return None,
    };
    read_user(&text).map(|_| text)
}

/// `name`, `uid`, `uid:gid`, `name:group`, and the two mixtures.
pub(crate) fn read_user(text: &str) -> Option<User> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let group = match group {
        Some(group) => Some(read_id(group)?),
        None => None,
    };
    Some(User { user: read_id(user)?, group })
}

fn read_id(text: &str) -> Option<Id> {
    if text.is_empty() || text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        // The largest means "do not change" to setresuid(2).
        return text.parse().ok().filter(|id| *id != u32::MAX).map(Id::Number);
    }
    // A name does not begin with a sign: -1 was meant as a number.
    (!text.starts_with(['-', '+'])).then(|| Id::Name(text.to_owned()))
}

pub(super) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(super) fn signal(found: &DeValue<'_>) -> Result<Signal, String> {
    let signal: Result<Signal, _> = match found {
        // The error quotes the name, so it is that of the name without a secret.
        DeValue::String(name) => name.parse().or_else(|_| shown(name).parse()),
        DeValue::Integer(number) => number.to_string().parse(),
        other => describe(other).parse(),
    };
    signal.map_err(|unknown| unknown.to_string())
}

/// The signal, if a process can receive it from others.
///
/// # Errors
/// Why it cannot.
pub fn receivable(signal: Signal) -> Result<Signal, String> {
    if signal.is_uncatchable() {
        Err(format!("{signal} cannot be caught by any process (signal(7))"))
    } else if signal == Signal::CHLD {
        Err("SIGCHLD is reserved: it reports to bookend that a child has ended".to_owned())
    } else {
        Ok(signal)
    }
}
