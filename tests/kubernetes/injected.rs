//! The pods that the kit has changed are tried: the API's schema accepts it, `bookend check` accepts the arguments, and a real sidecar
//! with these arguments answers each hook.

use bookend_test_support::{Folder, Init, code, code_of, free_port, get_as, wait_until};
use serde_json::json;

use super::inject::{Case, PREFIX, admit, annotations, differences, kit, named, results, run_admit, words};
use super::*;

#[test]
fn an_injected_pod_is_accepted_and_injected_once() {
    if !ready("an_injected_pod_is_accepted_and_injected_once") {
        return;
    }
    for wrap in ["wrap.yaml", "wrap-image-volume.yaml"] {
        let requests: Vec<Value> = results().iter().map(|(case, _)| case.request(PREFIX)).collect();
        let first = admit(&kit(wrap), &requests);
        let pods: Vec<&Value> = first.iter().map(|result| &result["object"]).collect();
        assert_eq!(run_admit(&["--validate"], &json!(pods)).trim(), "", "{wrap}");
        for result in &first {
            assert_eq!(result["errors"], json!([]), "{wrap}: {result}");
        }
        // `kubectl get pod -o yaml | kubectl create`, and a second call of the policies.
        let again: Vec<Value> = requests
            .iter()
            .zip(&pods)
            .map(|(request, pod)| json!({ "object": pod, "old": request["old"], "namespace": request["namespace"] }))
            .collect();
        for (pod, result) in pods.iter().zip(admit(&kit(wrap), &again)) {
            assert_eq!(**pod, result["object"], "{wrap}");
            assert_eq!(result["errors"], json!([]), "{wrap}: {result}");
        }
    }
}

#[test]
fn an_image_volume_replaces_the_init_container() {
    if !ready("an_image_volume_replaces_the_init_container") {
        return;
    }
    let cases: Vec<&Case> = results().iter().map(|(case, _)| case).filter(|case| !case.wrapped().is_empty()).collect();
    let requests: Vec<Value> = cases.iter().map(|case| case.request(PREFIX)).collect();
    for (case, result) in cases.iter().zip(admit(&kit("wrap-image-volume.yaml"), &requests)) {
        assert_eq!(differences(case, &result, PREFIX), [""; 0], "{}", case.name);
        let pod = &result["object"]["spec"];
        assert_eq!(pod["initContainers"], case.object["spec"]["initContainers"], "{}", case.name);
        assert_eq!(named(&pod["volumes"], "bookend-bin")["image"]["pullPolicy"], "IfNotPresent");
    }
}

/// The injected sidecars of the table, each with its hooks. Sidecars with the same arguments count once. `folder` gets their files.
fn sidecars(folder: &Folder) -> Vec<(String, Vec<String>, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
    for (case, result) in results() {
        let sidecar = named(&result["object"]["spec"]["initContainers"], "bookend");
        let config = annotations(&result["object"]).get("bookend-config").and_then(Value::as_str).map(str::to_owned);
        if sidecar["restartPolicy"] != "Always" {
            continue;
        }
        assert_eq!(words(&sidecar["command"]), ["/bookend", "sidecar"]);
        let mut args: Vec<String> = words(&sidecar["args"]).into_iter().map(str::to_owned).collect();
        if let Some(config) = config {
            let file = folder.write(&format!("{}.toml", all.len()), &config);
            let place = args.iter().position(|arg| arg == "/etc/bookend/bookend.toml").unwrap();
            args[place] = file.display().to_string();
        }
        if !all.iter().any(|(_, other, _)| *other == args) {
            all.push((case.name.clone(), args, case.hooks().into_values().collect()));
        }
    }
    assert!(all.len() >= 12, "{}", all.len());
    all
}

#[test]
fn bookend_accepts_the_injected_arguments() {
    if !ready("bookend_accepts_the_injected_arguments") {
        return;
    }
    let folder = Folder::new();
    for (name, args, _) in sidecars(&folder) {
        let output =
            Command::new(bookend()).args(["check", "--sidecar"]).args(&args).env_remove("BOOKEND_BIN").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{name}: {}", shown(&output));
    }
    for (case, result) in results() {
        for name in case.wrapped() {
            let container = named(&result["object"]["spec"]["containers"], &name);
            let mut command = Command::new(bookend());
            command.arg("check").env_remove("BOOKEND_BIN");
            for variable in container["env"].as_array().unwrap() {
                let (name, mut value) =
                    (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap().to_owned());
                if name == "BOOKEND_CONFIG" {
                    assert_eq!(value, "/bookend-toml/bookend.toml");
                    let notes = annotations(&result["object"]);
                    value = folder.write("wrap.toml", notes["bookend-config"].as_str().unwrap()).display().to_string();
                }
                command.env(name, value);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}: {}", case.name, shown(&output));
        }
    }
}

#[test]
fn each_injected_hook_is_answered_by_the_sidecar() {
    if !ready("each_injected_hook_is_answered_by_the_sidecar") {
        return;
    }
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for (name, args, hooks) in sidecars(&folder) {
            scope.spawn(move || {
                let port = free_port();
                let mut command = Command::new(bookend());
                // The last one wins. A budget of one second ends the drain early.
                command.arg("sidecar").args(&args).arg("--set").arg(format!("http.listen=127.0.0.1:{port}"));
                command.args(["--set", "terminationGracePeriodSeconds=1"]).env_remove("BOOKEND_BIN");
                let mut sidecar = Init::start(Folder::new(), command);
                wait_until("the sidecar answers", || code(port, "/startupz") == 200);
                let call = |path: &str| code_of(&get_as("kube-lifecycle/1.36", port, path).unwrap_or_default());
                for path in &hooks {
                    assert_eq!(call(path), 200, "{name}: {path}: {}", sidecar.log());
                }
                assert_eq!(call("/lifecycle/other/preStop"), 0, "{name}");
                sidecar.signal(15);
                assert_eq!(sidecar.end().code(), 0, "{name}");
            });
        }
    });
}

#[test]
fn another_prefix_and_image_pass_the_whole_table() {
    if !ready("another_prefix_and_image_pass_the_whole_table") {
        return;
    }
    let kit = kubectl_bookend::kit::Kit {
        image: "registry.example/bookend:1.0".to_owned(),
        prefix: "lifecycle.example.com/".to_owned(),
        defaults: vec![("cpuLimit".to_owned(), "50m".to_owned())],
        ..Default::default()
    };
    let folder = Folder::new();
    let file = folder.write("kit.yaml", &kit.render().unwrap());
    let lint = run_admit(&["--lint", file.to_str().unwrap()], &Value::Null);
    assert_eq!(lint.trim(), "");
    let cases = Case::all(&kit.prefix);
    let requests: Vec<Value> = cases.iter().map(|case| case.request(&kit.prefix)).collect();
    for (case, result) in cases.iter().zip(admit(&[file], &requests)) {
        assert_eq!(differences(case, &result, &kit.prefix), [""; 0], "{}", case.name);
        for container in containers(&result["object"]["spec"]).filter(|container| container["name"] == "bookend") {
            let is_injected = case.is_changed() && container["command"][0] == "/bookend";
            assert!(!is_injected || container["image"] == *kit.image, "{}: {container}", case.name);
            let limit = &container["resources"]["limits"]["cpu"];
            assert!(!is_injected || limit.is_null() || limit == "50m", "{}: {container}", case.name);
        }
    }
}
