//! Pods acted out with real namespaces: an app that knows nothing of bookend, `bookend sidecar` beside it, each with a
//! mount namespace of its own, in one network namespace; with PID namespaces of their own, or in one that they share,
//! whose PID 1 is `bookend pause`. The test plays the kubelet: hooks and signals in its order, over the pod's network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::kubelet::{Kubelet, Scheme};
use crate::support::{
    Finished, Folder, Init, bookend, child_of, code_of, get, in_network_of, is_root, signal, wait_until,
};

const PORT: u16 = 9797;

/// Whether the containers of the pod see each other's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pids {
    Own,
    /// `shareProcessNamespace: true`
    Shared,
}

/// The sandbox: its pause holds the namespaces. Dropped last, it takes all that is in its PID namespace with it.
struct Pod {
    pause: Init,
    pids: Pids,
    /// What happened, a line each, in order.
    folder: Folder,
}

/// A container's first process: the child of who has put it into the namespaces.
struct Container {
    init: Init,
    pid: i32,
}

impl Pod {
    /// None: it needs root, and says so.
    fn new(test: &str, pids: Pids) -> Option<Pod> {
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

    fn pause_pid(&self) -> Option<i32> {
        child_of(u32::try_from(self.pause.pid()).unwrap())
    }

    /// Puts a command into the pod as a runtime does: from outside, its parent is not in the namespace.
    fn container(&self, command: &[&str]) -> Container {
        let pause = self.pause_pid().expect("the pod is there");
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--net=/proc/{pause}/ns/net"));
        match self.pids {
            // `nsenter --pid` forks, so that its child is in it.
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

    /// An app that says what it gets, and ends with `STOP`: 0 where nothing else is said.
    fn app(&self) -> Container {
        let order = self.folder.path("order");
        let script = format!(
            "say() {{ echo \"app $1\" >> {order:?}; }}\n\
             trap 'say TERM; exit 0' TERM; trap 'say QUIT; exit 0' QUIT; trap 'say CRASH; exit 3' USR1\n\
             say up; echo up; : {MARK}; while :; do sleep 0.02; done"
        );
        let app = self.container(&["sh", "-c", &script]);
        app.init.wait_for_out("up");
        app
    }

    fn sidecar(&self, config: &str) -> Container {
        let path = self.folder.write("bookend.toml", &format!("http.listen = \"0.0.0.0:{PORT}\"\n{config}"));
        let sidecar = self.container(&[bookend().to_str().unwrap(), "sidecar", "-c", path.to_str().unwrap()]);
        let answers = || {
            assert!(!sidecar.has_ended(), "{}", sidecar.init.log());
            self.code("/livez") == 200
        };
        wait_until("the sidecar answers", answers);
        sidecar
    }

    /// A handler that says its word; `more` is shell.
    fn handler(&self, word: &str, more: &str) -> String {
        let script = format!("{more} echo {word} >> {}", self.folder.path("order").display());
        format!("exec.command = [\"sh\", \"-c\", {script:?}]\n")
    }

    fn order(&self) -> Vec<String> {
        self.folder.read("order").lines().map(str::to_owned).collect()
    }

    fn wait_for_order(&self, line: &str) {
        wait_until(line, || self.order().iter().any(|told| told == line));
    }

    /// A hook as the kubelet calls it.
    fn hook(&self, path: &str) -> std::io::Result<String> {
        self.inside(|| Kubelet::new(PORT, Scheme::Http).hook(path))
    }

    fn code(&self, path: &str) -> u16 {
        self.inside(|| get(PORT, path).map_or(0, |answer| code_of(&answer)))
    }

    fn status(&self) -> String {
        self.inside(|| get(PORT, "/status").unwrap_or_default())
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network_of(self.pause_pid().expect("the pod is there"), work)
    }
}

impl Container {
    fn signal(&self, number: i32) {
        signal(self.pid, number);
    }

    fn has_ended(&self) -> bool {
        self.init.has_ended()
    }

    /// Its end; who has put it there hands its code on.
    fn end(&mut self) -> Finished {
        self.init.end()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its parent is our child, and it is not reaped before that one has ended: the number is still its own.
        if !self.has_ended() && child_of(u32::try_from(self.init.pid()).unwrap()) == Some(self.pid) {
            let _ = Command::new("kill").arg("-KILL").arg(self.pid.to_string()).stderr(Stdio::null()).status();
        }
    }
}

fn is_bookend(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.file_name() == bookend().file_name())
}

/// In the app's command line, and in no other.
const MARK: &str = "the-app-itself";

/// How the sidecar knows it.
const PROCESS: &str = "process.commandLine = \"the-app-itself\"\n";

/// Hooks that say what they do.
fn config(pod: &Pod, before_lists: &str) -> String {
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

#[test]
fn a_native_sidecar_holds_the_apps_stop_signal_until_its_handlers_are_over() {
    for pids in [Pids::Own, Pids::Shared] {
        let test = "a_native_sidecar_holds_the_apps_stop_signal_until_its_handlers_are_over";
        let Some(pod) = Pod::new(test, pids) else { return };
        let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        pod.hook("/lifecycle/preStop").unwrap();
        assert!(!app.has_ended(), "the signal is the kubelet's to send");
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        assert!(!sidecar.has_ended(), "it exits on no hook");
        sidecar.signal(15);
        let finished = sidecar.end();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        assert_eq!(pod.order(), ["app up", "greeted", "prepared", "app TERM", "over"], "{pids:?}: {}", finished.log);
    }
}

#[test]
fn in_a_shared_process_namespace_the_app_gets_its_own_stop_signal_and_the_hook_waits_for_its_end() {
    let test = "in_a_shared_process_namespace_the_app_gets_its_own_stop_signal_and_the_hook_waits_for_its_end";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let config = format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "stopSignal = \"SIGQUIT\"\n"));
    let mut sidecar = pod.sidecar(&config);
    let mut app = pod.app();
    // Another container, whose command line is not the app's; its end is the pod's.
    let stranger = pod.container(&["sleep", "1000"]);
    pod.hook("/lifecycle/postStart").unwrap();
    pod.hook("/lifecycle/preStop").unwrap();
    wait_until("the app has ended", || app.has_ended());
    assert_eq!(app.end().code(), 0);
    pod.wait_for_order("over");
    assert_eq!(pod.order(), ["app up", "greeted", "prepared", "app QUIT", "over"], "{}", sidecar.init.log());
    assert!(!stranger.has_ended() && pod.pause_pid().is_some(), "strangers are let alone");
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert_eq!(pod.order().len(), 5, "postStop runs once");
    assert!(!stranger.has_ended() && pod.pause_pid().is_some(), "strangers are let alone");
}

#[test]
fn a_crash_of_the_app_runs_post_stop_and_its_restart_is_a_new_life() {
    let test = "a_crash_of_the_app_runs_post_stop_and_its_restart_is_a_new_life";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
    for life in 1..=2 {
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        if life == 1 {
            app.signal(10);
            assert_eq!(app.end().code(), 3);
            pod.wait_for_order("over");
            assert_eq!(pod.order(), ["app up", "greeted", "app CRASH", "over"], "{}", sidecar.init.log());
            continue;
        }
        pod.hook("/lifecycle/preStop").unwrap();
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        pod.wait_for_order("app TERM");
    }
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    let order = pod.order();
    assert_eq!(order[4..], ["app up", "greeted", "prepared", "app TERM", "over"], "{}", sidecar.init.log());
}

#[test]
fn without_a_shared_namespace_a_repeated_post_start_is_a_new_life() {
    let test = "without_a_shared_namespace_a_repeated_post_start_is_a_new_life";
    let Some(pod) = Pod::new(test, Pids::Own) else { return };
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
    for _ in 0..2 {
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        pod.hook("/lifecycle/preStop").unwrap();
        app.signal(15);
        app.end();
    }
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    let order = pod.order();
    assert_eq!(order.iter().filter(|told| *told == "prepared").count(), 2, "{order:?}");
    assert_eq!(order.iter().filter(|told| *told == "greeted").count(), 2, "{order:?}");
    assert_eq!(order.last().map(String::as_str), Some("over"), "{order:?}");
}

#[test]
fn a_killed_sidecar_breaks_the_hook_touches_nobody_and_answers_anew_when_it_is_back() {
    for pids in [Pids::Own, Pids::Shared] {
        let test = "a_killed_sidecar_breaks_the_hook_touches_nobody_and_answers_anew_when_it_is_back";
        let Some(pod) = Pod::new(test, pids) else { return };
        let mut config = format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, ""));
        config = config.replace("sleep 0.3;", &format!("test -e {}/back ||  sleep 1000;", pod.folder.shown()));
        let mut sidecar = pod.sidecar(&config);
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        let broken = std::thread::scope(|scope| {
            let hook = scope.spawn(|| pod.hook("/lifecycle/preStop"));
            wait_until("the handler runs", || pod.status().contains("\"preStop"));
            sidecar.signal(9);
            hook.join().unwrap()
        });
        assert!(broken.is_err(), "a kubelet sees a failed hook, and goes on: {broken:?}");
        // unshare(1) makes a 1 of a child that was killed.
        assert_ne!(sidecar.end().code(), 0);
        assert!(!app.has_ended());
        fs::write(pod.folder.path("back"), "").unwrap();
        let mut sidecar = pod.sidecar(&config);
        pod.hook("/lifecycle/preStop").unwrap();
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        sidecar.signal(15);
        assert_eq!(sidecar.end().code(), 0);
        assert_eq!(pod.order(), ["app up", "greeted", "prepared", "app TERM", "over"], "{pids:?}");
    }
}

