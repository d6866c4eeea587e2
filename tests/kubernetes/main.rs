//! The manifests under `config/kubernetes/`, and the files for Compose and Podman: the API server accepts them, and bookend
//! accepts their configurations. tests/containers runs them. `scripts/kube-tools` installs the schema validator and kubectl; no
//! cluster is needed. If they are missing, a test prints `NOT RUN`; with `CI` set that is a failure.
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them; they are not PID 1")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

mod compose;
mod documents;
mod inject;
mod inject_page;
mod injected;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bookend() -> PathBuf {
    std::env::var_os("BOOKEND_BIN").map_or_else(|| env!("CARGO_BIN_EXE_bookend").into(), PathBuf::from)
}

/// Whether validator and kubectl are installed.
fn ready(test: &str) -> bool {
    static TOOLS: OnceLock<Result<(), String>> = OnceLock::new();
    let tools = TOOLS.get_or_init(|| match Command::new(root().join("scripts/kube-tools")).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(shown(&output)),
        Err(error) => Err(error.to_string()),
    });
    let Err(reason) = tools else { return true };
    let in_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!in_ci, "NOT RUN: {test}: scripts/kube-tools failed: {reason}");
    // The message goes directly to stderr, because libtest hides what a passing test prints.
    use std::io::Write;
    writeln!(std::io::stderr(), "NOT RUN: {test}: scripts/kube-tools failed: {reason}").ok();
    false
}

fn tool(name: &str, args: &[&Path]) -> Output {
    Command::new(root().join("target/kube-tools").join(name)).args(args).output().unwrap()
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every manifest.
fn manifests() -> Vec<PathBuf> {
    let folders = [root().join("config/kubernetes"), root().join("config/podman")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn validate(text: &str) {
    validate_for(&["1.29.0", "1.36.0"], text);
}

/// The API server of each version accepts all documents of the text.
fn validate_for(versions: &[&str], text: &str) {
    let folder = bookend_test_support::Folder::new();
    let file = folder.write("manifest.yaml", text);
    for version in versions {
        let args = [Path::new("-k"), Path::new(version), Path::new("--strict"), &file];
        let output = tool("kubernetes-validate", &args);
        assert!(output.status.success(), "Kubernetes {version}: {}\n{text}", shown(&output));
    }
}

/// The specs of the pods in these documents.
fn pods(documents: &[Value]) -> Vec<&Value> {
    documents
        .iter()
        .filter_map(|document| match document["kind"].as_str() {
            Some("Pod") => Some(&document["spec"]),
            Some("Deployment" | "Job") => Some(&document["spec"]["template"]["spec"]),
            _ => None,
        })
        .collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().flat_map(|list| pod[list].as_array().into_iter().flatten())
}

#[test]
fn every_manifest_is_valid() {
    if !ready("every_manifest_is_valid") {
        return;
    }
    for path in manifests() {
        validate(&fs::read_to_string(path).unwrap());
    }
}

#[test]
fn manifest_configurations_fit_the_pods_budget() {
    for path in manifests() {
        let text = fs::read_to_string(&path).unwrap();
        configuration_fits(&documents(&text), &path.display().to_string());
    }
}

/// `bookend check` accepts it without a warning, and the kubelet and bookend count the same seconds.
fn configuration_fits(documents: &[Value], what: &str) {
    for config in configurations(documents) {
        let folder = bookend_test_support::Folder::new();
        let file = folder.write("bookend.toml", config);
        let mut command = Command::new(bookend());
        command.arg("check").arg(&file).args(mode_of(config)).env_remove("BOOKEND_BIN");
        let output = command.output().unwrap();
        let reported = shown(&output);
        assert!(output.status.success(), "{what}: {reported}");
        assert!(!reported.contains("warning:"), "{what}: {reported}");
        let table: toml::Table = toml::from_str(config).unwrap();
        let grace = table["terminationGracePeriodSeconds"].as_integer();
        for pod in pods(documents) {
            assert_eq!(pod["terminationGracePeriodSeconds"].as_i64(), grace, "{what}");
        }
    }
}

/// `--sidecar` for the configuration of a sidecar.
fn mode_of(config: &str) -> Option<&'static str> {
    let table: toml::Table = toml::from_str(config).unwrap();
    let process = table.get("app").and_then(|app| app.get("process"));
    (table.contains_key("containers") || process.is_some()).then_some("--sidecar")
}

/// The bookend.toml of its ConfigMaps.
fn configurations(documents: &[Value]) -> Vec<&str> {
    let maps = documents.iter().filter_map(|document| document["data"]["bookend.toml"].as_str());
    // Of `kubectl bookend inject` and `import`.
    let templates =
        documents.iter().filter_map(|document| document.pointer("/spec/template/metadata/annotations")?.as_object());
    let notes = templates.flatten().filter(|(name, _)| name.starts_with("bookend-config/"));
    maps.chain(notes.filter_map(|(_, text)| text.as_str())).collect()
}

#[test]
fn no_manifest_needs_root_or_a_writable_root() {
    for path in manifests() {
        let text = fs::read_to_string(path).unwrap();
        let documents = documents(&text);
        for pod in pods(&documents) {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{text}");
            for container in containers(pod) {
                let context = &container["securityContext"];
                let name = &container["name"];
                assert_eq!(context["readOnlyRootFilesystem"], true, "{name}: {text}");
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}: {text}");
                assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}: {text}");
            }
        }
    }
}

#[test]
fn a_failed_start_is_shown_by_kubectl_describe() {
    for path in manifests() {
        for pod in pods(&documents(&fs::read_to_string(&path).unwrap())) {
            for container in containers(pod) {
                let policy = &container["terminationMessagePolicy"];
                assert_eq!(policy, "FallbackToLogsOnError", "{}: {}", path.display(), container["name"]);
            }
        }
    }
}

#[test]
fn an_imported_manifest_is_valid() {
    if !ready("an_imported_manifest_is_valid") {
        return;
    }
    let imported = kubectl_bookend::import(LEGACY, None).unwrap();
    validate(&imported.manifest);
    let documents = documents(&imported.manifest);
    assert_eq!(configurations(&documents), [imported.config]);
    configuration_fits(&documents, "imported");
}

/// A Deployment without bookend.
const LEGACY: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: legacy }
spec:
  selector: { matchLabels: { app: legacy } }
  template:
    metadata: { labels: { app: legacy } }
    spec:
      terminationGracePeriodSeconds: 45
      containers:
        - name: app
          image: registry.example/legacy:3.2
          command: ["/opt/legacy/bin/server", "--listen", "8080"]
          ports: [{ name: http, containerPort: 8080 }]
"#;
