//! When the app has ended, its remaining processes get SIGTERM, a short time, then SIGKILL. Other processes get nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Folder, Init, wait_until};

#[test]
fn an_obedient_leftover_ends_the_wait_at_once() {
    let began = Instant::now();
    let script = "(trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done) & while ! grep -q up /proc/self/fd/1 2>/dev/null && [ $((n=n+1)) -lt 20 ]; do sleep 0.05; done; exit 4";
    let finished = Init::first_process(&["--", "sh", "-c", script]).finish();
    assert_eq!(finished.code(), 4);
    assert!(finished.out.contains("bye"), "{finished:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_leftover_that_ignores_sigterm_is_killed() {
    let init = Init::first_process(&["--", "sh", "-c", "(trap '' TERM; sleep 1000 & sleep 1000) & exit 5"]);
    assert_eq!(init.finish().code(), 5);
}

#[test]
fn not_as_pid_1_only_our_own_descendants_are_touched() {
    let mut stranger = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
    // setsid and a double fork: neither the group nor the parent shows where it came from.
    let script = "setsid sh -c 'sleep 1000 & echo $!' ; exit 6";
    let mut init = Init::ordinary(Folder::new(), &["--", "sh", "-c", script]);
    let finished = init.end();
    assert_eq!(finished.code(), 6);
    let leftover = finished.out.trim();
    assert!(!leftover.is_empty());
    wait_until("the leftover is gone", || !std::path::Path::new(&format!("/proc/{leftover}")).exists());
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn leftovers_killed_by_sigkill_are_named() {
    let script = "(trap '' TERM; exec sleep 1000) & sleep 0.3; exit 5";
    for init in
        [Init::first_process(&["--", "sh", "-c", script]), Init::ordinary(Folder::new(), &["--", "sh", "-c", script])]
    {
        let finished = init.finish();
        let line = finished.log.lines().find(|line| line.contains("SIGKILL")).unwrap_or_default();
        assert!(line.contains("(sleep)"), "{}", finished.log);
        assert_eq!(finished.code(), 5);
    }
}

#[test]
fn a_stopped_leftover_is_continued_and_obeys() {
    let script =
        "(trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done) & sleep 0.5; kill -STOP $!; exit 4";
    let finished = Init::first_process(&["--", "sh", "-c", script]).finish();
    assert!(finished.out.contains("bye") && !finished.log.contains("SIGKILL"), "{finished:?}");
}
