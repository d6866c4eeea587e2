//! Rules about more than one value: required keys, exactly one kind per handler, unique names. Most are checked when all
//! layers are merged.

use std::time::Duration;

use crate::collector::Collector;
use crate::hint::not_built_in;
use crate::inputs::{Features, Mode};
use crate::key::{Key, Role, Shape};
use crate::modes;
use crate::toml_text::{join, quote};
use crate::tree::{Entry, Tree};
use crate::value::Value;
use crate::vocabulary::{ROOT, has_named_lists};
use bookend_lifecycle::probe::ProbeKind;
use bookend_lifecycle::seconds::Seconds;

/// Checks one layer: its lists of tables and its commands are replaced as a whole by a stronger layer. They are checked
/// before the merge, because an error is reported even if a stronger layer hides it.
pub(crate) fn check_layer(layer: &Tree, collector: &mut Collector<'_>) {
    lists(layer, collector, "", ROOT);
    for (path, entry) in layer.iter() {
        if let Value::List(list) = &entry.value
            && path.ends_with("command")
        {
            let message = match list.first() {
                None => "the list is empty: a program is required",
                Some(Value::Text(program)) if program.is_empty() => "the name of the program is empty",
                _ => continue,
            };
            let help = vec!["accepted: a program and its arguments, like [\"/bin/drain\", \"--now\"]".to_owned()];
            collector.error(entry.span, path, message, help);
        }
    }
}

/// Checks every list of tables at or below this table, and the lists inside its entries.
fn lists(layer: &Tree, collector: &mut Collector<'_>, path: &str, keys: &'static [Key]) {
    for key in keys.iter().filter(|key| key.shape.has_keys()) {
        let below = join(path, key.name);
        if !layer.may_have(&below) {
            continue;
        }
        match key.shape {
            Shape::Table(inner) => lists(layer, collector, &below, inner),
            Shape::Named { keys, .. } => {
                layer.names(&below).into_iter().for_each(|(_, path)| lists(layer, collector, &path, keys));
            }
            Shape::Tables(inner) => {
                for entry in layer.tables(&below) {
                    table(layer, collector, &entry, inner);
                    lists(layer, collector, &entry, inner);
                    drain_times(layer, collector, &join(&entry, "drain"));
                }
                if has_named_lists(path) {
                    unique_names(layer, collector, &below);
                }
            }
            _ => {}
        }
    }
}

/// Checks the merged tree, whose tables may come from several layers.
pub(crate) fn check_merged(tree: &Tree, mode: Mode, built_with: Features, collector: &mut Collector<'_>) {
    modes::check(tree, mode, collector);
    table(tree, collector, "", ROOT);
    for kind in ProbeKind::ALL {
        probe_numbers(tree, collector, kind);
    }
    for (path, entry) in tree.iter() {
        if let Some(parent) = path.strip_suffix(".port") {
            known_port(tree, collector, path, entry);
            needs_tls(tree, built_with, collector, parent);
        }
    }
    features(tree, built_with, collector);
    dropped_stop_signals(tree, collector);
}

/// A stop signal that `app.signals` drops does not begin a stop.
fn dropped_stop_signals(tree: &Tree, collector: &mut Collector<'_>) {
    let Some(Entry { value: Value::List(signals), span, .. }) = tree.get("app.stopSignals") else { return };
    for (name, path) in tree.names("app.signals") {
        let is_dropped = tree.get(&path).is_some_and(|entry| entry.value == Value::Ignore);
        let Some(signal) = name.parse().ok().filter(|_| is_dropped) else { continue };
        if signals.contains(&Value::Signal(signal)) {
            let message = format!("{signal} does not begin a stop: app.signals drops it");
            collector.warning(*span, "app.stopSignals", message, Vec::new());
        }
    }
}

/// A build without TLS cannot serve HTTPS, and a build without the page has no page.
fn features(tree: &Tree, built_with: Features, collector: &mut Collector<'_>) {
    let Features { tls, page } = built_with;
    let needed = [("http.tls", "tls", tls), ("http.selfSigned", "tls", tls), ("http.page", "page", page)];
    for (path, feature, is_built_in) in needed {
        if let Some(entry) = tree.get(path).filter(|entry| !is_built_in && entry.value != Value::Bool(false)) {
            collector.error(entry.span, path, not_built_in(feature), Vec::new());
        }
    }
}

/// Numbers of a probe that Kubernetes refuses as well, and a period that is too short.
fn probe_numbers(tree: &Tree, collector: &mut Collector<'_>, kind: ProbeKind) {
    let path = join(kind.name(), "successThreshold");
    if let Some(Entry { value: Value::Integer(2..), span, .. }) = tree.get(&path)
        && kind != ProbeKind::Readiness
    {
        collector.error(*span, &path, "must be 1, as in a Pod: only a readinessProbe accepts more", Vec::new());
    }
    let path = join(kind.name(), "periodSeconds");
    if let Some(Entry { value: Value::Seconds(period), span, .. }) = tree.get(&path)
        && !period.is_zero()
        && *period < SHORTEST_PERIOD
    {
        collector.error(*span, &path, format!("{} is less than the minimum of 0.1", Seconds(*period)), Vec::new());
    }
}

