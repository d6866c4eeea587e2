//! The layers above the files: `BOOKEND_...` variables and options of the command line. A variable is
//! `BOOKEND_` and the key path in SCREAMING_SNAKE; a scalar's text is the value itself, a list or a
//! table is said in TOML (`BOOKEND_APP_COMMAND='["nginx"]'`). An empty variable counts as not set:
//! compose files and charts leave such behind. Pure: the environment is passed in.

use std::ffi::{OsStr, OsString};

use super::Override;
use super::diagnostic::{Collector, SourceKind, Span};
use super::document::{read_name, read_one};
use super::hint;
use super::key::{ANY_NAME, Key, Role, Shape, env_name, find, join, walk};
use super::kind::{Scalar, Value};
use super::tree::{Entry, Origin, Tree};
use super::vocabulary::ROOT;

/// `BOOKEND_...` variables that are no configuration: where things are, and what handlers are told.
pub const RESERVED: &[&str] = &[
    "BOOKEND_APP_PID",
    "BOOKEND_APP_SECONDS",
    "BOOKEND_BIN",
    "BOOKEND_CONFIG",
    "BOOKEND_CONTAINER",
    "BOOKEND_EXIT_CODE",
    "BOOKEND_HANDLER",
    "BOOKEND_HOOK",
    "BOOKEND_PHASE",
    "BOOKEND_REASON",
    "BOOKEND_SECONDS_LEFT",
    "BOOKEND_SIGNAL",
    "BOOKEND_STOP_SECONDS",
    "BOOKEND_TRIGGER",
];

/// What ours begin with.
const PREFIX: &str = "BOOKEND_";

/// Reads every variable that is ours into one layer.
pub(super) fn read<'a>(report: &mut Collector<'a>, environment: &'a [(OsString, OsString)]) -> Tree {
    let mut layer = Tree::default();
    // Most containers have none: then nothing below is paid for.
    for (name, value) in environment {
        let Some(name) = ours(name) else { continue };
        if RESERVED.contains(&name) || value.is_empty() {
            continue;
        }
        let value = value.to_str();
        if is_service_link(name, value.unwrap_or_default()) {
            continue;
        }
        let Some(text) = value else {
            report.unseen(name, "the value is not UTF-8".to_owned());
            continue;
        };
        let mut path = None;
        walk(ROOT, &mut |candidate, _| {
            let is_by_name = candidate.split('.').any(|part| part == ANY_NAME);
            if path.is_none() && !is_by_name && env_name(candidate) == name {
                path = Some(candidate.to_owned());
            }
        });
        match path {
            Some(path) => {
                let source = report.source(SourceKind::Variable, name, text);
                layer = say(report, source, &path, layer);
            }
            None => unknown_variable(report, name),
        }
    }
    layer
}

/// Reads the options of the command line into one layer; a later one replaces an earlier one.
pub(super) fn read_overrides<'a>(report: &mut Collector<'a>, overrides: &'a [Override]) -> Tree {
    let mut all = Tree::default();
    for said in overrides {
        let source = report.source(SourceKind::Flag, &said.flag, &said.value);
        all.overlay(say(report, source, &said.path, Tree::default()));
    }
    all
}

fn unknown_variable<'a>(report: &mut Collector<'a>, name: &'a str) {
    // What a handler is told may stand there, but nobody says it; and what all have in common is no likeness.
    let mut names = vec!["CONFIG".to_owned()];
    walk(ROOT, &mut |path, _| names.push(env_name(path).replacen(PREFIX, "", 1)));
    let help = match hint::nearest(&name.replacen(PREFIX, "", 1), names.iter().map(String::as_str)) {
        Some(near) => vec![format!("did you mean {PREFIX}{near}?")],
        None => vec!["accepted: BOOKEND_ and a key path, http.listen is BOOKEND_HTTP_LISTEN".to_owned()],
    };
    // The value is not shown: nobody knows what it is.
    let source = report.source(SourceKind::Variable, name, "");
    report.diagnostic(Span { source, start: 0, end: 0 }, name, "no such variable".to_owned(), help);
}

