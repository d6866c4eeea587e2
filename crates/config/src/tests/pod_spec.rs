//! A Pod spec's stanzas are carried over unchanged: every field of core/v1's Lifecycle, its handlers and probes exists
//! under the same name and at the same place, and accepts the same values.

use serde_json::Value as Json;

use super::examples::document as one_key;
use super::*;
use crate::vocabulary::ROOT;

/// Type and field of core/v1, the key here, and values.
type Field = (&'static str, &'static str, &'static [&'static str]);

/// With values that Kubernetes accepts, the default not among them.
const HANDLER: &[Field] = &[
    ("ExecAction.command", "exec.command", &["[\"/bin/sh\", \"-c\", \"true\"]"]),
    ("HTTPGetAction.port", "httpGet.port", &["8080", "\"web\""]),
    ("HTTPGetAction.path", "httpGet.path", &["\"/healthz?full=1\""]),
    ("HTTPGetAction.host", "httpGet.host", &["\"example.com\"", "\"10.0.0.1\""]),
    ("HTTPGetAction.scheme", "httpGet.scheme", &["\"HTTPS\""]),
    ("HTTPGetAction.httpHeaders", "httpGet.httpHeaders", &["[{ name = \"Accept\", value = \"*/*\" }]"]),
    ("TCPSocketAction.port", "tcpSocket.port", &["8080", "\"web\""]),
    ("TCPSocketAction.host", "tcpSocket.host", &["\"example.com\""]),
];

/// Hooks may also sleep.
const HOOK: &[Field] = &[("SleepAction.seconds", "sleep.seconds", &["7"])];

const PROBE: &[Field] = &[
    ("Probe.initialDelaySeconds", "initialDelaySeconds", &["7"]),
    ("Probe.timeoutSeconds", "timeoutSeconds", &["7"]),
    ("Probe.periodSeconds", "periodSeconds", &["7"]),
    ("Probe.failureThreshold", "failureThreshold", &["7"]),
];

/// Only a readiness probe may ask for more than one success in a row.
const READINESS: &[Field] = &[("Probe.successThreshold", "successThreshold", &["7"])];

/// One field of one stanza: it is accepted and has an effect.
fn carried_over(field: &str, path: &str, value: &str) -> Result<(), String> {
    let load = |value: &str| load(&file(&format!("ports = {{ web = 80 }}\n{}", one_key(ROOT, path, value))));
    let set = load(value).map_err(|diagnostics| format!("{field}: {path} = {value}\n{diagnostics}"))?;
    match load("") {
        Ok(unset) if unset.settings == set.settings => Err(format!("{field}: {path} = {value} does nothing")),
        // A required key has an effect.
        _ => Ok(()),
    }
}

#[test]
fn every_field_of_a_pod_spec_is_carried_over() {
    let mut stanzas: Vec<(String, Vec<&Field>)> = Vec::new();
    for hook in ["lifecycle.postStart", "lifecycle.preStop"] {
        stanzas.push((hook.to_owned(), HANDLER.iter().chain(HOOK).collect()));
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let more = if probe == "readinessProbe" { READINESS } else { &[] };
        stanzas.push((probe.to_owned(), HANDLER.iter().chain(PROBE).chain(more).collect()));
    }
    let mut lost = Vec::new();
    for (stanza, fields) in &stanzas {
        for (field, path, values) in fields {
            for value in *values {
                lost.extend(carried_over(field, &format!("{stanza}.{path}"), value).err());
            }
        }
    }
    for (field, path, value) in [
        ("Lifecycle.stopSignal", "lifecycle.stopSignal", "\"SIGUSR1\""),
        ("PodSpec.terminationGracePeriodSeconds", "terminationGracePeriodSeconds", "30"),
        ("Container.terminationMessagePath", "terminationMessagePath", "\"/dev/other\""),
        ("Container.workingDir", "app.workingDir", "\"/srv\""),
        ("Container.command and args", "app.command", "[\"server\", \"--flag=$(VALUE)\"]"),
    ] {
        lost.extend(carried_over(field, path, value).err());
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

#[test]
fn fields_that_are_not_carried_over_are_explained() {
    for (text, why) in [
        (
            "livenessProbe = { exec.command = [\"a\"], terminationGracePeriodSeconds = 3 }",
            "a stop has one budget, whatever begins it: terminationGracePeriodSeconds at the top level",
        ),
        ("livenessProbe = { exec.command = [\"a\"], successThreshold = 2 }", "must be 1, as in a Pod"),
        ("lifecycle.preStop.httpGet.port = \"8080\"", "without quotes: port = 8080"),
        ("ports = [{ name = \"web\", containerPort = 80 }]", "a table of names, not a list: ports = { web = 8080 }"),
        (
            "lifecycle.preStop.httpGet = { port = 80, httpHeaders = { Accept = \"*/*\" } }",
            "headers are a list, as in a Pod spec: [{ name = \"Accept\", value = ... }]",
        ),
        ("livenessProbe.grpc.port = 80", "gRPC is not supported; run a client with exec"),
        ("lifecycle.preStop.grpc.port = 80", "gRPC is not supported; run a client with exec"),
    ] {
        let diagnostics = refuse(&file(text)).to_string();
        assert!(diagnostics.contains(why), "{diagnostics}");
    }
}

/// A container of a Pod spec as the API server has it, with every field of these stanzas.
const CONTAINER: &str = r#"{
  "lifecycle": {
    "stopSignal": "SIGQUIT",
    "postStart": { "exec": { "command": ["/bin/sh", "-c", "echo Hello > /usr/share/message"] } },
    "preStop": { "httpGet": {
      "path": "/drain?wait=1", "port": "admin", "host": "localhost", "scheme": "HTTP",
      "httpHeaders": [ { "name": "Authorization", "value": "Bearer x" }, { "name": "X-Two", "value": "2" } ]
    } }
  },
  "startupProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 2, "failureThreshold": 30 },
  "readinessProbe": {
    "httpGet": { "path": "/ready", "port": 8080 },
    "initialDelaySeconds": 1, "timeoutSeconds": 2, "periodSeconds": 3, "successThreshold": 2, "failureThreshold": 4
  },
  "livenessProbe": { "exec": { "command": ["cat", "/tmp/healthy"] }, "timeoutSeconds": 5, "successThreshold": 1 }
}"#;

/// JSON as an inline value of TOML: only the notation differs.
fn toml(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Json::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::String(text) => crate::toml_text::quote(text),
        other => other.to_string(),
    }
}

#[test]
fn a_containers_stanzas_are_taken_as_they_are() {
    let Ok(Json::Object(container)) = serde_json::from_str(CONTAINER) else { panic!("JSON") };
    let mut text = String::from("ports = { admin = 9000 }\n");
    for (name, value) in &container {
        text.push_str(&format!("{name} = {}\n", toml(value)));
    }
    let effective = accept(&file(&text));
    // Every scalar of the Pod spec is in what `check` prints.
    let printed = effective.to_toml();
    for word in
        ["/drain?wait=1", "X-Two", "admin", "SIGQUIT", "/tmp/healthy", "successThreshold = 2", "failureThreshold = 30"]
    {
        assert!(printed.contains(word), "{word}:\n{printed}");
    }
    accept(&file(&format!("{printed}\n")));
}