const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// The name of a port must be in the table `ports`.
fn known_port(tree: &Tree, collector: &mut Collector<'_>, path: &str, entry: &Entry) {
    let Value::Text(name) = &entry.value else { return };
    if tree.get(&join("ports", name)).is_none() {
        let known: Vec<String> = tree.names("ports").into_iter().map(|(name, _)| name).collect();
        let help = match known.as_slice() {
            [] => format!("add it: ports = {{ {name} = 8080 }}"),
            known => format!("the table has: {}", known.join(", ")),
        };
        collector.error(entry.span, path, format!("{} is not in the table ports", quote(name)), vec![help]);
    }
}

/// A build without TLS cannot make a request by HTTPS.
fn needs_tls(tree: &Tree, built_with: Features, collector: &mut Collector<'_>, get: &str) {
    let path = join(get, "scheme");
    let Some(entry) = tree.get(&path).filter(|_| !built_with.tls) else { return };
    if entry.value == Value::Text("HTTPS".to_owned()) {
        collector.error(entry.span, &path, not_built_in("tls"), Vec::new());
    }
}

/// Required keys of a table that is there.
fn table(tree: &Tree, collector: &mut Collector<'_>, path: &str, keys: &'static [Key]) {
    if let Some(Role::OneOf(noun)) = keys.iter().map(|key| key.role).find(|role| matches!(role, Role::OneOf(_))) {
        one_kind(tree, collector, path, keys, noun);
    }
    for key in keys.iter().filter(|key| key.role == Role::Required || key.shape.has_keys()) {
        let below = join(path, key.name);
        if key.role == Role::Required && tree.get(&below).is_none() {
            missing(tree, collector, path, &below, key.about);
        }
        match key.shape {
            Shape::Table(inner) if tree.get(&below).is_some_and(|entry| entry.value != Value::Refused) => {
                table(tree, collector, &below, inner);
            }
            Shape::Named { keys, .. } => {
                tree.names(&below).into_iter().for_each(|(_, path)| table(tree, collector, &path, keys));
            }
            _ => {}
        }
    }
}

fn missing(tree: &Tree, collector: &mut Collector<'_>, path: &str, below: &str, about: &str) {
    let Some(entry) = tree.get(path) else { return };
    // In a text with syntax errors it may be there, unread.
    if !collector.is_broken() && !tree.is_incomplete(path) {
        collector.error(entry.span, below, format!("required key is missing: {about}"), Vec::new());
    }
}

fn one_kind(tree: &Tree, collector: &mut Collector<'_>, path: &str, keys: &'static [Key], noun: &str) {
    let kinds = || keys.iter().filter(|key| matches!(key.role, Role::OneOf(_)));
    let found: Vec<&str> = kinds().map(|key| key.name).filter(|kind| tree.get(&join(path, kind)).is_some()).collect();
    let accepted: Vec<&str> = kinds().filter(|key| key.is_documented()).map(|key| key.name).collect();
    let accepted = accepted.join(", ");
    match found.as_slice() {
        [_] => {}
        [] => {
            if let Some(entry) = tree.get(path)
                && !collector.is_broken()
                && !tree.is_incomplete(path)
            {
                collector.error(entry.span, path, format!("no {noun}: set exactly one of {accepted}"), Vec::new());
            }
        }
        [_, ..] => {
            // The later one is shown: the first was alone until then.
            let span = found.iter().filter_map(|kind| tree.get(&join(path, kind))).map(|entry| entry.span).max();
            let (count, found) = (found.len(), found.join(", "));
            let message = format!("{count} {noun}s in one entry ({found}): set exactly one of {accepted}");
            let help = if noun == "handler" { "to run several handlers, make each an entry of the list" } else { "" };
            let help = [help].into_iter().filter(|help| !help.is_empty()).map(str::to_owned).collect();
            collector.error(span.unwrap_or_default(), path, message, help);
        }
    }
}

/// The maximum of a drain must not be less than its minimum.
fn drain_times(layer: &Tree, collector: &mut Collector<'_>, drain: &str) {
    let default = bookend_lifecycle::drain::Drain::default();
    let path = join(drain, "maxSeconds");
    let seconds = |name: &str| match layer.get(&join(drain, name)).map(|entry| &entry.value) {
        Some(Value::Seconds(time)) => Some(*time),
        _ => None,
    };
    let (min, max) = (seconds("minSeconds"), seconds("maxSeconds"));
    if (min.is_some() || max.is_some()) && max.unwrap_or(default.max) < min.unwrap_or(default.min) {
        let span = layer.get(&path).or(layer.get(drain)).map(|entry| entry.span).unwrap_or_default();
        let (min, max) = (Seconds(min.unwrap_or(default.min)), Seconds(max.unwrap_or(default.max)));
        collector.error(span, &path, format!("{max} is less than minSeconds ({min})"), Vec::new());
    }
}

/// Records and metrics are found by a handler's name, so names must be unique in a list.
fn unique_names(tree: &Tree, collector: &mut Collector<'_>, hook: &str) {
    let mut seen: Vec<&Value> = Vec::new();
    for handler in tree.tables(hook) {
        let path = join(&handler, "name");
        let Some(entry) = tree.get(&path) else { continue };
        if seen.contains(&&entry.value) {
            collector.error(entry.span, &path, "duplicate name: another handler of this list has it", Vec::new());
        }
        seen.push(&entry.value);
    }
}
