//! `bookend sidecar`: the kubelet calls the hooks of apps that are not bookend's children, holds their stop signal until
//! the hooks are answered, and stops the sidecar last or together with them. A client acts as the kubelet.

use std::io;
use std::process::Command;
use std::thread::{JoinHandle, spawn};

use crate::kubelet::{Kubelet, Scheme};
use crate::metrics::{documented_status, promtool_accepts};
use crate::signals::assert_idle;
use crate::support::{
    Finished, Folder, Init, bookend, code, code_of, free_port, get, is_root, wait_for_socket, wait_until,
};

/// A sidecar with its hooks on this port; `{F}` in the configuration is the folder.
fn sidecar(config: &str) -> (Init, u16) {
    let port = free_port();
    (sidecar_on(Folder::new(), port, config), port)
}

fn sidecar_on(folder: Folder, port: u16, config: &str) -> Init {
    let config = format!("http.listen = \"127.0.0.1:{port}\"\n{}", config.replace("{F}", folder.shown()));
    let path = folder.write("bookend.toml", &config);
    let path = path.to_str().unwrap().to_owned();
    let init = Init::in_folder(folder, &["sidecar", "-c", &path]);
    init.wait_for_log("sidecar: answering hooks");
    init
}

/// A kubelet's hook call, which lasts until it is answered.
fn call(port: u16, path: &str) -> JoinHandle<io::Result<String>> {
    let path = path.to_owned();
    spawn(move || Kubelet::new(port, Scheme::Http).hook(&path))
}

fn hook(port: u16, path: &str) -> io::Result<String> {
    Kubelet::new(port, Scheme::Http).hook(path)
}

/// A handler that writes that it has begun, and ends on request.
const HELD: &str = "exec.command = ['sh', '-c', 'echo >> {F}/begun; until [ -e {F}/go ]; do sleep 0.01; done']";

fn allow(init: &Init) {
    init.folder.write("go", "");
}

fn wait_for(init: &Init, file: &str) {
    let path = init.folder.path(file);
    wait_until(file, || path.exists());
}

fn ended_well(finished: &Finished) {
    assert_eq!(finished.code(), 0, "{}", finished.log);
}

#[test]
fn the_stop_of_an_app_is_reported_when_it_is_over() {
    let message = "terminationMessagePath = \"{F}/message\"\n";
    let config = format!("{message}terminationGracePeriodSeconds = 1\nlifecycle.preStop.sleep.seconds = 0.1");
    let folder = Folder::new();
    folder.write("message", "");
    let port = free_port();
    let init = sidecar_on(folder, port, &config);
    hook(port, "/lifecycle/preStop").unwrap();
    init.wait_for_log("the stop of an app is over: stopped by the preStop hook in ");
    init.wait_for_log("preStop[0] took 0.1");
    init.signal(15);
    init.wait_for_log("stopped by the preStop hook and SIGTERM in ");
    let folder = {
        let mut init = init;
        ended_well(&init.end());
        std::mem::replace(&mut init.folder, Folder::new())
    };
    let (text, json) = crate::termination_message::read_message(&folder.path("message"));
    assert!(text.contains("preStop done") && text.contains("stop triggered by SIGTERM"), "{text}");
    assert!(text.contains("no preStop hook came while the stop waited for one"), "{text}");
    assert!(json["stageSeconds"]["preStop"].as_f64().is_some_and(|took| took >= 0.1), "{json}");
}

#[test]
fn the_process_search_stops_at_16384_processes() {
    if !is_root("the_process_search_stops_at_16384_processes") {
        return;
    }
    for (count, why) in [(16_384, "other users' processes are hidden"), (16_385, "/proc has 16385 processes, too many")]
    {
        let folder = Folder::new();
        let config = folder.write("bookend.toml", "app.process.executable = \"app\"");
        // This /proc has only directories with the names of pids: bookend must count all of them before it reads the first one.
        let proc = "mount -t tmpfs proc /proc && cd /proc && seq $0 | xargs mkdir && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", proc, &count.to_string()]);
        command.arg(bookend()).args(["sidecar", "-c"]).arg(config);
        let init = Init::start(folder, command);
        init.wait_for_log("cannot find the app's process: ");
        assert!(init.log().contains(why), "{}", init.log());
        init.signal(15);
        ended_well(&init.finish());
    }
}

