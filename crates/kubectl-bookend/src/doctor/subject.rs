//! The containers in manifests, each with its pod and its owner. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::workload::template_of;

/// A container, and everything above it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The file, or the words that name an object of the cluster.
    pub(crate) file: &'a str,
    /// The whole object.
    pub(crate) owner: &'a Value,
    /// The pod's template in it: a JSON pointer.
    pub(crate) template: &'static str,
    /// The pod's metadata.
    pub(crate) metadata: &'a Value,
    /// The pod's spec.
    pub(crate) pod: &'a Value,
    /// `containers` or `initContainers`.
    pub(crate) list: &'static str,
    pub(crate) container: &'a Value,
}

/// ConfigMaps by namespace and name.
pub(crate) type ConfigMaps = BTreeMap<(String, String), Map<String, Value>>;

impl<'a> Subject<'a> {
    /// The containers and native sidecars of a document; none if it contains no pod.
    pub(crate) fn all(file: &'a str, owner: &'a Value) -> Vec<Subject<'a>> {
        let Some(template) = template_of(owner) else { return Vec::new() };
        let of_template = |field: &str| owner.pointer(&format!("{template}/{field}")).unwrap_or(&Value::Null);
        let (metadata, pod) = (of_template("metadata"), of_template("spec"));
        let of = |list: &'static str| {
            let containers = pod.get(list).and_then(Value::as_array).into_iter().flatten();
            containers.filter(|container| container.is_object()).map(move |container| Subject {
                file,
                owner,
                template,
                metadata,
                pod,
                list,
                container,
            })
        };
        of("initContainers")
            .filter(|init| init.text("restartPolicy") == Some("Always"))
            .chain(of("containers"))
            .collect()
    }

    /// `Deployment/web`
    pub(crate) fn object(&self) -> String {
        let text = |pointer: &str| self.owner.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name =
            if text("/metadata/name").is_empty() { text("/metadata/generateName") } else { text("/metadata/name") };
        format!("{}/{name}", text("/kind"))
    }

    pub(crate) fn kind(&self) -> &str {
        self.owner.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// The namespace of the object; empty if it has none.
    pub(crate) fn namespace(&self) -> &str {
        self.owner.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// A field of the container, by its JSON pointer without the first slash.
    pub(crate) fn get(&self, pointer: &str) -> Option<&'a Value> {
        self.container.pointer(&format!("/{pointer}")).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.get(pointer)?.as_str()
    }

    /// The items of a list in the container.
    pub(crate) fn items(&self, field: &str) -> impl Iterator<Item = &'a Value> {
        self.get(field).and_then(Value::as_array).into_iter().flatten()
    }

    /// The grace period of the pod, in seconds.
    pub(crate) fn grace(&self) -> f64 {
        self.pod.get("terminationGracePeriodSeconds").and_then(Value::as_f64).unwrap_or(DEFAULT_GRACE)
    }

    /// The full path of a field: below the pod if it begins with `pod.`, of the object with `object.`, else of the container.
    pub(crate) fn field(&self, field: &str) -> String {
        if let Some(field) = field.strip_prefix("object.") {
            return field.to_owned();
        }
        let pod = format!("{}/spec", self.template).trim_start_matches('/').replace('/', ".");
        if let Some(field) = field.strip_prefix("pod.") {
            return format!("{pod}.{field}");
        }
        let end = if field.is_empty() { String::new() } else { format!(".{field}") };
        format!("{pod}.{}[{}]{end}", self.list, self.name())
    }

    /// Whether clients connect to it, as far as the spec shows: it has a port, or a readiness probe over the network.
    pub(crate) fn serves(&self) -> bool {
        let probe =
            ["httpGet", "tcpSocket", "grpc"].iter().any(|kind| self.get(&format!("readinessProbe/{kind}")).is_some());
        !matches!(self.kind(), "Job" | "CronJob") && (probe || self.items("ports").next().is_some())
    }

    /// The number of a port, or of a port's name in any container of the pod.
    pub(crate) fn port(&self, port: &Value) -> Option<u16> {
        if let Some(number) = port.as_u64() {
            return u16::try_from(number).ok();
        }
        let name = port.as_str()?;
        let named = self.items("ports").find(|known| known.get("name").and_then(Value::as_str) == Some(name));
        named.and_then(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok()).or_else(|| name.parse().ok())
    }
}

/// The ConfigMaps among the documents.
pub(crate) fn config_maps<'a>(documents: impl Iterator<Item = &'a Value>) -> ConfigMaps {
    let maps = documents.filter(|document| document.get("kind").and_then(Value::as_str) == Some("ConfigMap"));
    maps.map(|map| {
        let text = |pointer: &str| map.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let data = map.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        ((text("/metadata/namespace"), text("/metadata/name")), data)
    })
    .collect()
}

/// Kubernetes' default.
const DEFAULT_GRACE: f64 = 30.0;
