//! A pod of real containers: `bookend pause` holds the network and, if wanted, the PID namespace. An unmodified app
//! and `bookend sidecar` join them. The test acts as the kubelet, from inside the pod.

use std::time::Duration;

use crate::docker::{Container, Folder, Namespaces, ready};
use crate::faults::profile;
use crate::{DEBIAN, SCRATCH};

/// Prints the signals it gets. Its mark is in its command line and nowhere else.
const APP: &str = "trap 'echo got TERM; exit 0' TERM; trap 'echo got QUIT; exit 0' QUIT; trap 'echo crash; exit 3' USR1; \
                   echo up; : the-app-itself; while :; do sleep 0.05; done";

const HOOKS: &str = r#"
    terminationGracePeriodSeconds = 20
    http.listen = "0.0.0.0:9797"
    lifecycle.postStart.exec.command = ["/bookend", "sleep", "0"]
    lifecycle.preStop = { name = "prepare", exec.command = ["/bookend", "sleep", "0.3"] }
    lifecycle.postStop = { name = "tell", exec.command = ["/bookend", "sleep", "0"] }
"#;

struct Pod {
    test: &'static str,
    folder: Folder,
    pause: Container,
    namespaces: Namespaces,
}

impl Pod {
    /// `None` without an engine, which the test reports.
    fn new(test: &'static str, namespaces: Namespaces) -> Option<Pod> {
        ready(test).then(|| {
            let pause = Container::start(&format!("{test}-pause"), SCRATCH, &[], &["pause"]);
            Pod { folder: Folder::new(test), pause, namespaces, test }
        })
    }

    fn container(&self, name: &str, tag: &str, options: &[&str], command: &[&str]) -> Container {
        let test = format!("{}-{name}", self.test);
        Container::start_beside(&test, &self.pause, self.namespaces, tag, options, command)
    }

    /// The app of an unmodified image, with the mount that a kubelet makes for a container of this name.
    fn app(&self, name: &str, options: &[&str]) -> Container {
        let message = format!("pods/0b1d/containers/{name}/8c2f1a90");
        self.folder.write(&message, "");
        let mount = self.folder.mount(&message, "/dev/termination-log");
        let options = [&["--entrypoint", "/bin/sh", mount.as_str()], options].concat();
        let app = self.container(name, DEBIAN, &options, &["-c", APP]);
        app.wait_until("the app is up", || app.log().contains("up"));
        app
    }

    fn sidecar(&self, more: &str, options: &[&str]) -> Container {
        self.folder.write("bookend.toml", &format!("{more}\n{HOOKS}"));
        let mount = self.folder.mount("bookend.toml", "/etc/bookend.toml");
        let options = [&[mount.as_str()], options].concat();
        self.container("sidecar", SCRATCH, &options, &["sidecar", "-c", "/etc/bookend.toml"])
    }
}

/// A hook as a kubelet calls it, from a container that has curl.
fn hook(inside: &Container, path: &str) -> u16 {
    inside.get(&format!("http://127.0.0.1:9797/lifecycle/{path}"))
}

/// Waits until postStop has run this often in all.
fn wait_for_post_stop(inside: &Container, times: usize) {
    let url = "http://127.0.0.1:9797/status";
    let runs = || inside.exec(&["curl", "--silent", url]).stdout.matches("\"hook\": \"postStop\"").count();
    inside.wait_until("postStop has run", || runs() >= times);
}

#[test]
fn in_a_shared_network_the_signal_waits_for_the_sidecar() {
    let test = "in_a_shared_network_the_signal_waits_for_the_sidecar";
    let Some(pod) = Pod::new(test, Namespaces::Network) else { return };
    let (sidecar, app) = (pod.sidecar("", &[]), pod.app("web", &[]));
    app.wait_until("the sidecar answers", || app.get("http://127.0.0.1:9797/livez") == 200);
    assert_eq!(hook(&app, "postStart"), 200);
    assert_eq!(hook(&app, "preStop"), 200, "{}", sidecar.log());
    assert!(!app.log().contains("got"), "only the kubelet sends the stop signal: {}", app.log());
    app.stop(&[]);
    assert_eq!(app.exit_code(), 0, "{}", app.log());
    sidecar.stop(&[]);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    for expected in ["preStop prepare took", "postStop tell took"] {
        assert!(sidecar.log().contains(expected), "{expected}: {}", sidecar.log());
    }
}

