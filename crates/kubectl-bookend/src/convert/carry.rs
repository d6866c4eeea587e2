//! Converts a container's fields to the keys of a bookend.toml. Most keys have the names of a Pod spec, so they are copied;
//! a field without a counterpart becomes a note.

use serde_json::{Map, Value, json};

use super::hooks::{Signalling, Step, signalling};
use super::names::DEFAULT_GRACE_SECONDS;
use crate::image::official;
use crate::wrapped::words;

/// Values that the container itself does not have.
pub(super) struct CarryContext<'a> {
    pub(super) port: u16,
    /// The stop signal of the image, if it is known.
    pub(super) stop_signal: Option<&'a str>,
    /// The words that the image runs, if the manifest does not have them.
    pub(super) command: Option<&'a [String]>,
    /// A drain for a container without a preStop hook.
    pub(super) drain: Option<Value>,
}

/// The configuration of the container.
pub(super) fn carry(
    pod: &Value,
    container: &Value,
    context: &CarryContext<'_>,
    notes: &mut Vec<String>,
) -> Map<String, Value> {
    let mut config = Map::new();
    // If this key were unset, bookend would never kill the app.
    let grace = pod.get("terminationGracePeriodSeconds").filter(|grace| !grace.is_null()).cloned();
    config.insert("terminationGracePeriodSeconds".to_owned(), grace.unwrap_or(json!(DEFAULT_GRACE_SECONDS)));
    if let Some(path) = container.get("terminationMessagePath").filter(|path| !path.is_null()) {
        config.insert("terminationMessagePath".to_owned(), path.clone());
    }
    let app = app(container, context.stop_signal);
    if !app.is_empty() {
        config.insert("app".to_owned(), Value::Object(app));
    }
    config.insert("http".to_owned(), json!({ "listen": format!("0.0.0.0:{}", context.port) }));
    if let Some(ports) = ports(container) {
        config.insert("ports".to_owned(), ports);
    }
    let mut lifecycle = Map::new();
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = hook_of(container, hook) {
            lifecycle
                .insert(hook.to_owned(), carried_hook(handler, hook, &app_words(container, context.command), notes));
        } else if let Some(drain) = context.drain.as_ref().filter(|_| hook == "preStop") {
            lifecycle.insert(hook.to_owned(), drain.clone());
        }
    }
    if !lifecycle.is_empty() {
        config.insert("lifecycle".to_owned(), Value::Object(lifecycle));
    }
    let mut counted = false;
    for name in PROBES {
        if let Some(probe) = carried_probe(container, name) {
            config.insert((*name).to_owned(), bookend_probe(probe, name, notes));
            counted = true;
        } else if container.get(name).is_some_and(|probe| probe.get("grpc").is_some_and(|grpc| !grpc.is_null())) {
            let cost = match *name {
                "readinessProbe" => "; during a stop the kubelet goes on with it, and a drain counts its connections",
                _ => "",
            };
            notes.push(format!(
                "{name} uses gRPC, which bookend does not support: it stays in the manifest as it is{cost}"
            ));
        }
    }
    if counted {
        notes.push(
            "the kubelet counts the results of the probes: their thresholds and initialDelaySeconds stay in the manifest, and \
             bookend reports the last result (failureThreshold = 1)"
                .to_owned(),
        );
    }
    config
}

/// A hook that has a handler.
pub(super) fn hook_of<'a>(container: &'a Value, hook: &str) -> Option<&'a Value> {
    let handler = container.get("lifecycle")?.get(hook)?;
    handler.as_object()?.values().any(|action| !action.is_null()).then_some(handler)
}

/// A probe that bookend can run for the kubelet.
pub(super) fn carried_probe<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    let has = |probe: &Value, kind: &str| probe.get(kind).is_some_and(|action| !action.is_null());
    container.get(name).filter(|probe| ACTIONS.iter().any(|kind| has(probe, kind)))
}

