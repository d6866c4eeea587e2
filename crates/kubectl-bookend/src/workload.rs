//! The pods in documents: which kinds have one and where, and the containers in them. Pure; depends on nothing.

use serde_json::Value;

/// The template of a Pod in a list of documents: the object with its `metadata` and `spec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodPath {
    /// Which document.
    pub(crate) document: usize,
    /// The template in it: a JSON pointer (RFC 6901).
    pub(crate) template: String,
    /// `Deployment/web`.
    pub(crate) owner: String,
}

/// A container of a pod: one of `containers`, or a native sidecar, which is one of `initContainers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerPath {
    pub(crate) list: &'static str,
    /// Unique in its pod. A position would change with each container that is added.
    pub(crate) name: String,
}

impl PodPath {
    /// The template.
    pub(crate) fn of<'a>(&self, documents: &'a [Value]) -> &'a Value {
        documents.get(self.document).and_then(|document| document.pointer(&self.template)).unwrap_or(&Value::Null)
    }

    /// The template, to change it.
    pub(crate) fn of_mut<'a>(&self, documents: &'a mut [Value]) -> Option<&'a mut Value> {
        documents.get_mut(self.document)?.pointer_mut(&self.template)
    }
}

impl ContainerPath {
    /// The container in its pod's template.
    pub(crate) fn of<'a>(&self, template: &'a Value) -> &'a Value {
        let all = template.get("spec").and_then(|spec| spec.get(self.list)?.as_array());
        all.into_iter().flatten().find(|container| name_of(container) == self.name).unwrap_or(&Value::Null)
    }

    /// The same, to change it.
    pub(crate) fn of_mut<'a>(&self, template: &'a mut Value) -> Option<&'a mut serde_json::Map<String, Value>> {
        let all = template.get_mut("spec")?.get_mut(self.list)?.as_array_mut()?;
        all.iter_mut().find(|container| name_of(container) == self.name)?.as_object_mut()
    }
}

/// All pods of the documents, also those in lists.
pub(crate) fn pods(documents: &[Value]) -> Vec<PodPath> {
    let mut all = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        find(document, at, String::new(), &mut all);
    }
    all
}

fn find(object: &Value, document: usize, pointer: String, all: &mut Vec<PodPath>) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    if kind.ends_with("List") {
        for (at, item) in object.get("items").and_then(Value::as_array).into_iter().flatten().enumerate() {
            find(item, document, format!("{pointer}/items/{at}"), all);
        }
        return;
    }
    let Some(path) = template_of(object) else { return };
    let template = format!("{pointer}{path}");
    all.push(PodPath { document, template, owner: format!("{kind}/{}", text("/metadata/name")) });
}

/// The template of an object that has one, as a JSON pointer.
pub(crate) fn template_of(object: &Value) -> Option<&'static str> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let known = TEMPLATES.iter().find(|(known, _)| *known == text("/kind")).map(|(_, path)| *path);
    // Rollouts, DeploymentConfigs and others have their pod where a Deployment has it. A Knative Service allows no init container.
    let is_pod_of_other = || {
        let has_containers = object.pointer("/spec/template/spec/containers").is_some_and(Value::is_array);
        has_containers && !text("/apiVersion").starts_with("serving.knative.dev/")
    };
    let path = known.or_else(|| is_pod_of_other().then_some("/spec/template"))?;
    object.pointer(path)?.get("spec").map(|_| path)
}

/// The containers of a template that run as long as the pod: its containers and native sidecars.
pub(crate) fn containers(template: &Value) -> Vec<ContainerPath> {
    let mut all = Vec::new();
    for list in ["containers", "initContainers"] {
        let items = template.get("spec").and_then(|spec| spec.get(list)?.as_array());
        for container in items.into_iter().flatten() {
            let is_sidecar = container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
            if list == "containers" || is_sidecar {
                all.push(ContainerPath { list, name: name_of(container).to_owned() });
            }
        }
    }
    all
}

fn name_of(container: &Value) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a container is meant by `NAME`, `Kind/owner:NAME` or `Kind/owner`.
pub(crate) fn is_selected(selector: &str, owner: &str, container: &str) -> bool {
    match selector.split_once(':') {
        Some((chosen, name)) => same_owner(chosen, owner) && name == container,
        None if selector.contains('/') => same_owner(selector, owner),
        None => selector == container,
    }
}

/// `deployment/web` is also read.
fn same_owner(chosen: &str, owner: &str) -> bool {
    let (Some((kind, name)), Some((known, owner))) = (chosen.split_once('/'), owner.split_once('/')) else {
        return chosen == owner;
    };
    kind.eq_ignore_ascii_case(known) && name == owner
}

/// The kinds that documents contain, for a message.
pub(crate) fn kinds(documents: &[Value]) -> String {
    let kinds: Vec<&str> = documents.iter().filter_map(|document| document.get("kind")?.as_str()).collect();
    if kinds.is_empty() { "documents without a kind".to_owned() } else { kinds.join(", ") }
}

/// The kinds of Kubernetes that contain a Pod's template, and its path.
const TEMPLATES: &[(&str, &str)] = &[
    ("Pod", ""),
    ("PodTemplate", "/template"),
    ("ReplicationController", "/spec/template"),
    ("Deployment", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("ReplicaSet", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
];
