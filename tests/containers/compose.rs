//! The files under `config/compose/`, run with the machine's Compose and the images that they name, while clients call the
//! app. Only what a test engine lacks is left out: the network and the published port.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use crate::clients::Clients;
use crate::docker::{Container, Finished, Folder, run};
use crate::named_images::NamedImages;

/// A project of one test; dropping it takes everything down.
struct Project {
    folder: Folder,
    name: String,
    _images: Arc<NamedImages>,
}

impl Project {
    /// `None` without an engine or Compose, which the test reports.
    fn new(test: &str, file: &str) -> Option<Project> {
        let images = NamedImages::get(test)?;
        if compose_program().is_none() {
            bookend_test_support::not_run(test, "docker-compose is not installed (scripts/setup installs it)");
            return None;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/compose").join(file);
        let text = fs::read_to_string(source.with_extension("yaml")).expect("it is there");
        let mut document: Value = serde_saphyr::from_str(&text).expect("YAML");
        for (_, service) in document.get_mut("services").and_then(Value::as_object_mut).expect("services") {
            let image = service["image"].as_str().expect("an image");
            assert!(NamedImages::has(image), "{file}: the image {image} is not known here");
            service.as_object_mut().expect("a service").remove("ports");
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
        Some(Project { folder, name, _images: images })
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

    /// The stop as the file's first lines show it. `beside` has the network of the app.
    fn stop_under_load(&self, beside: &Container) {
        let clients = Clients::of_port(&self.name, beside, 8080);
        clients.stop_begins();
        let finished = self.compose(&["stop"]);
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        clients.lost_nothing(|| self.log());
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

#[test]
fn compose_runs_an_unchanged_image_under_bookend() {
    let test = "compose_runs_an_unchanged_image_under_bookend";
    let Some(project) = Project::new(test, "no-rebuild") else { return };
    project.up();
    let app = project.container("app");
    app.wait_until("the app is up", || app.log().contains("listening on port 8080"));
    let user = app.exec(&["id", "-u"]);
    assert_eq!(user.stdout.trim(), "65532", "{user:#?}");
    let health = app.exec(&["/bookend/bookend", "probe", "readiness"]);
    assert_eq!(health.code, Some(0), "{health:#?}");
    project.stop_under_load(&app);
    assert_eq!(app.exit_code(), 0, "{}", app.log());
    let log = app.log();
    for expected in ["preStop drain", "SIGTERM sent to the app", "finished every request"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert_eq!(project.container("bookend").exit_code(), 0);
}

#[test]
fn compose_stops_the_sidecar_before_the_app() {
    let test = "compose_stops_the_sidecar_before_the_app";
    let Some(project) = Project::new(test, "sidecar") else { return };
    project.up();
    let (app, sidecar) = (project.container("app"), project.container("bookend"));
    sidecar.wait_until("the app's process is found", || sidecar.log().contains("the app's process is found"));
    project.stop_under_load(&project.container("pause"));
    let log = sidecar.log();
    assert_eq!(sidecar.exit_code(), 0, "{log}");
    // nginx exits with 0 after SIGQUIT, its graceful stop.
    assert_eq!(app.exit_code(), 0, "{log}\n{}", app.log());
    assert!(app.log().contains("signal 3"), "{}", app.log());
    for expected in ["preStop drain took", "postStop tell"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}
