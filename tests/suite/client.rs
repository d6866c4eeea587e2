//! The command line as a client of the running bookend: exec hooks and probes in images without a shell, and a
//! person with a terminal.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Finished, Folder, Init, PATIENCE, bookend, is_root, run, took, wait_for_socket, wait_until};

/// An app that needs a moment to end, in a folder of its own.
fn serving(config: &str) -> Init {
    let app =
        ["--", "sh", "-c", "trap 'sleep 0.2; exit 4' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done"];
    let init = Init::configured(config, &app);
    init.wait_for_out("up");
    wait_until("the socket answers", || ask(&init, &["probe", "liveness"]).code() == 0);
    init
}

fn command(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(bookend());
    command.args(args).env("BOOKEND_SOCKET", socket);
    command
}

fn ask(init: &Init, args: &[&str]) -> Finished {
    Init::start(Folder::new(), command(&init.folder.path("bookend.sock"), args)).finish()
}

#[test]
fn an_exec_hook_waits_and_prints_its_handlers_output() {
    let config = "lifecycle.preStop = { name = \"flush\", exec.command = [\"sh\", \"-c\", \"sleep 0.2; echo all is flushed\"] }\n\
        lifecycle.postStart.exec.command = [\"echo\", \"not this one\"]";
    let mut init = serving(config);
    let finished = ask(&init, &["hook", "preStop"]);
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.out.starts_with("preStop done\npreStop flush took "), "{finished:?}");
    assert!(took(&finished.out, "preStop flush") >= 0.2, "{finished:?}");
    assert!(finished.out.contains("  | all is flushed\n") && !finished.out.contains("not this one"), "{finished:?}");
    assert!(init.is_running(), "the stop signal follows from the kubelet");
    assert_eq!(ask(&init, &["hook", "postStart"]).code(), 0, "its handlers have been over for some time");
    init.signal(15);
    assert_eq!(init.end().code(), 4);
    assert_eq!(init.log().matches("all is flushed").count(), 1, "once a stop: {}", init.log());
}

#[test]
fn a_failed_exec_hook_names_the_failure_and_exits_1() {
    let init = serving(
        "lifecycle.preStop = { name = \"flush\", exec.command = [\"sh\", \"-c\", \"echo disk gone; exit 3\"] }",
    );
    let finished = ask(&init, &["hook", "preStop"]);
    assert_eq!(finished.code(), 1, "{finished:?}");
    for words in ["preStop failed", "Failed: exit code 3", "  | disk gone"] {
        assert!(finished.log.contains(words), "{words}: {finished:?}");
    }
}

#[test]
fn an_early_exec_hook_waits_for_bookend() {
    let folder = Folder::new();
    let socket = folder.path("bookend.sock");
    // A kubelet's postStart can come before main() of the container's process has begun.
    let early = std::thread::spawn({
        let command = command(&socket, &["hook", "postStart"]);
        move || Init::start(Folder::new(), command).finish()
    });
    std::thread::sleep(Duration::from_millis(200));
    let config = "lifecycle.postStart.exec.command = [\"sh\", \"-c\", \"sleep 0.2; echo greeted\"]";
    let _init = Init::configured_in(folder, config, &["--", "sleep", "1000"]);
    let finished = early.join().unwrap();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.out.contains("  | greeted\n"), "{finished:?}");
}

#[test]
fn without_bookend_every_client_command_fails_in_time() {
    let folder = Folder::new();
    let began = Instant::now();
    let hook = ["hook", "preStop", "--timeout-seconds", "0.3"];
    let verbs: [&[&str]; 6] =
        [&hook, &["probe", "readiness"], &["status"], &["events", "--follow"], &["stop", "--wait"], &["signal", "HUP"]];
    for args in verbs {
        let finished = Init::start(Folder::new(), command(&folder.path("none.sock"), args)).finish();
        assert_eq!(finished.code(), 1, "{args:?}: {finished:?}");
        assert!(finished.log.contains("no bookend is running at /"), "{args:?}: {finished:?}");
        assert!(finished.log.contains("none.sock"), "{args:?}: {finished:?}");
    }
    assert!(began.elapsed() < PATIENCE / 4);
    // The option names the socket as well, and wins.
    let path = folder.path("other.sock");
    let finished = run(&["probe", "liveness", "--socket", path.to_str().unwrap()]);
    assert!(finished.code() == 1 && finished.log.contains("other.sock"), "{finished:?}");
}

#[test]
fn a_socket_that_cannot_exist_is_reported_at_once() {
    let folder = Folder::new();
    // This is the case on a read-only root. bookend and the exec hook both report that there is no socket.
    let socket = folder.path("missing/bookend.sock");
    let mut bookend = command(&socket, &["run", "-c"]);
    bookend.arg(folder.write("b.toml", "lifecycle.preStop.sleep.seconds = 0")).args(["--", "sleep", "1000"]);
    let init = Init::start(Folder::new(), bookend);
    init.wait_for_log("exec hooks and commands like `bookend status` cannot reach this process; set BOOKEND_SOCKET");
    let began = Instant::now();
    let hook = Init::start(Folder::new(), command(&socket, &["hook", "postStart"])).finish();
    assert!(hook.code() == 1 && began.elapsed() < PATIENCE / 4, "{hook:?}");
    for text in ["no socket at /", "bookend cannot create one there", "set BOOKEND_SOCKET of the container"] {
        assert!(hook.log.contains(text), "{text}: {hook:?}");
    }
}

