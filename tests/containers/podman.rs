//! The pods under `config/podman/`, run by a real Podman: rootful, with a storage of the test's own that is removed
//! afterwards. Only images and network differ from the files.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::docker::{Finished, Folder, run, wait_for};

/// Replace the images of the files: bookend, and a server that is a copy of it and sleeps.
const IMAGE: &str = "localhost/bookend-test";
const APP: &str = "localhost/bookend-test-app";

struct Podman {
    folder: Folder,
    pod: &'static str,
}

impl Podman {
    /// `None` if it cannot run here, which the test reports.
    fn new(test: &str, pod: &'static str) -> Option<Podman> {
        let binary = env::var_os("BOOKEND_BIN").filter(|binary| Path::new(binary).is_file());
        let reason = match binary {
            None => Some("BOOKEND_BIN is not set (make test sets it)"),
            _ if !nix::unistd::geteuid().is_root() => Some("it needs root"),
            _ if run(Command::new("podman").arg("--version")).code != Some(0) => {
                Some("podman is not installed (scripts/setup installs it)")
            }
            _ => None,
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
        // Each image is one file.
        for (name, image) in [("bookend", IMAGE), ("server", APP)] {
            let (copy, archive) = (podman.folder.path.join(name), path("image.tar"));
            fs::copy(binary.as_ref()?, &copy).expect("the folder is ours");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("the file is ours");
            let folder = podman.folder.path.display().to_string();
            let tar = run(Command::new("tar").args(["-C", &folder, "-cf", &archive, name]));
            assert_eq!(tar.code, Some(0), "{tar:#?}");
            podman.good(&["import", "--change", &format!("ENTRYPOINT [\"/{name}\"]"), &archive, image]);
        }
        Some(podman)
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

    /// Runs the file with the test's images and without a network.
    fn play(&self, file: &str, instead: &[(&str, &str)]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/podman").join(file);
        let mut text = fs::read_to_string(source).expect("it is there");
        let ports = "      ports:\n        - name: http\n          containerPort: 8080\n          hostPort: 8080\n";
        for (theirs, ours) in
            [(ports, ""), (concat!("bookend:", env!("CARGO_PKG_VERSION")), IMAGE)].iter().chain(instead)
        {
            assert!(text.contains(theirs), "{theirs:?} is not in {text}");
            text = text.replace(theirs, ours);
        }
        let path = self.folder.write(file, &text).display().to_string();
        self.good(&["play", "kube", "--network", "none", &path]);
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

#[test]
fn podman_runs_an_unchanged_image_under_bookend() {
    let test = "podman_runs_an_unchanged_image_under_bookend";
    let Some(podman) = Podman::new(test, "legacy") else { return };
    let command = ("\"/opt/legacy/bin/server\", \"--listen\", \"8080\"", "\"/server\", \"sleep\", \"1000\"");
    podman.play("no-rebuild.yaml", &[("registry.example/legacy:3.2", APP), command]);
    podman.wait_for_log("app", "started");
    let status = podman.good(&["exec", "legacy-app", "/bookend/bookend", "status"]);
    assert!(status.stdout.contains("Running"), "{status:#?}");
    podman.good(&["pod", "stop", "legacy"]);
    assert_eq!(podman.exit_code("app"), "143", "{}", podman.log("app"));
    let log = podman.log("app");
    for expected in ["preStop drain took", "SIGTERM sent to the app"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn in_a_podman_pod_the_sidecar_stops_the_app() {
    let test = "in_a_podman_pod_the_sidecar_stops_the_app";
    let Some(podman) = Podman::new(test, "proxy") else { return };
    let app = format!("{APP}\n      args: [sleep, \"1000\"]");
    podman.play("sidecar.yaml", &[("nginxinc/nginx-unprivileged:1.29", &app), ("\"/usr/sbin/nginx\"", "\"/server\"")]);
    podman.wait_for_log("bookend", "the app's process is found");
    podman.good(&["stop", "proxy-bookend"]);
    let log = podman.log("bookend");
    assert_eq!(podman.exit_code("bookend"), "0", "{log}");
    // 128 and SIGQUIT: this server has no handler for it.
    assert_eq!(podman.exit_code("nginx"), "131", "{log}");
    for expected in ["preStop drain took", "postStop tell"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}
