//! Handlers that signal PID 1, which they take for the app.

use std::process::{Command, Stdio};

use crate::support::{Init, bookend};

/// Says which signals it gets, and ends at SIGTERM.
const APP: &str =
    r#"trap 'echo got-quit' QUIT; trap 'echo got-term; exit 5' TERM; echo up; while :; do sleep 0.05; done"#;

fn with_handlers(lifecycle: &str) -> Init {
    let init = Init::configured(lifecycle, &["--", "sh", "-c", APP]);
    init.wait_for_out("up");
    init
}

#[test]
fn a_signal_of_a_pre_stop_handler_is_the_apps_and_triggers_nothing() {
    let script = "sleep 0.2; kill -QUIT 1; sleep 1; echo handler-done";
    let init = with_handlers(&format!("lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"{script}\"]"));
    let hook = Command::new(bookend())
        .args(["hook", "preStop"])
        .env("BOOKEND_SOCKET", init.folder.path("bookend.sock"))
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert!(hook.status.success(), "the caller of the hook gets an answer: {hook:?}\n{}", init.log());
    assert!(init.out().contains("got-quit") && !init.out().contains("got-term"), "{}", init.out());
    assert!(init.log().contains("handler-done"), "{}", init.log());
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 5);
    assert!(finished.log.contains("SIGQUIT of a preStop handler passed on to the app"), "{}", finished.log);
}

#[test]
fn a_child_of_a_pre_stop_handler_is_recognised() {
    // A program of its own, in another process group, that lives until its signal is read.
    let script = "setsid perl -e 'kill 3, 1; sleep 1'; echo handler-done";
    let init = with_handlers(&format!("lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"{script}\"]"));
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("handler-done") && finished.out.contains("got-quit"), "{finished:?}");
    assert_eq!(finished.code(), 5);
}

#[test]
fn a_handler_that_needs_files_at_its_start_is_recognised() {
    let script = "sleep 0.2; kill -QUIT 1; sleep 0.5; echo handler-done";
    for key in ["user = \"0\"", "env.TOKEN.valueFrom.file = \"/etc/hostname\""] {
        let exec = format!("lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"{script}\"]\n");
        let init = with_handlers(&format!("{exec}lifecycle.preStop.exec.{key}"));
        init.signal(15);
        let finished = init.finish();
        assert!(finished.log.contains("handler-done") && finished.out.contains("got-quit"), "{finished:?}");
        assert_eq!(finished.code(), 5);
    }
}

#[test]
fn a_pre_stop_handler_that_is_pkill_does_not_cut_its_own_stop() {
    let lifecycle = "[[lifecycle.preStop]]\nexec.command = [\"pkill\", \"-QUIT\", \"-f\", \"got-quit\"]\n\
        [[lifecycle.preStop]]\nexec.command = [\"sh\", \"-c\", \"sleep 0.5; echo handler-done\"]\n";
    let init = with_handlers(lifecycle);
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("handler-done") && finished.out.contains("got-quit"), "{finished:?}");
    assert_eq!(finished.code(), 5);
}

#[test]
fn other_handlers_and_probes_that_signal_pid_1_begin_a_stop() {
    let kill = "exec.command = [\"sh\", \"-c\", \"kill 1; sleep 1000\"]";
    for config in [format!("lifecycle.postStart.{kill}"), format!("livenessProbe.{kill}")] {
        let finished = with_handlers(&config).finish();
        assert_eq!(finished.code(), 5, "{finished:?}");
        assert!(finished.log.contains("stop triggered by SIGTERM"), "{}", finished.log);
    }
    let pre_start = format!("lifecycle.preStart.{kill}");
    let finished = Init::configured(&pre_start, &["--", "sh", "-c", APP]).finish();
    assert_eq!(finished.code(), 143, "the app is not started: {finished:?}");
}
