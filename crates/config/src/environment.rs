//! The layers above the files: `BOOKEND_...` variables and options of the command line. A variable is `BOOKEND_` and the
//! key path in SCREAMING_SNAKE; the text of a scalar is the value itself, a list or a table is written in TOML
//! (`BOOKEND_APP_COMMAND='["nginx"]'`). An empty variable counts as not set, because compose files and charts leave such
//! variables behind. A name that is not a key is a warning: it may belong to another program.

use std::ffi::{OsStr, OsString};

use crate::collector::Collector;
use crate::deprecated::Renamed;
use crate::document::{origin_of, read_one};
use crate::hint;
use crate::inputs::Override;
use crate::key::{ANY_NAME, Key, Role, Shape, env_name, find, has_variable, walk};
use crate::scalar::{Scalar, read_name};
use crate::settings::FileValue;
use crate::source::{SourceKind, Span};
use crate::toml_text::join;
use crate::tree::{Entry, Origin, Tree};
use crate::value::Value;
use crate::vocabulary::ROOT;

/// `BOOKEND_...` variables that are not keys: places, and what handlers get to know.
pub const RESERVED: &[&str] = &[
    "BOOKEND_APP_PID",
    "BOOKEND_APP_SECONDS",
    "BOOKEND_BIN",
    "BOOKEND_CONFIG",
    "BOOKEND_CONFIGURED_BY",
    "BOOKEND_CONTAINER",
    "BOOKEND_EXIT_CODE",
    "BOOKEND_HANDLER",
    "BOOKEND_HOOK",
    "BOOKEND_OOM",
    "BOOKEND_PHASE",
    "BOOKEND_REASON",
    "BOOKEND_SECONDS_LEFT",
    "BOOKEND_SIGNAL",
    "BOOKEND_STOP_SECONDS",
    "BOOKEND_TRIGGER",
];

/// The prefix of all our variables.
const PREFIX: &str = "BOOKEND_";

/// Whether a variable is meant for bookend's configuration: it begins with `BOOKEND_`, and is neither reserved, nor one
/// that images set for their own build (`BOOKEND_VERSION`), nor one that the kubelet sets for a Service.
pub fn is_configuration(name: &OsStr, value: &OsStr) -> bool {
    let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { return false };
    name == "BOOKEND_CONFIG"
        || !(RESERVED.contains(&name)
            || is_service_link(name, value.to_str().unwrap_or_default())
            || is_of_image(name) && key_of(name).is_none())
}

/// Reads every variable that is meant for the configuration into one layer.
pub(crate) fn read<'a>(collector: &mut Collector<'a>, environment: &'a [(OsString, OsString)]) -> Tree {
    let mut layer = Tree::default();
    // Most containers have none: then nothing below costs anything.
    for (name, value) in environment {
        if value.is_empty() || name == "BOOKEND_CONFIG" || !is_configuration(name, value) {
            continue;
        }
        let Some(name) = name.to_str() else { continue };
        let Some((path, renamed)) = key_of(name) else {
            collector.unknown_variable(name, unknown_variable(name));
            continue;
        };
        let Some(text) = value.to_str() else {
            collector.error_without_place(name, "the value is not UTF-8");
            continue;
        };
        let source = collector.source(SourceKind::Variable, name, text, &path, None);
        if let Some(renamed) = renamed {
            let help = vec![format!("the new variable is {}", env_name(&path))];
            let span = Span { source, start: 0, end: text.len() };
            collector.warning(span, &renamed.old_path(), renamed.message(), help);
            if environment.iter().any(|(other, value)| !value.is_empty() && *other == *env_name(&path)) {
                // The new one is set as well, and is stronger.
                continue;
            }
        }
        layer = set(collector, source, &path, layer);
    }
    layer
}

