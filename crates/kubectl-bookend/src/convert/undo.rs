//! The template as it was: what was added goes, and the fields that were replaced come back from the annotation.

use serde_json::{Map, Value};

use super::names::{CONFIG_ANNOTATION, CONFIG_VOLUME, COPIED, LISTS, NAME, ORIGINAL_ANNOTATION, VARIABLES};
use super::parts::{cut, object};
use crate::workload::{ContainerPath, containers};

/// Whether this container was changed by this tool.
fn has_original(template: &Value, name: &str) -> bool {
    original(template, name).is_some()
}

fn original(template: &Value, name: &str) -> Option<Map<String, Value>> {
    let text = template.pointer("/metadata/annotations")?.get(format!("{ORIGINAL_ANNOTATION}{name}"))?.as_str()?;
    serde_json::from_str(text).ok()
}

/// Takes bookend out of these containers, and out of the pod if no other container has it. Whether there was something to undo.
pub(crate) fn undo(template: &mut Value, chosen: &[ContainerPath]) -> bool {
    let mut is_changed = false;
    for path in chosen {
        let Some(original) = original(template, &path.name) else { continue };
        is_changed = true;
        if let Some(container) = path.of_mut(template) {
            restore(container, original);
        }
        forget(template, &path.name);
    }
    if is_changed && !containers(template).iter().any(|path| has_original(template, &path.name)) {
        clear(template);
    }
    is_changed
}

fn restore(container: &mut Map<String, Value>, mut original: Map<String, Value>) {
    let is_wrapped =
        container.get("command").and_then(|command| command.get(0)).and_then(Value::as_str) == Some(COPIED);
    if is_wrapped && let Some(command) = container.get_mut("command").and_then(Value::as_array_mut) {
        command.drain(..command.len().min(2));
    }
    let [env, mounts, ports] = LISTS.map(|list| original.shift_remove(list));
    for (field, value) in original {
        match value {
            Value::Null => drop(container.shift_remove(&field)),
            value => drop(container.insert(field, value)),
        }
    }
    if !is_wrapped {
        return;
    }
    let is_named = |item: &Value, key: &str, names: &[&str]| {
        item.get(key).and_then(Value::as_str).is_some_and(|name| names.contains(&name))
    };
    cut(container, "env", env, |item| is_named(item, "name", &VARIABLES));
    cut(container, "volumeMounts", mounts, |item| is_named(item, "name", &[NAME, CONFIG_VOLUME]));
    let is_port = |item: &Value| {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        name == NAME || name.strip_prefix("bookend-").is_some_and(|port| port.parse::<u16>().is_ok())
    };
    cut(container, "ports", ports, is_port);
}

/// The annotations of one container, and its file in the volume.
fn forget(template: &mut Value, name: &str) {
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = object(metadata, "annotations");
        annotations.shift_remove(&format!("{ORIGINAL_ANNOTATION}{name}"));
        annotations.shift_remove(&format!("{CONFIG_ANNOTATION}{name}"));
        if annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }
    let is_empty = template.get("metadata").and_then(Value::as_object).is_some_and(Map::is_empty);
    if let Some(template) = template.as_object_mut().filter(|_| is_empty) {
        template.shift_remove("metadata");
    }
    let volumes = template.pointer_mut("/spec/volumes").and_then(Value::as_array_mut);
    for volume in
        volumes.into_iter().flatten().filter(|volume| volume.get("name").and_then(Value::as_str) == Some(CONFIG_VOLUME))
    {
        let items = volume.pointer_mut("/downwardAPI/items").and_then(Value::as_array_mut);
        if let Some(items) = items {
            let path = format!("{name}.toml");
            items.retain(|item| item.get("path").and_then(Value::as_str) != Some(&path));
        }
    }
}

/// The init container or sidecar, and the volumes.
fn clear(template: &mut Value) {
    let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let is_named = |item: &Value, names: &[&str]| {
        item.get("name").and_then(Value::as_str).is_some_and(|name| names.contains(&name))
    };
    cut(spec, "initContainers", None, |item| is_named(item, &[NAME]));
    cut(spec, "volumes", None, |item| is_named(item, &[NAME, CONFIG_VOLUME]));
}