#[test]
fn in_shared_pids_the_kubernetes_name_finds_the_app() {
    let test = "in_shared_pids_the_kubernetes_name_finds_the_app";
    let Some(pod) = Pod::new(test, Namespaces::NetworkAndPids) else { return };
    let (app, other) = (pod.app("web", &[]), pod.app("queue", &[]));
    // A process that entered the app's container from outside, as with kubectl exec.
    app.exec(&["sh", "-c", "sleep 1000 & exit 0"]);
    let sidecar = pod.sidecar("app = { stopSignal = \"SIGQUIT\", process.container = \"web\" }", &[]);
    sidecar.wait_until("the app's process is found", || sidecar.log().contains("the app's process is found"));
    assert_eq!(hook(&other, "preStop"), 200, "{}", sidecar.log());
    assert_eq!(app.exit_code(), 0, "{}\n{}", app.log(), sidecar.log());
    assert!(app.log().contains("got QUIT"), "{}", app.log());
    wait_for_post_stop(&other, 1);
    assert!(!other.log().contains("got"), "a foreign process gets no signal: {}", other.log());

    // The container is started again: a new life.
    app.start_again();
    app.wait_until("the app is up", || app.log().matches("up").count() == 2);
    assert_eq!(hook(&other, "postStart"), 200);
    app.kill("USR1");
    assert_eq!(app.exit_code(), 3);
    wait_for_post_stop(&other, 2);
    sidecar.stop(&[]);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert!(!other.log().contains("got"), "{}", other.log());
}

#[test]
fn in_shared_pids_the_engines_id_finds_the_app() {
    let test = "in_shared_pids_the_engines_id_finds_the_app";
    let Some(pod) = Pod::new(test, Namespaces::NetworkAndPids) else { return };
    let (app, other) = (pod.app("web", &[]), pod.app("queue", &[]));
    let id = app.id().chars().take(12).collect::<String>();
    let config = format!("app = {{ stopSignal = \"SIGQUIT\", process.container = {id:?} }}");
    let sidecar = pod.sidecar(&config, &[]);
    sidecar.wait_until("the app's process is found", || sidecar.log().contains("the app's process is found"));
    sidecar.kill("KILL");
    assert_eq!(sidecar.exit_code(), 137);
    sidecar.start_again();
    sidecar.wait_until("it is found again", || sidecar.log().matches("the app's process is found").count() == 2);
    assert!(!app.log().contains("got"), "{}", app.log());
    // No kubelet: the sidecar's own signal does the whole stop.
    assert!(sidecar.stop(&["--time", "20"]) < Duration::from_secs(15));
    assert_eq!((sidecar.exit_code(), app.exit_code()), (0, 0), "{}", sidecar.log());
    assert!(app.log().contains("got QUIT") && !other.log().contains("got"), "{}", app.log());
}

#[test]
fn in_shared_pids_another_users_app_is_not_signalled() {
    let test = "in_shared_pids_another_users_app_is_not_signalled";
    let Some(pod) = Pod::new(test, Namespaces::NetworkAndPids) else { return };
    let (app, other) =
        (pod.app("web", &["--user", "1000:1000"]), pod.container("curl", DEBIAN, &[], &["sleep", "1000"]));
    let config = "app = { stopSignal = \"SIGQUIT\", process.commandLine = \"the-app-itself\" }";
    let confined = ["--user", "65532:65532", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only"];
    let sidecar = pod.sidecar(config, &confined);
    sidecar.wait_until("the app's process is found", || sidecar.log().contains("the app's process is found"));
    assert_eq!(hook(&app, "preStop"), 200, "{}", sidecar.log());
    assert!(sidecar.log().contains("only the same user (runAsUser)"), "{}", sidecar.log());
    assert!(!app.log().contains("got"), "{}", app.log());
    app.stop(&[]);
    wait_for_post_stop(&other, 1);
    sidecar.stop(&[]);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());

    let by_program = config.replace("commandLine = \"the-app-itself\"", "executable = \"dash\"");
    app.start_again();
    drop(sidecar);
    let sidecar = pod.sidecar(&by_program, &confined);
    sidecar.wait_until("it says what it may not see", || sidecar.log().contains("cannot read the executable of"));
    sidecar.stop(&[]);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert!(!app.log().contains("got QUIT"), "{}", app.log());
}

#[test]
fn without_pidfds_the_sidecar_signals_no_pid() {
    let test = "without_pidfds_the_sidecar_signals_no_pid";
    let Some(pod) = Pod::new(test, Namespaces::NetworkAndPids) else { return };
    let app = pod.app("web", &[]);
    let seccomp = profile(&pod.folder, r#"{"names":["pidfd_open"],"action":"SCMP_ACT_ERRNO"}"#);
    let config = "app = { stopSignal = \"SIGQUIT\", process.container = \"web\" }";
    let sidecar = pod.sidecar(config, &[&seccomp]);
    sidecar.wait_until("it says why", || sidecar.log().contains("pidfd_open(2) was refused"));
    assert_eq!(hook(&app, "preStop"), 200, "{}", sidecar.log());
    sidecar.stop(&[]);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert!(!app.log().contains("got"), "{}", app.log());
}
