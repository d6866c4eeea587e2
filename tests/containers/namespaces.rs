//! In a PID namespace that is shared with the machine or another container, only our own descendants are touched.

use crate::docker::{Container, ready};

/// Ends and leaves a process behind, in a session of its own, which prints when it is asked to end.
const LEAVES: &str = r#"
    setsid sh -c '(trap "echo bye; exit" TERM; echo stays; while :; do sleep 0.05; done) &'
    until [ -e /tmp/go ]; do sleep 0.05; done
    exit 6
"#;

fn only_descendants_are_ended(test: &str, namespace: &str, unrelated: &Container) {
    let options = ["--pid", namespace];
    let container = Container::start(test, crate::DEBIAN, &options, &["sh", "-c", LEAVES]);
    container.wait_until("a process is left behind", || container.log().contains("stays"));
    let seen = container.exec(&["sh", "-c", "ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c bookend"]);
    assert!(seen.stdout.trim().parse().is_ok_and(|count: u32| count > 0), "bookend is in that namespace: {seen:#?}");
    container.exec(&["touch", "/tmp/go"]);
    assert_eq!(container.exit_code(), 6, "{}", container.log());
    assert!(container.log().contains("bye"), "the remaining process was asked to end: {}", container.log());
    // The engine answers, and the foreign process runs: not every process was signalled.
    assert_eq!(unrelated.exec(&["true"]).code, Some(0));
    assert!(!unrelated.log().contains("signalled"), "{}", unrelated.log());
}

/// Prints when it gets a signal.
const UNRELATED: &str = "trap 'echo signalled' TERM CONT HUP INT; while :; do sleep 0.05; done";

#[test]
fn with_host_pids_foreign_processes_are_left_alone() {
    let test = "with_host_pids_foreign_processes_are_left_alone";
    if !ready(test) {
        return;
    }
    let options = ["--entrypoint", "/bin/sh"];
    let unrelated = Container::start(&format!("{test}-unrelated"), crate::DEBIAN, &options, &["-c", UNRELATED]);
    only_descendants_are_ended(test, "host", &unrelated);
}

#[test]
fn another_containers_processes_are_left_alone() {
    let test = "another_containers_processes_are_left_alone";
    if !ready(test) {
        return;
    }
    let options = ["--entrypoint", "/bin/sh"];
    let unrelated = Container::start(&format!("{test}-unrelated"), crate::DEBIAN, &options, &["-c", UNRELATED]);
    let namespace = format!("container:{}", unrelated.name());
    only_descendants_are_ended(test, &namespace, &unrelated);
}
