//! The contents of a manifest, run with the real bookend: its command, its configuration from the annotation, its hooks and probes as a
//! kubelet calls them.

use std::process::Command;

use bookend_test_support::{Folder, Init, bookend, code, free_port, get, wait_until};
use serde_json::{Value, json};

use crate::commands::layout;
use crate::{documents, injected, tool};

/// A running container of a manifest.
struct Container {
    init: Init,
    spec: Value,
    socket: String,
}

impl Container {
    /// Starts a container as a runtime does. Volumes are in the folder.
    fn start(folder: Folder, manifest: &str, name: &str) -> Container {
        let pod = documents(manifest).remove(0);
        let spec =
            pod["spec"]["containers"].as_array().unwrap().iter().find(|spec| spec["name"] == name).unwrap().clone();
        let config = pod["metadata"]["annotations"][format!("bookend-config/{name}")].as_str().unwrap();
        let file = pod["spec"]["volumes"][1]["downwardAPI"]["items"][0]["path"].as_str().unwrap();
        let variable = |wanted: &str| {
            let env = spec["env"].as_array().unwrap();
            env.iter().find(|item| item["name"] == wanted).unwrap()["value"].as_str().unwrap().to_owned()
        };
        assert_eq!(variable("BOOKEND_CONFIG"), format!("/etc/bookend/{file}"));
        assert!(variable("BOOKEND_SOCKET").starts_with("/bookend/"));
        let socket = folder.path("bookend.sock").display().to_string();
        let words = spec["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
        let words: Vec<String> = words.collect();
        assert_eq!(words[0], "/bookend/bookend");
        let mut command = Command::new(bookend());
        command.args(&words[1..]).env("BOOKEND_CONFIG", folder.write(file, config)).env("BOOKEND_SOCKET", &socket);
        Container { init: Init::start(folder, command), spec, socket }
    }

    /// Runs an exec hook, or calls an httpGet one, as a kubelet does; whether it succeeded.
    fn hook(&self, hook: &str) -> bool {
        let handler = &self.spec["lifecycle"][hook];
        if let Some(words) = handler["exec"]["command"].as_array() {
            assert_eq!(words[0], "/bookend/bookend");
            let words = words[1..].iter().map(|word| word.as_str().unwrap());
            return Command::new(bookend()).args(words).env("BOOKEND_SOCKET", &self.socket).status().unwrap().success();
        }
        self.call(&handler["httpGet"]) == 200
    }

    fn call(&self, action: &Value) -> u16 {
        code(u16::try_from(action["port"].as_u64().unwrap()).unwrap(), action["path"].as_str().unwrap())
    }
}

/// The Kubernetes documentation's example, with a server in the image's entrypoint: postStart writes a message, and preStop ends the
/// server and waits for its end.
#[test]
fn the_example_of_the_documentation_runs_with_its_hooks() {
    let folder = Folder::new();
    let server = "#!/bin/sh\ntrap 'echo graceful; exit 0' QUIT\necho $$ >$1/pid\nwhile :; do sleep 0.05; done\n";
    let server = folder.write("server", server);
    let config = json!({ "Entrypoint": ["/bin/sh", server], "Cmd": [folder.shown()], "StopSignal": "SIGQUIT" });
    let layout = layout(&folder, &config);
    let here = folder.shown().to_string();
    let manifest =
        include_str!("../golden/lifecycle.yaml").replace("/usr/share/message", &format!("{here}/message")).replace(
            "nginx -s quit; while killall -0 nginx; do sleep 1; done",
            &format!("kill -QUIT $(cat {here}/pid); while kill -0 $(cat {here}/pid); do sleep 0.1; done"),
        );
    let port = free_port().to_string();
    let manifest = injected(&["--image-layout", &layout, "--port", &port], &manifest);
    let container = Container::start(folder, &manifest, "lifecycle-demo-container");
    wait_until("the server runs", || container.init.folder.path("pid").exists());
    wait_until("the endpoint answers", || get(port.parse().unwrap(), "/livez").is_ok());
    assert!(container.hook("postStart"));
    assert_eq!(container.init.folder.read("message"), "Hello from the hook\n");
    assert!(container.hook("preStop"), "{}", container.init.log());
    let ended = container.init.finish();
    assert_eq!((ended.code(), ended.out.as_str()), (0, "graceful\n"), "{}", ended.log);
}

#[test]
fn probes_at_the_endpoint_follow_those_of_the_app() {
    let folder = Folder::new();
    let here = folder.shown().to_string();
    let manifest = format!(
        "kind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: a\n    command: [sleep, '60']\n    \
         startupProbe: {{exec: {{command: [test, -e, {here}/started]}}, periodSeconds: 1, failureThreshold: 30}}\n    \
         readinessProbe: {{exec: {{command: [test, -e, {here}/ready]}}, periodSeconds: 1, failureThreshold: 5}}\n    \
         livenessProbe: {{exec: {{command: [test, '!', -e, {here}/dead]}}, periodSeconds: 1}}\n    \
         lifecycle: {{preStop: {{exec: {{command: [kill, -USR1, '1']}}}}}}\n"
    );
    let port = free_port().to_string();
    let manifest = injected(&["--port", &port], &manifest);
    let container = Container::start(folder, &manifest, "a");
    let answers = |probe: &str, wanted: u16| {
        let action = container.spec[probe]["httpGet"].clone();
        wait_until(&format!("{probe} answers {wanted}"), || {
            get(port.parse().unwrap(), action["path"].as_str().unwrap()).is_ok() && container.call(&action) == wanted
        });
    };
    answers("startupProbe", 503);
    container.init.folder.write("started", "");
    answers("startupProbe", 200);
    answers("readinessProbe", 503);
    container.init.folder.write("ready", "");
    answers("readinessProbe", 200);
    // One failure is enough: the kubelet counts them.
    std::fs::remove_file(container.init.folder.path("ready")).unwrap();
    answers("readinessProbe", 503);
    answers("livenessProbe", 200);
    container.init.folder.write("dead", "");
    answers("livenessProbe", 503);
    // The hook is a signal handler now: the app gets SIGUSR1, which ends it.
    assert!(container.hook("preStop"));
    assert_eq!(container.init.finish().code(), 128 + 10);
}

#[test]
fn a_sidecar_accepts_its_arguments_and_answers_each_hook() {
    let port = free_port().to_string();
    let text = "kind: Pod\nmetadata: {name: p}\nspec:\n  terminationGracePeriodSeconds: 20\n  containers:\n  - {name: web}\n  - {name: log}\n";
    let manifest = injected(&["--sidecar", "--port", &port, "--drain-max-seconds", "1"], text);
    let pod = documents(&manifest).remove(0);
    let sidecar = &pod["spec"]["initContainers"][0];
    let words = |key: &str| {
        let words = sidecar[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
        words.collect::<Vec<_>>()
    };
    assert_eq!(words("command"), ["/bookend", "sidecar"]);
    let checked = Command::new(bookend()).args(["check", "--sidecar"]).args(words("args")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let mut command = Command::new(bookend());
    command.arg("sidecar").args(words("args"));
    let init = Init::start(Folder::new(), command);
    let port: u16 = port.parse().unwrap();
    wait_until("the sidecar has started", || get(port, "/startupz").is_ok());
    for container in pod["spec"]["containers"].as_array().unwrap() {
        let hook = &container["lifecycle"]["preStop"]["httpGet"];
        assert_eq!(hook["port"], port);
        assert_eq!(code(port, hook["path"].as_str().unwrap()), 200, "{}", init.log());
    }
    init.signal(15);
    assert_eq!(init.finish().code(), 0);
}

#[test]
fn files_are_changed_in_place_if_asked() {
    let folder = Folder::new();
    let text = "kind: Pod\nspec: {containers: [{name: a, command: [/a]}]}\n";
    folder.write("a.yaml", text);
    folder.write("b.yaml", "kind: Service\n");
    let output = tool(&["inject", "--write", folder.shown()]);
    assert!(output.status.success(), "{output:?}");
    assert!(folder.read("a.yaml").contains("/bookend/bookend"));
    assert_eq!(folder.read("b.yaml"), "kind: Service\n");
}