#[test]
fn the_apps_stop_signal_comes_after_the_sidecars_handlers() {
    let (init, port) = sidecar(&format!("lifecycle.preStop.{HELD}"));
    let mut app = Command::new("sleep").arg("1000").spawn().unwrap();
    let kubelet = call(port, "/lifecycle/preStop");
    wait_for(&init, "begun");
    assert!(!kubelet.is_finished(), "the kubelet holds the app's stop signal until the hook is answered");
    allow(&init);
    assert_eq!(code_of(&kubelet.join().unwrap().unwrap()), 200);
    app.kill().unwrap();
    app.wait().unwrap();
    // A native sidecar gets its own signal when the app has ended.
    init.signal(15);
    ended_well(&init.finish());
}

#[test]
fn a_native_sidecar_runs_post_stop_at_its_signal() {
    let (init, port) = sidecar(
        "lifecycle.preStop.exec.command = ['true']\n\
         lifecycle.postStop.exec.command = ['sh', '-c', 'echo $BOOKEND_REASON $BOOKEND_TRIGGER > {F}/after']",
    );
    hook(port, "/lifecycle/preStop").unwrap();
    assert!(!init.folder.path("after").exists(), "nothing ends on a hook");
    init.signal(15);
    let mut init = init;
    let finished = init.end();
    ended_well(&finished);
    assert_eq!(init.folder.read("after"), "Stopped the preStop hook\n");
    assert!(finished.log.contains("stopped by the preStop hook"), "{}", finished.log);
}

#[test]
fn the_sidecars_own_pre_stop_hook_drains_and_never_ends_it() {
    let (mut init, port) = sidecar("lifecycle.preStop.exec.command = ['sh', '-c', 'echo >> {F}/drained']");
    // The app's hook and the sidecar's own come at the same instant: one drain, two answers.
    for _ in 0..2 {
        assert_eq!(code_of(&hook(port, "/lifecycle/preStop").unwrap()), 200);
    }
    assert_eq!(init.folder.read("drained"), "\n");
    assert!(init.is_running());
    init.signal(15);
    ended_well(&init.finish());
}

#[test]
fn each_container_has_its_own_independent_hooks() {
    // Each handler ends when the other one has begun.
    let meet = |mine: &str, other: &str| {
        format!(
            "exec.command = ['sh', '-c', 'echo $BOOKEND_CONTAINER > {{F}}/{mine}; until [ -e {{F}}/{other} ]; do sleep 0.01; done']"
        )
    };
    let (init, port) = sidecar(&format!(
        "[containers.web]\nlifecycle.preStop.{}\n[containers.queue-2]\nlifecycle.preStop.{}",
        meet("a", "b"),
        meet("b", "a"),
    ));
    let calls = ["/lifecycle/web/preStop", "/lifecycle/queue-2/preStop"].map(|path| call(port, path));
    for kubelet in calls {
        assert_eq!(code_of(&kubelet.join().unwrap().unwrap()), 200);
    }
    assert_eq!(init.folder.read("a") + &init.folder.read("b"), "web\nqueue-2\n");
    init.signal(15);
    ended_well(&init.finish());
}

#[test]
fn a_hook_in_flight_at_the_signal_finishes() {
    let (init, port) = sidecar(&format!("terminationGracePeriodSeconds = 30\nlifecycle.preStop.{HELD}"));
    let kubelet = call(port, "/lifecycle/preStop");
    wait_for(&init, "begun");
    init.signal(15);
    init.wait_for_log("trigger=\"SIGTERM\"");
    allow(&init);
    assert_eq!(code_of(&kubelet.join().unwrap().unwrap()), 200);
    ended_well(&init.finish());
}

#[test]
fn a_hook_after_the_signal_runs_and_is_answered() {
    // A postStart hook in flight keeps the sidecar running for as long as the test needs.
    let (init, port) = sidecar(&format!(
        "lifecycle.postStart.{HELD}\nlifecycle.preStop.exec.command = ['sh', '-c', 'echo > {{F}}/drained']"
    ));
    let starting = call(port, "/lifecycle/postStart");
    wait_for(&init, "begun");
    init.signal(15);
    init.wait_for_log("trigger=\"SIGTERM\"");
    assert_eq!(code_of(&hook(port, "/lifecycle/preStop").unwrap()), 200);
    assert!(init.folder.path("drained").exists());
    allow(&init);
    assert_eq!(code_of(&starting.join().unwrap().unwrap()), 200);
    ended_well(&init.finish());
}

