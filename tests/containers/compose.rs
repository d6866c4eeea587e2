//! The files under `config/compose/`, run with the machine's Compose. Only what a test engine lacks is replaced:
//! other images, no network, no published port.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::docker::{Container, Finished, Folder, PREFIX, ready, run};

/// A project of one test; dropping it takes everything down.
struct Project {
    folder: Folder,
    name: String,
}

impl Project {
    fn new(test: &str, file: &str, change: impl Fn(&mut Value)) -> Project {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/compose").join(file);
        let text = fs::read_to_string(source.with_extension("yaml")).expect("it is there");
        let mut document: Value = serde_saphyr::from_str(&text).expect("YAML");
        change(&mut document);
        for (_, service) in document.get_mut("services").and_then(Value::as_object_mut).expect("services") {
            let image = service["image"]
                .as_str()
                .expect("an image")
                .replace(concat!("bookend:", env!("CARGO_PKG_VERSION")), PREFIX);
            service["image"] = image.into();
            if let Some(service) = service.as_object_mut().filter(|service| !service.contains_key("network_mode")) {
                service.insert("network_mode".to_owned(), "none".into());
            }
        }
        let folder = Folder::new(test);
        // JSON is YAML.
        folder.write("compose.yaml", &document.to_string());
        let config = fs::read_to_string(source.with_extension("toml")).expect("it is there");
        folder.write(&format!("{file}.toml"), &config);
        let name = format!("bookend{}{}", std::process::id(), test.replace('_', ""));
        Project { folder, name }
    }

    fn compose(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "120"]).args(compose_program().expect("has_compose() has looked"));
        command.args(["--project-name", &self.name, "--file"]);
        run(command.arg(self.folder.path.join("compose.yaml")).args(args))
    }

    fn up(&self) {
        let finished = self.compose(&["up", "--detach"]);
        assert_eq!(finished.code, Some(0), "{finished:#?}\n{}", self.log());
    }

    fn container(&self, service: &str) -> Container {
        let id = self.compose(&["ps", "--all", "--quiet", service]).stdout.trim().to_owned();
        assert!(!id.is_empty(), "{service}");
        Container::of_id(id)
    }

    fn log(&self) -> String {
        self.compose(&["logs", "--no-color"]).stdout
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes", "--timeout", "0"]);
    }
}

/// Compose as a program of its own, or as the plugin of Docker's own packages.
fn compose_program() -> Option<&'static [&'static str]> {
    let programs: [&[&str]; 2] = [&["docker-compose"], &["docker", "compose"]];
    // env(1) takes the whole command line.
    programs.into_iter().find(|program| run(Command::new("env").args(*program).arg("version")).code == Some(0))
}

/// Whether an engine and Compose are available.
fn has_compose(test: &str) -> bool {
    ready(test)
        && (compose_program().is_some()
            || bookend_test_support::not_run(test, "docker-compose is not installed (scripts/setup installs it)"))
}

#[test]
fn compose_runs_an_unchanged_image_under_bookend() {
    let test = "compose_runs_an_unchanged_image_under_bookend";
    if !has_compose(test) {
        return;
    }
    let project = Project::new(test, "no-rebuild", |document| {
        let app = &mut document["services"]["app"];
        app["image"] = "bookend-base".into();
        let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
        app["command"] = json!(["sh", "-c", script]);
    });
    project.up();
    let app = project.container("app");
    app.wait_until("the app is up", || app.log().contains("up"));
    let user = app.exec(&["id", "-u"]);
    assert_eq!(user.stdout.trim(), "65532", "{user:#?}");
    let status = app.exec(&["/bookend/bookend", "status"]);
    assert!(status.stdout.contains("Running"), "{status:#?}");
    let finished = project.compose(&["stop"]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert_eq!(app.exit_code(), 0, "{}", app.log());
    let log = app.log();
    for expected in ["preStop drain", "SIGTERM sent to the app", "bye"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert_eq!(project.container("bookend").exit_code(), 0);
}

#[test]
fn compose_stops_the_sidecar_before_the_app() {
    let test = "compose_stops_the_sidecar_before_the_app";
    if !has_compose(test) {
        return;
    }
    // The base of the test images has an nginx, but no unprivileged one.
    let nginx = "pid /tmp/nginx.pid; error_log stderr notice; daemon off; events {} http { access_log off; \
        client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; \
        scgi_temp_path /tmp/e; server { listen 8080; } }";
    let project = Project::new(test, "sidecar", |document| {
        let app = &mut document["services"]["app"];
        app["image"] = "bookend-base".into();
        app["command"] = json!(["nginx", "-c", "/etc/app.conf"]);
        app["volumes"] = json!(["./nginx.conf:/etc/app.conf:ro"]);
        if let Some(pause) = document["services"]["pause"].as_object_mut() {
            pause.remove("ports");
        }
    });
    project.folder.write("nginx.conf", nginx);
    project.up();
    let (app, sidecar) = (project.container("app"), project.container("bookend"));
    sidecar.wait_until("the app's process is found", || sidecar.log().contains("the app's process is found"));
    let finished = project.compose(&["stop"]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let log = sidecar.log();
    assert_eq!(sidecar.exit_code(), 0, "{log}");
    // nginx exits with 0 after SIGQUIT, its graceful stop.
    assert_eq!(app.exit_code(), 0, "{log}\n{}", app.log());
    assert!(app.log().contains("signal 3"), "{}", app.log());
    for expected in ["preStop drain took", "postStop tell"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}
