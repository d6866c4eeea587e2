//! The likely meaning of a mistake: misspelt keys, keys of another table, and words of a Pod spec, of compose or of other
//! languages that have another form here. Reads the vocabulary only.

use toml::de::DeValue;

use crate::address::HttpUrl;
use crate::key::{Key, Role, Shape, env_name, has_variable, walk};
use crate::scalar::Scalar;
use crate::toml_text::{last, quote};
use crate::value::describe;
use crate::vocabulary::ROOT;
use bookend_lifecycle::seconds::Seconds;

mod explained;

use explained::EXPLAINED;

/// Help for a key that its table does not have.
pub(crate) fn unknown_key(table: &str, keys: &'static [Key], name: &str) -> Vec<String> {
    let mut help = Vec::new();
    if last(table) == "httpHeaders" {
        // `httpHeaders = { Accept = "*/*" }`
        return vec![format!("headers are a list, as in a Pod spec: [{{ name = {}, value = ... }}]", quote(name))];
    }
    if table.is_empty() && LEFT_OUT.contains(&name) {
        return vec![not_built_in(name)];
    }
    if let Some(text) = explained(table, name) {
        help.push(text.to_owned());
    } else if let Some(key) = documented(keys).find(|key| folded(key.name) == folded(name)) {
        help.push(format!("did you mean {:?}? keys are spelled as in a Pod spec", key.name));
    } else if let Some(near) = nearest(name, documented(keys).map(|key| key.name)) {
        help.push(format!("did you mean {near:?}?"));
    } else if let Some(path) = elsewhere(name) {
        help.push(format!("did you mean {path}?"));
    }
    help.push(accepted(keys));
    help
}

/// The keys of the top level whose features are not built in.
const LEFT_OUT: &[&str] = &[
    #[cfg(not(feature = "otel"))]
    "otel",
    #[cfg(not(feature = "reload"))]
    "reload",
];

/// The answer to a key of a feature that is not built in.
pub(crate) fn not_built_in(feature: &str) -> String {
    format!("this bookend was built without the feature {feature:?}")
}

fn documented(keys: &'static [Key]) -> impl Iterator<Item = &'static Key> {
    keys.iter().filter(|key| key.is_documented())
}

fn accepted(keys: &'static [Key]) -> String {
    format!("accepted here: {}", documented(keys).map(|key| key.name).collect::<Vec<_>>().join(", "))
}

/// The word closest to a misspelt one, if one is close enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the word may be wrong, as rustc allows it. Longer texts are not misspelt keys.
    let folded_word = folded(word);
    if folded_word.chars().count() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    known
        .map(|known| (distance(&folded_word, &folded(known)), known))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, known)| known)
}

