//! The files under `config/compose/`: the Compose specification accepts them, and each mounts a configuration whose
//! budget is the service's. tests/containers runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{bookend, documents, ready, root, shown, tool};

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("config/compose")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn every_compose_file_is_valid() {
    if !ready("every_compose_file_is_valid") {
        return;
    }
    for file in files() {
        let output = tool("compose-validate", &[&file]);
        assert!(output.status.success(), "{}: {}", file.display(), shown(&output));
    }
    let folder = bookend_test_support::Folder::new();
    let wrong = folder.write("compose.yaml", "services: { app: { image: x, pre_stopp: [] } }");
    assert!(!tool("compose-validate", &[&wrong]).status.success(), "it looks at the keys");
}

#[test]
fn compose_configurations_fit_the_services_budget() {
    for file in files() {
        let config = file.with_extension("toml");
        let text = fs::read_to_string(&config).unwrap();
        let mut command = Command::new(bookend());
        command.arg("check").arg(&config).args(crate::mode_of(&text)).env_remove("BOOKEND_BIN");
        let output = command.output().unwrap();
        let reported = shown(&output);
        assert!(output.status.success() && !reported.contains("warning:"), "{}: {reported}", config.display());
        let table: toml::Table = toml::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
        let grace = table["terminationGracePeriodSeconds"].as_integer().unwrap();
        let documents = documents(&fs::read_to_string(&file).unwrap());
        let mounted = config.file_name().unwrap().to_str().unwrap();
        let mut services = documents[0]["services"].as_object().unwrap().values();
        let bookends = services.find(|service| service["volumes"].to_string().contains(mounted)).unwrap();
        assert_eq!(bookends["stop_grace_period"], format!("{grace}s"), "{}", file.display());
        is_confined(&documents[0], &file);
    }
}

/// The services have the same limits as the pods: only volumes are writable, and there is no capability.
fn is_confined(document: &Value, file: &Path) {
    for (name, service) in document["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{}: {name}", file.display());
        assert_eq!(service["cap_drop"][0], "ALL", "{}: {name}", file.display());
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{}: {name}", file.display());
    }
}
