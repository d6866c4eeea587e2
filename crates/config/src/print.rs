//! The effective configuration as TOML that can be read back, each value with its origin: the first half of
//! `bookend check`. Walks the vocabulary, so the order is always the same and defaults are shown as well.

use crate::inputs::Mode;
use crate::key::{Key, Role, Shape};
use crate::scalar::Scalar;
use crate::secrets::{MASK, argument, redact, suggests_secret};
use crate::settings::ResourceLimit;
use crate::source::in_order;
use crate::toml_text::{join, quote};
use crate::tree::Tree;
use crate::value::Value;
use crate::vocabulary::{ROOT, SIDECAR_APP, has_named_lists};
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::seconds::Seconds;

/// The whole tree.
pub(crate) fn toml(tree: &Tree, mode: Mode) -> String {
    let mut out = String::new();
    lines(tree, &mut out, "", "", ROOT);
    for key in ROOT {
        match key.shape {
            Shape::Table(_) if key.name == "app" && mode == Mode::Sidecar => {
                section(tree, &mut out, key.name, SIDECAR_APP);
            }
            Shape::Table(keys) => section(tree, &mut out, key.name, keys),
            Shape::Named { keys, .. } => {
                for (_, path) in tree.names(key.name) {
                    let origin = tree.get(&path).map(|entry| entry.origin.to_string()).unwrap_or_default();
                    out.push_str(&format!("\n[{path}]  # {}\n", printable(&origin)));
                    lines(tree, &mut out, &path, "", keys);
                    for (below, inner) in with_header(&path, keys) {
                        section(tree, &mut out, &below, inner);
                    }
                }
            }
            #[cfg(feature = "reload")]
            Shape::Tables(inner) => headed(tree, &mut out, key.name, inner),
            _ => {}
        }
    }
    out
}

/// The tables of a named table that have a header of their own: those of handlers.
fn with_header(path: &str, keys: &'static [Key]) -> impl Iterator<Item = (String, &'static [Key])> {
    keys.iter().filter_map(move |key| match key.shape {
        Shape::Table(inner) if key.name == LIFECYCLE => Some((join(path, key.name), inner)),
        _ => None,
    })
}

/// A table with a header, if it has lines.
fn section(tree: &Tree, out: &mut String, path: &str, keys: &'static [Key]) {
    let mut body = String::new();
    lines(tree, &mut body, path, "", keys);
    // A table whose absence means something ("no listener") is not shown with defaults alone.
    let needed = keys.iter().any(|key| key.role != Role::Optional);
    let shown = if needed { tree.get(path).is_some() } else { !body.is_empty() };
    if shown {
        out.push_str(&format!("\n[{path}]\n{body}"));
    }
    for key in keys {
        let below = join(path, key.name);
        if let Shape::Tables(inner) = key.shape {
            headed(tree, out, &below, inner);
        }
    }
}

/// A list of tables, each with a header.
fn headed(tree: &Tree, out: &mut String, path: &str, keys: &'static [Key]) {
    for entry in tree.tables(path) {
        let origin = tree.get(&entry).map(|e| format!("  # {}", e.origin)).unwrap_or_default();
        out.push_str(&format!("\n[[{path}]]{origin}\n"));
        lines(tree, out, &entry, "", keys);
    }
}

/// The lines of a table; tables inside are written with dotted keys.
fn lines(tree: &Tree, out: &mut String, path: &str, dotted: &str, keys: &'static [Key]) {
    for key in keys {
        let below = join(path, key.name);
        let name = join(dotted, key.name);
        let entry = tree.get(&below);
        match key.shape {
            Shape::One(_) | Shape::List(_) => match entry {
                Some(entry) => {
                    let not = overruled_by(tree, &below).map(|by| format!("; not in effect: {by} is stronger"));
                    line(out, &name, &value(&entry.value), &format!("{}{}", entry.origin, not.unwrap_or_default()));
                }
                None if key.default.is_empty() => {}
                None => line(out, &name, key.default, "default"),
            },
            Shape::Map { values, .. } => {
                let names = tree.names(&below).into_iter();
                let mut pairs: Vec<_> = names.filter_map(|(name, path)| Some((name, tree.get(&path)?))).collect();
                if values == Scalar::Source {
                    // A value may refer to earlier ones.
                    pairs = in_order(pairs, |(_, entry)| entry.span);
                }
                for (own, entry) in pairs {
                    line(out, &join(&name, &own), &shown(&own, &entry.value), &entry.origin.to_string());
                }
            }
            Shape::Table(inner) => {
                // At the top level a table has its own header.
                if !path.is_empty() && key.name != LIFECYCLE && entry.is_some() {
                    lines(tree, out, &below, &name, inner);
                }
            }
            // It has headers of its own, and stands at the top level alone.
            Shape::Named { .. } => {}
            Shape::Tables(inner) => {
                let Some(entry) = entry else { continue };
                // A list below a list of handlers has no header of its own.
                if entry.value == Value::Tables(0) || !has_named_lists(path) {
                    let tables: Vec<String> = tree.tables(&below).iter().map(|t| inline(tree, t, inner)).collect();
                    line(out, &name, &format!("[{}]", tables.join(", ")), &entry.origin.to_string());
                }
            }
        }
    }
}

