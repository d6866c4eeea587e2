//! Keeps facts of a container and of its pod before a change, beyond the values of the fields: the annotation `bookend-original/NAME`
//! has it. Pure.

use serde_json::{Map, Value, json};

use super::names::{CONFIG_VOLUME, NAME, NULLS, OF_POD, ORIGINAL_ANNOTATION};
use super::parts::has_named;

/// Keeps a field of a container; `null` in the original is a field that was missing.
pub(super) fn keep(container: &Map<String, Value>, field: &str, original: &mut Map<String, Value>) {
    if container.get(field) == Some(&Value::Null) {
        let nulls = original.entry(NULLS).or_insert(json!([]));
        nulls.as_array_mut().into_iter().for_each(|nulls| nulls.push(json!(field)));
    }
    original.insert(field.to_owned(), container.get(field).cloned().unwrap_or_default());
}

/// Keeps what the pod's first container finds there: lists and maps that are written and have no item, and things that have our names.
pub(super) fn keep_of_pod(template: &Value, original: &mut Map<String, Value>) {
    let annotations = template.pointer("/metadata/annotations").and_then(Value::as_object);
    if annotations.is_some_and(|all| all.keys().any(|key| key.starts_with(ORIGINAL_ANNOTATION))) {
        return;
    }
    let is_empty = |value: &&Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Null => true,
        _ => false,
    };
    let found =
        GROWING.iter().filter_map(|path| Some(((*path).to_owned(), template.pointer(path).filter(is_empty)?.clone())));
    let mut found: Map<String, Value> = found.collect();
    let has = |(list, name): &&(&str, &str)| has_named(template.get("spec").unwrap_or(&Value::Null), list, name);
    let own: Vec<Value> = ADDED.iter().filter(has).map(|(list, name)| json!([list, name])).collect();
    if !own.is_empty() {
        found.insert(OWN.to_owned(), json!(own));
    }
    if !found.is_empty() {
        original.insert(OF_POD.to_owned(), Value::Object(found));
    }
}

/// Whether an item of the pod that has our name was there before.
pub(super) fn is_own(of_pod: &Value, list: &str, name: &str) -> bool {
    let own = of_pod.get(OWN).and_then(Value::as_array);
    own.is_some_and(|own| own.contains(&json!([list, name])))
}

/// In what is kept of the pod: the items of its own with our names.
const OWN: &str = "own";
/// The items that a pod gets.
const ADDED: [(&str, &str); 3] = [("initContainers", NAME), ("volumes", NAME), ("volumes", CONFIG_VOLUME)];
/// The lists and maps that a pod gets items in.
const GROWING: [&str; 4] = ["/metadata", "/metadata/annotations", "/spec/volumes", "/spec/initContainers"];
