//! The pod of these tests, its containers, and the test's side as their kubelet.

use std::fs;
use std::process::{Command, Stdio};

use crate::kubelet::{Kubelet, Scheme};
use crate::support::{
    Finished, Folder, Init, bookend, child_of, code_of, get, in_network_of, is_root, signal, wait_until,
};

pub(super) const PORT: u16 = 9797;

/// Whether the containers of the pod see each other's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pids {
    Own,
    /// `shareProcessNamespace: true`
    Shared,
}

/// The sandbox: its pause process holds the namespaces. Dropped last, it ends everything in its PID namespace.
pub(super) struct Pod {
    pause: Init,
    pub(super) pids: Pids,
    /// The events, one line each, in order.
    pub(super) folder: Folder,
}

/// A container's first process: the child of the process that entered the namespaces.
pub(super) struct Container {
    pub(super) init: Init,
    pid: i32,
}

impl Pod {
    /// `None`: it needs root, and the test reports that.
    pub(super) fn new(test: &str, pids: Pids) -> Option<Pod> {
        is_root(test).then(|| {
            let mut command = Command::new("unshare");
            command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
            command.args(["ip link set lo up && exec \"$0\" pause"]).arg(bookend());
            let pause = Init::start(Folder::new(), command);
            let pod = Pod { pause, pids, folder: Folder::new() };
            wait_until("the pause is there", || pod.pause_pid().is_some_and(is_bookend));
            pod
        })
    }

    pub(super) fn pause_pid(&self) -> Option<i32> {
        child_of(u32::try_from(self.pause.pid()).unwrap())
    }

    /// Puts a command into the pod as a runtime does: from outside, so its parent is not in the namespace.
    pub(super) fn container(&self, command: &[&str]) -> Container {
        let pause = self.pause_pid().expect("the pod is there");
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--net=/proc/{pause}/ns/net"));
        match self.pids {
            // `nsenter --pid` forks, so that its child is in the namespace.
            Pids::Shared => enter.arg(format!("--pid=/proc/{pause}/ns/pid")).args(["--", "unshare", "--mount"]),
            Pids::Own => enter.args(["--", "unshare", "--mount", "--pid", "--fork", "--kill-child"]),
        };
        enter.args(["sh", "-c", "mount -t proc proc /proc && exec \"$@\"", "sh"]).args(command);
        let init = Init::start(Folder::new(), enter);
        let mut pid = None;
        wait_until("the container has its process", || {
            pid = child_of(u32::try_from(init.pid()).unwrap());
            pid.is_some()
        });
        Container { pid: pid.unwrap(), init }
    }

    /// An app that prints the signals it gets.
    pub(super) fn app(&self) -> Container {
        self.app_marked("app", MARK)
    }

    /// One of several apps, whose mark contains its name.
    pub(super) fn app_called(&self, name: &str) -> Container {
        self.app_marked(name, &format!("{MARK}-{name}"))
    }

    fn app_marked(&self, name: &str, mark: &str) -> Container {
        let order = self.folder.path("order");
        let script = format!(
            "say() {{ echo \"{name} $1\" >> {order:?}; }}\n\
             trap 'say HUP' HUP; trap 'say TERM; exit 0' TERM; trap 'say QUIT; exit 0' QUIT; trap 'say CRASH; exit 3' USR1\n\
             say up; echo up; : {mark}; while :; do sleep 0.02; done"
        );
        let app = self.container(&["sh", "-c", &script]);
        app.init.wait_for_out("up");
        app
    }

    pub(super) fn sidecar(&self, config: &str) -> Container {
        let path = self.folder.write("bookend.toml", &format!("http.listen = \"0.0.0.0:{PORT}\"\n{config}"));
        let sidecar = self.container(&[bookend().to_str().unwrap(), "sidecar", "-c", path.to_str().unwrap()]);
        let answers = || {
            assert!(!sidecar.has_ended(), "{}", sidecar.init.log());
            self.code("/livez") == 200
        };
        wait_until("the sidecar answers", answers);
        sidecar
    }

    /// A handler that writes its word; `more` is shell code.
    pub(super) fn handler(&self, word: &str, more: &str) -> String {
        let script = format!("{more} echo {word} >> {}", self.folder.path("order").display());
        format!("exec.command = [\"sh\", \"-c\", {script:?}]\n")
    }

    pub(super) fn order(&self) -> Vec<String> {
        self.folder.read("order").lines().map(str::to_owned).collect()
    }

    pub(super) fn wait_for_order(&self, line: &str) {
        wait_until(line, || self.order().iter().any(|expected| expected == line));
    }

    /// A hook as the kubelet calls it.
    pub(super) fn hook(&self, path: &str) -> std::io::Result<String> {
        self.inside(|| Kubelet::new(PORT, Scheme::Http).hook(path))
    }

    pub(super) fn code(&self, path: &str) -> u16 {
        self.inside(|| get(PORT, path).map_or(0, |answer| code_of(&answer)))
    }

    pub(super) fn status(&self) -> String {
        self.inside(|| get(PORT, "/status").unwrap_or_default())
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network_of(self.pause_pid().expect("the pod is there"), work)
    }
}

impl Container {
    pub(super) fn signal(&self, number: i32) {
        signal(self.pid, number);
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn has_ended(&self) -> bool {
        self.init.has_ended()
    }

    /// Waits for its end; the process that started it passes the exit code on.
    pub(super) fn end(&mut self) -> Finished {
        self.init.end()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its parent is our child and reaps it only at its own end, so the pid still belongs to it.
        if !self.has_ended() && child_of(u32::try_from(self.init.pid()).unwrap()) == Some(self.pid) {
            let _ = Command::new("kill").arg("-KILL").arg(self.pid.to_string()).stderr(Stdio::null()).status();
        }
    }
}

fn is_bookend(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.file_name() == bookend().file_name())
}

/// In the app's command line and in no other.
pub(super) const MARK: &str = "the-app-itself";

/// How the sidecar identifies it.
pub(super) const PROCESS: &str = "process.commandLine = \"the-app-itself\"\n";

pub(super) const STOP_SIGNAL: &str = "stopSignal = \"SIGQUIT\"\n";

/// Hooks that write what they do.
pub(super) fn config(pod: &Pod, before_lists: &str) -> String {
    let process = match pod.pids {
        Pids::Shared => format!("[app]\n{PROCESS}{before_lists}"),
        Pids::Own => String::new(),
    };
    format!(
        "{process}[[lifecycle.postStart]]\n{}[[lifecycle.preStop]]\n{}[[lifecycle.postStop]]\n{}",
        pod.handler("greeted", ""),
        pod.handler("prepared", "sleep 0.3;"),
        pod.handler("over", ""),
    )
}