/// The key with the same meaning, if it is set: `lifecycle.stopSignal` is a Pod spec's place for `app.stopSignal`.
fn overruled_by(tree: &Tree, path: &str) -> Option<String> {
    let owner = path.strip_suffix("lifecycle.stopSignal")?;
    let stronger = join(owner.strip_suffix('.').unwrap_or("app"), "stopSignal");
    tree.get(&stronger).map(|_| stronger)
}

/// A table on one line: `{ name = "X", value = "y" }`.
fn inline(tree: &Tree, path: &str, keys: &'static [Key]) -> String {
    fn pairs(tree: &Tree, path: &str, dotted: &str, keys: &'static [Key], out: &mut Vec<String>) {
        for key in keys {
            let (below, name) = (join(path, key.name), join(dotted, key.name));
            match (key.shape, tree.get(&below)) {
                (Shape::One(_) | Shape::List(_), Some(entry)) => {
                    // `{ name = "Authorization", value = "..." }`: the name is a sibling.
                    let owner = tree.get(&join(path, "name")).map(|entry| &entry.value);
                    let text = match owner {
                        Some(Value::Text(owner)) if key.name == "value" => shown(owner, &entry.value),
                        // Not shown: a secret may stand there by mistake.
                        _ if key.name == "prefix" => quote(MASK),
                        _ => value(&entry.value),
                    };
                    out.push(format!("{name} = {text}"));
                }
                (Shape::Table(inner), Some(_)) => pairs(tree, &below, &name, inner, out),
                _ => {}
            }
        }
    }
    let mut out = Vec::new();
    pairs(tree, path, "", keys, &mut out);
    format!("{{ {} }}", out.join(", "))
}

fn line(out: &mut String, name: &str, value: &str, origin: &str) {
    out.push_str(&format!("{name} = {value}  # {}\n", printable(origin)));
}

/// The table of handlers.
const LIFECYCLE: &str = "lifecycle";

/// The value of a name of the user's choice. A secret is not printed: `check` runs where logs are kept.
pub(crate) fn shown(name: &str, of: &Value) -> String {
    match of {
        Value::Text(text) if !text.is_empty() && suggests_secret(name) => quote(MASK),
        of => value(of),
    }
}

/// A value as TOML. The user and the query of a URL, and the value of a `--password=...`, are not printed.
pub(crate) fn value(of: &Value) -> String {
    match of {
        Value::Text(text) => quote(redact(text).as_deref().unwrap_or(text)),
        Value::Integer(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Seconds(time) => Seconds(*time).to_string(),
        Value::Signal(signal) => quote(&signal.to_string()),
        Value::Ignore => quote("ignore"),
        Value::Umask(mask) => format!("0o{mask:03o}"),
        Value::Limit(of) => limit(*of),
        Value::File(file) => {
            let (path, prefix) = file.parts();
            // Not shown: a secret may stand there by mistake.
            let prefix = if prefix.is_empty() { "" } else { ", valueFrom.prefix = \"********\"" };
            format!("{{ valueFrom.file = {}{prefix} }}", quote(path))
        }
        Value::List(items) => format!("[{}]", list(items).join(", ")),
        Value::Table | Value::OneOf | Value::Single | Value::Tables(_) | Value::Refused => "{}".to_owned(),
    }
}

/// The items of a list, which may be the arguments of a program.
fn list(items: &[Value]) -> Vec<String> {
    let text = |item: &Value| if let Value::Text(text) = item { Some(text.clone()) } else { None };
    let before = std::iter::once(None).chain(items.iter().map(text));
    let show = |(before, item): (Option<String>, &Value)| {
        let masked = text(item).and_then(|text| argument(before.as_deref(), &text));
        masked.map_or_else(|| value(item), |masked| quote(&masked))
    };
    before.zip(items).map(show).collect()
}

fn limit(limit: ResourceLimit) -> String {
    let bound = |bound: u64| if bound == u64::MAX { quote("unlimited") } else { bound.to_string() };
    match limit {
        ResourceLimit { soft: Some(soft), hard: Some(hard) } if soft == hard => bound(soft),
        ResourceLimit { soft, hard } => {
            let pairs: Vec<String> = [("soft", soft), ("hard", hard)]
                .into_iter()
                .filter_map(|(name, value)| Some(format!("{name} = {}", bound(value?))))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}
