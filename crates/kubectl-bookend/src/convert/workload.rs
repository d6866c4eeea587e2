//! Finds the document with the pod, and the container in it.

use serde_json::Value;

use super::error::ImportError;

/// The path of one container in a list of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerPath {
    /// Which document.
    pub(super) document: usize,
    /// The Pod's spec in it: a JSON pointer (RFC 6901).
    pub(super) pod: &'static str,
    /// Which container.
    pub(super) container: usize,
}

impl ContainerPath {
    /// The Pod's spec.
    pub(super) fn pod<'a>(&self, documents: &'a [Value]) -> Option<&'a Value> {
        documents.get(self.document)?.pointer(self.pod)
    }

    /// The container.
    pub(super) fn container<'a>(&self, documents: &'a [Value]) -> Option<&'a Value> {
        self.pod(documents)?.get("containers")?.get(self.container)
    }
}

/// Finds the container of this name, or the only one.
pub(super) fn find(documents: &[Value], name: Option<&str>) -> Result<ContainerPath, ImportError> {
    let all = candidates(documents);
    if all.is_empty() {
        let kinds: Vec<&str> = documents.iter().filter_map(|document| document.get("kind")?.as_str()).collect();
        let found = if kinds.is_empty() { "documents without a kind".to_owned() } else { kinds.join(", ") };
        return Err(ImportError::NoWorkload { found });
    }
    let list = || all.iter().map(|(label, ..)| label.as_str()).collect::<Vec<_>>().join(", ");
    let mut matching = all.iter().filter(|(_, known, _)| name.is_none_or(|name| name == *known));
    match (matching.next(), matching.next()) {
        (Some((.., path)), None) => Ok(path.clone()),
        (None, _) => {
            Err(ImportError::NoSuchContainer { name: name.unwrap_or_default().to_owned(), candidates: list() })
        }
        (Some(_), Some(_)) => Err(ImportError::Ambiguous { candidates: list() }),
    }
}

/// Every container: `web (Deployment/shop)`, its name, its path.
fn candidates(documents: &[Value]) -> Vec<(String, &str, ContainerPath)> {
    let mut all = Vec::new();
    for (document, value) in documents.iter().enumerate() {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let Some((_, pod)) = PODS.iter().find(|(known, _)| *known == kind) else { continue };
        let owner = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let containers = value.pointer(pod).and_then(|pod| pod.get("containers")?.as_array());
        for (container, value) in containers.into_iter().flatten().enumerate() {
            let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
            all.push((format!("{name} ({kind}/{owner})"), name, ContainerPath { document, pod, container }));
        }
    }
    all
}

/// The kinds that contain a Pod's spec, and its path.
const PODS: &[(&str, &str)] = &[
    ("Pod", "/spec"),
    ("Deployment", "/spec/template/spec"),
    ("StatefulSet", "/spec/template/spec"),
    ("DaemonSet", "/spec/template/spec"),
    ("ReplicaSet", "/spec/template/spec"),
    ("Job", "/spec/template/spec"),
    ("CronJob", "/spec/jobTemplate/spec/template/spec"),
];
