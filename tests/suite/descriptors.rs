//! Descriptors run out at one moment or another (EMFILE, ENFILE). Whichever call is refused: the exit code is
//! kept or the reason for the missing app is reported, and no handler and no hook waits for ever.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Folder, Init, bookend, child_of, code, free_port, signal, wait_until};

/// A life with an endpoint, hooks and handlers in which the `nth` call of this kind is refused. Returns whether there was one.
fn lives_without(call: &str, error: &str, nth: u32) -> bool {
    let folder = Folder::new();
    let port = free_port();
    let config = format!(
        "terminationGracePeriodSeconds = 20\nhttp.listen = \"127.0.0.1:{port}\"\n\
         [lifecycle]\npreStart.exec.command = [\"true\"]\npostStart = {{ exec.command = [\"true\"], failurePolicy = \"Ignore\" }}\n\
         preStop.exec.command = [\"true\"]\npostStop.exec.command = [\"true\"]\n"
    );
    let path = folder.write("bookend.toml", &config);
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "signal=none", "-o"]).arg(folder.path("strace"));
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={nth}")]);
    strace.arg(bookend()).arg("-c").arg(&path);
    strace.args(["--", "sh", "-c", "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done"]);
    let mut init = Init::start(folder, strace);
    wait_until("it runs or has given up", || init.out().contains("up") || !init.is_running());
    let what = format!("{call} number {nth} says {error}");
    if init.out().contains("up") {
        // The caller gets an answer or a closed connection; it never waits for ever. If the socket was refused, no process listens.
        let asked = Instant::now();
        code(port, "/lifecycle/preStop");
        assert!(asked.elapsed() < Duration::from_secs(15), "{what}: {}", init.log());
        signal(child_of(init.pid().unsigned_abs()).expect("strace's child"), 15);
        let code = init.end().code();
        assert_eq!(code, 6, "{what}: {}", init.log());
    } else {
        let code = init.end().code();
        assert!(code == 125 || code == 127 || code == 126, "{what}: {code}: {}", init.log());
        assert!(!init.log().is_empty(), "{what}: the reason is logged");
    }
    init.folder.read("strace").contains("(INJECTED)")
}

fn lives_without_any_of(call: &str) {
    for (nth, error) in (1..=MOST).zip(["EMFILE", "ENFILE"].into_iter().cycle()) {
        if !lives_without(call, error, nth) {
            assert!(nth > 1, "{call} is never asked for");
            return;
        }
    }
}

/// The later calls repeat the earlier ones: reads of /proc.
const MOST: u32 = 50;

#[test]
fn a_refused_pipe_keeps_the_exit_code_or_is_reported() {
    lives_without_any_of("pipe2");
}

#[test]
fn a_refused_socket_keeps_the_exit_code_or_is_reported() {
    lives_without_any_of("socket");
}

#[test]
fn a_refused_accept_loses_no_hook_and_no_exit_code() {
    lives_without_any_of("accept4");
}

#[test]
fn a_refused_open_keeps_the_exit_code_or_is_reported() {
    lives_without_any_of("open,openat");
}
