//! Converts a container's fields to the keys of a bookend.toml. Most keys have the names of a Pod spec, so they are copied;
//! a field without a counterpart becomes a note.

use serde_json::{Map, Value, json};

/// The configuration of the container.
pub(super) fn carry(pod: &Value, container: &Value, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut config = Map::new();
    // If this key were unset, bookend would never kill the app.
    let grace = pod.get("terminationGracePeriodSeconds").cloned().unwrap_or(json!(DEFAULT_GRACE_SECONDS));
    config.insert("terminationGracePeriodSeconds".to_owned(), grace);
    if let Some(path) = container.get("terminationMessagePath") {
        config.insert("terminationMessagePath".to_owned(), path.clone());
    }
    let app = app(container, notes);
    if !app.is_empty() {
        config.insert("app".to_owned(), Value::Object(app));
    }
    config.insert("http".to_owned(), json!({ "listen": format!("0.0.0.0:{PORT}") }));
    if let Some(ports) = ports(container) {
        config.insert("ports".to_owned(), ports);
    }
    let mut lifecycle = Map::new();
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = container.get("lifecycle").and_then(|lifecycle| lifecycle.get(hook)) {
            about_host(handler, &format!("lifecycle.{hook}"), notes);
            lifecycle.insert(hook.to_owned(), without_nulls(handler));
        }
    }
    if !lifecycle.is_empty() {
        config.insert("lifecycle".to_owned(), Value::Object(lifecycle));
    }
    for name in PROBES {
        if let Some(probe) = carried_probe(container, name) {
            about_host(probe, name, notes);
            let mut probe = without_nulls(probe);
            if let Some(fields) = probe.as_object_mut()
                && fields.remove("terminationGracePeriodSeconds").is_some()
            {
                notes.push(format!(
                    "{name}.terminationGracePeriodSeconds is for the kubelet only: it stays in the manifest"
                ));
            }
            config.insert((*name).to_owned(), probe);
        } else if container.get(name).is_some_and(|probe| probe.get("grpc").is_some()) {
            let cost = match *name {
                "readinessProbe" => "; during a stop the kubelet goes on with it, and a drain counts its connections",
                _ => "",
            };
            notes.push(format!(
                "{name} uses gRPC, which bookend does not support: it stays in the manifest as it is{cost}"
            ));
        }
    }
    config
}

/// A probe that bookend can run for the kubelet.
pub(super) fn carried_probe<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    container.get(name).filter(|probe| probe.is_object() && probe.get("grpc").is_none())
}

fn app(container: &Value, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut app = Map::new();
    if let Some(signal) = container.pointer("/lifecycle/stopSignal") {
        app.insert("stopSignal".to_owned(), signal.clone());
    }
    if container.get("command").is_none() {
        notes.push(
            "the container has no command: it runs the image's ENTRYPOINT, which is not in the manifest; \
             copy it to the container's command, behind bookend and `--`"
                .to_owned(),
        );
    }
    app
}

/// Named ports, for handlers and probes that refer to them by name.
fn ports(container: &Value) -> Option<Value> {
    let named = container.get("ports")?.as_array()?.iter().filter_map(|port| {
        let name = port.get("name")?.as_str()?;
        Some((name.to_owned(), port.get("containerPort")?.clone()))
    });
    let ports: Map<String, Value> = named.collect();
    (!ports.is_empty()).then_some(Value::Object(ports))
}

fn about_host(handler: &Value, path: &str, notes: &mut Vec<String>) {
    for kind in ["httpGet", "tcpSocket"] {
        if handler.get(kind).is_some_and(|action| action.get("host").is_none()) {
            notes.push(format!(
                "bookend calls {path}.{kind} at 127.0.0.1 instead of the pod's IP: \
                 if the app listens on the pod's IP only, set {path}.{kind}.host"
            ));
        }
    }
}

/// `null` means unset in a manifest; TOML has no null.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// The probes that bookend can run.
pub(super) const PROBES: &[&str] = &["startupProbe", "readinessProbe", "livenessProbe"];
/// Kubernetes' default of `terminationGracePeriodSeconds`.
pub(super) const DEFAULT_GRACE_SECONDS: u64 = 30;
/// The port of bookend's endpoint.
pub(super) const PORT: u16 = 9797;
