//! Rules about more than one value, checked when every layer is merged: what a table cannot do
//! without, exactly one kind a handler, no name twice. Pure.

use std::time::Duration;

use super::diagnostic::Collector;
use super::key::{Key, Role, Shape, join, quote};
use super::kind::Value;
use super::modes;
use super::tree::{Entry, Tree};
use super::vocabulary::ROOT;
use super::{Features, Mode};
use bookend_lifecycle::probe::ProbeKind;
use bookend_lifecycle::seconds::Seconds;

/// Checks one layer: its lists of tables stand or fall as a whole, and so do its commands. They are
/// checked before the merge, because a mistake that a stronger layer hides is still one.
pub(super) fn check_layer(layer: &Tree, report: &mut Collector<'_>) {
    lists(layer, report, "", ROOT);
    for (path, entry) in layer.iter() {
        if let Value::List(list) = &entry.value
            && path.ends_with("command")
        {
            let message = match list.first() {
                None => "an empty list names no program",
                Some(Value::Text(program)) if program.is_empty() => "the program's name is empty",
                _ => continue,
            };
            let help = vec!["accepted: a program and its arguments like [\"/bin/drain\", \"--now\"]".to_owned()];
            report.diagnostic(entry.span, path, message.to_owned(), help);
        }
    }
}

/// Every list of tables at or below this table, and the lists inside its entries.
fn lists(layer: &Tree, report: &mut Collector<'_>, path: &str, keys: &'static [Key]) {
    for key in keys.iter().filter(|key| key.shape.has_keys()) {
        let below = join(path, key.name);
        if !layer.says(&below) {
            continue;
        }
        match key.shape {
            Shape::Table(inner) => lists(layer, report, &below, inner),
            Shape::Named { keys, .. } => {
                layer.names(&below).into_iter().for_each(|(_, path)| lists(layer, report, &path, keys));
            }
            Shape::Tables(inner) => {
                for entry in layer.tables(&below) {
                    table(layer, report, &entry, inner);
                    lists(layer, report, &entry, inner);
                    drain_times(layer, report, &join(&entry, "drain"));
                }
                if path == "lifecycle" || path.ends_with(".lifecycle") {
                    unique_names(layer, report, &below);
                }
            }
            _ => {}
        }
    }
}

/// Checks the merged tree: its tables are put together from several layers.
pub(super) fn check_merged(tree: &Tree, mode: Mode, built_with: Features, report: &mut Collector<'_>) {
    modes::check(tree, mode, report);
    table(tree, report, "", ROOT);
    for kind in ProbeKind::ALL {
        probe_numbers(tree, report, kind);
    }
    for (path, entry) in tree.iter() {
        if let Some(parent) = path.strip_suffix(".port") {
            known_port(tree, report, path, entry);
            needs_tls(tree, built_with, report, parent);
        }
    }
    features(tree, built_with, report);
}

/// A build without TLS cannot serve HTTPS, one without the page has none, and neither pretends to.
fn features(tree: &Tree, built_with: Features, report: &mut Collector<'_>) {
    let Features { tls, page } = built_with;
    let needed = [("http.tls", "tls", tls), ("http.selfSigned", "tls", tls), ("http.page", "page", page)];
    for (path, feature, is_built_in) in needed {
        if let Some(entry) = tree.get(path).filter(|entry| !is_built_in && entry.value != Value::Bool(false)) {
            let message = format!("this bookend was built without the feature {feature:?}");
            report.diagnostic(entry.span, path, message, Vec::new());
        }
    }
}

/// Numbers of a probe that Kubernetes refuses, too, and a period that would do nothing but probe.
fn probe_numbers(tree: &Tree, report: &mut Collector<'_>, kind: ProbeKind) {
    let path = join(kind.name(), "successThreshold");
    if let Some(Entry { value: Value::Integer(2..), span, .. }) = tree.get(&path)
        && kind != ProbeKind::Readiness
    {
        report.diagnostic(*span, &path, "must be 1, as in a Pod: the first success counts".to_owned(), Vec::new());
    }
    let path = join(kind.name(), "periodSeconds");
    if let Some(Entry { value: Value::Seconds(period), span, .. }) = tree.get(&path)
        && !period.is_zero()
        && *period < SHORTEST_PERIOD
    {
        report.diagnostic(*span, &path, format!("{} is less than 0.1", Seconds(*period)), Vec::new());
    }
}

const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// A port said by name stands in the table `ports`.
fn known_port(tree: &Tree, report: &mut Collector<'_>, path: &str, entry: &Entry) {
    let Value::Text(name) = &entry.value else { return };
    if tree.get(&join("ports", name)).is_none() {
        let known: Vec<String> = tree.names("ports").into_iter().map(|(name, _)| name).collect();
        let help = match known.as_slice() {
            [] => format!("say it in the table ports: ports = {{ {name} = 8080 }}"),
            known => format!("names there: {}", known.join(", ")),
        };
        report.diagnostic(entry.span, path, format!("{} is not in the table ports", quote(name)), vec![help]);
    }
}

