//! When the app has ended, its remaining processes get SIGTERM, a short time, then SIGKILL. Other processes get nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Folder, Init, bookend, wait_for_socket, wait_until};

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
    let init = Init::first_process(&["--", "sh", "-c", "trap '' TERM; (sleep 1000 & sleep 1000) & exit 5"]);
    assert_eq!(init.finish().code(), 5);
}

#[test]
fn not_as_pid_1_only_our_own_descendants_are_touched() {
    let mut unrelated = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
    // setsid and a double fork: neither the group nor the parent shows where it came from.
    let script = "setsid sh -c 'sleep 1000 & echo $!' ; exit 6";
    let mut init = Init::ordinary(Folder::new(), &["--", "sh", "-c", script]);
    let finished = init.end();
    assert_eq!(finished.code(), 6);
    let leftover = finished.out.trim();
    assert!(!leftover.is_empty());
    wait_until("the leftover is gone", || !std::path::Path::new(&format!("/proc/{leftover}")).exists());
    assert!(unrelated.try_wait().unwrap().is_none(), "an unrelated process was killed");
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
}

/// Each look visits all processes of the machine.
#[test]
fn the_end_of_the_last_process_is_looked_for_once() {
    let folder = Folder::new();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", "trace=kill", "-o"]).arg(folder.path("strace"));
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    strace.arg("unshare").args(user).args(["--pid", "--fork"]).arg(bookend()).args(["--", "sh", "-c", "exit 4"]);
    let mut init = Init::start(folder, strace);
    assert_eq!(init.end().code(), 4);
    let trace = init.folder.read("strace");
    assert_eq!(trace.lines().filter(|line| line.contains("kill(-1, 0)")).count(), 1, "{trace}");
}

#[test]
fn leftovers_killed_by_sigkill_are_named() {
    let script = "trap '' TERM; sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done; exit 5";
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

/// A server behind a shell that does not exec: the shell dies of SIGTERM at once, the server takes `seconds` to finish.
fn wrapped(seconds: u32) -> String {
    format!(
        "(trap 'echo asked; sleep {seconds}; echo finished; exit' TERM; echo up; while :; do sleep 0.05; done) & wait"
    )
}

#[test]
fn a_server_left_by_its_shell_may_use_the_budget_of_the_stop() {
    let init = Init::configured("terminationGracePeriodSeconds = 20", &["--", "sh", "-c", &wrapped(3)]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 143);
    assert!(finished.out.contains("finished"), "{finished:?}");
    assert!(finished.log.contains("SIGTERM sent to the remaining processes: "), "{}", finished.log);
    assert!(
        finished.log.contains("(sh)") && finished.log.contains("the remaining processes have ended"),
        "{finished:?}"
    );
    assert!(!finished.log.contains("SIGKILL"), "{}", finished.log);
}

#[test]
fn leftovers_seconds_limits_the_time_of_leftovers() {
    for config in ["terminationGracePeriodSeconds = 60\nleftoversSeconds = 0.3", "leftoversSeconds = 0.3"] {
        let init = Init::configured(config, &["--", "sh", "-c", &wrapped(1000)]);
        init.wait_for_out("up");
        init.signal(15);
        let finished = init.finish();
        assert!(finished.out.contains("asked") && !finished.out.contains("finished"), "{finished:?}");
        assert!(finished.log.contains("SIGKILL sent to the remaining processes: "), "{}", finished.log);
    }
}

#[test]
fn repeated_stop_signals_are_passed_on_to_leftovers() {
    let server =
        "(n=0; trap 'n=$((n+1)); echo term-$n; [ $n = 4 ] && exit' TERM; echo up; while :; do sleep 0.05; done)";
    let init = Init::configured("terminationGracePeriodSeconds = 60", &["--", "sh", "-c", &format!("{server} & wait")]);
    init.wait_for_out("up");
    for n in 1..5 {
        init.signal(15);
        init.wait_for_out(&format!("term-{n}"));
    }
    let finished = init.finish();
    assert!(!finished.log.contains("SIGKILL"), "{}", finished.log);
}

#[test]
fn a_stop_while_leftovers_end_begins_a_budget() {
    let config = "terminationGracePeriodSeconds = 2\nleftoversSeconds = 1000";
    // An ignored signal is inherited: the remaining process ignores SIGTERM from its first moment.
    let script = "trap '' TERM; while :; do sleep 0.05; done & exit 5";
    for command in [&["stop"][..], &["hook", "preStop"]] {
        let mut init = Init::configured(config, &["--", "sh", "-c", script]);
        wait_until("the app has ended", || client(&init, &["status"]).contains("Finishing"));
        client(&init, command);
        let finished = init.end();
        assert_eq!(finished.code(), 5);
        assert!(finished.log.contains("SIGKILL sent to the remaining processes"), "{command:?}: {}", finished.log);
    }
}

/// Runs a command of bookend against this init, and returns its output.
fn client(init: &Init, args: &[&str]) -> String {
    let output = Command::new(bookend()).args(args).env("BOOKEND_SOCKET", init.folder.path("bookend.sock")).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

/// Runs a command in the init's namespaces, as `docker exec` does: its parent is outside.
fn session(init: &Init, command: &[&str]) -> Command {
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &init.pid().to_string(), "--pid", "--mount"]).args(command);
    nsenter.env("BOOKEND_SOCKET", init.folder.path("bookend.sock"));
    nsenter
}

