//! bookend in real containers: the images under `images/`, a real engine, the static binary that
//! `BOOKEND_BIN` names. Nothing here needs a network or an image registry.
//!
//! `make test` brings engine and images. Where they are missing a test says `NOT RUN` and its name;
//! with `CI` set that is a failure.
#![expect(clippy::disallowed_methods, reason = "tests wait for the tools they start")]
#![expect(clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod docker;
mod images;
mod nginx;
mod shellless;

use std::time::Duration;

use docker::{Container, Folder, ready};

const SCRATCH: &str = "";
const DEBIAN: &str = ":debian";

#[test]
fn an_image_from_scratch_needs_nothing_but_the_binary() {
    let test = "an_image_from_scratch_needs_nothing_but_the_binary";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, SCRATCH, &["/bookend", "sleep", "0"]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
fn the_containers_exit_code_is_the_apps() {
    let test = "the_containers_exit_code_is_the_apps";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, DEBIAN, &["sh", "-c", "exit 7"]);
    assert_eq!(finished.code, Some(7), "{finished:#?}");
}

#[test]
fn a_missing_command_is_127() {
    let test = "a_missing_command_is_127";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, DEBIAN, &["no-such-command"]);
    assert_eq!(finished.code, Some(127), "{finished:#?}");
    assert!(finished.stderr.contains("no-such-command"), "it is named: {finished:#?}");
}

#[test]
fn docker_stop_ends_an_app_that_would_ignore_sigterm_as_pid_1() {
    let test = "docker_stop_ends_an_app_that_would_ignore_sigterm_as_pid_1";
    if !ready(test) {
        return;
    }
    let container = Container::start(test, DEBIAN, &[], &["sleep", "1000"]);
    let took = container.stop(&[]);
    assert_eq!(container.exit_code(), 143, "{}", container.log());
    assert!(took < Duration::from_secs(5), "docker's own 10 s were not needed: {took:?}");
}

#[test]
fn orphans_are_reaped() {
    let test = "orphans_are_reaped";
    if !ready(test) {
        return;
    }
    let container = Container::start(test, DEBIAN, &[], &["sleep", "1000"]);
    // The shell ends first; its child's next parent is PID 1.
    container.exec(&["sh", "-c", "sleep 0.2 & sleep 0.3 & exit 0"]);
    container.wait_until("only bookend and the app are left", || container.processes().len() == 2);
    assert_no_zombie(&container);
}

#[test]
fn a_grace_period_kills_an_app_that_ignores_sigterm_and_post_stop_still_runs() {
    let test = "a_grace_period_kills_an_app_that_ignores_sigterm_and_post_stop_still_runs";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write(
        "bookend.toml",
        r#"
        terminationGracePeriodSeconds = 3

        [app]
        command = ["sh", "-c", "trap '' TERM; echo the app is up; while :; do sleep 1; done"]

        [[lifecycle.postStop]]
        exec.command = ["/bin/sh", "-c", "echo Hello from the postStop handler > /shared/stopped"]
        "#,
    );
    let options = ["--entrypoint", "/bookend", &folder.mount("", "/shared")];
    let container = Container::start(test, DEBIAN, &options, &["-c", "/shared/bookend.toml"]);
    container.wait_until("the app is up", || container.log().contains("the app is up"));

    let took = container.stop(&["--time", "5"]);

    let log = container.log();
    assert_eq!(container.exit_code(), 137, "128 + SIGKILL: {log}");
    assert!(took < Duration::from_secs(5), "before docker's own SIGKILL: {took:?}: {log}");
    let written = folder.read("stopped");
    assert_eq!(written.as_deref(), Some("Hello from the postStop handler\n"), "{log}");
}

fn assert_no_zombie(container: &Container) {
    container.wait_until("no zombie is left", || !container.processes().iter().any(|process| process.starts_with('Z')));
}

#[test]
fn an_app_and_a_handler_run_as_nobody_with_the_groups_of_the_image() {
    let test = "an_app_and_a_handler_run_as_nobody_with_the_groups_of_the_image";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("group", "root:x:0:\nlogs:x:700:other,nobody\nothers:x:701:other\nnogroup:x:65534:\n");
    let who = r#"["sh", "-c", "echo $HOOK $(id -u):$(id -g):$(id -G) $HOME; sleep $PAUSE"]"#;
    folder.write(
        "bookend.toml",
        &format!(
            "[app]\ncommand = {who}\nuser = \"nobody\"\nenv = {{ HOOK = \"app\", PAUSE = \"0.5\" }}\n\
             [lifecycle.preStart.exec]\ncommand = {who}\nuser = \"nobody\"\nenv = {{ HOOK = \"before\", PAUSE = \"0\" }}\n\
             [lifecycle.postStop.exec]\ncommand = {who}\nenv = {{ HOOK = \"after\", PAUSE = \"0\" }}\n"
        ),
    );
    let (group, shared) = (folder.mount("group", "/etc/group"), folder.mount("", "/shared"));
    let options = ["--entrypoint", "/bookend", &group, &shared];
    let container = Container::start(test, DEBIAN, &options, &["-c", "/shared/bookend.toml"]);
    assert_eq!(container.exit_code(), 0, "{}", container.log());
    let log = container.log();
    let nobody = "65534:65534:65534 700 /nonexistent";
    for told in [format!("app {nobody}"), format!("before {nobody}"), "after 0:0:".to_owned()] {
        assert!(log.contains(&told), "{told}: {log}");
    }
}
