//! `kubectl bookend doctor` and `check` over files and over objects of the cluster. kubectl is a script, for its arguments alone.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bookend_test_support::output_with_input;
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_kubectl-bookend");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tool(args: &[&str], input: &str) -> Output {
    output_with_input(Command::new(TOOL).current_dir(root()).args(args), input)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn our_own_manifests_with_bookend_have_no_finding() {
    let mut examined = 0;
    for entry in std::fs::read_dir(root().join("config/kubernetes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let check = tool(&["check", "-f", path.to_str().unwrap()], "");
        let doctor = tool(&["doctor", "-f", path.to_str().unwrap(), "--json"], "");
        let json: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        // A configuration in the image is not examined.
        let is_complete = json.get("notExamined").unwrap().as_array().unwrap().is_empty();
        assert_eq!(check.status.code(), Some(if is_complete { 0 } else { 2 }), "{}", text(&check));
        assert_eq!(json.get("findings").unwrap().as_array().unwrap().len(), 0, "{}: {json:#}", path.display());
        examined += 1;
    }
    assert!(examined >= 6, "{examined}");
}

#[test]
fn a_server_without_bookend_is_examined_and_not_checked() {
    let manifest = "kind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}}}\n";
    let doctor = tool(&["doctor", "-f", "-"], manifest);
    assert_eq!(doctor.status.code(), Some(1), "{}", text(&doctor));
    for part in [
        "no-pre-stop: ",
        "    at   stdin:3: Deployment/web: spec.template.spec.containers[web].lifecycle.preStop\n",
        "1 container: 2 findings, 0 notes\n",
    ] {
        assert!(text(&doctor).contains(part), "{part}: {}", text(&doctor));
    }
    let check = tool(&["check", "-f", "-"], manifest);
    assert_eq!(check.status.code(), Some(1));
    assert!(text(&check).contains("nothing in these objects shows bookend"), "{}", text(&check));
}

#[test]
fn check_shows_the_sources_the_budget_and_the_values() {
    let file = "config/kubernetes/deployment.yaml";
    let shown = text(&tool(&["check", "-f", file], ""));
    for part in ["from ConfigMap shop-bookend, bookend.toml\n", "preStop", "60", "0 findings"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("quietSeconds"), "{shown}");
    assert!(text(&tool(&["check", "--values", "-f", file], "")).contains("quietSeconds"), "{shown}");
    let json: Value = serde_json::from_slice(&tool(&["check", "--json", "-f", file], "").stdout).unwrap();
    assert!(json.pointer("/configurations/0/check/budget").is_some(), "{json:#}");
}

#[test]
fn wrong_input_is_an_error_with_a_reason() {
    for (input, expected) in [
        ("kind: Service\n", "no Pod and no workload that has one, only Service"),
        ("a: b: c\n", "stdin is not valid YAML"),
        ("", "nothing to examine"),
    ] {
        let output = tool(&["doctor", "-f", "-"], input);
        assert!(output.status.code() == Some(2) && text(&output).contains(expected), "{input:?}: {}", text(&output));
    }
    assert_eq!(tool(&["doctor"], "").status.code(), Some(2), "neither a file nor an object");
    let evil = "kind: Pod\nmetadata: {name: \"a\\e[2J\"}\nspec: {containers: [{name: \"b\\u202e\", image: x, ports: [{containerPort: 80}]}]}\n";
    let shown = text(&tool(&["doctor", "-f", "-"], evil));
    assert!(shown.contains("Pod/a\u{fffd}[2J") && !shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
}

#[test]
fn objects_and_their_config_maps_come_from_kubectl() {
    let folder = std::env::temp_dir().join(format!("kubectl-bookend-doctor-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Each document of the manifest as kubectl would print it.
    let manifest = std::fs::read_to_string(root().join("config/kubernetes/deployment.yaml")).unwrap();
    let documents: Vec<&str> = manifest.split("\n---\n").collect();
    for (name, document) in ["configmap", "deployment"].into_iter().zip(&documents) {
        std::fs::write(folder.join(name), document).unwrap();
    }
    let script = format!(
        "#!/bin/sh\ncd {folder:?}\necho \"$@\" >> args\ncase \"$*\" in *configmap*) cat configmap;; *) cat deployment;; esac\n"
    );
    let kubectl = folder.join("kubectl");
    std::fs::write(&kubectl, script).unwrap();
    std::fs::set_permissions(&kubectl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(TOOL);
    let output = command.args(["check", "-n", "shop", "deployment/shop"]).env("KUBECTL", &kubectl).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let args = std::fs::read_to_string(folder.join("args")).unwrap();
    assert_eq!(
        args,
        "--namespace=shop get --output=json -- deployment/shop\n--namespace=shop get configmap --output=json -- shop-bookend\n"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
