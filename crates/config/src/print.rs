//! The effective configuration as TOML that can be read back, each value with where it comes from:
//! the first half of `bookend check`. Walks the vocabulary, so the order is always the same and what
//! nobody said is shown with its default. Pure.

use super::Mode;
use super::diagnostic::in_order;
use super::key::{Key, Role, Shape, join, quote};
use super::kind::{Scalar, Value};
use super::settings::ResourceLimit;
use super::snippet::SECRET_WORDS;
use super::tree::Tree;
use super::vocabulary::{ROOT, SIDECAR_APP};
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::seconds::Seconds;

/// The whole tree.
pub(super) fn toml(tree: &Tree, mode: Mode) -> String {
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

/// A table with a header, if there is anything to say below it.
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
            for entry in tree.tables(&below) {
                let origin = tree.get(&entry).map(|e| format!("  # {}", e.origin)).unwrap_or_default();
                out.push_str(&format!("\n[[{below}]]{origin}\n"));
                lines(tree, out, &entry, "", inner);
            }
        }
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
                let mut said: Vec<_> = names.filter_map(|(name, path)| Some((name, tree.get(&path)?))).collect();
                if values == Scalar::Source {
                    // A value may refer to earlier ones.
                    said = in_order(said, |(_, entry)| entry.span);
                }
                for (said, entry) in said {
                    line(out, &join(&name, &said), &shown(&said, &entry.value), &entry.origin.to_string());
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
                if entry.value == Value::Tables(0) || !(path == LIFECYCLE || path.ends_with(".lifecycle")) {
                    let tables: Vec<String> = tree.tables(&below).iter().map(|t| inline(tree, t, inner)).collect();
                    line(out, &name, &format!("[{}]", tables.join(", ")), &entry.origin.to_string());
                }
            }
        }
    }
}

/// The key that says the same, and has been said: `lifecycle.stopSignal` is a Pod spec's place for `app.stopSignal`.
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
                    // `{ name = "Authorization", value = "..." }`: the sibling tells.
                    let owner = tree.get(&join(path, "name")).map(|entry| &entry.value);
                    let text = match owner {
                        Some(Value::Text(owner)) if key.name == "value" => shown(owner, &entry.value),
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

/// A value of the user's own names. What is called a secret is not printed: `check` is run where logs are kept.
fn shown(name: &str, said: &Value) -> String {
    let name = name.to_ascii_lowercase();
    match said {
        Value::Text(text) if !text.is_empty() && SECRET_WORDS.iter().any(|word| name.contains(word)) => quote(MASK),
        said => value(said),
    }
}

/// What stands for a secret.
const MASK: &str = "********";

/// A value as TOML.
fn value(value: &Value) -> String {
    match value {
        Value::Text(text) => quote(text),
        Value::Integer(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Seconds(time) => Seconds(*time).to_string(),
        Value::Signal(signal) => quote(&signal.to_string()),
        Value::Ignore => quote("ignore"),
        Value::Umask(mask) => format!("0o{mask:03o}"),
        Value::Limit(limit) => self::limit(*limit),
        Value::File(path) => format!("{{ valueFrom.file = {} }}", quote(path)),
        Value::List(list) => {
            format!("[{}]", list.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        Value::Table | Value::Kind | Value::Single | Value::Tables(_) | Value::Refused => "{}".to_owned(),
    }
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