fn app(container: &Value, image_signal: Option<&str>) -> Map<String, Value> {
    let mut app = Map::new();
    let signal = container.pointer("/lifecycle/stopSignal").and_then(Value::as_str);
    if let Some(signal) = signal {
        app.insert("stopSignal".to_owned(), json!(signal));
    }
    // The runtime sends PID 1 the stop signal of the Pod or of the image.
    if let Some(signal) = signal.or(image_signal).filter(|signal| !STOP_SIGNALS.contains(signal)) {
        let all: Vec<&str> = STOP_SIGNALS.iter().copied().chain([signal]).collect();
        app.insert("stopSignals".to_owned(), json!(all));
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

/// The words of the app: those of the manifest, or those of its image as far as they are known.
fn app_words(container: &Value, command: Option<&[String]>) -> Vec<String> {
    let mut all = words(container, "command");
    if all.is_empty() {
        let image = || official(container.get("image")?.as_str()?).map(|image| image.command(false));
        all = command.map(<[String]>::to_vec).or_else(image).unwrap_or_default();
    }
    all.extend(words(container, "args"));
    all
}

fn carried_hook(handler: &Value, hook: &str, app: &[String], notes: &mut Vec<String>) -> Value {
    let mut handler = without_nulls(handler);
    as_a_kubelet_calls(&mut handler, &format!("lifecycle.{hook}"), notes);
    match signalling(&words(handler.get("exec").unwrap_or(&Value::Null), "command"), app) {
        Signalling::Steps(steps) if hook == "preStop" => {
            let signals = steps.iter().filter_map(|step| if let Step::Signal(name) = step { Some(name.as_str()) } else { None });
            let signals = signals.collect::<Vec<_>>().join(", ");
            notes.push(format!("lifecycle.{hook} sends PID 1 {signals}: it is a `signal` handler now, which sends the app {signals}"));
            let steps = steps.iter().map(|step| match step {
                Step::Signal(name) => json!({ "signal": { "name": name } }),
                Step::Sleep(seconds) => json!({ "sleep": { "seconds": seconds } }),
            });
            let mut steps: Vec<Value> = steps.collect();
            return if steps.len() == 1 { steps.remove(0) } else { Value::Array(steps) };
        }
        Signalling::OwnCommand(command) => notes.push(format!(
            "lifecycle.{hook} ends the server by `{command}`, before the stop signal: as with a kubelet, the server ends while the hook \
             runs; a drain or a `signal` handler in its place ends it when no request is lost"
        )),
        Signalling::Steps(_) | Signalling::PidOne => notes.push(format!(
            "lifecycle.{hook} sends PID 1 a signal: during a stop bookend passes it to the app if the handler's own process sends \
             it; a `signal` handler is surer"
        )),
        Signalling::FullCommandLine => notes.push(format!(
            "lifecycle.{hook} calls pkill -f: it finds bookend, too, which has the app's words on its command line; \
             use a `signal` handler, or pkill -x NAME"
        )),
        Signalling::No => {}
    }
    // A kubelet expands nothing in a hook, and bookend expands $(VAR) and $$ everywhere.
    for_each_text(&mut handler, &mut escape);
    handler
}

/// The probe as bookend runs it. Its results are counted once, by the kubelet.
fn bookend_probe(probe: &Value, name: &str, notes: &mut Vec<String>) -> Value {
    let mut probe = without_nulls(probe);
    as_a_kubelet_calls(&mut probe, name, notes);
    if let Some(fields) = probe.as_object_mut() {
        if fields.remove("terminationGracePeriodSeconds").is_some() {
            notes.push(format!(
                "{name}.terminationGracePeriodSeconds is for the kubelet only: it stays in the manifest"
            ));
        }
        for counted in ["initialDelaySeconds", "successThreshold", "failureThreshold"] {
            fields.remove(counted);
        }
        fields.insert("failureThreshold".to_owned(), json!(1));
        // In the command of an exec probe a kubelet expands $(VAR), as bookend does.
        for kind in ["httpGet", "tcpSocket"] {
            if let Some(action) = fields.get_mut(kind) {
                for_each_text(action, &mut escape);
            }
        }
    }
    probe
}

/// Differences from a kubelet's call: the address, and certificates, which a kubelet does not verify.
fn as_a_kubelet_calls(handler: &mut Value, path: &str, notes: &mut Vec<String>) {
    for kind in ["httpGet", "tcpSocket"] {
        let Some(action) = handler.get_mut(kind).and_then(Value::as_object_mut) else { continue };
        if !action.contains_key("host") {
            notes.push(format!(
                "bookend calls {path}.{kind} at 127.0.0.1 instead of the pod's IP: \
                 if the app listens on the pod's IP only, set {path}.{kind}.host"
            ));
        }
        if action.get("scheme").and_then(Value::as_str).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
            notes.push(format!("{path}.{kind} uses HTTPS: as by a kubelet, the certificate is not verified"));
            action.insert("insecureSkipVerify".to_owned(), json!(true));
        }
    }
}

/// `$$` and `$(`, so that they stay as they are: a run of `$` before either is doubled.
fn escape(text: &mut String) {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        let (before, dollars) = rest.split_at(at);
        let after = dollars.trim_start_matches('$');
        let count = dollars.len() - after.len();
        out.push_str(before);
        out.push_str(&"$".repeat(if count > 1 || after.starts_with('(') { 2 * count } else { count }));
        rest = after;
    }
    out.push_str(rest);
    *text = out;
}

fn for_each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_text(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| for_each_text(field, change)),
        _ => {}
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

/// The probes of a container.
pub(super) const PROBES: &[&str] = &["startupProbe", "readinessProbe", "livenessProbe"];
/// The actions of a probe that bookend can run.
pub(super) const ACTIONS: [&str; 3] = ["exec", "httpGet", "tcpSocket"];
/// The default of `app.stopSignals`.
const STOP_SIGNALS: [&str; 3] = ["SIGTERM", "SIGINT", "SIGQUIT"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_kubelet_does_not_expand_stays_as_it_is() {
        for text in ["$$", "echo $$ $HOME $(date) $$$", "$(A)$$(B)", "a$", "$"] {
            let mut escaped = text.to_owned();
            escape(&mut escaped);
            let expanded = bookend_config::expand::expand(escaped.as_bytes(), |_| Some(b"expanded"));
            assert_eq!(String::from_utf8(expanded).unwrap(), text, "{escaped}");
        }
    }
}
