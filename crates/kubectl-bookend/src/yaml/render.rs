//! Values as new YAML: in block style with an indentation, or in flow style, which is JSON. Depends on `scalar`.

use serde_json::Value;

use super::scalar::plain;

/// How a text indents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indents {
    /// The keys of a mapping behind their parent's.
    pub(super) map: usize,
    /// The dashes of a list behind its key.
    pub(super) list: usize,
    /// Lists of scalars stand on one line.
    pub(super) has_inline_lists: bool,
    /// In these lists texts stand in double quotes.
    pub(super) quotes_inline: bool,
}

/// A value behind `key:`, or behind `- ` if it is an item: a scalar on the same line, or lines that begin with `indent` spaces.
pub(super) fn block(value: &Value, indent: usize, indents: Indents, is_item: bool) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut out = String::new();
            for (at, (key, value)) in fields.iter().enumerate() {
                if at > 0 || !is_item {
                    out.push('\n');
                    out.push_str(&pad);
                } else {
                    out.push(' ');
                }
                out.push_str(&entry(key, value, indent, indents));
            }
            out
        }
        Value::Array(items) if !items.is_empty() => {
            let is_simple = items.iter().all(|item| !item.is_object() && !item.is_array());
            if indents.has_inline_lists && is_simple && inline_length(items) <= 100 {
                let quoted: Vec<String> = items.iter().map(json_value).collect();
                return match indents.quotes_inline {
                    true => format!(" [{}]", quoted.join(", ")),
                    false => format!(" {}", flow(value)),
                };
            }
            let mut out = String::new();
            for item in items {
                out.push_str(&format!("\n{pad}-{}", block(item, indent + 2, indents, true)));
            }
            out
        }
        Value::String(text) => match literal(text, indent) {
            Some(lines) => format!(" {lines}"),
            None => format!(" {}", string(text)),
        },
        other => format!(" {}", flow(other)),
    }
}

/// `key: value` in a mapping whose keys stand at `indent`.
pub(super) fn entry(key: &str, value: &Value, indent: usize, indents: Indents) -> String {
    let below = match value {
        Value::Array(_) => indent + indents.list,
        _ => indent + indents.map,
    };
    format!("{}:{}", string(key), block(value, below, indents, false))
}

/// A value on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| flow_entry(key, value)).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => flow_string(text),
        other => other.to_string(),
    }
}

/// `key: value` in a mapping in flow style.
pub(super) fn flow_entry(key: &str, value: &Value) -> String {
    format!("{}: {}", flow_string(key), flow(value))
}

fn inline_length(items: &[Value]) -> usize {
    items.iter().map(|item| flow(item).len() + 2).sum()
}

/// In a flow collection a comma or a bracket would end a plain text.
fn flow_string(text: &str) -> String {
    let written = string(text);
    if written.contains([',', '[', ']', '{', '}']) && !written.starts_with('"') { json(text) } else { written }
}

/// A text plain where every reader reads it as this text, else in JSON's quotes, which YAML has, too.
fn string(text: &str) -> String {
    let mut chars = text.chars();
    let is_word = |char: char| char.is_ascii_alphanumeric() || ['/', '.', '_'].contains(&char);
    let may_begin = match chars.next() {
        // An option, such as -c.
        Some('-') => chars.next().is_some_and(|second| second.is_ascii_alphabetic()),
        first => first.is_some_and(is_word),
    };
    let is_safe = |char: char| char.is_ascii_alphanumeric() || "/._-+,=()".contains(char);
    let is_safe_inside = |char: char| is_safe(char) || [' ', ':', ';'].contains(&char);
    let is_plain = may_begin
        && text.chars().all(is_safe_inside)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !text.contains("  ")
        && !looks_like_number(text);
    match plain(text) {
        Value::String(same) if is_plain && same == text => text.to_owned(),
        _ => json(text),
    }
}

/// Numbers, times and dates of one YAML version or the other, as `1:30` or `2001-01-01`.
fn looks_like_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && text.chars().all(|char| char.is_ascii_hexdigit() || "_.:-+xobTZ".contains(char))
}

fn json(text: &str) -> String {
    json_value(&Value::String(text.to_owned()))
}

/// A text of several lines as a literal block, if one can hold it.
fn literal(text: &str, indent: usize) -> Option<String> {
    let inner = text.strip_suffix('\n')?;
    let is_printable = |char: char| char == '\n' || (!char.is_control() && char != '\u{feff}' && char != '\u{2028}');
    let is_fit = inner.contains('\n')
        && !inner.starts_with([' ', '\n'])
        && !inner.ends_with('\n')
        && inner.chars().all(is_printable)
        && inner.lines().all(|line| !line.ends_with(' '));
    is_fit.then(|| {
        let pad = " ".repeat(indent);
        let lines: Vec<String> =
            inner.lines().map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") }).collect();
        format!("|\n{}", lines.join("\n"))
    })
}

/// A value as JSON, which is YAML too if no character in it is invisible.
pub(super) fn json_value(value: &Value) -> String {
    let is_visible = |char: char| !char.is_control() && !['\u{2028}', '\u{2029}', '\u{feff}'].contains(&char);
    let written = |char: char| match is_visible(char) {
        true => char.to_string(),
        false => format!("\\u{:04x}", u32::from(char)),
    };
    value.to_string().chars().map(written).collect()
}
