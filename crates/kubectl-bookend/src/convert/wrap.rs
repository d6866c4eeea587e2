//! A container under bookend: an init container copies the binary into a volume, an annotation of the pod brings the configuration
//! through a volume, the command is prefixed, and the hooks and probes call bookend's endpoint.

use bookend_config::{Document, Sources};
use serde_json::{Map, Value, json};

use super::carry::{ACTIONS, CarryContext, PROBES, carried_probe, carry, hook_of};
use super::names::{
    CONFIG_ANNOTATION, CONFIG_FOLDER, CONFIG_VOLUME, COPIED, FOLDER, LISTS, NAME, ORIGINAL_ANNOTATION, OWN_VARIABLES,
    PORT, VARIABLES,
};
use super::original::{keep, keep_of_pod};
use super::parts::{copier, drain, free_port, has_named, list, must_be_named, object, probe_connections};
use crate::workload::{ContainerPath, containers};

/// How one container comes under bookend.
#[derive(Debug, Clone)]
pub(crate) struct Wrap<'a> {
    /// The image with the binary.
    pub(crate) image: &'a str,
    /// The first port to try.
    pub(crate) port: Option<u16>,
    /// The words to run, if the manifest does not have them.
    pub(crate) command: Option<&'a [String]>,
    /// The stop signal of the image, if it is known.
    pub(crate) stop_signal: Option<&'a str>,
    /// The drain of a container that has no preStop hook; 0 is without one.
    pub(crate) drain_max_seconds: u64,
}

/// The result: the configuration, and what to know about it.
#[derive(Debug, Default)]
pub(crate) struct Wrapped {
    pub(crate) config: String,
    pub(crate) notes: Vec<String>,
}