#[test]
fn an_unanswered_hook_call_times_out_with_a_message() {
    let init = serving("lifecycle.preStop.sleep.seconds = 1000");
    let finished = ask(&init, &["hook", "preStop", "--timeout-seconds", "0.3"]);
    assert_eq!(finished.code(), 1);
    assert!(finished.log.contains("did not respond in time"), "{finished:?}");
}

#[test]
fn an_exec_probe_answers_as_the_endpoint_does() {
    let init = serving(
        "lifecycle.postStart.exec.command = [\"sh\", \"-c\", \"until [ -e $BOOKEND_SOCKET.go ]; do sleep 0.05; done\"]",
    );
    let startup = ask(&init, &["probe", "startup"]);
    assert_eq!(startup.code(), 1, "{startup:?}");
    assert!(startup.log.contains("postStart"), "the probe prints the reason: {startup:?}");
    init.folder.write("bookend.sock.go", "");
    wait_until("postStart is over", || ask(&init, &["probe", "startup"]).code() == 0);
    assert_eq!(ask(&init, &["probe", "readiness"]).out, "ok\n");
    assert_eq!(ask(&init, &["probe", "liveness"]).out, "ok\n");
    assert_eq!(ask(&init, &["probe", "health"]).code(), 125, "there is no such probe");
}

#[test]
fn status_shows_the_stop_as_text_and_bars() {
    let config = "terminationGracePeriodSeconds = 40\nlifecycle.preStop = { name = \"pause\", sleep.seconds = 0.3 }";
    let init = serving(config);
    assert_eq!(ask(&init, &["hook", "preStop"]).code(), 0);
    let plain = ask(&init, &["status"]);
    assert_eq!(plain.code(), 0, "{plain:?}");
    for words in ["Stopping by the preStop hook", " of 40 s", "served, no new ones", "preStop pause  Succeeded"] {
        assert!(plain.out.contains(words), "{words}: {}", plain.out);
    }
    assert!(!plain.out.contains(['\u{1b}', '╵']), "no terminal, no pictures: {}", plain.out);
    // script(1) gives it a terminal.
    let shown = |env: &str| {
        let mut script = Command::new("script");
        script.args(["-qec", &format!("stty cols 70; exec env {env} {} status", bookend().display()), "/dev/null"]);
        script.env("BOOKEND_SOCKET", init.folder.path("bookend.sock")).env("TERM", "xterm").env_remove("NO_COLOR");
        Init::start(Folder::new(), script).finish().out
    };
    let coloured = shown("A=b");
    assert!(coloured.contains("━━━") && coloured.contains("\u{1b}[33m"), "{coloured}");
    let plain = shown("NO_COLOR=1");
    assert!(plain.contains("━━━") && !plain.contains('\u{1b}'), "{plain}");
    assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 70), "{plain}");
}

#[test]
fn status_json_is_what_the_endpoint_serves() {
    let init = serving("");
    let json = ask(&init, &["status", "--json"]);
    assert_eq!(json.code(), 0);
    assert!(json.out.contains("\"phase\": \"Running\""), "{json:?}");
}

#[test]
fn stop_wait_reports_the_stop_to_its_end() {
    let init = serving("lifecycle.preStop = { name = \"pause\", sleep.seconds = 0.1 }");
    let finished = ask(&init, &["stop", "--wait"]);
    assert_eq!(finished.code(), 0, "{finished:?}");
    let mut rest = finished.out.as_str();
    for words in ["phase Stopping", "preStop pause took ", "SIGTERM sent to the app", "exit code 4"] {
        rest = rest.split_once(words).unwrap_or_else(|| panic!("{words}: {}", finished.out)).1;
    }
    assert_eq!(init.finish().code(), 4);
}

#[test]
fn a_stop_alone_does_not_wait() {
    let mut init = serving("");
    assert_eq!(ask(&init, &["stop"]).code(), 0);
    let finished = init.end();
    assert_eq!(finished.code(), 4);
    assert!(finished.log.contains("stopped by bookend stop"), "{}", finished.log);
}

#[test]
fn a_signal_reaches_the_app_and_an_unknown_one_is_refused() {
    let init = serving("");
    assert_eq!(ask(&init, &["signal", "hup"]).code(), 0);
    init.wait_for_out("hup");
    let finished = ask(&init, &["signal", "KILL"]);
    assert!(finished.code() == 1 && finished.log.contains("refused (status 400)"), "{finished:?}");
    let finished = ask(&init, &["signal", "SIGNONE"]);
    assert!(finished.code() == 125 && finished.log.contains("is not a signal"), "{finished:?}");
}

