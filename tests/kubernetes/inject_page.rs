//! docs/inject.md: the Pods that it shows are what the policies make of them, its kustomization sets the image, and its tables
//! name the defaults and annotations that there are.

use bookend_test_support::Folder;
use kubectl_bookend::kit::{KEYS, PREFIX};
use serde_json::json;

use super::inject::{admit, kit};
use super::*;

const PAGE: &str = include_str!("../../docs/inject.md");

fn block(number: usize) -> &'static str {
    PAGE.split("```yaml\n").nth(number + 1).unwrap().split("```").next().unwrap()
}

#[test]
fn the_changed_pods_on_the_page_are_the_policies_own() {
    if !ready("the_changed_pods_on_the_page_are_the_policies_own") {
        return;
    }
    for (before, after) in [(0, 1), (2, 3)] {
        let (before, after) = (documents(block(before)).remove(0), documents(block(after)).remove(0));
        let result = admit(&kit("wrap.yaml"), &[json!({ "object": before })]).remove(0);
        assert_eq!(result["errors"], json!([]));
        assert_eq!((&result["refused"], &result["warned"]), (&json!([]), &json!([])));
        let mut pod = result["object"].clone();
        // The API server's default.
        if after["spec"].get("terminationGracePeriodSeconds").is_none() {
            pod["spec"].as_object_mut().unwrap().remove("terminationGracePeriodSeconds");
        }
        assert_eq!(pod, after, "{}", serde_saphyr::to_string(&pod).unwrap());
    }
    // The Pod with its own TOML.
    let mut own = documents(block(4)).remove(0);
    own["apiVersion"] = "v1".into();
    own["kind"] = "Pod".into();
    let result = admit(&kit("wrap.yaml"), &[json!({ "object": own })]).remove(0);
    let hook = &result["object"]["spec"]["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"];
    assert_eq!(*hook, "/lifecycle/web/preStop", "{result}");
}

#[test]
fn the_kustomization_on_the_page_sets_the_image() {
    if !ready("the_kustomization_on_the_page_sets_the_image") {
        return;
    }
    let folder = Folder::new();
    folder.write("kustomization.yaml", block(5));
    std::os::unix::fs::symlink(root().join("config/kubernetes/inject"), folder.path("inject")).unwrap();
    let output = tool("kubectl", &[Path::new("kustomize"), &folder.path(".")]);
    assert!(output.status.success(), "{}", shown(&output));
    let rendered = documents(&String::from_utf8_lossy(&output.stdout));
    let policies: Vec<&Value> = rendered.iter().filter(|one| one["kind"] == "MutatingAdmissionPolicy").collect();
    assert_eq!((rendered.len(), policies.len()), (14, 2));
    for policy in policies {
        let image = &policy["spec"]["variables"][0];
        assert_eq!(*image, json!({ "name": "image", "expression": "'registry.example/bookend:0.1.0'" }));
    }
}

#[test]
fn the_page_names_each_annotation_and_each_default() {
    for key in KEYS {
        assert!(PAGE.contains(&format!("{PREFIX}{key}")), "{key}");
    }
    let text = fs::read_to_string(root().join("config/kubernetes/inject/sidecar.yaml")).unwrap();
    let policy = documents(&text).remove(0);
    let defaults = policy["spec"]["variables"][1]["expression"].as_str().unwrap();
    for name in defaults.split('\'').skip(1).step_by(4) {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
}
