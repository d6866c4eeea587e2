//! `docker run --init` with bookend in tini's place: `dockerd --init-path`, as scripts/with-engine starts it.

use crate::docker::{Container, Finished, ready};

/// `docker run --init bookend-test:debian`, past the image's own entrypoint.
fn run(test: &str, options: &[&str], command: &[&str]) -> Finished {
    let first = ["--init", "--entrypoint", "/usr/bin/env"];
    Container::run_with(test, ":debian", &[&first, options].concat(), command)
}

/// Whether the engine's init is ours: an engine that was there before has one of its own.
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
    let container = Container::start(&format!("{test}-stop"), ":debian", &options, &["1000"]);
    container.exec(&["sh", "-c", "sleep 0.2 & sleep 0.3 & exit 0"]);
    container.wait_until("only the init and the app are left", || container.processes().len() == 2);
    container.stop(&[]);
    assert_eq!(container.exit_code(), 143, "{}", container.log());
    assert_eq!(container.log(), "", "it is silent");
}

#[test]
fn docker_run_init_is_bookend_in_full_where_the_environment_asks_for_it() {
    let test = "docker_run_init_is_bookend_in_full_where_the_environment_asks_for_it";
    if !is_ours(test) {
        return;
    }
    let options = ["--env", "BOOKEND_APP_EXIT_CODES={ 7 = 3 }"];
    let finished = run(test, &options, &["sh", "-c", "exit 7"]);
    assert_eq!(finished.code, Some(3), "{finished:#?}");
}
