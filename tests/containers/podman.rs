//! The pods under `config/podman/`, run by a real Podman with the images that they name, while clients call the app: rootful,
//! with a storage of the test's own that is removed afterwards. Only the network and the published port are left out.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::clients::PROGRAM;
use crate::docker::{Finished, Folder, docker_ok, run, wait_for};
use crate::named_images::NamedImages;

struct Podman {
    folder: Folder,
    pod: &'static str,
}

impl Podman {
    /// With these images of the engine. `None` if it cannot run here, which the test reports.
    fn new(test: &str, pod: &'static str, images: &[&str]) -> Option<Podman> {
        let _images = NamedImages::get(test)?;
        let reason = match () {
            () if !nix::unistd::geteuid().is_root() => Some("it needs root"),
            () if run(Command::new("podman").arg("--version")).code != Some(0) => {
                Some("podman is not installed (scripts/setup installs it)")
            }
            () => None,
        };
        if let Some(reason) = reason {
            bookend_test_support::not_run(test, reason);
            return None;
        }
        let podman = Podman { folder: Folder::new(test), pod };
        let path = |name: &str| podman.folder.path.join(name).display().to_string();
        podman.folder.write(
            "storage.conf",
            &format!("[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n", path("graph"), path("run")),
        );
        // Cgroups without systemd, which need not run; no limits, which a machine need not allow.
        podman.folder.write(
            "containers.conf",
            &format!(
                "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
                 [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\ntmp_dir = {:?}\n",
                path("tmp")
            ),
        );
        for image in images {
            podman.take(image);
        }
        Some(podman)
    }

    /// An image of the engine, as one layer, with its configuration.
    fn take(&self, image: &str) {
        let config = |format: &str| {
            let shown = docker_ok(&["image", "inspect", "--format", format, image]).stdout.trim().to_owned();
            Some(shown).filter(|shown| !["", "null"].contains(&shown.as_str()))
        };
        let mut changes = Vec::new();
        for (key, format) in [
            ("ENTRYPOINT", "{{json .Config.Entrypoint}}"),
            ("CMD", "{{json .Config.Cmd}}"),
            ("USER", "{{.Config.User}}"),
            ("STOPSIGNAL", "{{.Config.StopSignal}}"),
        ] {
            changes.extend(config(format).map(|value| format!("--change={key} {value}")));
        }
        let archive = self.folder.path.join("image.tar").display().to_string();
        // A container that never runs: FROM scratch needs some command.
        let id = docker_ok(&["create", image, "/none"]).stdout.trim().to_owned();
        docker_ok(&["export", "--output", &archive, &id]);
        docker_ok(&["rm", &id]);
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        // `podman load` gives the image this name.
        let name = if image.starts_with("registry.") { image.to_owned() } else { format!("localhost/{image}") };
        self.good(&[&["import", "--quiet"], &changes[..], &[&archive, &name]].concat());
        fs::remove_file(archive).expect("the file is ours");
    }

    /// `podman ARGS` in the test's own storage, ended by timeout(1) if it hangs.
    fn podman(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("timeout");
        command.env("CONTAINERS_STORAGE_CONF", self.folder.path.join("storage.conf"));
        command.env("CONTAINERS_CONF", self.folder.path.join("containers.conf"));
        run(command.args(["--kill-after=5", "120", "podman"]).args(args))
    }

    fn good(&self, args: &[&str]) -> Finished {
        let finished = self.podman(args);
        assert_eq!(finished.code, Some(0), "podman {args:?}: {finished:#?}");
        finished
    }

    /// Runs the file without a network.
    fn play(&self, file: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/podman").join(file);
        let text = fs::read_to_string(source).expect("it is there");
        let ports = "      ports:\n        - name: http\n          containerPort: 8080\n          hostPort: 8080\n";
        assert!(text.contains(ports), "{text}");
        let path = self.folder.write(file, &text.replace(ports, "")).display().to_string();
        self.good(&["play", "kube", "--network", "none", &path]);
    }

    /// A stop by this command, while clients call port 8080 in the network of a container.
    fn stop_under_load(&self, container: &str, stop: &[&str]) {
        let name = format!("{}-{container}", self.pod);
        let pid = self.good(&["inspect", "--format", "{{.State.Pid}}", &name]).stdout;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", pid.trim())).args(["perl", "-e", PROGRAM, "8080"]);
        let report = self.folder.path.join("clients");
        let file = fs::File::create(&report).expect("the folder is ours");
        let clients = command.stdout(file).spawn().expect("nsenter is there");
        let read = || fs::read_to_string(&report).unwrap_or_default();
        assert!(
            wait_for("clients are there", || (!read().is_empty()).then_some(())).is_some(),
            "{}",
            self.log(container)
        );
        let pid = nix::unistd::Pid::from_raw(i32::try_from(clients.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).expect("they run");
        self.good(stop);
        let status = bookend_test_support::output_of(clients).status;
        assert!(status.success() && read().contains(", lost 0\n"), "{}\n{}", read(), self.log(container));
    }

    fn log(&self, container: &str) -> String {
        let finished = self.podman(&["logs", &format!("{}-{container}", self.pod)]);
        finished.stdout + &finished.stderr
    }

    fn wait_for_log(&self, container: &str, text: &str) {
        let found = wait_for(text, || self.log(container).contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} never came: {}", self.log(container));
    }

    fn exit_code(&self, container: &str) -> String {
        let container = format!("{}-{container}", self.pod);
        self.good(&["inspect", "--format", "{{.State.ExitCode}}", &container]).stdout.trim().to_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.podman(&["pod", "rm", "--force", "--all", "--time", "0"]);
        self.podman(&["volume", "rm", "--force", "--all"]);
    }
}

const BOOKEND: &str = concat!("bookend:", env!("CARGO_PKG_VERSION"));

#[test]
fn podman_runs_an_unchanged_image_under_bookend() {
    let test = "podman_runs_an_unchanged_image_under_bookend";
    let Some(podman) = Podman::new(test, "legacy", &[BOOKEND, "registry.example/legacy:3.2"]) else { return };
    podman.play("no-rebuild.yaml");
    podman.wait_for_log("app", "listening on port 8080");
    let status = podman.good(&["exec", "legacy-app", "/bookend/bookend", "status"]);
    assert!(status.stdout.contains("Running"), "{status:#?}");
    podman.stop_under_load("app", &["pod", "stop", "legacy"]);
    let log = podman.log("app");
    assert_eq!(podman.exit_code("app"), "0", "{log}");
    for expected in ["preStop drain took", "SIGTERM sent to the app", "finished every request"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn in_a_podman_pod_the_sidecar_stops_the_app() {
    let test = "in_a_podman_pod_the_sidecar_stops_the_app";
    let Some(podman) = Podman::new(test, "proxy", &[BOOKEND, "nginxinc/nginx-unprivileged:1.29"]) else { return };
    podman.play("sidecar.yaml");
    podman.wait_for_log("bookend", "the app's process is found");
    podman.wait_for_log("nginx", "start worker process");
    podman.stop_under_load("nginx", &["stop", "proxy-bookend"]);
    let log = podman.log("bookend");
    assert_eq!(podman.exit_code("bookend"), "0", "{log}");
    assert_eq!(podman.exit_code("nginx"), "0", "{log}");
    for expected in ["preStop drain took", "postStop tell"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}