#[test]
fn an_ordinary_sidecar_that_is_stopped_at_once_with_the_app_answers_the_hook_first() {
    for (pids, before) in [(Pids::Own, "hook"), (Pids::Own, "signal"), (Pids::Shared, "hook"), (Pids::Shared, "signal")]
    {
        let test = "an_ordinary_sidecar_that_is_stopped_at_once_with_the_app_answers_the_hook_first";
        let Some(pod) = Pod::new(test, pids) else { return };
        let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        std::thread::scope(|scope| {
            if before == "signal" {
                sidecar.signal(15);
            }
            let hook = scope.spawn(|| pod.hook("/lifecycle/preStop"));
            if before == "hook" {
                wait_until("the handlers run", || pod.status().contains("\"stoppedBy\""));
                sidecar.signal(15);
            }
            hook.join().unwrap().unwrap();
        });
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        let finished = sidecar.end();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        let order = pod.order();
        let of_app: Vec<&str> = order.iter().map(String::as_str).filter(|told| *told != "over").collect();
        assert_eq!(of_app, ["app up", "greeted", "prepared", "app TERM"], "{pids:?}, {before} first: {}", finished.log);
        assert!(order.contains(&"over".to_owned()), "{}", finished.log);
        if pids == Pids::Shared {
            assert_eq!(order.last().map(String::as_str), Some("over"), "the app was seen to end first");
        }
    }
}

