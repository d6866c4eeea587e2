//! Signals that the kernel refuses, and a SIGKILL without effect: they are reported, and no stop waits for ever.

use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::support::{Finished, Folder, Init, bookend, child_of, is_root, wait_until};

/// Becomes bookend without CAP_KILL: it may not signal the processes of another user.
const WITHOUT_CAP_KILL: &str = "exec setpriv --bounding-set=-kill --inh-caps=-kill \"$0\" \"$@\"";

/// An app of another user that does not end by itself.
const APP: &str = "lifecycle.postStop.exec.command = [\"sh\", \"-c\", \"echo postStop: $BOOKEND_REASON $BOOKEND_EXIT_CODE\"]\n\
    [app]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo up; while :; do sleep 0.05; done\"]\nuser = \"65534\"\n";

fn stopped_without_cap_kill(config: &str) -> Finished {
    let folder = Folder::new();
    let mut init = Init::in_a_pod(folder, &format!("{config}{APP}"), WITHOUT_CAP_KILL, &[]);
    init.wait_for_out("up");
    init.signal(15);
    init.end()
}

#[test]
fn with_a_grace_period_a_refused_kill_ends_the_stop() {
    if !is_root("with_a_grace_period_a_refused_kill_ends_the_stop") {
        return;
    }
    let finished = stopped_without_cap_kill("terminationGracePeriodSeconds = 3\n");
    assert_eq!(finished.code(), 137, "{}", finished.log);
    for text in [
        "cannot send SIGTERM to the app",
        "Operation not permitted",
        "may not signal",
        "app still runs",
        "postStop: Stopped 137",
    ] {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
    assert!(!finished.log.contains(" sent to the "), "nothing was sent: {}", finished.log);
    assert!(finished.log.contains("SIGKILL was refused to the remaining processes"), "{}", finished.log);
}

#[test]
fn without_a_grace_period_a_refused_stop_signal_ends_the_stop() {
    if !is_root("without_a_grace_period_a_refused_stop_signal_ends_the_stop") {
        return;
    }
    let finished = stopped_without_cap_kill("log.level = \"Info\"\n");
    assert_eq!(finished.code(), 137, "{}", finished.log);
    assert_eq!(finished.log.matches("cannot send").count(), 1, "reported once: {}", finished.log);
    assert!(finished.log.contains("postStop: Stopped 137"), "{}", finished.log);
    assert!(!finished.log.contains("SIGTERM sent to the app"), "{}", finished.log);
}

#[test]
fn a_kill_without_effect_is_not_waited_for() {
    let folder = Folder::new();
    let config = "terminationGracePeriodSeconds = 3\nlifecycle.postStop.exec.command = [\"echo\", \"postStop ran\"]\n";
    let path = folder.write("bookend.toml", config);
    let app = ["-c", path.to_str().unwrap(), "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"];
    let mut command = std::process::Command::new(bookend());
    command.args(app);
    let mut init = Init::start(folder, command);
    init.wait_for_out("up");
    let app = Pid::from_raw(child_of(u32::try_from(init.pid()).unwrap()).unwrap());
    // A tracer that does not wait for the app: bookend does not see its end.
    ptrace::seize(app, ptrace::Options::empty()).unwrap();
    init.signal(15);
    let finished = init.end();
    // The tracer reaps its tracee at last.
    waitpid(app, None).unwrap();
    assert_eq!(finished.code(), 137, "{}", finished.log);
    for text in ["SIGKILL sent to the app", "app still runs", "it still runs when bookend has exited", "postStop ran"] {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
}

#[test]
fn tini_exits_with_1_if_it_may_not_signal_its_child() {
    if !is_root("tini_exits_with_1_if_it_may_not_signal_its_child") {
        return;
    }
    let folder = Folder::new();
    let tini = folder.path("tini");
    std::os::unix::fs::symlink(bookend(), &tini).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set=-kill", "--inh-caps=-kill"]).arg(tini).args(["-s", "--", "setpriv"]);
    command.args(["--reuid=65534", "--clear-groups", "sh", "-c", "echo up; while :; do sleep 0.05; done"]);
    let mut init = Init::start(folder, command);
    init.wait_for_out("up");
    init.signal(15);
    wait_until("tini has ended", || init.has_ended());
    assert_eq!(init.end().code(), 1, "{}", init.log());
}
