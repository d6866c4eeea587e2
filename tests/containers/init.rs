//! `docker run --init` with bookend in tini's place: `dockerd --init-path`, as scripts/with-engine starts it.

use crate::docker::{Container, Finished, ready};

/// `docker run --init bookend-test:debian`, past the image's own entrypoint.
fn run(test: &str, options: &[&str], command: &[&str]) -> Finished {
    let first = ["--init", "--entrypoint", "/usr/bin/env"];
    Container::run_with(test, crate::DEBIAN, &[&first, options].concat(), command)
}

/// Whether the engine's init is bookend: an engine that ran before the tests has one of its own.
fn is_ours(test: &str) -> bool {
    if !ready(test) {
        return false;
    }
    let version = run(&format!("{test}-version"), &[], &["/sbin/docker-init", "--version"]).stdout;
    assert!(version.starts_with("tini version "), "{version}");
    if version.contains("bookend") {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {test}: the engine's init is {version}");
    use std::io::Write;
    writeln!(std::io::stderr(), "NOT RUN: {test}: the engine has its own init; ENGINE=private brings one").ok();
    false
}

#[test]
fn docker_run_init_reaps_forwards_and_keeps_the_code() {
    let test = "docker_run_init_reaps_forwards_and_keeps_the_code";
    if !is_ours(test) {
        return;
    }
    let finished = run(test, &[], &["sh", "-c", "readlink /proc/1/exe; exit 7"]);
    assert_eq!(finished.stdout.trim(), "/usr/sbin/docker-init", "{finished:#?}");
    assert_eq!(finished.code, Some(7), "{finished:#?}");

    let options = ["--init", "--entrypoint", "/bin/sleep"];
    let container = Container::start(&format!("{test}-stop"), crate::DEBIAN, &options, &["1000"]);
    container.exec(&["sh", "-c", "sleep 0.2 & sleep 0.3 & exit 0"]);
    container.wait_until("only the init and the app are left", || container.processes().len() == 2);
    container.stop(&[]);
    assert_eq!(container.exit_code(), 143, "{}", container.log());
    assert_eq!(container.log(), "", "it is silent");
}

#[test]
fn docker_run_init_is_full_bookend_on_request() {
    let test = "docker_run_init_is_full_bookend_on_request";
    if !is_ours(test) {
        return;
    }
    let options = ["--env", "BOOKEND_APP_EXIT_CODES={ 7 = 3 }"];
    let finished = run(test, &options, &["sh", "-c", "exit 7"]);
    assert_eq!(finished.code, Some(3), "{finished:#?}");
}

#[test]
fn under_another_init_bookend_reaps_and_stops() {
    let test = "under_another_init_bookend_reaps_and_stops";
    if !ready(test) {
        return;
    }
    // The app's orphan goes to bookend, which is not PID 1, and not to the init above it.
    let app = "sh -c 'sleep 1000 & echo orphan-$!'; trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done";
    let options = ["--init", "--entrypoint", "/bookend"];
    let set = "lifecycle.preStop={ exec.command = [\"echo\", \"draining\"] }";
    let container = Container::start(test, crate::DEBIAN, &options, &["--set", set, "--", "sh", "-c", app]);
    container.wait_until("the app is up", || container.log().contains("up"));
    let orphan =
        container.log().lines().find_map(|line| Some(line.split_once("orphan-")?.1.to_owned())).unwrap_or_default();
    let parent =
        |pid: &str| container.exec(&["sh", "-c", &format!("cut -d' ' -f4 /proc/{pid}/stat")]).stdout.trim().to_owned();
    let bookend = parent(&orphan);
    assert_eq!((bookend.as_str() == "1", parent(&bookend).as_str()), (false, "1"), "{orphan}: {}", container.log());
    container.stop(&[]);
    assert_eq!(container.exit_code(), 6, "{}", container.log());
    assert!(container.log().contains("draining"), "{}", container.log());
}
