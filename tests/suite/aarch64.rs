//! The aarch64 binary keeps the first promises, too. qemu-user runs it; its children are native programs. Its signalfd,
//! its waitid and its sockets go through qemu's translation to the real kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, Folder, Init, child_of, code, free_port, wait_until};

/// The binary of `make build-all`. If it or qemu is missing, the test reports it; in CI that is a failure.
fn binary(test: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let binary = target.join("aarch64-unknown-linux-musl/release/bookend");
    let qemu = Command::new("qemu-aarch64").arg("--version").output().is_ok_and(|output| output.status.success());
    if qemu && binary.is_file() {
        return Some(binary);
    }
    let reason = if qemu { "no aarch64 binary (make build-all)" } else { "no qemu-aarch64 (scripts/setup)" };
    let in_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!in_ci, "NOT RUN: {test}: {reason}: in CI nothing may be skipped");
    use std::io::Write;
    // The message goes directly to stderr, because libtest hides what a passing test prints.
    writeln!(std::io::stderr(), "NOT RUN: {test}: {reason}").ok();
    None
}

fn start(binary: &Path, folder: Folder, args: &[&str]) -> Init {
    let mut command = Command::new("qemu-aarch64");
    command.arg(binary).args(args);
    Init::start(folder, command)
}

fn run(binary: &Path, args: &[&str]) -> Finished {
    start(binary, Folder::new(), args).finish()
}

#[test]
fn aarch64_exit_codes_are_the_apps() {
    let Some(binary) = binary("aarch64_exit_codes_are_the_apps") else { return };
    assert_eq!(run(&binary, &["--", "sh", "-c", "exit 7"]).code(), 7);
    assert_eq!(run(&binary, &["--", "sh", "-c", "kill -KILL $$"]).code(), 137);
    assert_eq!(run(&binary, &["--", "no-such-command"]).code(), 127);
    assert_eq!(run(&binary, &["--", "/etc/passwd"]).code(), 126);
}

#[test]
fn aarch64_forwards_signals_and_stops_by_hook_and_signal() {
    let Some(binary) = binary("aarch64_forwards_signals_and_stops_by_hook_and_signal") else { return };
    let port = free_port();
    let folder = Folder::new();
    let config = format!(
        r#"
        terminationGracePeriodSeconds = 20
        app.command = ["sh", "-c", "trap 'echo hup' HUP; trap 'echo quit; exit 3' QUIT; echo up; while :; do sleep 0.02; done"]
        app.stopSignal = "SIGQUIT"
        http.listen = "127.0.0.1:{port}"
        lifecycle.preStart.exec.command = ["echo", "before"]
        lifecycle.preStop.exec.command = ["echo", "draining"]
        lifecycle.postStop.exec.command = ["sh", "-c", "echo gone with $BOOKEND_EXIT_CODE"]
        "#
    );
    let config = folder.write("bookend.toml", &config);
    let init = start(&binary, folder, &["-c", config.to_str().unwrap()]);
    init.wait_for_out("up");
    init.signal(1);
    init.wait_for_out("hup");
    assert_eq!(code(port, "/readyz"), 200);
    assert_eq!(code(port, "/lifecycle/preStop"), 200);
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 3, "{}", finished.log);
    for text in ["before", "draining", "SIGQUIT sent to the app", "gone with 3"] {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
}

#[test]
fn aarch64_reaps_orphans_as_pid_1() {
    let Some(binary) = binary("aarch64_reaps_orphans_as_pid_1") else { return };
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child", "qemu-aarch64"]).arg(&binary);
    // Three orphans: their parent ends before they do.
    let orphans = "for i in 1 2 3; do (sleep 0.1 & echo $! >>$0); done; echo made; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let folder = Folder::new();
    let pids = folder.path("pids");
    unshare.args(["--", "sh", "-c", orphans]).arg(&pids);
    let init = Init::start(folder, unshare);
    init.wait_for_out("made");
    let first = child_of(u32::try_from(init.pid()).unwrap()).expect("qemu is the first process");
    wait_until("no orphan is left, not even as a zombie", || {
        // bookend has one child left: the app.
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        children.split_whitespace().count() == 1
    });
    assert_eq!(init.folder.read("pids").lines().count(), 3);
    crate::support::signal(first, 15);
    let finished = init.finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
}