#[test]
fn events_show_past_events_and_then_new_ones() {
    let init = serving("lifecycle.postStart = { name = \"greet\", exec.command = [\"echo\", \"hello\"] }");
    wait_until("postStart is over", || ask(&init, &["probe", "startup"]).code() == 0);
    let past = ask(&init, &["events"]);
    assert!(past.code() == 0 && past.out.contains("postStart greet took") && past.out.contains("| hello"), "{past:?}");
    let mut follower =
        Init::start(Folder::new(), command(&init.folder.path("bookend.sock"), &["events", "--follow", "--json"]));
    follower.wait_for_out("\"event\":\"phase\"");
    init.signal(15);
    let finished = follower.end();
    assert_eq!(finished.code(), 0, "it saw the end: {finished:?}");
    assert!(finished.out.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{finished:?}");
    assert!(
        finished.out.contains("\"event\":\"handlerEnded\"") && finished.out.contains("\"exitCode\":4"),
        "{finished:?}"
    );
    assert_eq!(init.finish().code(), 4);
}

#[test]
fn another_user_is_refused_with_a_reason() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can act as two users.
        return;
    }
    let init = serving("");
    // The build folder may be closed to other users.
    let copy = init.folder.path("bookend");
    assert_eq!(run(&["copy", copy.to_str().unwrap()]).code(), 0);
    let mut unrelated = Command::new("setpriv");
    unrelated.args(["--reuid=12345", "--clear-groups"]).arg(copy).arg("status");
    unrelated.env("BOOKEND_SOCKET", init.folder.path("bookend.sock"));
    let finished = Init::start(Folder::new(), unrelated).finish();
    assert!(finished.code() == 1 && finished.log.contains("run this as the user that bookend runs as"), "{finished:?}");
}

#[test]
fn an_empty_socket_variable_means_the_default() {
    let finished = Init::start(Folder::new(), command(Path::new("None"), &["hook", "preStop"])).finish();
    assert!(finished.code() == 1 && finished.log.contains("the socket is disabled"), "{finished:?}");
    if !is_root("an_empty_socket_variable_means_the_default") {
        return;
    }
    let mut empty = Command::new("unshare");
    let script = "mount -t tmpfs none /run && exec $0 status";
    empty.args(["--mount", "sh", "-c", script]).arg(bookend()).env("BOOKEND_SOCKET", "");
    let finished = Init::start(Folder::new(), empty).finish();
    assert!(finished.code() == 1 && finished.log.contains("is running at /run/bookend.sock"), "{finished:?}");
}

/// A bookend that runs as user 12345, with its socket below a directory of this owner and mode.
fn bookend_of_another_user(owner: u32, mode: u32) -> (Init, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let copy = folder.path("bookend");
    assert_eq!(run(&["copy", copy.to_str().unwrap()]).code(), 0);
    let dir = folder.path("run");
    std::fs::create_dir(&dir).unwrap();
    // User 12345 itself writes the file.
    std::os::unix::fs::chown(&dir, Some(12345), None).unwrap();
    let socket = dir.join("bookend.sock");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--clear-groups"]).arg(copy).args(["-c", "/dev/null", "--", "sleep", "1000"]);
    command.env("BOOKEND_SOCKET", &socket);
    let init = Init::start(folder, command);
    wait_for_socket(&socket);
    std::os::unix::fs::chown(&dir, Some(owner), None).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
    (init, socket)
}

#[test]
fn root_trusts_another_user_only_where_no_third_can_interfere() {
    if !is_root("root_trusts_another_user_only_where_no_third_can_interfere") {
        return;
    }
    for (owner, mode, is_trusted) in
        [(12345, 0o755, true), (0, 0o755, true), (12345, 0o777, false), (54321, 0o755, false)]
    {
        let (init, socket) = bookend_of_another_user(owner, mode);
        let finished = Init::start(Folder::new(), command(&socket, &["status"])).finish();
        assert_eq!(finished.code() == 0, is_trusted, "{owner} {mode:o}: {finished:?}");
        if !is_trusted {
            assert!(finished.log.contains("runs as uid 12345, this command as uid 0: not trusted"), "{finished:?}");
            let allowed = Init::start(Folder::new(), command(&socket, &["status", "--peer-uid", "12345"])).finish();
            assert_eq!(allowed.code(), 0, "{allowed:?}");
        }
        init.signal(15);
        init.finish();
    }
}

#[test]
fn an_ordinary_user_does_not_trust_another_ordinary_user() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root("an_ordinary_user_does_not_trust_another_ordinary_user") {
        return;
    }
    let (init, socket) = bookend_of_another_user(12345, 0o755);
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=23456", "--clear-groups"]).arg(init.folder.path("bookend")).args(["probe", "liveness"]);
    other.env("BOOKEND_SOCKET", &socket);
    let finished = Init::start(Folder::new(), other).finish();
    assert!(finished.code() == 1 && finished.log.contains("uid 12345, this command as uid 23456"), "{finished:?}");
    init.signal(15);
    init.finish();
}
