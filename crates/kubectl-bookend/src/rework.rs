//! Manifests from their sources, changed pod by pod, and written with every other line as it was. `import`, `inject` and `uninject`
//! share it.

use std::path::Path;

use serde_json::Value;

use crate::kubectl::ClusterArgs;
use crate::manifests::{self, ManifestFile};
use crate::outcome::Failure;
use crate::workload::{ContainerPath, PodPath, containers, is_selected, kinds, pods};
use crate::yaml::{self, Node};

/// Messages beside the result, each line with the container that it is about.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    pub(crate) notes: Vec<String>,
    /// Containers and pods that stay as they are.
    pub(crate) refused: Vec<String>,
    /// Pods that were looked at.
    pub(crate) pods: usize,
}

/// Files, folders, `-`, and live objects such as `deployment/web`.
pub(crate) fn sources(names: &[String], cluster: &ClusterArgs) -> Result<Vec<ManifestFile>, Failure> {
    let mut all = Vec::new();
    for name in names {
        let path = Path::new(name);
        if is_object(name) && !path.exists() {
            let text = cluster.kubectl(&["get", name, "--output", "yaml"])?;
            all.push(live(name, &text)?);
        } else {
            all.extend(manifests::read(&[path.to_owned()])?);
        }
    }
    Ok(all)
}

/// The object without what the API server has added to it.
fn live(name: &str, text: &str) -> Result<ManifestFile, Failure> {
    let mut documents = values(name, text)?;
    for document in &mut documents {
        let owner = document.pointer("/metadata/ownerReferences/0").cloned().unwrap_or_default();
        let of = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !owner.is_null() {
            return Err(Failure::usage(format!("{name} belongs to {}/{}: change that", of("kind"), of("name"))));
        }
        let Some(fields) = document.as_object_mut() else { continue };
        fields.shift_remove("status");
        let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        for key in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"] {
            metadata.shift_remove(key);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            annotations.shift_remove("deployment.kubernetes.io/revision");
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    let text = rewritten(name, text, &documents)?.0;
    Ok(ManifestFile { path: name.into(), text })
}

/// `deployment/web`, `sts/db`, `rollout.argoproj.io/web`
fn is_object(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_alphanumeric())
            && word.chars().all(|char| char.is_ascii_alphanumeric() || ['-', '.'].contains(&char))
    };
    let is_file = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    !is_file && name.split_once('/').is_some_and(|(kind, object)| is_word(kind) && is_word(object))
}

/// The text with each pod changed. `change` gets the pod's place and its template.
pub(crate) fn rework(
    file: &ManifestFile,
    report: &mut Messages,
    change: &mut dyn FnMut(&PodPath, &mut Value, &mut Messages) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let name = file.path.display().to_string();
    let mut documents = values(&name, &file.text)?;
    for path in pods(&documents) {
        report.pods += 1;
        if let Some(template) = path.of_mut(&mut documents) {
            change(&path, template, report)?;
        }
    }
    let (text, anew) = rewritten(&name, &file.text, &documents)?;
    for number in anew {
        report.notes.push(format!(
            "{name}: document {} was written anew, without its comments: its lines could not be changed one by one",
            number + 1
        ));
    }
    Ok(text)
}

fn rewritten(name: &str, text: &str, documents: &[Value]) -> Result<(String, Vec<usize>), Failure> {
    let rewritten = yaml::rewrite(text, documents).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    Ok((rewritten.text, rewritten.anew))
}

/// The documents, lists as they are.
pub(crate) fn values(name: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let template = || {
        Failure::usage(format!(
            "{name} is a template of Helm: render it first, as in `helm template RELEASE CHART | kubectl bookend inject -`"
        ))
    };
    let nodes = yaml::parse(text).map_err(|error| match text.contains("{{") {
        true => template(),
        false => Failure::usage(format!("{name} is not valid YAML: {error}")),
    })?;
    let documents: Vec<Value> = nodes.iter().map(Node::value).collect();
    let has_braces = nodes.iter().any(|node| node.has_template_braces(text));
    let is_template = |path: &PodPath| has_template_text(path.of(&documents));
    if has_braces || pods(&documents).iter().any(is_template) {
        return Err(template());
    }
    Ok(documents)
}

/// `name: "{{ .Release.Name }}"` is valid YAML.
fn has_template_text(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let marks = [".Values", ".Release", ".Chart", "include ", "template "];
            text.split_once("{{").is_some_and(|(_, inner)| marks.iter().any(|mark| inner.contains(mark)))
        }
        Value::Array(items) => items.iter().any(has_template_text),
        Value::Object(fields) => fields.values().any(has_template_text),
        _ => false,
    }
}

/// The containers of a pod that are meant: those of the selectors, or all but native sidecars.
pub(crate) fn chosen(path: &PodPath, template: &Value, selectors: &[String]) -> Vec<ContainerPath> {
    let mut all = containers(template);
    all.retain(|container| match selectors.is_empty() {
        true => container.list == "containers",
        false => selectors.iter().any(|selector| is_selected(selector, &path.owner, &container.name)),
    });
    all
}

/// Every container of the texts, for a message: `Deployment/web:app`.
pub(crate) fn candidates(documents: &[Value]) -> Vec<(PodPath, ContainerPath)> {
    let of_pod = |path: PodPath| {
        let all = containers(path.of(documents));
        all.into_iter().map(move |container| (path.clone(), container))
    };
    pods(documents).into_iter().flat_map(of_pod).collect()
}

/// Why there is nothing to do.
pub(crate) fn no_workload(name: &str, documents: &[Value]) -> Failure {
    let found = kinds(documents);
    Failure::usage(format!("{name} contains no Pod and no kind that has one, such as a Deployment, only {found}"))
}