/// Changes one container of a template. The error tells why it stays as it is.
pub(crate) fn wrap(template: &mut Value, path: &ContainerPath, how: &Wrap<'_>) -> Result<Wrapped, String> {
    let spec = template.get("spec").cloned().unwrap_or_default();
    let container = path.of(template).clone();
    let mut notes = Vec::new();
    refuse(&spec, path, &container)?;
    let port = free_port(&spec, how.port);
    if let Some(wanted) = how.port.or(Some(PORT)).filter(|wanted| *wanted != port) {
        notes.push(format!("the pod uses port {wanted}: bookend listens on {port}"));
    }
    if spec.get("hostNetwork") == Some(&json!(true)) {
        notes.push(format!(
            "the pod uses hostNetwork: port {port} is one of the node, and two such pods on a node need different ones (--port)"
        ));
    }
    let tolerated = containers(template);
    let tolerated =
        tolerated.iter().filter(|other| *other != path || carried_probe(&container, "readinessProbe").is_none());
    let tolerated = probe_connections(tolerated.map(|other| other.of(template)));
    let context = CarryContext {
        port,
        stop_signal: how.stop_signal,
        command: how.command,
        drain: drain(how.drain_max_seconds, tolerated),
    };
    let carried = carry(&spec, &container, &context, &mut notes);
    let config = toml::to_string(&carried).map_err(|error| format!("cannot serialize the configuration: {error}"))?;
    let config = format!("{HEADER}{config}");
    let sources = Sources {
        files: vec![Document { name: "bookend.toml".to_owned(), text: config.clone() }],
        ..Sources::default()
    };
    bookend_config::load(&sources)
        .map_err(|mistakes| format!("fields of the container are not valid in a Pod spec:\n{mistakes}"))?;

    let own = container
        .get("env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|item| item.get("name")?.as_str());
    notes.extend(
        own.filter(|name| VARIABLES.contains(name))
            .map(|name| format!("its own variable {name} is replaced; uninject brings it back")),
    );
    let mut original = Map::new();
    keep_of_pod(template, &mut original);
    if let Some(fields) = path.of_mut(template) {
        change_container(fields, &path.name, port, how.command, &mut original);
    }
    change_pod(template, path, how.image, &spec, &container, &config, &original);
    Ok(Wrapped { config, notes })
}

/// Reasons against it.
fn refuse(spec: &Value, path: &ContainerPath, container: &Value) -> Result<(), String> {
    must_be_named(spec, path)?;
    let is_windows = spec.pointer("/os/name") == Some(&json!("windows"))
        || spec.get("nodeSelector").and_then(|node| node.get("kubernetes.io/os")) == Some(&json!("windows"));
    if is_windows {
        return Err("the pod is for Windows, and bookend for Linux".to_owned());
    }
    let is_ours = |list: &str| {
        let items = spec.get(list).and_then(Value::as_array);
        let found = items.into_iter().flatten().find(|item| item.get("name") == Some(&json!(NAME)));
        found.is_some_and(|item| {
            item.get("restartPolicy").is_some() || item.get("args").and_then(|args| args.get(0)) != Some(&json!("copy"))
        })
    };
    if has_named(spec, "containers", NAME) || is_ours("initContainers") {
        return Err("the pod already has a container called bookend; with a sidecar of this tool, use uninject first"
            .to_owned());
    }
    for (name, kind) in [(NAME, "emptyDir"), (CONFIG_VOLUME, "downwardAPI")] {
        let mut volumes = spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
        if volumes.any(|volume| volume.get("name") == Some(&json!(name)) && volume.get(kind).is_none()) {
            return Err(format!("the pod already has a volume called {name}"));
        }
    }
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    for mount in mounts {
        let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
        if path == FOLDER || path == CONFIG_FOLDER {
            return Err(format!("the container already has a volume at {path}"));
        }
    }
    Ok(())
}

fn change_container(
    container: &mut Map<String, Value>,
    name: &str,
    port: u16,
    command: Option<&[String]>,
    original: &mut Map<String, Value>,
) {
    if let Some(words) = command {
        keep(container, "command", original);
        container.insert("command".to_owned(), json!(words));
    }
    for name in LISTS {
        if let Some(empty) = container.get(name).filter(|list| list.as_array().is_none_or(Vec::is_empty)) {
            original.insert(name.to_owned(), empty.clone());
        }
    }
    for (at, word) in [COPIED, "--"].into_iter().enumerate() {
        list(container, "command").insert(at, json!(word));
    }
    let env = list(container, "env");
    let own =
        env.iter().enumerate().filter(|(_, item)| VARIABLES.iter().any(|name| item.get("name") == Some(&json!(name))));
    let own: Vec<Value> = own.map(|(at, item)| json!([at, item])).collect();
    if !own.is_empty() {
        original.insert(OWN_VARIABLES.to_owned(), json!(own));
    }
    let values = [format!("{CONFIG_FOLDER}/{name}.toml"), format!("/bookend/{name}.sock")];
    for (variable, value) in VARIABLES.into_iter().zip(values) {
        env.retain(|item| item.get("name") != Some(&json!(variable)));
        env.push(json!({ "name": variable, "value": value }));
    }
    let ports = list(container, "ports");
    let is_taken = ports.iter().any(|item| item.get("name") == Some(&json!(NAME)));
    let port_name = if port == PORT && !is_taken { NAME.to_owned() } else { format!("{NAME}-{port}") };
    ports.push(json!({ "name": port_name, "containerPort": port }));
    // The volume is writable even if the container's root file system is not.
    list(container, "volumeMounts").extend([
        json!({ "name": NAME, "mountPath": FOLDER }),
        json!({ "name": CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": true }),
    ]);
    keep(container, "lifecycle", original);
    let has_post_start = hook_of(&Value::Object(container.clone()), "postStart").is_some();
    let lifecycle = object(container, "lifecycle");
    if has_post_start {
        // A kubelet often calls an httpGet postStart hook before the container's process can listen.
        let action = json!({ "exec": { "command": [COPIED, "hook", "postStart"] } });
        lifecycle.insert("postStart".to_owned(), action);
    }
    // Even without handlers, preStop announces the stop to bookend before the signal.
    lifecycle.insert("preStop".to_owned(), json!({ "httpGet": { "port": port, "path": "/lifecycle/preStop" } }));
    for (name, path) in PROBES.iter().zip(["/startupz", "/readyz", "/livez"]) {
        let Some(probe) = carried_probe(&Value::Object(container.clone()), name).cloned() else { continue };
        if let Some(fields) = container.get_mut(*name).and_then(Value::as_object_mut) {
            // The numbers stay: they are the kubelet's.
            let at = fields.keys().position(|field| ACTIONS.contains(&field.as_str())).unwrap_or_default();
            fields.retain(|field, _| !ACTIONS.contains(&field.as_str()));
            fields.shift_insert(at.min(fields.len()), "httpGet".to_owned(), json!({ "port": port, "path": path }));
        }
        original.insert((*name).to_owned(), probe);
    }
}

fn change_pod(
    template: &mut Value,
    path: &ContainerPath,
    image: &str,
    old_spec: &Value,
    container: &Value,
    config: &str,
    original: &Map<String, Value>,
) {
    let name = &path.name;
    let Some(fields) = template.as_object_mut() else { return };
    annotate(fields, name, config, original);
    let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let key = format!("metadata.annotations['{CONFIG_ANNOTATION}{name}']");
    let file = json!({ "path": format!("{name}.toml"), "fieldRef": { "fieldPath": key } });
    let volumes = list(spec, "volumes");
    if !volumes.iter().any(|volume| volume.get("name") == Some(&json!(NAME))) {
        volumes.push(json!({ "name": NAME, "emptyDir": {} }));
    }
    match volumes.iter_mut().find(|volume| volume.get("name") == Some(&json!(CONFIG_VOLUME))) {
        Some(volume) => {
            if let Some(items) = volume.pointer_mut("/downwardAPI/items").and_then(Value::as_array_mut) {
                items.push(file);
                items.sort_by_key(|item| item.get("path").map(ToString::to_string));
            }
        }
        None => volumes.push(json!({ "name": CONFIG_VOLUME, "downwardAPI": { "items": [file] } })),
    }
    // The first one: native sidecars and other init containers may be wrapped, too.
    let copiers = list(spec, "initContainers");
    if !copiers.iter().any(|item| item.get("name") == Some(&json!(NAME))) {
        copiers.insert(0, copier(image, old_spec, container));
    }
}

/// The configuration and the original of a container, in the pod's annotations.
pub(super) fn annotate(template: &mut Map<String, Value>, name: &str, config: &str, original: &Map<String, Value>) {
    if !template.contains_key("metadata") {
        template.shift_insert(0, "metadata".to_owned(), json!({}));
    }
    let annotations = object(object(template, "metadata"), "annotations");
    if !config.is_empty() {
        annotations.insert(format!("{CONFIG_ANNOTATION}{name}"), json!(config));
    }
    annotations.insert(format!("{ORIGINAL_ANNOTATION}{name}"), json!(Value::Object(original.clone()).to_string()));
    // The same order, whichever container came first.
    let is_ours = |key: &String| key.starts_with(CONFIG_ANNOTATION) || key.starts_with(ORIGINAL_ANNOTATION);
    let mut ours: Vec<String> = annotations.keys().filter(|key| is_ours(key)).cloned().collect();
    ours.sort_unstable();
    for key in ours {
        if let Some(value) = annotations.shift_remove(&key) {
            annotations.insert(key, value);
        }
    }
}

const HEADER: &str = "# Written by `kubectl bookend`; `bookend check` shows what is in effect.\n";
