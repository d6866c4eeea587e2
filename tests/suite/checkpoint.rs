//! A checkpoint and restore by CRIU at each stage of a life. bookend and its app are in a PID and a mount namespace of their own,
//! with a root folder as small as a container's.
//!
//! It is `make checkpoint`, and not a part of `make test`: the CRIU of a distribution is often too old for its kernel.
//! `CRIU` names another than the one in PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Folder, Init, bookend, code, copy_program, free_port, is_root, wait_until};
use crate::termination_message::read_message;

struct Container {
    /// unshare, which waits for the life before the checkpoint.
    init: Init,
    root: PathBuf,
    pid: Pid,
}

/// Makes the root folder a mount of its own, and enters it as a container engine does.
const ENTER: &str = "mount --bind . . && cd \"$PWD\" && mount -t proc proc proc && pivot_root . old && \
                     exec /busybox sh -c '/busybox umount -l /old; exec </dev/null >/out 2>/log; exec /busybox setsid \"$@\"' sh \"$@\"";

impl Container {
    fn start(config: &str, app: &str) -> Container {
        let folder = Folder::new();
        let root = folder.path("root");
        for name in ["", "proc", "old", "dev", "run", "tmp", "images"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        copy_program(bookend(), root.join("bookend"));
        copy_program("/bin/busybox", root.join("busybox"));
        std::os::unix::fs::symlink("/busybox", root.join("sh")).unwrap();
        let mknod = Command::new("mknod").args(["-m", "666"]).arg(root.join("dev/null")).args(["c", "1", "3"]).status();
        assert!(mknod.unwrap().success());
        std::fs::write(root.join("message"), "").unwrap();
        std::fs::write(root.join("bookend.toml"), config).unwrap();
        let mut command = Command::new("unshare");
        // A descriptor of this program would be a file outside of the container, which CRIU refuses.
        let no_more = "for fd in /proc/self/fd/*; do fd=${fd##*/}; [ \"$fd\" -lt 3 ] || eval \"exec $fd>&-\"; done 2>/dev/null; exec \"$@\"";
        command.args(["--pid", "--mount", "--fork", "--propagation", "private", "bash", "-c", no_more, "bash"]);
        command.args(["sh", "-c", ENTER, "sh", "/bookend", "-c", "/bookend.toml", "--", "/sh", "-c", app]);
        command
            .current_dir(&root)
            .env("BOOKEND_SOCKET", "/run/bookend.sock")
            .env("PATH", format!("{}:/", std::env::var("PATH").unwrap_or_default()));
        let init = Init::start(folder, command);
        let unshare = init.pid().unsigned_abs();
        wait_until("it has a child", || crate::support::child_of(unshare).is_some());
        let pid = Pid::from_raw(crate::support::child_of(unshare).unwrap());
        Container { init, root, pid }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for(&self, name: &str, text: &str) {
        wait_until(text, || self.read(name).contains(text) || self.init.has_ended());
        assert!(self.read(name).contains(text), "{text}: {} {}", self.read(name), self.init.log());
    }

    /// Writes the container to a folder and ends it.
    fn checkpoint(&mut self) {
        criu(Command::new("sh").args(["-c", "exec \"$0\" \"$@\""]), &self.root, |criu| {
            criu.args(["dump", "--tree"]).arg(self.pid.to_string());
        });
        wait_until("the life before the checkpoint is over", || !self.init.is_running());
    }

    fn restore(&mut self) {
        let mut namespace = Command::new("unshare");
        namespace.args(["--mount", "--propagation", "private", "sh", "-c", "mount --bind . . && exec \"$0\" \"$@\""]);
        let pid_file = self.root.join("images/pid");
        let root = self.root.clone();
        criu(&mut namespace, &self.root, |criu| {
            criu.args(["restore", "--restore-detached", "--root"]).arg(&root).arg("--pidfile").arg(&pid_file);
        });
        self.pid = Pid::from_raw(std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap());
    }

    fn has_ended(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).map_or(true, |stat| stat.contains(") Z "))
    }
}

/// Runs CRIU, started by a program that executes its arguments.
#[track_caller]
fn criu(by: &mut Command, root: &Path, arguments: impl FnOnce(&mut Command)) {
    by.arg(program()).stdin(Stdio::null()).current_dir(root);
    arguments(by);
    by.args(["--shell-job", "--manage-cgroups=ignore", "-v3", "--log-file", "log", "--images-dir"])
        .arg(root.join("images"));
    let output = by.output().unwrap();
    let log = std::fs::read_to_string(root.join("images/log")).unwrap_or_default();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("Error")).collect();
    assert!(output.status.success(), "{by:?}: {output:?}\n{errors:#?}");
}

fn program() -> String {
    std::env::var("CRIU").unwrap_or_else(|_| "criu".to_owned())
}