/// Reads the options of the command line into one layer; a later one replaces an earlier one.
pub(crate) fn read_overrides<'a>(collector: &mut Collector<'a>, overrides: &'a [Override]) -> Tree {
    let mut all = Tree::default();
    for option in overrides {
        let source = collector.source(SourceKind::Flag, &option.flag, &option.value, &option.path, None);
        let mut path = option.path.clone();
        if let Some((renamed, new)) = Renamed::of_path(&path) {
            let span = Span { source, start: 0, end: option.value.len() };
            collector.warning(span, &renamed.old_path(), renamed.message(), Vec::new());
            path = new;
        }
        all.overlay(set(collector, source, &path, Tree::default()));
    }
    all
}

/// The key that a variable sets, and its rename if the variable has the old name.
fn key_of(name: &str) -> Option<(String, Option<&'static Renamed>)> {
    let mut found = None;
    walk(ROOT, &mut |path, _| {
        if found.is_some() || path.split('.').any(|part| part == ANY_NAME) {
            return;
        }
        if env_name(path) == name {
            found = Some((path.to_owned(), None));
        } else if let Some(renamed) = Renamed::of_variable(name, path) {
            found = Some((path.to_owned(), Some(renamed)));
        }
    });
    found
}

/// The variable that the user probably meant. Its value is not shown, because it may be a secret.
fn unknown_variable(name: &str) -> Vec<String> {
    // The common prefix does not count as a similarity.
    let mut names = vec!["CONFIG".to_owned()];
    walk(ROOT, &mut |path, _| {
        if has_variable(ROOT, path) {
            names.push(env_name(path).replacen(PREFIX, "", 1));
        }
    });
    let word = name.replacen(PREFIX, "", 1);
    // BOOKEND_LISTEN: the end of one name alone.
    let mut longer =
        names.iter().filter(|name| name.strip_suffix(word.as_str()).is_some_and(|start| start.ends_with('_')));
    let only = longer.next().filter(|_| longer.next().is_none());
    match hint::nearest(&word, names.iter().map(String::as_str)).or(only.map(String::as_str)) {
        Some(near) => vec![format!("did you mean {PREFIX}{near}?")],
        None => vec!["accepted: BOOKEND_ and a key path, for example BOOKEND_HTTP_LISTEN for http.listen".to_owned()],
    }
}

