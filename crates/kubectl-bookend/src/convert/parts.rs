//! Parts that are added to a pod, and the rules that they follow: the container's quality of service and its security.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::names::{NAME, PORT};
use crate::quantity::quantity;
use crate::workload::ContainerPath;

/// The list of this name, created if it is missing.
pub(super) fn list<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let list = fields.entry(name).or_insert(Value::Null);
    if !list.is_array() {
        // `null` means unset. The API server refuses any other value.
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().expect("a list: anything else was replaced by one above")
}

/// The object of this name, created if it is missing.
pub(super) fn object<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let object = fields.entry(name).or_insert(Value::Null);
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    object.as_object_mut().expect("an object: anything else was replaced by one above")
}

/// Whether a list of a pod or container has an item of this name.
pub(super) fn has_named(fields: &Value, list: &str, name: &str) -> bool {
    let items = fields.get(list).and_then(Value::as_array);
    items.into_iter().flatten().any(|item| item.get("name").and_then(Value::as_str) == Some(name))
}

/// The name of a container is in the names of what it gets.
pub(super) fn must_be_named(spec: &Value, path: &ContainerPath) -> Result<(), String> {
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| spec.get(list)?.as_array()).flatten();
    let count = lists.filter(|item| item.get("name").and_then(Value::as_str).unwrap_or_default() == path.name).count();
    match (path.name.as_str(), count) {
        ("", _) => Err("a container has no name".to_owned()),
        (_, 0 | 1) => Ok(()),
        (name, _) => Err(format!("several containers of the pod are called {name}")),
    }
}

/// A port that no container of the pod declares, and no hook or probe names: bookend listens before the app does, which would not
/// get it.
pub(super) fn free_port(spec: &Value, first: Option<u16>) -> u16 {
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| spec.get(list)?.as_array());
    let taken: BTreeSet<u64> = lists.flatten().flat_map(ports_of).collect();
    let start = first.unwrap_or(PORT);
    (start..=u16::MAX).find(|port| !taken.contains(&u64::from(*port))).unwrap_or(start)
}

fn ports_of(container: &Value) -> Vec<u64> {
    let declared = container.get("ports").and_then(Value::as_array).into_iter().flatten();
    let declared = declared.flat_map(|port| ["containerPort", "hostPort"].map(|key| port.get(key).cloned()));
    let handlers = ["/lifecycle/postStart", "/lifecycle/preStop", "/startupProbe", "/readinessProbe", "/livenessProbe"];
    let kinds = ["httpGet", "tcpSocket", "grpc"];
    let named = handlers.iter().filter_map(|path| container.pointer(path));
    let named = named.flat_map(|handler| kinds.map(|kind| handler.get(kind)?.get("port").cloned()));
    declared.chain(named).flatten().filter_map(|port| port.as_u64()).collect()
}

/// The container's requests and limits of processor and memory. An init container with them changes neither the pod's
/// quality of service nor what a quota counts, as it ends before the container starts.
pub(super) fn resources_of(container: &Value) -> Option<Value> {
    let mut resources = Map::new();
    for kind in ["requests", "limits"] {
        let fields = container.pointer(&format!("/resources/{kind}")).and_then(Value::as_object);
        let kept: Map<String, Value> = fields
            .into_iter()
            .flatten()
            .filter(|(name, amount)| {
                ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()) && !amount.is_null()
            })
            .map(|(name, amount)| (name.clone(), amount.clone()))
            .collect();
        if !kept.is_empty() {
            resources.insert(kind.to_owned(), Value::Object(kept));
        }
    }
    (!resources.is_empty()).then_some(Value::Object(resources))
}

/// The resources of a sidecar. It runs as long as the pod, so the pod keeps its class: Guaranteed, Burstable or BestEffort.
pub(super) fn resources_of_sidecar(spec: &Value) -> Option<Value> {
    if spec.get("resources").is_some_and(|resources| !resources.is_null()) {
        // Those of the whole pod are shared.
        return None;
    }
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| spec.get(list)?.as_array());
    let all: Vec<&Value> = lists.flatten().collect();
    let amount = |container: &Value, kind: &str, name: &str| {
        let amount = container.pointer(&format!("/resources/{kind}/{name}")).filter(|amount| !amount.is_null());
        amount.map(comparable)
    };
    let is_guaranteed = |container: &&Value| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = amount(container, "limits", name);
            // A request that is not written is the limit.
            limit.is_some() && amount(container, "requests", name).is_none_or(|request| Some(request) == limit)
        })
    };
    if all.iter().all(is_guaranteed) {
        return Some(
            json!({ "requests": { "cpu": "50m", "memory": "32Mi" }, "limits": { "cpu": "50m", "memory": "32Mi" } }),
        );
    }
    let is_best_effort = |container: &&Value| resources_of(container).is_none();
    if all.iter().all(is_best_effort) {
        return None;
    }
    Some(json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "32Mi" } }))
}