/// A build without TLS cannot do what is asked.
fn needs_tls(tree: &Tree, built_with: Features, report: &mut Collector<'_>, get: &str) {
    let path = join(get, "scheme");
    let Some(entry) = tree.get(&path).filter(|_| !built_with.tls) else { return };
    if entry.value == Value::Text("HTTPS".to_owned()) {
        let message = "this bookend was built without the feature \"tls\"".to_owned();
        report.diagnostic(entry.span, &path, message, Vec::new());
    }
}

/// What must be there, in a table that is there.
fn table(tree: &Tree, report: &mut Collector<'_>, path: &str, keys: &'static [Key]) {
    if let Some(Role::OneOf(noun)) = keys.iter().map(|key| key.role).find(|role| matches!(role, Role::OneOf(_))) {
        one_kind(tree, report, path, keys, noun);
    }
    for key in keys.iter().filter(|key| key.role == Role::Required || key.shape.has_keys()) {
        let below = join(path, key.name);
        if key.role == Role::Required && tree.get(&below).is_none() {
            missing(tree, report, path, &below, key.about);
        }
        match key.shape {
            Shape::Table(inner) if tree.get(&below).is_some_and(|entry| entry.value != Value::Refused) => {
                table(tree, report, &below, inner);
            }
            Shape::Named { keys, .. } => {
                tree.names(&below).into_iter().for_each(|(_, path)| table(tree, report, &path, keys));
            }
            _ => {}
        }
    }
}

fn missing(tree: &Tree, report: &mut Collector<'_>, path: &str, below: &str, about: &str) {
    let Some(entry) = tree.get(path) else { return };
    // In a text with syntax errors it may be there, unread.
    if !report.is_broken(entry.span.source) && !tree.is_doubtful(path) {
        report.diagnostic(entry.span, below, format!("missing: {about}"), Vec::new());
    }
}

fn one_kind(tree: &Tree, report: &mut Collector<'_>, path: &str, keys: &'static [Key], noun: &str) {
    let kinds: Vec<&str> = keys.iter().filter(|key| matches!(key.role, Role::OneOf(_))).map(|key| key.name).collect();
    let said: Vec<&str> = kinds.iter().copied().filter(|kind| tree.get(&join(path, kind)).is_some()).collect();
    let accepted = kinds.join(", ");
    match said.as_slice() {
        [_] => {}
        [] => {
            if let Some(entry) = tree.get(path)
                && !report.is_broken(entry.span.source)
                && !tree.is_doubtful(path)
            {
                report.diagnostic(
                    entry.span,
                    path,
                    format!("no {noun}; exactly one of {accepted} is needed"),
                    Vec::new(),
                );
            }
        }
        [first, .., last] => {
            // The later one is shown: the first was alone until then.
            let span = said.iter().filter_map(|kind| tree.get(&join(path, kind))).map(|entry| entry.span).max();
            let count = said.len();
            let both = if count == 2 { format!("{first} and {last}") } else { said.join(", ") };
            let message = format!("{count} {noun}s in one entry ({both}); exactly one of {accepted} is accepted");
            let help = if noun == "handler" { "handlers that run one after another are entries of a list" } else { "" };
            let help = [help].into_iter().filter(|help| !help.is_empty()).map(str::to_owned).collect();
            report.diagnostic(span.unwrap_or_default(), path, message, help);
        }
    }
}

/// A maximum below the minimum is one of two mistakes, and nobody can tell which.
fn drain_times(layer: &Tree, report: &mut Collector<'_>, drain: &str) {
    let default = bookend_lifecycle::drain::Drain::default();
    let path = join(drain, "maxSeconds");
    let said = |name: &str| match layer.get(&join(drain, name)).map(|entry| &entry.value) {
        Some(Value::Seconds(time)) => Some(*time),
        _ => None,
    };
    let (min, max) = (said("minSeconds"), said("maxSeconds"));
    if (min.is_some() || max.is_some()) && max.unwrap_or(default.max) < min.unwrap_or(default.min) {
        let span = layer.get(&path).or(layer.get(drain)).map(|entry| entry.span).unwrap_or_default();
        let (min, max) = (Seconds(min.unwrap_or(default.min)), Seconds(max.unwrap_or(default.max)));
        report.diagnostic(span, &path, format!("{max} is less than minSeconds, which is {min}"), Vec::new());
    }
}

/// Records and metrics are found by a handler's name: two of one name in one list cannot be told apart.
fn unique_names(tree: &Tree, report: &mut Collector<'_>, hook: &str) {
    let mut seen: Vec<&Value> = Vec::new();
    for handler in tree.tables(hook) {
        let path = join(&handler, "name");
        let Some(entry) = tree.get(&path) else { continue };
        if seen.contains(&&entry.value) {
            report.diagnostic(entry.span, &path, "another handler of this list has that name".to_owned(), Vec::new());
        }
        seen.push(&entry.value);
    }
}
