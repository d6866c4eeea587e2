//! What a mistake probably meant: misspelt keys, keys of another table, and words of a Pod spec that
//! are said differently here. Pure; reads the vocabulary only.

use toml::de::DeValue;

use super::key::{Key, Shape, quote, walk};
use super::kind::{Scalar, Value, describe};
use super::vocabulary::ROOT;
use bookend_lifecycle::seconds::Seconds;

/// Help for a key that its table does not have.
pub(super) fn unknown_key(table: &str, keys: &'static [Key], name: &str) -> Vec<String> {
    let mut help = Vec::new();
    if last(table) == "httpHeaders" {
        // `httpHeaders = { Accept = "*/*" }`
        return vec![format!("headers are a list, as in a Pod spec: [{{ name = {}, value = ... }}]", quote(name))];
    }
    if let Some(said) = explained(table, name) {
        help.push(said.to_owned());
    } else if let Some(key) = keys.iter().find(|key| folded(key.name) == folded(name)) {
        help.push(format!("did you mean {:?}? keys are spelled as in a Pod spec", key.name));
    } else if let Some(near) = nearest(name, keys.iter().map(|key| key.name)) {
        help.push(format!("did you mean {near:?}?"));
    } else if let Some(path) = elsewhere(name) {
        help.push(format!("there is {path}"));
    }
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    help.push(format!("accepted here: {}", names.join(", ")));
    help
}

/// The word closest to a misspelt one, if one is close enough to be meant.
pub(super) fn nearest<'a>(said: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the word may be wrong, as rustc allows it. Longer texts are no misspelt keys.
    let said_folded = folded(said);
    if said_folded.chars().count() > 64 {
        return None;
    }
    let limit = (said.chars().count() / 3).max(1);
    known
        .map(|word| (distance(&said_folded, &folded(word)), word))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, word)| word)
}

/// What a shape is, in words.
pub(super) fn shape(shape: Shape) -> String {
    match shape {
        Shape::One(kind) => kind.accepts(),
        Shape::List(Scalar::Text) => "a list of strings like [\"program\", \"argument\"]".to_owned(),
        Shape::List(kind) => format!("a list, each {}", kind.accepts()),
        Shape::Map { .. } => "a table like { name = value }".to_owned(),
        Shape::Named { .. } => "a table of tables like { name = { ... } }".to_owned(),
        Shape::Table(_) => "a table".to_owned(),
        Shape::Tables(_) => "a table or a list of tables".to_owned(),
    }
}

/// Help where a table is needed and something else stands.
pub(super) fn instead_of_table(path: &str, keys: &'static [Key], found: &DeValue<'_>) -> Vec<String> {
    let last = path.rsplit('.').next().unwrap_or_default();
    // `sleep = 5` and `exec = ["a"]` mean the one key their table needs.
    let fits = keys.iter().find(|key| match (key.shape, found) {
        (Shape::One(kind), value) => kind.read(value).is_ok() && key.name != "name",
        (Shape::List(_), DeValue::Array(_)) => true,
        _ => false,
    });
    let mut help: Vec<String> = fits.iter().map(|key| format!("did you mean {last}.{} = ...?", key.name)).collect();
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    help.push(format!("accepted here: {}", names.join(", ")));
    help
}

/// Help where a list or a table of names is needed and something else stands.
pub(super) fn instead_of_list(path: &str, shape: Shape, found: &DeValue<'_>) -> Vec<String> {
    match found {
        DeValue::Array(_) if last(path) == "env" => {
            vec!["a table of names, no list: env = { NAME = \"value\" }".to_owned()]
        }
        DeValue::Array(_) if last(path) == "ports" => {
            vec!["a table of names, no list: ports = { web = 8080 }".to_owned()]
        }
        DeValue::Array(_) if path == "containers" => {
            vec![
                "this is no manifest: a container of a sidecar's is a table with its name, [containers.web]".to_owned(),
            ]
        }
        DeValue::String(_) if path.ends_with("command") => {
            vec!["there is no shell in between; with one: [\"/bin/sh\", \"-c\", \"...\"]".to_owned()]
        }
        found => match shape {
            Shape::List(kind) if kind.read(found).is_ok() => {
                vec![format!("a list of one: {} = [{}]", last(path), describe(found))]
            }
            _ => Vec::new(),
        },
    }
}