/// Adds what one variable or option says, with the tables it stands in.
fn say(report: &mut Collector<'_>, source: usize, path: &str, mut layer: Tree) -> Tree {
    let span = Span { source, start: 0, end: 0 };
    let whole = Span { source, start: 0, end: report.sources.get(source).map_or(0, |said| said.text.len()) };
    let Some(said) = report.sources.get(source) else { return layer };
    let origin = match said.medium {
        SourceKind::Variable => Origin::Variable(said.name.to_owned()),
        SourceKind::File | SourceKind::Flag => Origin::CommandLine(said.name.to_owned()),
    };
    let (mut keys, mut above, mut rest): (&'static [Key], String, &str) = (ROOT, String::new(), path);
    loop {
        let (name, below) = rest.split_once('.').map_or((rest, None), |(name, below)| (name, Some(below)));
        let here = join(&above, name);
        let Some(key) = find(keys, name) else {
            let help = hint::unknown_key(&above, keys, name);
            report.diagnostic(whole, &here, "unknown key".to_owned(), help);
            return layer;
        };
        let (opened, inner) = match (key.shape, below) {
            (Shape::Map { values: Scalar::Source, names }, Some(name)) if name.ends_with(FROM_FILE) => {
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                let name = name.strip_suffix(FROM_FILE).unwrap_or(name);
                match read_name(names, name) {
                    Ok(name) => return say_file(report, source, &join(&here, &name), layer),
                    Err(why) => report.diagnostic(whole, path, why, Vec::new()),
                }
                return layer;
            }
            (shape, None) => return read_one(report, source, &here, shape, key.role, layer),
            (Shape::Table(inner), Some(_)) => {
                (if matches!(key.role, Role::OneOf(_)) { Value::Kind } else { Value::Table }, inner)
            }
            (Shape::Map { names, values }, Some(name)) => {
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                match read_name(names, name) {
                    Ok(name) => {
                        let below = join(&here, &name);
                        return read_one(report, source, &below, Shape::One(values), Role::Optional, layer);
                    }
                    Err(why) => report.diagnostic(whole, path, why, Vec::new()),
                }
                return layer;
            }
            (Shape::Named { names, keys: inner }, Some(named)) => {
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                let (name, below) = named.split_once('.').map_or((named, None), |(name, below)| (name, Some(below)));
                let here = match read_name(names, name) {
                    Ok(name) => join(&here, &name),
                    Err(why) => {
                        report.diagnostic(whole, path, why, Vec::new());
                        return layer;
                    }
                };
                let Some(below) = below else {
                    return read_one(report, source, &here, Shape::Table(inner), Role::Optional, layer);
                };
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                (keys, above, rest) = (inner, here, below);
                continue;
            }
            (Shape::Tables(_), Some(_)) => {
                let help = vec![format!("in TOML: {} = '[{{ ... }}]'", env_name(&here))];
                report.diagnostic(whole, path, format!("{here} is a list and can only be set as a whole"), help);
                return layer;
            }
            (Shape::One(_) | Shape::List(_), Some(_)) => {
                report.diagnostic(whole, path, format!("{here} has no keys"), Vec::new());
                return layer;
            }
        };
        insert_once(&mut layer, &here, opened, &origin, span);
        (keys, above, rest) = (inner, here, below.unwrap_or_default());
    }
}

/// `app.env.NAME.valueFrom.file=/run/secrets/x`: the text is the file's path.
fn say_file(report: &mut Collector<'_>, source: usize, path: &str, layer: Tree) -> Tree {
    let mut layer = read_one(report, source, path, Shape::One(Scalar::Path), Role::Optional, layer);
    if let Some(entry) = layer.get(path).cloned()
        && let Value::Text(file) = entry.value
    {
        layer.insert(path.to_owned(), Entry { value: Value::File(file), ..entry });
    }
    layer
}

/// How a value of `env` is said to come from a file.
const FROM_FILE: &str = ".valueFrom.file";

fn insert_once(layer: &mut Tree, path: &str, value: Value, origin: &Origin, span: Span) {
    if layer.get(path).is_none() {
        layer.insert(path.to_owned(), Entry { value, origin: origin.clone(), span });
    }
}

/// The name, if the variable is one of ours.
fn ours(name: &OsStr) -> Option<&str> {
    name.to_str().filter(|name| name.starts_with(PREFIX))
}

/// Whether the kubelet set the variable for a Service called `bookend` or `bookend-...` in the
/// namespace ("environment variables" in Kubernetes' page on Services): that must not break a container.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("BOOKEND") else { return false };
    if rest.ends_with("_SERVICE_HOST") || rest.ends_with("_SERVICE_PORT") || rest.contains("_SERVICE_PORT_") {
        return true;
    }
    // BOOKEND_PORT=tcp://10.0.0.11:6379 and BOOKEND_PORT_6379_TCP{,_PROTO,_PORT,_ADDR}
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if rest.ends_with("_PORT") && is_url {
        return true;
    }
    rest.match_indices("_PORT_").any(|(at, marker)| {
        let after = rest.get(at + marker.len()..).unwrap_or_default();
        let (digits, tail) = after.split_once('_').unwrap_or((after, ""));
        let protocol = tail.split('_').next().unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && matches!(protocol, "TCP" | "UDP" | "SCTP")
    })
}
