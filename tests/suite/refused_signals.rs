//! Signals that the kernel refuses, and a SIGKILL without effect: they are reported, and no stop waits for ever.

use std::path::{Path, PathBuf};

use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::support::{Finished, Folder, Init, bookend, child_of, is_root, not_run, wait_until};

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
fn the_report_of_a_stop_has_each_refusal() {
    if !is_root("the_report_of_a_stop_has_each_refusal") {
        return;
    }
    let config = format!("terminationGracePeriodSeconds = 3\n{APP}");
    let mut init = Init::in_a_pod(Folder::new(), &config, WITHOUT_CAP_KILL, &[]);
    init.wait_for_out("up");
    // The first refusal has nothing to do with the stop.
    init.signal(1);
    init.wait_for_log("cannot send SIGHUP to the app: bookend needs CAP_KILL");
    init.signal(15);
    let finished = init.end();
    for signal in ["SIGTERM", "SIGKILL"] {
        for text in
            [format!("cannot send {signal} to the app"), format!("{signal} to the app was refused: Operation not")]
        {
            assert!(finished.log.contains(&text), "{text}: {}", finished.log);
        }
    }
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
fn an_app_that_ends_after_all_keeps_its_code() {
    let folder = Folder::new();
    let path = folder.write("bookend.toml", "terminationGracePeriodSeconds = 6\n");
    let mut command = std::process::Command::new(bookend());
    let gate = folder.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // No child: a signal at its end would stop the traced shell.
    command.args(["-c", path.to_str().unwrap(), "--", "sh", "-c", "echo up; read line <\"$0\"; exit 7"]).arg(&gate);
    let mut init = Init::start(folder, command);
    init.wait_for_out("up");
    let app = Pid::from_raw(child_of(u32::try_from(init.pid()).unwrap()).unwrap());
    ptrace::seize(app, ptrace::Options::empty()).unwrap();
    // The app ends, but its tracer does not collect its status for now.
    std::fs::write(
        gate, "go
",
    )
    .unwrap();
    wait_until("it is a zombie", || {
        std::fs::read_to_string(format!("/proc/{app}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    });
    init.signal(15);
    init.wait_for_log("the app could not be ended");
    waitpid(app, None).unwrap();
    let finished = init.end();
    assert_eq!(finished.code(), 7, "{}", finished.log);
    assert!(finished.log.contains("app exited with 7; exit code 7"), "{}", finished.log);
}

#[test]
fn only_some_refused_leftovers_are_named_as_refused() {
    if !is_root("only_some_refused_leftovers_are_named_as_refused") {
        return;
    }
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let app = format!(
        "setpriv --reuid=65534 --clear-groups sh -c \"{stubborn}\" & ({stubborn}) & until [ -e go ]; do sleep 0.05; done; exit 3"
    );
    let folder = Folder::new();
    let go = folder.path("go");
    let config =
        format!("[app]\nworkingDir = {:?}\ncommand = [\"sh\", \"-c\", {app:?}]\n", folder.path("").to_str().unwrap());
    let mut init = Init::in_a_pod(folder, &config, WITHOUT_CAP_KILL, &[]);
    wait_until("both run", || init.out().matches("up").count() == 2);
    std::fs::write(go, "").unwrap();
    let finished = init.end();
    assert_eq!(finished.code(), 3, "{}", finished.log);
    let killed = finished.log.lines().find(|line| line.contains("SIGKILL sent to the remaining")).unwrap();
    assert_eq!(killed.matches("(sh, refused)").count(), 1, "{killed}");
    let left = finished.log.lines().find(|line| line.contains("processes remain after SIGKILL")).unwrap();
    assert!(left.contains("may not signal"), "{left}");
}

#[test]
fn refused_leftovers_are_reported_without_proc() {
    if !is_root("refused_leftovers_are_reported_without_proc") {
        return;
    }
    // As PID 1 it may not signal them, and elsewhere it does not find them. Another /proc than its own is as good as none.
    let as_pid_1 = |hide: &str| (format!("{hide}; {WITHOUT_CAP_KILL}"), "or bookend may not signal them");
    let nested = |hide: &str| (format!("{hide}; \"$0\" \"$@\"; exit $?"), "without a /proc");
    let (none, of_the_node) = ("mount -t tmpfs none /proc", "umount -l /proc");
    for (prelude, why) in [as_pid_1(none), as_pid_1(of_the_node), nested(none), nested(of_the_node)] {
        let config = "leftoversSeconds = 0.2\n[app]\nuser = \"65534\"\n\
             command = [\"sh\", \"-c\", \"(trap '' TERM; echo up; while :; do sleep 0.05; done) & sleep 0.3; exit 3\"]\n";
        let finished = Init::in_a_pod(Folder::new(), config, &prelude, &[]).end();
        assert_eq!(finished.code(), 3, "{}", finished.log);
        let was_refused = finished.log.contains("SIGKILL was refused to the remaining processes");
        // The kernel does not tell PID 1.
        assert!(was_refused || why.contains("or bookend"), "{}", finished.log);
        let left = finished.log.lines().find(|line| line.contains("processes remain after SIGKILL")).unwrap();
        assert!(left.contains(why), "{left}");
    }
}

#[test]
fn a_handler_that_cannot_be_ended_is_reported() {
    if !is_root("a_handler_that_cannot_be_ended_is_reported") {
        return;
    }
    let config =
        "[lifecycle.preStop]\ntimeoutSeconds = 0.2\nexec = { command = [\"sleep\", \"1000\"], user = \"65534\" }\n";
    let mut init =
        Init::in_a_pod(Folder::new(), config, WITHOUT_CAP_KILL, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 143, "{}", finished.log);
    let failed = finished.log.lines().find(|line| line.contains("timed out after")).unwrap();
    assert!(failed.contains("cannot be ended: Operation not permitted"), "{failed}");
    assert!(finished.log.contains("a handler still runs after SIGKILL"), "{}", finished.log);
}

#[test]
fn probes_that_cannot_be_ended_do_not_pile_up() {
    if !is_root("probes_that_cannot_be_ended_do_not_pile_up") {
        return;
    }
    let config = "log.level = \"Debug\"\n[readinessProbe]\nperiodSeconds = 0.1\ntimeoutSeconds = 0.1\n\
         exec = { command = [\"sleep\", \"1000\"], user = \"65534\" }\n";
    let mut init =
        Init::in_a_pod(Folder::new(), config, WITHOUT_CAP_KILL, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    wait_until("five runs have failed at once", || init.log().matches("earlier runs still run").count() >= 5);
    let pid = init.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert_eq!(children.split_whitespace().count(), 3, "the app and two programs: {children}");
    init.signal(15);
    assert_eq!(init.end().code(), 143);
}

#[test]
fn a_kill_that_seccomp_forbids_is_not_reported_as_sent() {
    let app = ["--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"];
    let mut init = Init::in_a_pod(Folder::new(), "terminationGracePeriodSeconds = 2\n", "", &app);
    init.wait_for_out("up");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-qq", "-f", "-e", "trace=kill", "-e", "inject=kill:error=ENOSYS", "-o", "/dev/null", "-p"]);
    strace.arg(init.pid().to_string()).stderr(std::process::Stdio::null());
    let mut strace = strace.spawn().unwrap();
    let status = || std::fs::read_to_string(format!("/proc/{}/status", init.pid())).unwrap_or_default();
    wait_until("it is traced", || !status().contains("TracerPid:\t0"));
    init.signal(15);
    let finished = init.end();
    strace.wait().unwrap();
    assert_eq!(finished.code(), 137, "{}", finished.log);
    assert!(!finished.log.contains(" sent to the "), "nothing was sent: {}", finished.log);
    assert!(finished.log.contains("SIGKILL was refused to the remaining processes"), "{}", finished.log);
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

/// A control group of its own. Dropping it thaws and removes it.
struct Freezer {
    group: PathBuf,
    is_v2: bool,
}

impl Freezer {
    /// One for each version that this machine has and lets us use.
    fn all() -> Vec<Freezer> {
        let name = format!("bookend-test-{}", std::process::id());
        let roots = [("/sys/fs/cgroup/freezer", false), ("/sys/fs/cgroup/unified", true), ("/sys/fs/cgroup", true)];
        let usable = roots.into_iter().filter(|(root, is_v2)| {
            let file = if *is_v2 { "cgroup.controllers" } else { "cgroup.procs" };
            Path::new(root).join(file).exists() && std::fs::create_dir(Path::new(root).join(&name)).is_ok()
        });
        usable.map(|(root, is_v2)| Freezer { group: Path::new(root).join(&name), is_v2 }).collect()
    }

    fn freeze(&self) {
        let (file, frozen) = if self.is_v2 { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
        std::fs::write(self.group.join(file), frozen).unwrap();
        let (file, frozen) = if self.is_v2 { ("cgroup.events", "frozen 1") } else { ("freezer.state", "FROZEN") };
        let state = || std::fs::read_to_string(self.group.join(file)).unwrap();
        wait_until("the app is frozen", || state().contains(frozen));
    }

    fn thaw(&self) {
        let (file, thawed) = if self.is_v2 { ("cgroup.freeze", "0") } else { ("freezer.state", "THAWED") };
        let _ = std::fs::write(self.group.join(file), thawed);
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        let pids = std::fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        wait_until("the group is empty", || std::fs::remove_dir(&self.group).is_ok());
    }
}

#[test]
fn a_frozen_app_does_not_hold_the_end_of_a_stop() {
    let test = "a_frozen_app_does_not_hold_the_end_of_a_stop";
    if !is_root(test) {
        return;
    }
    let freezers = Freezer::all();
    if freezers.is_empty() {
        not_run(test, "no cgroup of this machine can be written");
    }
    for freezer in freezers {
        let folder = Folder::new();
        let config =
            "terminationGracePeriodSeconds = 3\nlifecycle.postStop.exec.command = [\"echo\", \"postStop ran\"]\n";
        let path = folder.write("bookend.toml", config);
        // Also frozen, the default effect of a signal ends a process of cgroup v2.
        let app = "trap '' TERM; echo $$ >\"$0\"/cgroup.procs; echo up; while :; do sleep 0.05; done";
        let mut command = std::process::Command::new(bookend());
        command.arg("-c").arg(path).args(["--", "sh", "-c", app]).arg(&freezer.group);
        let mut init = Init::start(folder, command);
        init.wait_for_out("up");
        freezer.freeze();
        init.signal(15);
        let finished = init.end();
        // Only now: a frozen process of cgroup v1 ends for no signal.
        let is_v2 = freezer.is_v2;
        drop(freezer);
        assert_eq!(finished.code(), 137, "{}", finished.log);
        assert!(finished.log.contains("postStop ran"), "{}", finished.log);
        // The freezer of cgroup v2 lets SIGKILL through.
        let reason = "could not be ended, because it is in uninterruptible sleep or in a frozen cgroup";
        assert_eq!(finished.log.matches(reason).count(), usize::from(!is_v2), "{}", finished.log);
    }
}
