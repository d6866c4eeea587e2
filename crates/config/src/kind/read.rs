//! How each kind is read from what stands in the file, where that takes more than a line. A refusal is one sentence.

use std::ops::RangeInclusive;

use toml::de::{DeInteger, DeValue};

use super::{Scalar, Value, describe};
use crate::settings::{Id, ResourceLimit, User};
use bookend_lifecycle::signal::Signal;

/// The string, or why it cannot be one: nothing of ours can carry a NUL byte (execve(2), open(2)).
pub(super) fn text<'a>(kind: Scalar, found: &'a DeValue<'_>) -> Result<&'a str, String> {
    match found {
        DeValue::String(text) if text.contains('\0') => Err(format!("{} contains a NUL byte", describe(found))),
        DeValue::String(text) => Ok(text.as_ref()),
        _ => Err(kind.refuse(found)),
    }
}

/// A value that may be a secret: a refusal names its type and never shows it.
pub(super) fn source(found: &DeValue<'_>) -> Result<Value, String> {
    let accepted = Scalar::Source.accepts();
    match found {
        DeValue::String(text) if text.contains('\0') => Err("the value contains a NUL byte".to_owned()),
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Table(table) => {
            let mut keys = table.iter();
            let (Some((name, from)), None) = (keys.next(), keys.next()) else {
                return Err(format!("a table with {} keys is not {accepted}", table.len()));
            };
            let file = match (name.get_ref().as_ref(), from.get_ref()) {
                ("valueFrom", DeValue::Table(from)) if from.len() == 1 => from.get("file"),
                _ => None,
            };
            match file.map(|file| Scalar::Path.read(file.get_ref())) {
                Some(Ok(Value::Text(path))) => Ok(Value::File(path)),
                Some(Err(why)) => Err(format!("valueFrom.file: {why}")),
                _ => Err(format!("this table is not {accepted}")),
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) => Err(format!("a number is not {accepted}")),
        DeValue::Boolean(_) => Err(format!("true or false without quotes is not {accepted}")),
        _ => Err(format!("{} is not {accepted}", describe(found))),
    }
}

/// In octal or not at all: 22 would be 026.
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

/// A limit, or why it is none; nothing: the usual words.
pub(super) fn limit(found: &DeValue<'_>) -> Result<ResourceLimit, &'static str> {
    let table = match found {
        DeValue::Table(table) => table,
        _ => return bound(found).map(|both| ResourceLimit { soft: Some(both), hard: Some(both) }).ok_or(""),
    };
    let mut limit = ResourceLimit::default();
    for (name, value) in table {
        let value = Some(bound(value.get_ref()).ok_or("soft and hard are numbers or \"unlimited\"")?);
        match name.get_ref().as_ref() {
            "soft" => limit.soft = value,
            "hard" => limit.hard = value,
            _ => return Err("a limit has soft and hard, and nothing else"),
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
        DeValue::String(word) if word == "unlimited" => Some(u64::MAX),
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

/// A user as text. A name has no colon in it (passwd(5)); a number is no name.
pub(super) fn user(kind: Scalar, found: &DeValue<'_>) -> Result<String, String> {
    let said = match found {
        DeValue::Integer(number) => number.to_string(),
        _ => text(kind, found)?.to_owned(),
    };
    match read_user(&said) {
        Some(_) => Ok(said),
        None => Err(kind.refuse(found)),
    }
}

/// `name`, `uid`, `uid:gid`, `name:group`, and the two mixtures.
pub(crate) fn read_user(said: &str) -> Option<User> {
    let (user, group) = said.split_once(':').map_or((said, None), |(user, group)| (user, Some(group)));
    let group = match group {
        Some(group) => Some(read_id(group)?),
        None => None,
    };
    Some(User { user: read_id(user)?, group })
}

fn read_id(said: &str) -> Option<Id> {
    if said.is_empty() || said.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) {
        return None;
    }
    if said.bytes().all(|b| b.is_ascii_digit()) {
        // The largest means "do not change" to setresuid(2).
        return said.parse().ok().filter(|id| *id != u32::MAX).map(Id::Number);
    }
    // A sign begins a number that is none: -1 is no user.
    (!said.starts_with(['-', '+'])).then(|| Id::Name(said.to_owned()))
}

pub(super) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(super) fn signal(found: &DeValue<'_>) -> Result<Signal, String> {
    let said = match found {
        DeValue::String(name) => name.parse::<Signal>(),
        DeValue::Integer(number) => number.to_string().parse(),
        other => describe(other).parse(),
    };
    said.map_err(|unknown| unknown.to_string())
}

pub(super) fn receivable(signal: Signal) -> Result<Signal, String> {
    if signal.is_uncatchable() {
        Err(format!("{signal} cannot be caught by any process (signal(7))"))
    } else if signal == Signal::CHLD {
        Err("SIGCHLD is bookend's own: it tells that a child has ended".to_owned())
    } else {
        Ok(signal)
    }
}
