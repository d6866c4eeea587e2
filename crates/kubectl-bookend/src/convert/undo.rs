//! The template as it was: what was added goes, and the fields that were replaced come back from the annotation.

use serde_json::{Map, Value};

use super::names::{
    CONFIG_ANNOTATION, CONFIG_FOLDER, CONFIG_VOLUME, COPIED, FOLDER, LISTS, NAME, NULLS, OF_POD, ORIGINAL_ANNOTATION,
    OWN_VARIABLES, VARIABLES,
};
use super::original::is_own;
use super::parts::{cut, list, object};
use crate::workload::{ContainerPath, containers};

fn original(template: &Value, name: &str) -> Option<Map<String, Value>> {
    let text = template.pointer("/metadata/annotations")?.get(format!("{ORIGINAL_ANNOTATION}{name}"))?.as_str()?;
    serde_json::from_str(text).ok()
}

/// Takes bookend out of these containers, and out of the pod if no other container has it. Whether there was something to undo.
pub(crate) fn undo(template: &mut Value, chosen: &[ContainerPath]) -> bool {
    let mut is_changed = false;
    let mut of_pod = None;
    for path in chosen {
        let Some(mut original) = original(template, &path.name) else { continue };
        is_changed = true;
        of_pod = original.shift_remove(OF_POD).or(of_pod);
        if let Some(container) = path.of_mut(template) {
            restore(container, original);
        }
        forget(template, &path.name);
    }
    let of_pod = of_pod.unwrap_or_default();
    match containers(template).iter().find_map(|path| Some((path.name.clone(), original(template, &path.name)?))) {
        // Another container has bookend, and keeps what is known of the pod.
        Some((name, mut original)) if of_pod.is_object() => {
            original.insert(OF_POD.to_owned(), of_pod);
            let key = format!("{ORIGINAL_ANNOTATION}{name}");
            if let Some(annotation) = template.pointer_mut("/metadata/annotations").and_then(|all| all.get_mut(&key)) {
                *annotation = Value::Object(original).to_string().into();
            }
        }
        Some(_) => {}
        None if is_changed => clear(template, &of_pod),
        None => {}
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
    let port = container.get("lifecycle").and_then(|lifecycle| lifecycle.pointer("/preStop/httpGet/port")).cloned();
    let own = original.shift_remove(OWN_VARIABLES).unwrap_or_default();
    let nulls = original.shift_remove(NULLS).unwrap_or_default();
    let was_null =
        |field: &String| nulls.as_array().is_some_and(|nulls| nulls.iter().any(|null| null.as_str() == Some(field)));
    for (field, value) in original {
        match value {
            Value::Null if !was_null(&field) => drop(container.shift_remove(&field)),
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
    for item in own.as_array().into_iter().flatten() {
        let (at, env) = (item.get(0).and_then(Value::as_u64).unwrap_or_default(), list(container, "env"));
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(env.len());
        env.insert(at, item.get(1).cloned().unwrap_or_default());
    }
    let is_mount = |item: &Value| {
        let of = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        [(NAME, FOLDER), (CONFIG_VOLUME, CONFIG_FOLDER)].contains(&(of("name"), of("mountPath")))
    };
    cut(container, "volumeMounts", mounts, is_mount);
    let is_port = |item: &Value| {
        let is_named = item.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with(NAME));
        is_named && port.is_some() && item.get("containerPort") == port.as_ref()
    };
    cut(container, "ports", ports, is_port);
}

/// The annotations of one container, and its file in the volume.
fn forget(template: &mut Value, name: &str) {
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = object(metadata, "annotations");
        annotations.shift_remove(&format!("{ORIGINAL_ANNOTATION}{name}"));
        annotations.shift_remove(&format!("{CONFIG_ANNOTATION}{name}"));
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

/// The init container or sidecar, the volumes, and the annotations if there are no others.
fn clear(template: &mut Value, of_pod: &Value) {
    let was = |path: &str| of_pod.get(path).cloned();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        cut_empty(metadata, "annotations", was("/metadata/annotations"));
    }
    if let Some(template) = template.as_object_mut() {
        cut_empty(template, "metadata", was("/metadata"));
    }
    let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let is_ours = |list: &str, item: &Value, names: &[&str]| {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        names.contains(&name) && !is_own(of_pod, list, name)
    };
    cut(spec, "initContainers", was("/spec/initContainers"), |item| is_ours("initContainers", item, &[NAME]));
    cut(spec, "volumes", was("/spec/volumes"), |item| is_ours("volumes", item, &[NAME, CONFIG_VOLUME]));
}

/// A map without any field goes, or is `empty` as it was.
fn cut_empty(fields: &mut Map<String, Value>, name: &str, empty: Option<Value>) {
    if fields.get(name).and_then(Value::as_object).is_some_and(Map::is_empty) {
        match empty {
            Some(empty) => drop(fields.insert(name.to_owned(), empty)),
            None => drop(fields.shift_remove(name)),
        }
    }
}