#[test]
fn a_second_stop_signal_ends_the_current_stage() {
    let (init, port) = sidecar(&format!("lifecycle.preStop.{HELD}\nlifecycle.postStop.exec.command = ['true']"));
    let kubelet = call(port, "/lifecycle/preStop");
    wait_for(&init, "begun");
    init.signal(15);
    init.wait_for_log("trigger=\"SIGTERM\"");
    init.signal(15);
    assert!(kubelet.join().unwrap().is_err(), "a hook that was cut short has failed");
    ended_well(&init.finish());
}

#[test]
fn handlers_that_hang_end_with_the_grace_period() {
    let (init, port) = sidecar(&format!("terminationGracePeriodSeconds = 2\nlifecycle.preStop.{HELD}"));
    let kubelet = call(port, "/lifecycle/preStop");
    assert!(kubelet.join().unwrap().is_err());
    let status = get(port, "/status").unwrap();
    assert!(status.contains("TimedOut"), "{status}");
    init.signal(15);
    ended_well(&init.finish());
}

#[test]
fn a_repeated_post_start_is_another_life_of_the_app() {
    let (init, port) = sidecar(
        "lifecycle.postStart.exec.command = ['sh', '-c', 'echo start >> {F}/story']\n\
         lifecycle.preStop.exec.command = ['sh', '-c', 'echo stop >> {F}/story']\n\
         lifecycle.postStop.exec.command = ['sh', '-c', 'echo over $BOOKEND_REASON >> {F}/story']",
    );
    for path in ["/lifecycle/postStart", "/lifecycle/preStop", "/lifecycle/postStart", "/lifecycle/preStop"] {
        assert_eq!(code_of(&hook(port, path).unwrap()), 200);
    }
    init.signal(15);
    let mut init = init;
    ended_well(&init.end());
    assert_eq!(init.folder.read("story"), "start\nstop\nover Stopped\nstart\nstop\nover Stopped\n");
}

#[test]
fn a_restarted_sidecar_answers_again() {
    let port = free_port();
    let config = "lifecycle.preStop.exec.command = ['true']";
    let mut first = sidecar_on(Folder::new(), port, config);
    first.signal(9);
    first.end();
    let second = sidecar_on(Folder::new(), port, config);
    assert_eq!(code_of(&hook(port, "/lifecycle/preStop").unwrap()), 200);
    second.signal(15);
    ended_well(&second.finish());
}

#[test]
fn a_failed_handler_or_unknown_name_fails_the_hook() {
    let (init, port) = sidecar("containers.web.lifecycle.postStart.exec.command = ['false']");
    assert!(hook(port, "/lifecycle/web/postStart").is_err());
    assert_eq!(code(port, "/lifecycle/web/postStart"), 500);
    // A kubelet takes every status as success.
    assert!(hook(port, "/lifecycle/wbe/postStart").is_err());
    assert_eq!(code(port, "/lifecycle/wbe/postStart"), 404);
    init.wait_for_log("a kubelet called an unknown hook");
    init.signal(15);
    ended_well(&init.finish());
}

#[test]
fn the_sidecar_is_started_and_ready_before_any_hook_comes() {
    let (init, port) = sidecar(&format!("lifecycle.postStart.{HELD}\nlifecycle.preStop.exec.command = ['true']"));
    for path in ["/startupz", "/readyz", "/livez", "/lbz"] {
        assert_eq!(code(port, path), 200, "{path}");
    }
    let starting = call(port, "/lifecycle/postStart");
    wait_for(&init, "begun");
    assert_eq!(code(port, "/startupz"), 503, "a postStart that was called is not over");
    allow(&init);
    starting.join().unwrap().unwrap();
    assert_eq!(code(port, "/startupz"), 200);
    hook(port, "/lifecycle/preStop").unwrap();
    // From the beginning of a stop the app takes no new clients; the present ones are still served.
    assert_eq!((code(port, "/lbz"), code(port, "/readyz")), (503, 200));
    init.signal(15);
    ended_well(&init.finish());
}

#[test]
fn an_idle_sidecar_is_never_woken_up() {
    let (init, port) = sidecar("socket = \"{F}/socket\"\nlifecycle.preStop.sleep.seconds = 0");
    assert_idle(init.pid());
    hook(port, "/lifecycle/postStart").unwrap();
    assert_idle(init.pid());
}