#[test]
fn a_session_gets_sigterm_before_the_end_although_no_orphan_remains() {
    let mut init = Init::first_process(&["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    let file = init.folder.path("session");
    let script = "trap 'echo asked; exit' TERM; echo here; while :; do sleep 0.05; done";
    let mut docker_exec =
        session(&init, &["sh", "-c", script]).stdout(std::fs::File::create(&file).unwrap()).spawn().unwrap();
    wait_until("the session is there", || init.folder.read("session").contains("here"));
    init.signal(15);
    let finished = init.end();
    docker_exec.wait().unwrap();
    assert!(init.folder.read("session").contains("asked"), "{finished:?}");
}

#[test]
fn a_session_that_ignores_sigterm_does_not_extend_a_stop() {
    let config = "terminationGracePeriodSeconds = 300";
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    let mut docker_exec = session(&init, &["sh", "-c", "trap '' TERM; echo here; while :; do sleep 0.05; done"]);
    let mut docker_exec =
        docker_exec.stdout(std::fs::File::create(init.folder.path("session")).unwrap()).spawn().unwrap();
    wait_until("the session is there", || init.folder.read("session").contains("here"));
    init.signal(15);
    // Otherwise the stop would last almost 300 seconds.
    assert_eq!(init.finish().code(), 143);
    docker_exec.wait().unwrap();
}

#[test]
fn followers_in_a_session_see_the_end() {
    // The leftover that ignores SIGTERM gets SIGKILL, and the followers do not.
    let config = "terminationGracePeriodSeconds = 30\nleftoversSeconds = 0.5";
    let script = "(trap '' TERM; echo up; while :; do sleep 0.05; done) & wait";
    let mut init = Init::configured(config, &["--", "sh", "-c", script]);
    init.wait_for_out("up");
    wait_for_socket(&init.folder.path("bookend.sock"));
    let bookend = bookend();
    let bookend = bookend.to_str().unwrap();
    let output = |name: &str| std::fs::File::create(init.folder.path(name)).unwrap();
    let mut follower = session(&init, &[bookend, "events", "--follow"]).stdout(output("follower")).spawn().unwrap();
    wait_until("it follows", || init.folder.read("follower").contains("phase Running"));
    let mut stopper = session(&init, &[bookend, "stop", "--wait"]).stdout(output("stopper")).spawn().unwrap();
    assert_eq!(init.end().code(), 143);
    assert!(follower.wait().unwrap().success() && stopper.wait().unwrap().success());
    for name in ["follower", "stopper"] {
        assert!(init.folder.read(name).contains("exit code 143"), "{name}: {}", init.folder.read(name));
    }
    // The report names no process that has got no signal.
    for signal in ["SIGTERM", "SIGKILL"] {
        let log = init.log();
        let line =
            log.lines().find(|line| line.contains(&format!("{signal} sent to the remaining processes: "))).unwrap();
        assert!(line.contains("(sh)") && !line.contains("(bookend)"), "{line}");
    }
}