/// An amount in a form that can be compared: `1`, `"1"` and `"1000m"` are the same. A text that is not an amount stays as it is.
fn comparable(amount: &Value) -> Result<f64, String> {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    quantity(&text).ok_or(text)
}

/// The security context of a container that is added beside this one: what Pod Security `restricted` asks for, and the container's user.
pub(super) fn security(spec: &Value, container: &Value) -> Value {
    let of = |holder: &Value, key: &str| {
        holder.get("securityContext").and_then(|context| context.get(key)).filter(|value| !value.is_null()).cloned()
    };
    let mut context = Map::new();
    for key in ["runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile", "seLinuxOptions", "appArmorProfile"] {
        if let Some(value) = of(container, key) {
            context.insert(key.to_owned(), value);
        }
    }
    let either = |key: &str| of(container, key).or_else(|| of(spec, key));
    if either("runAsNonRoot") == Some(json!(true)) && either("runAsUser").is_none() {
        // The image of bookend has no user of its own.
        context.insert("runAsUser".to_owned(), json!(OTHER_USER));
    }
    context.insert("allowPrivilegeEscalation".to_owned(), json!(false));
    context.insert("readOnlyRootFilesystem".to_owned(), json!(true));
    context.insert("capabilities".to_owned(), json!({ "drop": ["ALL"] }));
    Value::Object(context)
}

/// The init container that copies the binary: no shell, no cp, any user, only the volume is writable.
pub(super) fn copier(image: &str, spec: &Value, container: &Value) -> Value {
    let mut copier = json!({
        "name": NAME,
        "image": image,
        "command": ["/bookend"],
        "args": ["copy", "/bookend-volume/bookend"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{ "name": NAME, "mountPath": "/bookend-volume" }]
    });
    if let Some(fields) = copier.as_object_mut() {
        if let Some(resources) = resources_of(container) {
            fields.insert("resources".to_owned(), resources);
        }
        fields.insert("securityContext".to_owned(), security(spec, container));
    }
    copier
}

/// A list in `fields` without these items. When nothing is left it goes, or is `empty` as it was.
pub(super) fn cut(fields: &mut Map<String, Value>, name: &str, empty: Option<Value>, is_ours: impl Fn(&Value) -> bool) {
    if let Some(list) = fields.get_mut(name).and_then(Value::as_array_mut) {
        let before = list.len();
        list.retain(|item| !is_ours(item));
        if list.is_empty() && before > 0 {
            match empty {
                Some(empty) => drop(fields.insert(name.to_owned(), empty)),
                None => drop(fields.shift_remove(name)),
            }
        }
    }
}

/// How many new connections of the kubelet's readiness probes may come within the two quiet seconds of a drain. A drain recognises a
/// single probe by its rhythm, and few of them leave two quiet seconds in between: these are not counted.
pub(super) fn probe_connections<'a>(containers: impl Iterator<Item = &'a Value>) -> u64 {
    let period = |container: &Value| {
        let probe = container.get("readinessProbe").filter(|probe| !probe.is_null())?;
        let connects =
            ["httpGet", "tcpSocket", "grpc"].iter().any(|kind| probe.get(kind).is_some_and(|action| !action.is_null()));
        let period = probe.get("periodSeconds").and_then(Value::as_u64).filter(|period| *period > 0).unwrap_or(10);
        connects.then_some(period)
    };
    let periods: Vec<u64> = containers.filter_map(period).collect();
    let in_a_minute: u64 = periods.iter().map(|period| 60 / period).sum();
    if periods.len() < 2 || in_a_minute < 24 {
        return 0;
    }
    periods.iter().map(|period| (period + 1) / period).sum()
}

/// The preStop handlers of a container that has none.
pub(super) fn drain(max_seconds: u64, tolerated: u64) -> Option<Value> {
    if max_seconds == 0 {
        return None;
    }
    let mut drain = json!({ "maxSeconds": max_seconds });
    if let Some(fields) = drain.as_object_mut() {
        if max_seconds < SHORTEST_DRAIN {
            fields.insert("minSeconds".to_owned(), json!(max_seconds));
        }
        if tolerated > 0 {
            fields.insert("toleratedConnections".to_owned(), json!(tolerated));
        }
    }
    Some(json!([{ "name": "drain", "drain": drain }]))
}

/// The default of a drain's `minSeconds`.
const SHORTEST_DRAIN: u64 = 3;
/// A user without rights, as in images that are called nonroot.
pub(super) const OTHER_USER: u32 = 65532;
