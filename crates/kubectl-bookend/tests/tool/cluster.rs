//! Live objects: kubectl is a script here, which shows what it was asked.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use bookend_test_support::Folder;

use crate::{documents, shown};

const LIVE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    deployment.kubernetes.io/revision: \"3\"
    kubectl.kubernetes.io/last-applied-configuration: |
      {\"kind\":\"Deployment\"}
  creationTimestamp: \"2026-01-01T00:00:00Z\"
  generation: 3
  name: web
  namespace: shop
  resourceVersion: \"12\"
  uid: 0-1
spec:
  template:
    metadata:
      creationTimestamp: null
    spec:
      containers:
      - command:
        - /web
        name: web
status:
  replicas: 1
";

/// The tool with a kubectl that prints this, and what kubectl was called with.
fn with_kubectl(text: &str, args: &[&str]) -> (i32, String, String, String) {
    let folder = Folder::new();
    folder.write("answer", text);
    let script = format!("#!/bin/sh\necho \"$@\" >>{0}/asked\ncat {0}/answer\n", folder.shown());
    let kubectl = folder.write("kubectl", &script);
    std::fs::set_permissions(&kubectl, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-bookend"));
    let (code, out, errors) = shown(&command.args(args).env("KUBECTL", &kubectl).output().unwrap());
    (code, out, errors, folder.read("asked"))
}

#[test]
fn a_live_object_is_read_through_kubectl_and_cleaned() {
    let args = ["inject", "deployment/web", "-n", "shop", "--context", "test"];
    let (code, out, errors, asked) = with_kubectl(LIVE, &args);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(asked, "--namespace=shop --context=test get deployment/web --output yaml\n");
    let object = documents(&out).remove(0);
    assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["command"][0], "/bookend/bookend");
    for gone in
        ["/status", "/metadata/resourceVersion", "/metadata/uid", "/metadata/annotations", "/metadata/generation"]
    {
        assert_eq!(object.pointer(gone), None, "{gone}");
    }
    assert_eq!(object["metadata"]["name"], "web");
}

#[test]
fn a_pod_of_a_deployment_is_refused_with_its_owner() {
    let pod = "kind: Pod\nmetadata: {name: web-1, ownerReferences: [{kind: ReplicaSet, name: web-7}]}\nspec: {containers: [{name: a}]}\n";
    let (code, _, errors, _) = with_kubectl(pod, &["inject", "pod/web-1"]);
    assert_eq!((code, errors.as_str()), (2, "kubectl-bookend: pod/web-1 belongs to ReplicaSet/web-7: change that\n"));
}

#[test]
fn without_kubectl_the_error_names_what_helps() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-bookend"));
    let output = command.args(["inject", "deployment/web"]).env("KUBECTL", "/there/is/no/kubectl").output().unwrap();
    let (code, _, errors) = shown(&output);
    assert_eq!(code, 2);
    assert!(errors.contains("cannot run /there/is/no/kubectl") && errors.contains("install kubectl"), "{errors}");
}
