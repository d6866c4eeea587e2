//! `kubectl bookend status` with real bookends. kubectl is a script: it prints the pods, and runs what follows `--` beside the bookend
//! whose container is named.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use bookend_test_support::{Folder, Init, bookend, wait_for_socket};
use serde_json::{Value, json};

const TOOL: &str = env!("CARGO_BIN_EXE_kubectl-bookend");

/// A folder with kubectl and its pods; `exec` is what `kubectl exec` runs, with the container's name as `$name`.
fn kubectl(pods: &Value, exec: &str) -> Folder {
    let folder = Folder::new();
    folder.write("pods.json", &json!({ "kind": "List", "items": pods }).to_string());
    let script = format!(
        "#!/bin/sh\ncd {:?}\necho \"$@\" >> args\nfor word in \"$@\"; do case $word in\n\
         get) exec cat pods.json;;\n--container=*) name=${{word#--container=}};;\nesac; done\n\
         while [ \"$1\" != -- ]; do shift; done; shift\n{exec}\n",
        folder.shown()
    );
    let path = folder.write("kubectl", &script);
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

fn status(folder: &Folder, args: &[&str]) -> Output {
    Command::new(TOOL).arg("status").args(args).env("KUBECTL", folder.path("kubectl")).output().unwrap()
}

/// A pod whose containers run.
fn pod(containers: &[Value]) -> Value {
    let names = containers.iter().map(|container| container.get("name").cloned().unwrap());
    let statuses: Vec<Value> = names.map(|name| json!({ "name": name, "state": { "running": {} } })).collect();
    json!([{
        "kind": "Pod",
        "metadata": { "name": "web-1", "namespace": "shop" },
        "spec": { "containers": containers },
        "status": { "containerStatuses": statuses },
    }])
}

#[test]
fn each_container_is_shown_as_bookend_status_shows_it() {
    let init = Init::configured(
        "lifecycle.postStart = { name = \"greet\", exec.command = [\"true\"] }",
        &["--", "sh", "-c", "echo up; exec sleep 1000"],
    );
    init.wait_for_out("up");
    let socket = init.folder.path("bookend.sock");
    wait_for_socket(&socket);
    let path = bookend();
    let path = path.to_str().unwrap();
    let containers = [
        json!({ "name": "web", "command": [path, "--", "nginx"] }),
        json!({ "name": "proxy", "command": ["envoy"] }),
        json!({ "name": "own" }),
    ];
    let exec = format!(
        "case $name in web) export BOOKEND_SOCKET={socket:?};; *) echo 'exec: \"/bookend\": stat /bookend: no such file or directory' >&2; exit 126;; esac\nexec \"$@\""
    );
    let folder = kubectl(&pod(&containers), &exec);
    let output = status(&folder, &["web-1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let shown = [
        "--- shop/web-1 web\nbookend   ",
        "postStart greet  Succeeded",
        "--- shop/web-1 proxy\nwithout bookend: its command is envoy\n",
    ];
    for part in shown
        .into_iter()
        .chain(["--- shop/web-1 own\nwithout bookend: its image has no /bookend; --path names another place\n"])
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let args = folder.read("args");
    let first: Vec<_> = args.lines().collect();
    assert!(first.contains(&"get pods --output=json -- web-1"), "{args}");
    assert!(
        first.contains(&format!("--namespace=shop exec web-1 --container=web -- {path} status").as_str()),
        "{args}"
    );
    let output = status(&folder, &["--json", "-c", "web"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json.pointer("/containers/0/result"), Some(&json!("Answered")), "{json}");
    assert_eq!(json.pointer("/containers/0/status/phase"), Some(&json!("Running")), "{json}");
    assert_eq!(json.pointer("/containers/1"), None, "{json}");
}

#[test]
fn a_container_that_hangs_or_fails_delays_no_other() {
    let containers: Vec<Value> =
        (0..12).map(|n| json!({ "name": format!("c{n}"), "command": ["/bookend", "--", "x"] })).collect();
    let exec = "case $name in c0) exec sleep 1000;; c1) printf 'a\\033[2Jb\\n' >&2; exit 1;; c2) yes | head -c 3000000;; *) printf 'phase \\033[31mRunning\\n';; esac";
    let folder = kubectl(&pod(&containers), exec);
    let output = status(&folder, &["--timeout-seconds", "5"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--- shop/web-1 c0\nno answer: not within 5 s\n"), "{text}");
    assert!(text.contains("--- shop/web-1 c1\nno answer: a\u{fffd}[2Jb\n"), "{text}");
    assert!(text.contains("--- shop/web-1 c2\nno answer: it is longer than 1000 kB\n"), "{text}");
    assert!(text.contains("--- shop/web-1 c11\nphase \u{fffd}[31mRunning\n") && !text.contains('\u{1b}'), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 containers did not answer"), "{:?}", output.stderr);
}

#[test]
fn without_pods_the_exit_code_is_one() {
    let folder = kubectl(&json!([]), "exit 9");
    let output = status(&folder, &["-l", "app=web"]);
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).trim()),
        (Some(1), "kubectl-bookend: no such pods")
    );
    let folder = kubectl(&pod(&[json!({ "name": "web" })]), "exit 9");
    assert_eq!(status(&folder, &["-c", "other"]).status.code(), Some(1));
    assert!(!folder.read("args").contains("exec"));
}