#[test]
fn the_command_line_talks_to_a_sidecar() {
    let (mut init, port) = sidecar("containers.web.lifecycle.preStop.exec.command = ['echo', 'drained']");
    let socket = init.folder.path("bookend.sock");
    let ask = |args: &[&str]| {
        let output = Command::new(bookend()).args(args).env("BOOKEND_SOCKET", &socket).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    wait_for_socket(&socket);
    let (code, text) = ask(&["hook", "web/preStop"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("preStop done") && text.contains("| drained"), "{text}");
    let (code, text) = ask(&["hook", "wbe/preStop"]);
    assert!(code == Some(1) && text.contains("unknown hook"), "{code:?} {text}");
    let (code, text) = ask(&["status"]);
    assert!(code == Some(0) && text.contains("web       Stopping"), "{text}");
    let (code, text) = ask(&["signal", "HUP"]);
    assert!(code == Some(1) && text.contains("a sidecar does not forward signals"), "{text}");
    let status = documented_status(get(port, "/status").unwrap().split_once("\r\n\r\n").unwrap().1);
    assert_eq!(
        (&status["containers"]["web"]["phase"], &status["handlers"][0]["container"]),
        (&"Stopping".into(), &"web".into())
    );
    let metrics = get(port, "/metrics").unwrap();
    for line in [
        "bookend_container_phase{container=\"web\",phase=\"Stopping\"} 1",
        "bookend_handler_runs_total{container=\"web\",hook=\"preStop\",name=\"preStop[0]\",result=\"Succeeded\"} 1",
        "bookend_hooks_total{container=\"web\",hook=\"preStop\",result=\"Succeeded\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    promtool_accepts(metrics.split_once("\r\n\r\n").unwrap().1);
    let (code, text) = ask(&["stop", "--wait"]);
    assert!(code == Some(0) && text.contains("stop triggered by bookend stop"), "{text}");
    ended_well(&init.end());
}

/// The output of `bookend` for a configuration with these arguments; it must not start.
fn refused(config: &str, args: &[&str]) -> String {
    let folder = Folder::new();
    let path = folder.write("bookend.toml", config);
    let mut words = args.to_vec();
    words.splice(1..1, ["-c", path.to_str().unwrap()]);
    let finished = Init::ordinary(folder, &words).finish();
    assert_eq!(finished.code(), 125, "{}", finished.log);
    finished.log
}

#[test]
fn keys_without_meaning_in_a_sidecar_are_refused() {
    let log = refused(
        "[app]\ncommand = ['nginx']\nprofile = 'nginx'\n[lifecycle]\npreStart.exec.command = ['a']\n\
         [readinessProbe]\ntcpSocket.port = 80\n[containers.web.lifecycle]\nstopSignal = 'SIGQUIT'\n\
         preStop.signal.name = 'SIGHUP'\n[containers.queue]\nprocess = {}\nlifecycle.preStart.exec.command = ['a']\n",
        &["sidecar"],
    );
    for reported in [
        "app.command: `bookend sidecar` does not start an app\n  --> ",
        "bookend.toml:2:11",
        "app.profile: `bookend sidecar` does not start an app",
        "lifecycle.preStart: `bookend sidecar` does not start an app",
        "readinessProbe: `bookend sidecar` does not run probes",
        "containers.web.lifecycle.stopSignal: the process that gets this signal is not configured",
        "containers.web.lifecycle.preStop.signal: the process that gets this signal is not configured",
        "= identify the process of the app: containers.web.process",
        "containers.queue.process: the table has no condition that identifies the process",
        "containers.queue.lifecycle.preStart: unknown key",
        "what must run before is an init container",
        "8 errors",
    ] {
        assert!(log.contains(reported), "{reported}\n{log}");
    }
}

#[test]
fn a_sidecar_takes_no_command_and_run_no_containers() {
    let log = refused("", &["sidecar", "--", "nginx"]);
    assert!(log.contains("app.command: `bookend sidecar` does not start an app"), "{log}");
    let log = refused("[containers.web]\n[app.process]\nexecutable = 'nginx'\n", &["run", "--", "nginx"]);
    assert!(log.contains("containers: accepted by `bookend sidecar` only"), "{log}");
    assert!(log.contains("app.process: accepted by `bookend sidecar` only"), "{log}");
    let log = refused("[containers.Web]\n", &["sidecar"]);
    assert!(log.contains("containers.Web: \"Web\" is not a container's name"), "{log}");
}