/// A stage: its name, how the file log or out shows it, whether a stop has begun, whether a handler waits for the file /go.
const STAGES: [(&str, &str, &str, bool, bool); 5] = [
    ("preStart", "log", "preStart waits", false, true),
    ("running", "out", "up", false, false),
    ("preStop", "log", "preStop waits", true, true),
    ("after the stop signal", "out", "stop signal", true, false),
    ("postStop", "log", "postStop waits", true, true),
];

#[test]
#[ignore = "the CRIU of a distribution is often too old for its kernel: `make checkpoint` runs it"]
fn a_life_goes_on_after_a_restore_at_each_stage() {
    let test = "a_life_goes_on_after_a_restore_at_each_stage";
    let check = Command::new(program()).arg("check").output();
    let can = check.as_ref().is_ok_and(|check| check.status.success());
    assert!(is_root(test), "NOT RUN: {test}: it needs root");
    assert!(can, "NOT RUN: {test}: no CRIU that works with this kernel: {check:?}");
    for (stage, file, text, is_stopping, holds) in STAGES {
        let port = free_port();
        let handler = |hook: &str| {
            let wait =
                if stage == hook { "echo $0 waits; until [ -e /go ]; do /busybox sleep 0.02; done; " } else { "" };
            format!("lifecycle.{hook}.exec.command = [\"/sh\", \"-c\", \"{wait}echo {hook} >> /story\", \"{hook}\"]\n")
        };
        let hooks: String = ["preStart", "postStart", "preStop", "postStop"].map(handler).concat();
        let config = format!(
            "log.level = \"Info\"\nterminationGracePeriodSeconds = 30\nterminationMessagePath = \"/message\"\nstateFile = \"/run/state\"\n\
             http.listen = \"127.0.0.1:{port}\"\n\
             readinessProbe = {{ exec.command = [\"/busybox\", \"true\"], periodSeconds = 0.1 }}\n{hooks}"
        );
        // The app ends half a second after its stop signal, by its own clock.
        let app =
            "trap 'echo stop signal; /busybox sleep 0.5; exit 7' TERM; echo up; while :; do /busybox sleep 0.02; done";
        let mut container = Container::start(&config, app);
        if is_stopping {
            container.wait_for("out", "up");
            container.wait_for("story", "postStart");
            kill(container.pid, Signal::SIGTERM).unwrap();
        }
        container.wait_for(file, text);
        container.checkpoint();
        // Its monotonic clock stands still meanwhile.
        std::thread::sleep(Duration::from_secs(2));
        container.restore();
        let restored = wall_clock();
        if holds {
            std::fs::write(container.root.join("go"), "").unwrap();
        }
        if !is_stopping {
            wait_until("it is ready", || code(port, "/readyz") == 200);
            kill(container.pid, Signal::SIGTERM).unwrap();
        }
        wait_until("it has ended", || container.has_ended());
        let log = container.read("log");
        assert_eq!(container.read("story"), "preStart\npostStart\npreStop\npostStop\n", "{stage}: {log}");
        assert_eq!(container.read("out"), "up\nstop signal\n", "{stage}: {log}");
        let (text, json) = read_message(&container.root.join("message"));
        assert_eq!((&json["exitCode"], &json["stoppedBy"]), (&7.into(), &"SIGTERM".into()), "{stage}: {text}");
        let began_at = json["beganAt"].as_str().unwrap();
        assert_eq!(!is_stopping, began_at > restored.as_str(), "{stage}: {began_at}, restored at {restored}: {text}");
        assert!(container.read("run/state").contains(" Reported "), "{stage}: {}", container.read("run/state"));
        eprintln!("checkpoint and restore: {stage}: {}", text.lines().next().unwrap_or_default());
    }
}

#[test]
#[ignore = "the CRIU of a distribution is often too old for its kernel: `make checkpoint` runs it"]
fn a_deadline_holds_after_a_restore() {
    let config = "log.level = \"Info\"\nterminationGracePeriodSeconds = 4\nterminationMessagePath = \"/message\"\n\
                  lifecycle.postStop.exec.command = [\"/sh\", \"-c\", \"echo over > /story\"]\n";
    let app = "trap 'echo stop signal' TERM; echo up; while :; do /busybox sleep 0.02; done";
    let mut container = Container::start(config, app);
    container.wait_for("out", "up");
    kill(container.pid, Signal::SIGTERM).unwrap();
    container.wait_for("out", "stop signal");
    container.checkpoint();
    container.restore();
    wait_until("it has ended", || container.has_ended());
    let (text, json) = read_message(&container.root.join("message"));
    assert!(text.contains("SIGKILL sent to the app: it did not end in time"), "{text}");
    assert_eq!((&json["exitCode"], container.read("story").as_str()), (&137.into(), "over\n"), "{text}");
}

fn wall_clock() -> String {
    let date = Command::new("date").args(["-u", "+%FT%T.%3NZ"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}
