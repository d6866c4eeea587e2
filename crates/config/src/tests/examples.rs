//! Values for tests and for `config/reference.toml`: some that each kind accepts, one to show for each key that has no
//! default, and the smallest text in which a key can be set.

use crate::key::{Key, Role, Shape};
use crate::scalar::Scalar;
use crate::toml_text::join;

/// Some values of a kind, as TOML.
pub(super) fn examples(kind: Scalar) -> Vec<String> {
    let texts: &[&str] = match kind {
        Scalar::Text => &["\"text\"", "\"other\""],
        Scalar::Name => &["\"name\"", "\"other\""],
        Scalar::Path => &["\"/path\"", "\"/other\""],
        Scalar::Network => &["\"10.0.0.0/8\"", "\"fd00::1\""],
        Scalar::Socket => &["\"/path\"", "\"None\""],
        Scalar::Bool => &["true", "false"],
        Scalar::Seconds | Scalar::Timeout => &["5", "7.5"],
        Scalar::Integer { min, max, .. } => return vec![max.to_string(), min.to_string(), (min + 1).to_string()],
        Scalar::Choice(words) => return words.iter().rev().map(|word| format!("{word:?}")).collect(),
        Scalar::Received => &["\"SIGHUP\"", "\"SIGUSR1\""],
        Scalar::Stopping => &["\"SIGQUIT\"", "\"SIGINT\""],
        Scalar::SignalOrIgnore | Scalar::StoppingOrIgnore => &["\"SIGQUIT\"", "\"ignore\""],
        Scalar::Address => &["\"0.0.0.0:9797\"", "\"[::]:80\""],
        Scalar::Port => &["8080", "81"],
        Scalar::PortName => &["web", "metrics"],
        Scalar::ContainerName => &["\"web\"", "\"queue-2\""],
        Scalar::Program => &["\"/usr/sbin/nginx\"", "\"nginx\""],
        Scalar::HeaderName => &["\"X-Name\"", "\"Host\""],
        Scalar::Status => &["\"200-299\"", "404"],
        Scalar::Source => &["\"value\"", "{ valueFrom.file = \"/run/secrets/x\" }"],
        Scalar::Variable => &["NAME", "OTHER"],
        Scalar::Umask => &["\"027\"", "0o077"],
        Scalar::Limit => &["1024", "{ soft = 1, hard = \"unlimited\" }"],
        Scalar::User => &["\"www-data\"", "\"1000:1000\""],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The value to show for a key without a default: by the end of its path, the longest first.
pub(super) const SHOWN: &[(&str, &str)] = &[
    ("terminationGracePeriodSeconds", "30"),
    ("subreaper", "true"),
    ("pdeathSignal", "\"SIGTERM\""),
    ("profile", "\"nginx\""),
    ("app.command", "[\"nginx\", \"-g\", \"daemon off;\"]"),
    ("exec.command", "[\"/bin/sh\", \"-c\", \"echo hello\"]"),
    ("workingDir", "\"/srv\""),
    ("user", "\"1000:1000\""),
    ("umask", "\"027\""),
    ("oomScoreAdj", "500"),
    ("stopSignal", "\"SIGQUIT\""),
    ("secondSignal.signal", "\"SIGTERM\""),
    ("executable", "\"/usr/sbin/nginx\""),
    ("commandLine", "\"nginx: master\""),
    ("pidFile", "\"/run/nginx/nginx.pid\""),
    ("process.container", "\"web\""),
    ("listen", "\"0.0.0.0:9797\""),
    ("certFile", "\"/etc/bookend/tls.crt\""),
    ("keyFile", "\"/etc/bookend/tls.key\""),
    ("tokenFile", "\"/run/secrets/bookend-token\""),
    ("allowFrom", "[\"10.0.0.0/8\"]"),
    ("preStart.name", "\"prepare\""),
    ("port", "8080"),
    ("httpHeaders", "[{ name = \"X-Reason\", value = \"stop\" }]"),
    ("caFile", "\"/etc/ssl/certs/ca-certificates.crt\""),
    ("sleep.seconds", "5"),
    ("timeoutSeconds", "10"),
    ("fallbackSeconds", "5"),
    ("drain.ports", "[8080]"),
    ("signal.name", "\"SIGHUP\""),
    ("level", "\"Debug\""),
    ("reload.name", "\"tls\""),
    ("watch", "[\"/etc/nginx/tls\"]"),
    ("pollSeconds", "10"),
];

/// The value to show for a key; of a key that is not in the list, the first one of its kind.
pub(super) fn shown(path: &str, shape: Shape) -> String {
    let is_of = |end: &str| path.strip_suffix(end).is_some_and(|above| above.is_empty() || above.ends_with('.'));
    let chosen = SHOWN.iter().find(|(end, _)| is_of(end)).map(|(_, value)| (*value).to_owned());
    chosen.or_else(|| values(shape).into_iter().next()).unwrap_or_default()
}

/// Some values of a key.
pub(super) fn values(shape: Shape) -> Vec<String> {
    match shape {
        Shape::One(kind) => examples(kind),
        Shape::List(Scalar::Text) => vec!["[\"program\", \"argument\"]".to_owned(), "[\"other\"]".to_owned()],
        Shape::List(kind) => examples(kind).into_iter().map(|value| format!("[{value}]")).collect(),
        Shape::Map { names, values } => examples(names)
            .into_iter()
            .zip(examples(values))
            .map(|(name, value)| format!("{{ {} = {value} }}", name.trim_matches('"')))
            .collect(),
        Shape::Named { names, keys } => {
            vec![format!("{{ {} = {{ {} }} }}", examples(names)[0], table(keys, &[], ""))]
        }
        Shape::Table(keys) => vec![format!("{{ {} }}", table(keys, &[], ""))],
        Shape::Tables(keys) => vec![format!("[{{ {} }}]", table(keys, &[], ""))],
    }
}

/// The pairs of the smallest table in which a path is set: the required keys, and the path.
pub(super) fn table(keys: &'static [Key], path: &[&str], value: &str) -> String {
    let is_either = |key: &Key| matches!(key.role, Role::OneOf(_));
    let mut chosen = keys.iter().any(|key| is_either(key) && path.first() == Some(&key.name));
    let mut pairs = Vec::new();
    for key in keys {
        if let Some((name, below)) = path.split_first()
            && *name == key.name
        {
            let value = match key.shape {
                Shape::Table(inner) | Shape::Tables(inner) if !below.is_empty() => {
                    format!("{{ {} }}", table(inner, below, value))
                }
                _ => value.to_owned(),
            };
            pairs.push(format!("{} = {value}", join("", key.name)));
        } else if key.role == Role::Required || (is_either(key) && !chosen) {
            chosen |= is_either(key);
            pairs.extend(values(key.shape).first().map(|first| format!("{} = {first}", key.name)));
        }
    }
    // An action of a reload is required, here or in a profile.
    let is_action = |name: &str| ["exec", "httpGet", "signal"].contains(&name);
    if keys.iter().any(|key| key.name == "settleSeconds") && !path.first().is_some_and(|first| is_action(first)) {
        pairs.push("signal.name = 1".to_owned());
    }
    pairs.retain(|pair| !pair.ends_with(" = "));
    pairs.join(", ")
}

/// The smallest configuration in which a path is set; with an empty value, the same without it.
pub(super) fn document(keys: &'static [Key], path: &str, value: &str) -> String {
    let path: Vec<&str> = path.split('.').collect();
    let Some((first, below)) = path.split_first() else { return String::new() };
    let key = keys.iter().find(|key| key.name == *first).unwrap();
    match key.shape {
        Shape::Table(inner) | Shape::Tables(inner) if !below.is_empty() => {
            // A container of a reload is one of a sidecar's.
            let is_of_sidecar = path == ["reload", "container"];
            let containers = "containers = { web.process.executable = \"/a\", queue-2.process.executable = \"/b\" }\n";
            let before = if is_of_sidecar { containers } else { "" };
            format!("{before}{first} = {{ {} }}\n", table(inner, below, value))
        }
        Shape::Named { keys, .. } if !below.is_empty() => {
            // A signal needs a process.
            let process = if below.get(1) == Some(&"process") { "" } else { "process.executable = \"/app\", " };
            format!("{first} = {{ web = {{ {process}{} }} }}\n", table(keys, &below[1..], value))
        }
        _ if value.is_empty() => String::new(),
        _ => format!("{first} = {value}\n"),
    }
}