/// Help where a scalar is needed and something else stands.
pub(super) fn instead_of_scalar(path: &str, kind: Scalar, found: &DeValue<'_>) -> Vec<String> {
    match (kind, found) {
        (Scalar::Source, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
            vec!["a string stands in quotes".to_owned()]
        }
        (Scalar::Source, DeValue::Table(table)) if table.contains_key("valueFrom") => {
            vec![
                "a Secret or ConfigMap is mounted as a file; a field of the Pod is a variable of the container"
                    .to_owned(),
            ]
        }
        (Scalar::Umask, DeValue::Integer(number)) => vec![format!("in octal: {} = \"{number}\"", last(path))],
        (Scalar::Choice(words), DeValue::String(said)) => {
            nearest(said, words.iter().copied()).map(|word| format!("did you mean {word:?}?")).into_iter().collect()
        }
        (Scalar::Seconds | Scalar::Timeout, DeValue::String(said)) => {
            let digits = said.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
            match digits.parse::<Seconds>() {
                Ok(number) if matches!(said.trim_start_matches(digits).trim(), "" | "s") => {
                    vec![format!("a number without quotes and unit: {} = {number}", last(path))]
                }
                Ok(_) => vec!["a number of seconds, without quotes and unit".to_owned()],
                Err(_) => Vec::new(),
            }
        }
        (Scalar::Bool, DeValue::String(said)) if matches!(said.as_ref(), "true" | "false") => {
            vec![format!("without quotes: {} = {said}", last(path))]
        }
        (Scalar::Integer { .. } | Scalar::Port, DeValue::String(said)) if said.parse::<i64>().is_ok() => {
            vec![format!("without quotes: {} = {said}", last(path))]
        }
        (Scalar::Address, DeValue::String(said)) if said.starts_with(':') => {
            vec![format!("for every address: \"0.0.0.0{said}\" or \"[::]{said}\"")]
        }
        (Scalar::Address, DeValue::String(said)) if said.bytes().all(|b| b.is_ascii_digit()) => {
            vec![format!("for every address: \"0.0.0.0:{said}\" or \"[::]:{said}\"")]
        }
        (Scalar::Text, found) if matches!(kind.read(found), Err(_) | Ok(Value::Text(_))) && is_number(found) => {
            vec!["a string stands in quotes".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

fn is_number(found: &DeValue<'_>) -> bool {
    matches!(found, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_))
}

/// Words that a Pod spec, a Dockerfile or a peer knows and that are said differently here: the table
/// they may stand in (`*`: any), the word, the answer.
fn explained(table: &str, name: &str) -> Option<&'static str> {
    let last = last(table);
    let span = last.split('[').next().unwrap_or_default();
    EXPLAINED.iter().find(|(t, words, _)| (*t == "*" || *t == span) && words.contains(&name)).map(|(_, _, said)| *said)
}

const EXPLAINED: &[(&str, &[&str], &str)] = &[
    ("", &["command", "args", "cmd", "entrypoint"], "the app's program and arguments are one list: app.command"),
    (
        "",
        &["apiVersion", "kind", "metadata", "spec", "initContainers", "template"],
        "this is no manifest: lifecycle, the probes and terminationGracePeriodSeconds of one container stand at the top level",
    ),
    ("", &["preStart", "postStart", "preStop", "postStop"], "handlers stand in the table lifecycle: lifecycle.preStop"),
    ("", &["env"], "the app's environment is app.env"),
    (
        "",
        &["image", "imagePullPolicy", "resources", "volumeMounts", "restartPolicy", "containerPort"],
        "that is the container's: the runtime does it, not bookend",
    ),
    ("", &["user", "workingDir", "umask", "rlimits", "oomScoreAdj", "profile"], "it stands in the table app"),
    (
        "lifecycle",
        &["preStart"],
        "the kubelet starts the app, and waits for nobody: what must come before is an init container's",
    ),
    ("lifecycle", &["terminationGracePeriodSeconds"], "the budget of a stop stands at the top level"),
    ("app", &["environment"], "as in a Pod spec: env"),
    ("exec", &["environment"], "as in a Pod spec: env"),
    ("app", &["envFrom"], ENV_FROM),
    ("exec", &["envFrom"], ENV_FROM),
    ("*", &["cwd", "workdir", "directory"], "as in a Pod spec: workingDir"),
    (
        "app",
        &["ulimits", "ulimit", "limits", "resources"],
        "limits of the process are app.rlimits; CPU and memory are the container's",
    ),
    (
        "app",
        &["restartPolicy", "restart"],
        "bookend does not restart an app: it ends with it, and the runtime restarts the container",
    ),
    ("*", &["secretKeyRef", "configMapKeyRef"], "mount it as a file, and say valueFrom.file"),
    (
        "",
        &["stopGracePeriod", "stop_grace_period", "stopTimeout", "timeout", "gracePeriodSeconds"],
        "the budget of a stop is terminationGracePeriodSeconds",
    ),
    (
        "lifecycle",
        &["livenessProbe", "readinessProbe", "startupProbe"],
        "probes stand at the top level, beside lifecycle",
    ),
    ("app", &["args"], "program and arguments are one list: app.command"),
    (
        "app",
        &["lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "terminationGracePeriodSeconds"],
        "it stands at the top level, not in app",
    ),
    ("http", &["port", "address", "host", "bind"], "address and port are one: http.listen = \"0.0.0.0:9797\""),
    ("*", &["grpc"], "gRPC is not spoken; exec a client of your own"),
    ("httpGet", &["url", "uri"], "scheme, host, port and path are keys of their own"),
    ("*", &["http"], "as in a Pod spec: httpGet"),
    ("*", &["tcp"], "as in a Pod spec: tcpSocket"),
    (
        "livenessProbe",
        &["terminationGracePeriodSeconds"],
        "a stop has one budget, whatever begins it: terminationGracePeriodSeconds at the top level",
    ),
    (
        "startupProbe",
        &["terminationGracePeriodSeconds"],
        "a startupProbe that fails stops nothing here: /startupz says so, and the kubelet's own probe decides",
    ),
    ("startupProbe", &["action"], "only a livenessProbe can stop the app"),
    ("readinessProbe", &["action"], "only a livenessProbe can stop the app"),
    ("preStart", &["signal"], "there is no app then that could get a signal"),
    ("postStop", &["signal"], "there is no app then that could get a signal"),
    ("preStart", &["on"], ONLY_POST_STOP),
    ("postStart", &["on"], ONLY_POST_STOP),
    ("preStop", &["on"], ONLY_POST_STOP),
    ("preStart", HANDLER_WORDS.0, HANDLER_WORDS.1),
    ("preStart", HOOK_HAS_NO_PERIOD.0, HOOK_HAS_NO_PERIOD.1),
    ("preStart", HOOK_HAS_NO_GRACE.0, HOOK_HAS_NO_GRACE.1),
    ("postStart", HANDLER_WORDS.0, HANDLER_WORDS.1),
    ("postStart", HOOK_HAS_NO_PERIOD.0, HOOK_HAS_NO_PERIOD.1),
    ("postStart", HOOK_HAS_NO_GRACE.0, HOOK_HAS_NO_GRACE.1),
    ("preStop", HANDLER_WORDS.0, HANDLER_WORDS.1),
    ("preStop", HOOK_HAS_NO_PERIOD.0, HOOK_HAS_NO_PERIOD.1),
    ("preStop", HOOK_HAS_NO_GRACE.0, HOOK_HAS_NO_GRACE.1),
    ("postStop", HANDLER_WORDS.0, HANDLER_WORDS.1),
    ("postStop", HOOK_HAS_NO_PERIOD.0, HOOK_HAS_NO_PERIOD.1),
    ("postStop", HOOK_HAS_NO_GRACE.0, HOOK_HAS_NO_GRACE.1),
    ("*", &["seconds"], "a pause is sleep.seconds, a limit is timeoutSeconds"),
    ("*", &["timeout", "timeoutSec"], "limits carry their unit: timeoutSeconds"),
    ("exec", &["args", "cmd"], "program and arguments are one list: exec.command"),
    (
        "*",
        &["runAsUser", "runAsGroup", "securityContext", "uid", "gid"],
        "user = \"name\", \"uid\", \"uid:gid\" or \"name:group\"",
    ),
];

const ENV_FROM: &str =
    "what the container has in its environment is inherited; a value in a file is { valueFrom.file = \"/path\" }";

const HOOK_HAS_NO_PERIOD: (&[&str], &str) = (
    &["initialDelaySeconds", "periodSeconds", "successThreshold", "failureThreshold"],
    "that is a probe's: a hook runs once; see timeoutSeconds and retries",
);

const HOOK_HAS_NO_GRACE: (&[&str], &str) = (
    &["terminationGracePeriodSeconds"],
    "the budget of the whole stop stands at the top level; a handler's limit is timeoutSeconds",
);

const ONLY_POST_STOP: &str = "a postStop handler has ends to choose from";

const HANDLER_WORDS: (&[&str], &str) =
    (&["command", "args"], "a program is exec.command, program and arguments in one list");

/// A key of this name in another table.
fn elsewhere(name: &str) -> Option<String> {
    let mut found = None;
    walk(ROOT, &mut |path, key| {
        if found.is_none() && folded(key.name) == folded(name) {
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
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_none() {
        let known = ["timeoutSeconds", "failurePolicy", "name", "exec"];
        let near = |said| nearest(said, known.iter().copied());
        assert_eq!(near("timeoutSecond"), Some("timeoutSeconds"));
        assert_eq!(near("tiemoutSeconds"), Some("timeoutSeconds"));
        assert_eq!(near("exce"), Some("exec"));
        assert_eq!(near("failure_polcy"), Some("failurePolicy"));
        assert_eq!(near("banana"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"x".repeat(100_000)), None);
    }

    #[test]
    fn a_swap_of_neighbours_costs_one() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
