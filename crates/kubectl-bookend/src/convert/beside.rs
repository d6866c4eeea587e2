//! bookend beside the containers of a pod: a native sidecar with one set of hooks for each container, and their preStop hooks call it.
//! The configuration stands in its arguments.

use serde_json::{Map, Value, json};

use super::carry::hook_of;
use super::names::{DEFAULT_GRACE_SECONDS, NAME};
use super::original::{keep, keep_of_pod};
use super::parts::{
    OTHER_USER, drain, free_port, has_named, list, must_be_named, object, probe_connections, resources_of_sidecar,
    security,
};
use super::wrap::annotate;
use crate::workload::{ContainerPath, containers};

/// How bookend comes beside the containers of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Beside<'a> {
    pub(crate) image: &'a str,
    pub(crate) port: Option<u16>,
    pub(crate) drain_max_seconds: u64,
    /// preStop hooks of the containers' own are replaced.
    pub(crate) replace_hooks: bool,
}

/// Changes the pod. Notes are sentences; the error tells why the pod stays as it is.
pub(crate) fn beside(template: &mut Value, chosen: &[ContainerPath], how: &Beside<'_>) -> Result<Vec<String>, String> {
    let spec = template.get("spec").cloned().unwrap_or_default();
    if spec.get("hostNetwork") == Some(&json!(true)) {
        return Err("a sidecar is not for hostNetwork: two pods of a node would have one port".to_owned());
    }
    if has_named(&spec, "containers", NAME) || has_named(&spec, "initContainers", NAME) {
        return Err("the pod already has a container called bookend".to_owned());
    }
    let mut notes = Vec::new();
    let mut hooked = Vec::new();
    for path in chosen {
        must_be_named(&spec, path)?;
        let has_own = hook_of(path.of(template), "preStop").is_some();
        if has_own && !how.replace_hooks {
            notes.push(format!(
                "{}: its own preStop hook stays, and bookend does not drain it (--replace-hooks)",
                path.name
            ));
        } else {
            hooked.push(path.clone());
        }
    }
    if hooked.is_empty() {
        return Err(
            "each of its containers has a preStop hook of its own, which would stay (--replace-hooks)".to_owned()
        );
    }
    let port = free_port(&spec, how.port);
    let all = containers(template);
    let tolerated = probe_connections(all.iter().map(|path| path.of(template)));
    let handlers = handlers(how.drain_max_seconds, tolerated);
    let sidecar = sidecar(&spec, &hooked, &handlers, port, how.image);
    for path in &hooked {
        let mut original = Map::new();
        keep_of_pod(template, &mut original);
        let Some(container) = path.of_mut(template) else { continue };
        keep(container, "lifecycle", &mut original);
        let hook = json!({ "httpGet": { "port": port, "path": format!("/lifecycle/{}/preStop", path.name) } });
        object(container, "lifecycle").insert("preStop".to_owned(), hook);
        if let Some(fields) = template.as_object_mut() {
            annotate(fields, &path.name, "", &original);
        }
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        // The last one: it is stopped before those that came earlier, such as a mesh's proxy.
        list(spec, "initContainers").push(sidecar);
    }
    Ok(notes)
}

/// The handlers of each container, as a value of TOML on one line.
fn handlers(max_seconds: u64, tolerated: u64) -> String {
    let Some(handlers) = drain(max_seconds, tolerated) else { return "[]".to_owned() };
    let fields = handlers.pointer("/0/drain").and_then(Value::as_object);
    let fields: Vec<String> = fields.into_iter().flatten().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("[{{name = \"drain\", drain = {{{}}}}}]", fields.join(", "))
}

fn sidecar(spec: &Value, hooked: &[ContainerPath], handlers: &str, port: u16, image: &str) -> Value {
    let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(DEFAULT_GRACE_SECONDS);
    let mut args = Vec::new();
    let mut set = |text: String| args.extend(["--set".to_owned(), text]);
    for path in hooked {
        set(format!("containers.{}.lifecycle.preStop={handlers}", path.name));
    }
    set(format!("http.listen=0.0.0.0:{port}"));
    set("socket=None".to_owned());
    set(format!("terminationGracePeriodSeconds={grace}"));
    let mut context = security(spec, &Value::Null);
    if let Some(fields) = context.as_object_mut() {
        // bookend needs no rights.
        fields.insert("runAsUser".to_owned(), json!(OTHER_USER));
        fields.insert("runAsNonRoot".to_owned(), json!(true));
        fields.insert("seccompProfile".to_owned(), json!({ "type": "RuntimeDefault" }));
    }
    let mut sidecar = json!({
        "name": NAME,
        "image": image,
        "restartPolicy": "Always",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "command": ["/bookend", "sidecar"],
        "args": args,
        "startupProbe": { "httpGet": { "port": port, "path": "/startupz" }, "periodSeconds": 1, "failureThreshold": 30 }
    });
    if let Some(fields) = sidecar.as_object_mut() {
        if let Some(resources) = resources_of_sidecar(spec) {
            fields.insert("resources".to_owned(), resources);
        }
        fields.insert("securityContext".to_owned(), context);
    }
    sidecar
}