#[test]
fn an_app_that_is_killed_while_its_hook_is_in_flight_leaves_nothing_hanging() {
    for pids in [Pids::Own, Pids::Shared] {
        let test = "an_app_that_is_killed_while_its_hook_is_in_flight_leaves_nothing_hanging";
        let Some(pod) = Pod::new(test, pids) else { return };
        let before = if pids == Pids::Shared { "stopSignal = \"SIGQUIT\"\n" } else { "" };
        let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, before)));
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let hook = scope.spawn(|| pod.hook("/lifecycle/preStop"));
            wait_until("the handlers run", || pod.status().contains("\"stoppedBy\""));
            app.signal(9);
            // Answered or broken: a kubelet goes on either way.
            let _ = hook.join().unwrap();
        });
        assert_ne!(app.end().code(), 0);
        sidecar.signal(15);
        let finished = sidecar.end();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}\n{}", began.elapsed(), finished.log);
        let order = pod.order();
        assert_eq!(order.iter().filter(|told| *told == "over").count(), 1, "{order:?}\n{}", finished.log);
    }
}

#[test]
fn a_hung_handler_holds_the_app_no_longer_than_the_budget_says() {
    let test = "a_hung_handler_holds_the_app_no_longer_than_the_budget_says";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let config = config(&pod, "").replace("sleep 0.3;", "sleep 1000;");
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 4\n{config}"));
    let mut app = pod.app();
    pod.hook("/lifecycle/postStart").unwrap();
    let began = Instant::now();
    let _ = pod.hook("/lifecycle/preStop");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}\n{}", began.elapsed(), sidecar.init.log());
    app.signal(15);
    assert_eq!(app.end().code(), 0);
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert_eq!(pod.order(), ["app up", "greeted", "app TERM", "over"]);
}

#[test]
fn two_processes_that_may_be_the_app_are_named_and_neither_is_signalled() {
    let test = "two_processes_that_may_be_the_app_are_named_and_neither_is_signalled";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let config = format!("terminationGracePeriodSeconds = 3\n{}", config(&pod, "stopSignal = \"SIGQUIT\"\n"));
    let (app, other) = (pod.app(), pod.app());
    let mut sidecar = pod.sidecar(&config);
    sidecar.init.wait_for_log("2 processes may be the app's main process");
    pod.hook("/lifecycle/preStop").unwrap();
    assert!(!app.has_ended() && !other.has_ended());
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert!(!app.has_ended() && !other.has_ended());
    assert!(pod.order().contains(&"prepared".to_owned()));
}

#[test]
fn where_proc_hides_other_users_the_sidecar_says_so_and_answers_its_hooks() {
    let test = "where_proc_hides_other_users_the_sidecar_says_so_and_answers_its_hooks";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let app = pod.app();
    let config = format!("http.listen = \"0.0.0.0:{PORT}\"\n{}", config(&pod, ""));
    let config = pod.folder.write("bookend.toml", &config);
    // Where another user may start it, and write.
    let binary = pod.folder.path("bookend");
    fs::copy(bookend(), &binary).unwrap();
    fs::set_permissions(pod.folder.path("order"), fs::Permissions::from_mode(0o666)).unwrap();
    let script = "mount -t proc -o hidepid=2 proc /proc && \
                  exec setpriv --reuid 65532 --regid 65532 --clear-groups \"$0\" sidecar -c \"$1\"";
    let command = ["sh", "-c", script, binary.to_str().unwrap(), config.to_str().unwrap()];
    let mut sidecar = pod.container(&command);
    sidecar.init.wait_for_log("other users' processes are hidden");
    pod.hook("/lifecycle/preStop").unwrap();
    assert!(!app.has_ended() && pod.order().contains(&"prepared".to_owned()));
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert!(!app.has_ended());
}
