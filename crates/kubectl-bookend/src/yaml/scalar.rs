//! The meaning of a plain scalar, as kubectl has it: YAML 1.1 as Go's yaml.v2 reads it. `0400` is 256, `yes` is true.

use serde_json::{Number, Value};

/// The value of a scalar that is not quoted and has no tag.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if !(first.is_ascii_digit() || [b'+', b'-', b'.'].contains(&first)) {
        return Value::String(text.to_owned());
    }
    integer(text).or_else(|| float(text)).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Go's `ParseInt(text, 0, 64)`, underscores left out.
fn integer(text: &str) -> Option<Value> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixed = |short: &str, long: &str| digits.strip_prefix(short).or_else(|| digits.strip_prefix(long));
    let (radix, digits) = if let Some(rest) = prefixed("0x", "0X") {
        (16, rest)
    } else if let Some(rest) = prefixed("0o", "0O") {
        (8, rest)
    } else if let Some(rest) = prefixed("0b", "0B") {
        (2, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits.get(1..)?)
    } else {
        (10, digits)
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    if negative {
        return i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Value::from);
    }
    u64::from_str_radix(digits, radix).ok().map(Value::from)
}

fn float(text: &str) -> Option<Value> {
    let text = &text.replace('_', "");
    let is_part = |char: char| char.is_ascii_digit() || ['+', '-', '.', 'e', 'E'].contains(&char);
    let has_digit = text.contains(|char: char| char.is_ascii_digit());
    if !has_digit || !text.chars().all(is_part) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // kubectl passes values on as JSON, in which 8.0 is 8: 08 has no octal digits, and is 8, too.
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number in this range")]
    if number.fract() == 0.0 && number.abs() < MOST_EXACT {
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}

/// Above 2^53 not every whole number is one of the type.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;
