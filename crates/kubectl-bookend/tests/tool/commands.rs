//! Containers without a `command`: where the words come from, and that no hook points to a listener that is not there.

use bookend_test_support::Folder;
use serde_json::json;

use crate::{documents, fed, injected};

const NGINX: &str = include_str!("../golden/lifecycle.yaml");

fn pod(fields: &str) -> String {
    format!(
        "kind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: a\n    image: registry.example/a:1\n{fields}"
    )
}

#[test]
fn without_a_command_hooks_stay_and_the_exit_code_is_1() {
    for fields in ["", "    command: null\n", "    command: []\n", "    command:\n", "    args: [x]\n"] {
        let text = pod(&format!("{fields}    lifecycle: {{preStop: {{exec: {{command: [/stop]}}}}}}\n"));
        let (code, out, errors) = fed(&["inject", "--engine", "none", "-"], &text);
        assert_eq!((code, out.as_str()), (1, text.as_str()), "{errors}");
        assert!(errors.contains("Pod/p:a: no command: it runs the ENTRYPOINT of registry.example/a:1"), "{errors}");
        assert!(errors.contains("inject --sidecar"), "{errors}");
    }
}

#[test]
fn a_well_known_image_is_named_and_assumed_if_asked() {
    let (code, out, errors) = fed(&["inject", "--engine", "none", "-"], NGINX);
    assert_eq!((code, out.as_str()), (1, NGINX));
    assert!(
        errors.contains(r#"ENTRYPOINT ["/docker-entrypoint.sh"] and CMD ["nginx","-g","daemon off;"]"#),
        "{errors}"
    );
    let out = injected(&["--assume-official"], NGINX);
    let command = json!(["/bookend/bookend", "--", "/docker-entrypoint.sh", "nginx", "-g", "daemon off;"]);
    assert_eq!(documents(&out)[0]["spec"]["containers"][0]["command"], command);
}

#[test]
fn the_option_gives_the_command_of_one_container() {
    for given in ["/run 'a b'", "[\"/run\", \"a b\"]"] {
        let out = injected(&["--command", given], &pod(""));
        let command = json!(["/bookend/bookend", "--", "/run", "a b"]);
        assert_eq!(documents(&out)[0]["spec"]["containers"][0]["command"], command, "{given}");
    }
    let two = pod("  - name: b\n    image: b\n");
    let (code, _, errors) = fed(&["inject", "--command", "x", "-"], &two);
    assert_eq!(code, 2);
    assert!(errors.contains("several have no command: choose one with --container: Pod/p:a, Pod/p:b"), "{errors}");
    let (_, out, _) = fed(&["inject", "--engine", "none", "--command", "x", "--container", "b", "-"], &two);
    assert_eq!(documents(&out)[0]["spec"]["containers"][1]["command"][2], "x");
}

/// A folder in the OCI image layout, with one image.
pub(crate) fn layout(folder: &Folder, config: &serde_json::Value) -> String {
    let blobs = folder.path("layout/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let write = |name: &str, value: serde_json::Value| std::fs::write(blobs.join(name), value.to_string()).unwrap();
    write("aa", json!({ "config": config }));
    write("bb", json!({ "config": { "digest": "sha256:aa" } }));
    write(
        "cc",
        json!({ "manifests": [
        { "digest": "sha256:dd", "platform": { "os": "linux", "architecture": "arm64" } },
        { "digest": "sha256:bb", "platform": { "os": "linux", "architecture": "amd64" } }
    ] }),
    );
    let index = json!({ "manifests": [{ "digest": "sha256:cc" }] });
    folder.write("layout/index.json", &index.to_string());
    folder.path("layout").to_str().unwrap().to_owned()
}

#[test]
fn an_image_layout_gives_command_and_stop_signal() {
    let folder = Folder::new();
    let config = json!({ "Entrypoint": ["/entry"], "Cmd": ["serve"], "StopSignal": "SIGWINCH" });
    let layout = layout(&folder, &config);
    let out = injected(&["--image-layout", &layout], &pod("    args: [own]\n"));
    let pod = &documents(&out)[0];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["/bookend/bookend", "--", "/entry"]));
    assert_eq!(container["args"], json!(["own"]), "the args stand in place of CMD");
    let config = pod["metadata"]["annotations"]["bookend-config/a"].as_str().unwrap();
    assert!(config.contains(r#"stopSignals = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGWINCH"]"#), "{config}");
}

#[test]
fn an_image_that_runs_bookend_gets_no_second_one() {
    let folder = Folder::new();
    let layout = layout(&folder, &json!({ "Entrypoint": ["/bookend", "--"], "Cmd": ["serve"] }));
    let (code, out, notes) = fed(&["inject", "--image-layout", &layout, "-"], &pod(""));
    assert_eq!((code, out), (0, pod("")));
    assert!(notes.contains("Pod/p:a: it already runs under bookend"), "{notes}");
    let (code, _, errors) = fed(&["import", "--image-layout", &layout, "-"], &pod(""));
    assert!(code == 1 && errors.contains("Pod/p:a already runs under bookend"), "{errors}");
}

#[test]
fn a_layout_with_one_image_is_not_for_two_images() {
    let folder = Folder::new();
    let layout = layout(&folder, &json!({ "Entrypoint": ["/entry"] }));
    let two = pod("  - name: b\n    image: b\n");
    let (code, out, errors) = fed(&["inject", "--image-layout", &layout, "-"], &two);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("choose one with --container: Pod/p:a, Pod/p:b"), "{errors}");
    let same = pod("  - name: b\n    image: registry.example/a:1\n");
    let both = documents(&injected(&["--image-layout", &layout], &same)).remove(0);
    assert_eq!(both["spec"]["containers"][1]["command"][2], "/entry");
}

#[test]
fn an_engine_gives_the_command_of_its_image() {
    let folder = Folder::new();
    let script = "#!/bin/sh\n[ \"$5\" = registry.example/a:1 ] && echo '{\"Entrypoint\":null,\"Cmd\":[\"/serve\"]}'\n";
    let engine = folder.write("engine", script);
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, out, errors) = fed(&["inject", "--engine", engine.to_str().unwrap(), "-"], &pod(""));
    assert_eq!(code, 0, "{errors}");
    assert_eq!(documents(&out)[0]["spec"]["containers"][0]["command"][2], "/serve");
    assert!(errors.contains("taken from the image registry.example/a:1 in"), "{errors}");
    let (code, ..) = fed(&["inject", "--engine", engine.to_str().unwrap(), "-"], &pod("").replace("a:1", "b:1"));
    assert_eq!(code, 1);
}

#[test]
fn import_prints_the_toml_and_changes_no_manifest_without_a_command() {
    let folder = Folder::new();
    let (input, output) = (folder.write("nginx.yaml", NGINX), folder.path("out.yaml"));
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    let (code, out, _) = crate::shown(&crate::tool(&["import", "--engine", "none", input, "--manifest", output]));
    assert_eq!(code, 1);
    assert!(out.contains("[lifecycle.postStart.exec]"), "{out}");
    assert_eq!(folder.read("out.yaml"), NGINX);
    let (code, ..) =
        crate::shown(&crate::tool(&["import", "--assume-official", "--engine", "none", input, "--manifest", output]));
    assert_eq!(code, 0);
    assert!(folder.read("out.yaml").contains("/docker-entrypoint.sh"));
}