/// Adds the value of one variable or option, with the tables above it.
fn set(collector: &mut Collector<'_>, source: usize, path: &str, mut layer: Tree) -> Tree {
    let span = Span { source, start: 0, end: 0 };
    let whole = Span { source, start: 0, end: collector.sources.get(source).map_or(0, |source| source.text.len()) };
    let Some(origin) = origin_of(collector, source) else { return layer };
    let (mut keys, mut above, mut rest): (&'static [Key], String, &str) = (ROOT, String::new(), path);
    loop {
        let (name, below) = rest.split_once('.').map_or((rest, None), |(name, below)| (name, Some(below)));
        let here = join(&above, name);
        let Some(key) = find(keys, name) else {
            let help = hint::unknown_key(&above, keys, name);
            collector.error(whole, &here, "unknown key", help);
            return layer;
        };
        let (opened, inner) = match (key.shape, below) {
            (Shape::Map { values: Scalar::Source, names }, Some(name)) if name.ends_with(FROM_FILE) => {
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                let name = name.strip_suffix(FROM_FILE).unwrap_or(name);
                match read_name(names, name) {
                    Ok(name) => return set_file(collector, source, &join(&here, &name), layer),
                    Err(why) => collector.error(whole, path, why, Vec::new()),
                }
                return layer;
            }
            (shape, None) => return read_one(collector, source, &here, shape, key.role, layer),
            (Shape::Table(inner), Some(_)) => {
                (if matches!(key.role, Role::OneOf(_)) { Value::OneOf } else { Value::Table }, inner)
            }
            (Shape::Map { names, values }, Some(name)) => {
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                match read_name(names, name) {
                    Ok(name) => {
                        let below = join(&here, &name);
                        return read_one(collector, source, &below, Shape::One(values), Role::Optional, layer);
                    }
                    Err(why) => collector.error(whole, path, why, Vec::new()),
                }
                return layer;
            }
            (Shape::Named { names, keys: inner }, Some(named)) => {
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                let (name, below) = named.split_once('.').map_or((named, None), |(name, below)| (name, Some(below)));
                let here = match read_name(names, name) {
                    Ok(name) => join(&here, &name),
                    Err(why) => {
                        collector.error(whole, path, why, Vec::new());
                        return layer;
                    }
                };
                let Some(below) = below else {
                    return read_one(collector, source, &here, Shape::Table(inner), Role::Optional, layer);
                };
                insert_once(&mut layer, &here, Value::Table, &origin, span);
                (keys, above, rest) = (inner, here, below);
                continue;
            }
            (Shape::Tables(_), Some(_)) => {
                let help = vec![format!("in TOML: {} = '[{{ ... }}]'", env_name(&here))];
                collector.error(whole, path, format!("{here} is a list and can only be set as a whole"), help);
                return layer;
            }
            (Shape::One(_) | Shape::List(_), Some(_)) => {
                collector.error(whole, path, format!("{here} is not a table"), Vec::new());
                return layer;
            }
        };
        insert_once(&mut layer, &here, opened, &origin, span);
        (keys, above, rest) = (inner, here, below.unwrap_or_default());
    }
}

/// `app.env.NAME.valueFrom.file=/run/secrets/x`: the text is the file's path.
fn set_file(collector: &mut Collector<'_>, source: usize, path: &str, layer: Tree) -> Tree {
    let mut layer = read_one(collector, source, path, Shape::One(Scalar::Path), Role::Optional, layer);
    if let Some(entry) = layer.get(path).cloned()
        && let Value::Text(file) = entry.value
    {
        layer.insert(path.to_owned(), Entry { value: Value::File(FileValue::new(&file, "")), ..entry });
    }
    layer
}

/// The end of the path of a value of `env` that comes from a file.
const FROM_FILE: &str = ".valueFrom.file";

fn insert_once(layer: &mut Tree, path: &str, value: Value, origin: &Origin, span: Span) {
    if layer.get(path).is_none() {
        layer.insert(path.to_owned(), Entry { value, origin: origin.clone(), span });
    }
}

/// Whether the kubelet set the variable for a Service called `bookend` or `bookend-...` in the
/// namespace ("environment variables" in Kubernetes' page on Services): it must not break a container.
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

/// Whether the name consists of words with which images describe a download or its place, as in `TINI_VERSION`:
/// `BOOKEND_VERSION`, `BOOKEND_SHA256_AMD64`, `BOOKEND_DOWNLOAD_URL`, `BOOKEND_HOME`.
fn is_of_image(name: &str) -> bool {
    name.split('_').skip(1).all(|word| IMAGE_WORDS.contains(&word))
}

const IMAGE_WORDS: &[&str] = &[
    "64",
    "AARCH64",
    "AMD64",
    "ARCH",
    "ARM64",
    "ASC",
    "BASE",
    "BUILD",
    "BUILDER",
    "CHECKSUM",
    "COMMIT",
    "DATE",
    "DEB",
    "DIGEST",
    "DIR",
    "DOWNLOAD",
    "FILE",
    "FINGERPRINT",
    "FROM",
    "GIT",
    "GNU",
    "GPG",
    "HASH",
    "HOME",
    "ID",
    "IMAGE",
    "INSTALL",
    "KEY",
    "KEYS",
    "LINUX",
    "MD5",
    "MIRROR",
    "MUSL",
    "NAME",
    "PACKAGE",
    "PATH",
    "PKG",
    "PLATFORM",
    "PREFIX",
    "REF",
    "REGISTRY",
    "RELEASE",
    "REPO",
    "REPOSITORY",
    "REV",
    "REVISION",
    "ROOT",
    "RPM",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA256SUM",
    "SHA256SUMS",
    "SHA512",
    "SIG",
    "SIGNATURE",
    "SOURCE",
    "SRC",
    "STATIC",
    "SUM",
    "TAG",
    "TAR",
    "TARBALL",
    "TARGET",
    "TGZ",
    "TIMESTAMP",
    "URI",
    "URL",
    "VARIANT",
    "VER",
    "VERSION",
    "X64",
    "X86",
    "ZIP",
];