/// Help for the first place where a text is not valid TOML.
pub(crate) fn invalid_toml(text: &str, at: usize, message: &str) -> Vec<String> {
    let line = text.get(..at).unwrap_or_default().rsplit('\n').next().unwrap_or_default().len();
    let line = text.get(at.saturating_sub(line)..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let help = if text.trim_start().starts_with('{') {
        "this looks like JSON; the configuration is written in TOML"
    } else if text.lines().any(|line| line.starts_with("apiVersion:")) {
        "this looks like a Kubernetes manifest; `kubectl bookend import` converts one"
    } else if is_yaml(line) {
        "this looks like YAML; in TOML a value follows `=` (key = \"value\") and a table has a header ([app])"
    } else if message.starts_with("unclosed table") || message.starts_with("unclosed array table") {
        "a table's header ends on its line: [app], or [[lifecycle.preStop]] for an entry of a list"
    } else if message.contains("string values must be quoted") {
        "put the value in quotes, or use true, false or a number"
    } else {
        return Vec::new();
    };
    vec![help.to_owned()]
}

/// `key: value`, `- item`, `---`.
fn is_yaml(line: &str) -> bool {
    let line = line.trim();
    let line = line.strip_prefix("- ").unwrap_or(line);
    let key = line.split(':').next().unwrap_or_default();
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    line.starts_with("---")
        || (is_name(key) && line.get(key.len()..).is_some_and(|rest| rest == ":" || rest.starts_with(": ")))
}

/// Help where a table is needed and the value is not one.
pub(crate) fn instead_of_table(path: &str, keys: &'static [Key], found: &DeValue<'_>) -> Vec<String> {
    let name = last(path);
    let is_required = |key: &&Key| key.role != Role::Optional;
    let meant = match found {
        DeValue::String(url) if name == "httpGet" => http_get(url),
        // `drain = true`
        DeValue::Boolean(true) if !keys.iter().any(|key| is_required(&key)) => {
            Some(format!("did you mean {name} = {{}}? that sets every key to its default"))
        }
        // `sleep = 5` and `exec = ["a"]` mean the one key their table needs.
        found => keys
            .iter()
            .find(|key| match (key.shape, found) {
                (Shape::One(scalar), value) => scalar.read(value).is_ok() && key.name != "name",
                (Shape::List(_), DeValue::Array(_)) => true,
                _ => false,
            })
            .map(|key| format!("did you mean {name}.{} = ...?", key.name)),
    };
    meant.into_iter().chain([accepted(keys)]).collect()
}

/// `httpGet = "http://app:8080/drain"`; user and query are not repeated, because they may be secrets.
fn http_get(url: &str) -> Option<String> {
    let HttpUrl { scheme, host, port, path, .. } = HttpUrl::parse(url).ok()?;
    let path = match path.split('?').next().unwrap_or_default() {
        "" | "/" => String::new(),
        path => format!(", path = {}", quote(path)),
    };
    let scheme = if scheme.name() == "HTTP" { "" } else { ", scheme = \"HTTPS\"" };
    let host =
        if matches!(host, "localhost" | "127.0.0.1") { String::new() } else { format!("host = {}, ", quote(host)) };
    Some(format!("did you mean httpGet = {{ {host}port = {port}{path}{scheme} }}?"))
}

/// Help where a list or a table of names is needed and the value is not one.
pub(crate) fn instead_of_list(path: &str, shape: Shape, found: &DeValue<'_>) -> Vec<String> {
    let name = last(path);
    let help = match found {
        DeValue::Array(_) if name == "env" => "a table of names, not a list: env = { NAME = \"value\" }",
        DeValue::Array(_) if name == "ports" => "a table of names, not a list: ports = { web = 8080 }",
        DeValue::Array(_) if path == "containers" => {
            "a container is a table with its name, unlike in a manifest: [containers.web]"
        }
        DeValue::String(_) if path.ends_with("command") => {
            "no shell splits it; to use one: [\"/bin/sh\", \"-c\", \"...\"]"
        }
        found => {
            return match shape {
                Shape::List(scalar) if scalar.read(found).is_ok() => {
                    vec![format!("a list of one: {name} = [{}]", describe(found))]
                }
                _ => Vec::new(),
            };
        }
    };
    vec![help.to_owned()]
}

/// Help where a scalar is needed and the value is not one, or not a valid one.
pub(crate) fn instead_of_scalar(path: &str, scalar: Scalar, found: &DeValue<'_>) -> Vec<String> {
    let name = last(path);
    let help = match (scalar, found) {
        (Scalar::Source, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
            "put the value in quotes: it is a string".to_owned()
        }
        (Scalar::Source, DeValue::Table(table)) if table.contains_key("valueFrom") => {
            "mount a Secret or ConfigMap as a file; a field of the Pod is a variable of the container".to_owned()
        }
        (_, DeValue::String(text)) if text.contains("${") || text.contains("$(") => {
            let variable = match has_variable(ROOT, path) {
                true => format!("; set {} instead", env_name(path)),
                false => String::new(),
            };
            format!("variables are expanded only in command, env, host, path and headers, as $(NAME){variable}")
        }
        (Scalar::Umask, DeValue::Integer(number)) => format!("in octal: {name} = \"{number}\""),
        (Scalar::Choice(words), DeValue::String(word)) => match nearest(word, words.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => return Vec::new(),
        },
        (Scalar::Seconds | Scalar::Timeout, DeValue::String(text)) => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
            match digits.parse::<Seconds>() {
                Ok(number) if matches!(text.trim_start_matches(digits).trim(), "" | "s") => {
                    format!("a number without quotes and unit: {name} = {number}")
                }
                Ok(_) => "a number of seconds, without quotes and unit".to_owned(),
                Err(_) => return Vec::new(),
            }
        }
        (Scalar::Bool, DeValue::String(word)) if matches!(word.as_ref(), "true" | "false") => {
            format!("without quotes: {name} = {word}")
        }
        (Scalar::Integer { .. } | Scalar::Port, DeValue::String(number)) if number.parse::<i64>().is_ok() => {
            format!("without quotes: {name} = {number}")
        }
        (Scalar::Address, DeValue::String(port)) if port.starts_with(':') => {
            format!("for all addresses: \"0.0.0.0{port}\" or \"[::]{port}\"")
        }
        (Scalar::Address, DeValue::String(port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("for all addresses: \"0.0.0.0:{port}\" or \"[::]:{port}\"")
        }
        (Scalar::Address, DeValue::Integer(port)) => {
            format!("for all addresses: \"0.0.0.0:{port}\" or \"[::]:{port}\"")
        }
        (Scalar::Address, DeValue::String(host)) if host.starts_with("localhost:") => {
            "an address, not a name; but a kubelet calls the pod's IP, never localhost: \"0.0.0.0:9797\"".to_owned()
        }
        (Scalar::Text, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
            "put the value in quotes: it is a string".to_owned()
        }
        _ => return Vec::new(),
    };
    vec![help]
}

/// Whether a value is `${NAME}`, as a shell and compose write it, where `$(NAME)` is expanded.
pub(crate) fn is_unexpanded(path: &str, scalar: Scalar, found: &DeValue<'_>) -> bool {
    let is_expanded = matches!(scalar, Scalar::Text | Scalar::Source) || last(path) == "host";
    let DeValue::String(text) = found else { return false };
    let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    is_expanded
        && name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// The explanation of a word that has another name here.
fn explained(table: &str, name: &str) -> Option<&'static str> {
    let table = last(table).split('[').next().unwrap_or_default();
    let is_meant = |tables: &[&str]| tables.contains(&"*") || tables.contains(&table);
    EXPLAINED.iter().find(|(tables, words, _)| is_meant(tables) && words.contains(&name)).map(|(_, _, text)| *text)
}

/// A key of this name in another table.
fn elsewhere(name: &str) -> Option<String> {
    let mut found = None;
    walk(ROOT, &mut |path, key| {
        if found.is_none() && key.is_documented() && folded(key.name) == folded(name) {
            found = Some(path.to_owned());
        }
    });
    found
}

/// A name without its spelling: `stop_signal`, `StopSignal` and `stop-signal` are `stopsignal`.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// How many letters must be changed, added, dropped or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&row, j) + usize::from(x != *y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = j > 0 && last == Some(*y) && b.get(j - 1) == Some(&x);
            if swapped && let Some(two_back) = before.get(j - 1) {
                cost = cost.min(two_back + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_another_word_does_not() {
        let known = ["timeoutSeconds", "failurePolicy", "name", "exec"];
        let near = |word| nearest(word, known.iter().copied());
        assert_eq!(near("timeoutSecond"), Some("timeoutSeconds"));
        assert_eq!(near("tiemoutSeconds"), Some("timeoutSeconds"));
        assert_eq!(near("exce"), Some("exec"));
        assert_eq!(near("failure_polcy"), Some("failurePolicy"));
        assert_eq!(near("banana"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"x".repeat(100_000)), None);
    }

    #[test]
    fn no_word_is_explained_where_it_is_a_key() {
        let mut tables = vec![("".to_owned(), ROOT)];
        walk(ROOT, &mut |path, key| {
            if let Shape::Table(keys) | Shape::Tables(keys) = key.shape {
                tables.push((last(path).to_owned(), keys));
            }
        });
        for (places, words, _) in EXPLAINED.iter().filter(|(places, ..)| *places != ["*"]) {
            for (place, word) in places.iter().flat_map(|place| words.iter().map(move |word| (place, word))) {
                let mut of_this_name = tables.iter().filter(|(name, _)| name == place);
                assert!(of_this_name.any(|(_, keys)| keys.iter().all(|key| key.name != *word)), "{place}: {word}");
            }
        }
    }

    #[test]
    fn a_swap_of_neighbours_costs_one() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }

    #[test]
    fn yaml_is_recognised_by_its_line() {
        for line in ["app:", "  command: [x]", "- name: x", "---"] {
            assert!(is_yaml(line), "{line}");
        }
        for line in ["app = 1", "[app", "a b: c", "", "http://x"] {
            assert!(!is_yaml(line), "{line}");
        }
    }
}
