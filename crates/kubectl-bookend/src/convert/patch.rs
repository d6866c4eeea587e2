//! The manifest with the container under bookend: an init container copies the binary into a volume, a ConfigMap
//! brings the configuration, the command is prefixed, and the hooks and probes call bookend's endpoint.

use serde_json::{Map, Value, json};

use super::carry::{DEFAULT_GRACE_SECONDS, PORT, PROBES, carried_probe};
use super::workload::ContainerPath;

/// Changes the documents, and adds the ConfigMap.
pub(super) fn patch(documents: &mut Vec<Value>, path: &ContainerPath, config: &str, notes: &mut Vec<String>) {
    let Some(document) = documents.get_mut(path.document) else { return };
    let owner = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("app").to_owned();
    let namespace = document.pointer("/metadata/namespace").cloned();
    let config_map = format!("{owner}-bookend");
    let Some(pod) = document.pointer_mut(path.pod).and_then(Value::as_object_mut) else { return };
    // Explicit, so that the kubelet and bookend count the same seconds.
    pod.entry("terminationGracePeriodSeconds").or_insert(json!(DEFAULT_GRACE_SECONDS));
    list(pod, "initContainers").insert(0, copier());
    let volumes = list(pod, "volumes");
    volumes.push(json!({ "name": VOLUME, "emptyDir": {} }));
    volumes.push(json!({ "name": CONFIG_VOLUME, "configMap": { "name": config_map } }));
    let container = list(pod, "containers").get_mut(path.container).and_then(Value::as_object_mut);
    let Some(container) = container else { return };
    wrap(container, notes);
    let mut metadata = json!({ "name": config_map });
    if let (Some(namespace), Some(fields)) = (namespace, metadata.as_object_mut()) {
        fields.insert("namespace".to_owned(), namespace);
    }
    let data = json!({ "bookend.toml": config });
    documents.push(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data }));
}

fn wrap(container: &mut Map<String, Value>, notes: &mut Vec<String>) {
    list(container, "volumeMounts").extend([
        json!({ "name": VOLUME, "mountPath": "/bookend" }),
        json!({ "name": CONFIG_VOLUME, "mountPath": "/etc/bookend", "readOnly": true }),
    ]);
    // The volume is writable even if the container's root file system is not.
    list(container, "env").push(json!({ "name": "BOOKEND_SOCKET", "value": "/bookend/bookend.sock" }));
    let ports = list(container, "ports");
    if ports.iter().any(|port| port.get("containerPort") == Some(&json!(PORT))) {
        notes.push(format!(
            "port {PORT} is already in use by the app: choose another one for http.listen, the hooks and the probes"
        ));
    } else {
        ports.push(json!({ "name": "bookend", "containerPort": PORT }));
    }
    if container.contains_key("command") {
        for (index, word) in ["/bookend/bookend", "--"].into_iter().enumerate() {
            list(container, "command").insert(index, json!(word));
        }
    }
    let lifecycle = container.entry("lifecycle").or_insert_with(|| json!({}));
    if let Some(lifecycle) = lifecycle.as_object_mut() {
        // Even without handlers, preStop announces the stop to bookend before the signal.
        for hook in ["postStart", "preStop"] {
            if hook == "postStart" && !lifecycle.contains_key(hook) {
                continue;
            }
            // A kubelet often calls an httpGet postStart hook before the container's process can listen.
            let action = match hook {
                "postStart" => json!({ "exec": { "command": ["/bookend/bookend", "hook", "postStart"] } }),
                _ => json!({ "httpGet": { "port": PORT, "path": "/lifecycle/preStop" } }),
            };
            lifecycle.insert(hook.to_owned(), action);
        }
    }
    for (name, path) in PROBES.iter().zip(["/startupz", "/readyz", "/livez"]) {
        if carried_probe(&Value::Object(container.clone()), name).is_none() {
            continue;
        }
        if let Some(probe) = container.get_mut(*name).and_then(Value::as_object_mut) {
            // The numbers stay: they are the kubelet's.
            probe.retain(|field, _| !["exec", "httpGet", "tcpSocket"].contains(&field.as_str()));
            probe.insert("httpGet".to_owned(), json!({ "port": PORT, "path": path }));
        }
    }
}

/// The init container that copies the binary: no shell, no cp, any user, only the volume is writable.
fn copier() -> Value {
    json!({
        "name": "bookend",
        "image": IMAGE,
        "args": ["copy", "/bookend-volume/bookend"],
        "command": ["/bookend"],
        "volumeMounts": [{ "name": VOLUME, "mountPath": "/bookend-volume" }],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] }
        }
    })
}

/// The list of this name, created if it is missing.
fn list<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let list = fields.entry(name).or_insert(Value::Null);
    if !list.is_array() {
        // `null` means unset. The API server refuses any other value.
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().expect("a list: anything else was replaced by one above")
}

const VOLUME: &str = "bookend";
const CONFIG_VOLUME: &str = "bookend-config";
/// The image with the binary; add your registry in front.
const IMAGE: &str = concat!("bookend:", env!("CARGO_PKG_VERSION"));
