//! A configuration from a manifest, run with its own network and PID namespaces: the hooks that the pod's containers name,
//! called as a kubelet calls them, and its stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{bookend, containers};

/// Long enough for a busy machine; a test that comes near it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replaces the image's app.
const APP: &str = r#"app.command = ["sh", "-c", "trap 'exit 0' TERM QUIT; while :; do sleep 0.02; done"]"#;

/// Whether the test may make namespaces; if not, it reports that.
pub(crate) fn is_possible(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("NOT RUN: {test}: it needs root");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {test}");
    }
    root
}

pub(crate) struct Life {
    what: String,
    folder: PathBuf,
    is_sidecar: bool,
    has_endpoint: bool,
    post_start: Vec<String>,
    pre_stop: Vec<String>,
}

impl Life {
    pub(crate) fn of(what: &str, config: &str, pods: &[&Value]) -> Life {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bookend-life-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("bookend.toml"), config).unwrap();
        let all = || pods.iter().flat_map(|pod| containers(pod));
        let words = |container: &Value| container["command"].as_array().cloned().unwrap_or_default();
        let is_sidecar = all().any(|container| words(container).get(1).is_some_and(|word| word == "sidecar"));
        let hook = |container: &Value, hook: &str| {
            let action = &container["lifecycle"][hook];
            let exec = || Some(action["exec"]["command"][2].as_str()?.to_owned());
            let path = action["httpGet"]["path"].as_str();
            path.map(|path| format!("http://127.0.0.1:9797{path}")).or_else(exec)
        };
        Life {
            what: what.to_owned(),
            is_sidecar,
            has_endpoint: config.contains("9797"),
            post_start: all().filter_map(|container| hook(container, "postStart")).collect(),
            pre_stop: all().filter_map(|container| hook(container, "preStop")).collect(),
            folder,
        }
    }

    pub(crate) fn live(&self) {
        let mut running = self.start();
        if self.has_endpoint {
            self.wait_until(&mut running, "it answers", |pid| inside(pid, &["http://127.0.0.1:9797/livez"]) == "200");
        } else {
            self.wait_until(&mut running, "it runs", |_| self.log().contains("started"));
        }
        let pid = first_process(&running).expect("it runs");
        for hook in &self.post_start {
            if hook.starts_with("http:") {
                assert_eq!(inside(pid, &[hook]), "200", "{}: {hook}\n{}", self.what, self.log());
            } else {
                let socket = self.folder.join("bookend.sock");
                let called =
                    Command::new(bookend()).args(["hook", hook]).env("BOOKEND_SOCKET", socket).output().unwrap();
                assert!(called.status.success(), "{}: {}\n{}", self.what, super::shown(&called), self.log());
            }
        }
        // All containers' hooks are called at the same instant.
        std::thread::scope(|scope| {
            for hook in &self.pre_stop {
                scope.spawn(move || assert_eq!(inside(pid, &[hook]), "200", "{}: {hook}\n{}", self.what, self.log()));
            }
        });
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = running.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "{} hangs:\n{}", self.what, self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0), "{}:\n{}", self.what, self.log());
        assert!(!self.log().contains("SIGKILL"), "{}:\n{}", self.what, self.log());
        fs::remove_dir_all(&self.folder).unwrap();
    }

    fn start(&self) -> Child {
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
        command.args(["ip link set lo up && exec \"$@\"", "sh"]).arg(bookend());
        if self.is_sidecar {
            command.arg("sidecar");
        }
        command.arg("-c").arg(self.folder.join("bookend.toml"));
        if !self.is_sidecar {
            let app = self.folder.join("app.toml");
            fs::write(&app, APP).unwrap();
            command.arg("-c").arg(app);
        }
        command.env("BOOKEND_SOCKET", self.folder.join("bookend.sock")).env_remove("BOOKEND_BIN");
        let log = fs::File::create(self.folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn wait_until(&self, running: &mut Child, what: &str, condition: impl Fn(i32) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !first_process(running).is_some_and(&condition) {
            let ended = running.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "{}: {what}: {ended:?}\n{}", self.what, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// bookend, the child of unshare.
fn first_process(unshare: &Child) -> Option<i32> {
    let pid = unshare.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// The status of a kubelet's GET, inside the pod's network.
fn inside(pid: i32, urls: &[impl AsRef<std::ffi::OsStr>]) -> String {
    if !Path::new(&format!("/proc/{pid}")).exists() {
        return String::new();
    }
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).args(["--", "curl", "--silent", "--output", "/dev/null"]);
    command.args(["--user-agent", "kube-lifecycle/1.36", "--max-time", "60", "--write-out", "%{http_code}"]);
    let output = command.args(urls).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
