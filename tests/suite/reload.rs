//! `[[reload]]` with real files, signals and servers. The build beside the tests runs: it has the feature `reload`.

mod kinds;
mod kubelet_volume;
mod servers;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::linux::fs::MetadataExt as _;
use std::process::Command;
use std::time::Duration;

use self::kubelet_volume::KubeletVolume;
use crate::metrics::documented_status;
use crate::support::{Finished, Folder, Init, code, debug_build, get, in_network_of, is_root, wait_until};

/// Prints the files of the watched directory whenever it gets SIGHUP.
const APP: &[&str] = &[
    "--",
    "bash",
    "-c",
    "trap 'echo \"HUP $(cat \"$DIR\"/conf/* 2>&1 | tr \"\\n\" \" \")\"' HUP; trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done",
];
const CHECK: &str = "check.exec.command = [\"sh\", \"-c\", \"echo x >> FOLDER/checks; ! grep -q broken FOLDER/conf/* || { echo it is broken; exit 1; }\"]";
const HUP: &str = "signal.name = \"SIGHUP\"";

/// A life with an endpoint and an entry that watches `conf` of its folder.
fn life(entry: &str) -> Init {
    life_of(entry, "", APP)
}

fn life_of(entry: &str, more: &str, app: &[&str]) -> Init {
    let folder = Folder::new();
    fs::create_dir(folder.path("conf")).unwrap();
    folder.write("conf/a", "one\n");
    let text = format!(
        "http.listen = \"127.0.0.1:9797\"\napp.env.DIR = \"FOLDER\"\n{more}\n[[reload]]\nname = \"conf\"\nwatch = [\"FOLDER/conf\"]\n\
         settleSeconds = 0.3\n{entry}\n"
    );
    let text = text.replace("FOLDER", folder.shown());
    let init = start(folder, &text, "", app);
    wait_until("the endpoint answers", || asked(&init, "/livez").starts_with("HTTP/1.1 200"));
    wait_until("it is watched", || state(&init) == "Idle" && is_watched(&init));
    init
}

/// Starts it when its files are older than a tick of the kernel's clock: younger ones count as a change that the app has missed.
fn start(folder: Folder, config: &str, prelude: &str, app: &[&str]) -> Init {
    Init::in_a_pod_of(&debug_build(), folder, config, &format!("sleep 0.05\n{prelude}"), app)
}

fn asked(init: &Init, path: &str) -> String {
    in_network_of(init.pid(), || get(9797, path)).unwrap_or_default()
}

/// The value of a field of the only entry in `/status`.
fn field(init: &Init, name: &str) -> String {
    let status = asked(init, "/status");
    let body = status.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if body.is_empty() {
        return String::new();
    }
    let status = documented_status(body);
    let value = status.pointer(&format!("/reloads/0/{name}")).unwrap_or_default();
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn state(init: &Init) -> String {
    field(init, "state")
}

fn links(init: &Init) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{}/fd", init.pid())).unwrap().flatten();
    fds.filter_map(|fd| fs::read_link(fd.path()).ok()).map(|link| link.display().to_string()).collect()
}

/// Whether an inotify instance of bookend has a watch of the inode.
fn watches(init: &Init, inode: u64) -> bool {
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", init.pid())).unwrap().flatten();
    let mut texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.any(|text| text.contains("inotify wd:") && text.contains(&format!(" ino:{inode:x} ")))
}

fn is_watched(init: &Init) -> bool {
    fs::metadata(init.folder.path("conf")).map_or(true, |conf| watches(init, conf.st_ino()))
}

/// `bookend ...` beside the running one.
fn bookend(init: &Init, args: &[&str]) -> Finished {
    let mut command = Command::new(debug_build());
    command.args(args).env("BOOKEND_SOCKET", init.folder.path("bookend.sock"));
    Init::start(Folder::new(), command).finish()
}

/// Longer than an entry of these tests needs for anything.
fn nothing_follows() {
    std::thread::sleep(Duration::from_millis(1200));
}

#[test]
fn a_swap_of_a_volume_is_one_reload() {
    if !is_root("a_swap_of_a_volume_is_one_reload") {
        return;
    }
    let init = life_of(&format!("{CHECK}\n{HUP}"), "", APP);
    fs::remove_file(init.folder.path("conf/a")).unwrap();
    let volume = KubeletVolume::new(&init.folder.path("conf"));
    for state in ["two", "three", "four"] {
        volume.write(&[("a", &format!("a-{state}\n")), ("b", &format!("b-{state}\n"))]);
        init.wait_for_out(&format!("HUP a-{state} b-{state} "));
    }
    nothing_follows();
    assert_eq!(init.out().matches("HUP").count(), 3, "{}\n{}", init.out(), init.log());
    volume.write(&[("a", "a-four\n"), ("b", "b-four\n")]);
    volume.write(&[("b", "b-five\n")]);
    init.wait_for_out("HUP b-five ");
    assert_eq!(field(&init, "succeeded"), "4");
}

#[test]
fn a_touched_file_reloads_nothing() {
    if !is_root("a_touched_file_reloads_nothing") {
        return;
    }
    let init = life(&format!("{CHECK}\n{HUP}"));
    // Not truncated before: a busy machine could look at the empty file.
    let touch = || File::options().write(true).open(init.folder.path("conf/a")).unwrap().write_all(b"one\n").unwrap();
    for _ in 0..3 {
        wait_until("it is looked at", || {
            touch();
            state(&init) == "Settling"
        });
        wait_until("it is the same", || state(&init) == "Idle");
    }
    assert!(!init.out().contains("HUP") && init.folder.read("checks").is_empty(), "{}", init.log());
}

#[test]
fn broken_content_is_checked_and_reported_once() {
    if !is_root("broken_content_is_checked_and_reported_once") {
        return;
    }
    let init = life(&format!("{CHECK}\n{HUP}"));
    init.folder.write("conf/a", "broken\n");
    init.wait_for_log("the app keeps what it has: the check failed: exit code 1; it is broken");
    for _ in 0..2 {
        init.folder.write("conf/a", "broken\n");
        nothing_follows();
    }
    assert_eq!(init.log().matches("the check failed").count(), 1, "{}", init.log());
    assert_eq!(init.folder.read("checks").lines().count(), 1);
    assert_eq!((field(&init, "result"), field(&init, "checkFailed")), ("CheckFailed".to_owned(), "1".to_owned()));
    init.folder.write("conf/a", "good again\n");
    init.wait_for_out("HUP good again");
    assert!(!init.out().contains("HUP broken"), "{}", init.out());
}

#[test]
fn changes_during_an_action_lead_to_one_reload_more() {
    if !is_root("changes_during_an_action_lead_to_one_reload_more") {
        return;
    }
    let action = "exec.command = [\"sh\", \"-c\", \"cat FOLDER/conf/a >> FOLDER/runs; while [ -e FOLDER/hold ]; do sleep 0.02; done\"]";
    let init = life(action);
    init.folder.write("hold", "");
    init.folder.write("conf/a", "two\n");
    wait_until("the action has read the first change", || init.folder.read("runs") == "two\n");
    for text in ["three\n", "four\n", "five\n"] {
        init.folder.write("conf/a", text);
        std::thread::sleep(Duration::from_millis(100));
    }
    fs::remove_file(init.folder.path("hold")).unwrap();
    wait_until("it is applied", || field(&init, "succeeded") == "2");
    nothing_follows();
    assert_eq!(init.folder.read("runs"), "two\nfive\n", "{}", init.log());
}

#[test]
fn lost_events_lead_to_a_look_at_everything() {
    if !is_root("lost_events_lead_to_a_look_at_everything") {
        return;
    }
    let init = life(HUP);
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    init.signal(19);
    // The kernel joins equal events that follow one another.
    for _ in 0..limit.min(200_000) / 2 + 10 {
        for name in ["conf/b", "conf/c"] {
            let path = init.folder.path(name);
            fs::rename(init.folder.write("new", ""), path).unwrap();
        }
    }
    init.folder.write("conf/a", "the last change\n");
    init.signal(18);
    init.wait_for_out("HUP the last change");
}

#[test]
fn files_are_seen_that_appear_later_or_are_replaced() {
    if !is_root("files_are_seen_that_appear_later_or_are_replaced") {
        return;
    }
    let init = life(HUP);
    let conf = init.folder.path("conf");
    // An editor's rename.
    fs::rename(init.folder.write("new", "renamed\n"), conf.join("a")).unwrap();
    init.wait_for_out("HUP renamed");
    // Another directory takes its place.
    fs::rename(&conf, init.folder.path("old")).unwrap();
    nothing_follows();
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("a"), "another folder\n").unwrap();
    init.wait_for_out("HUP another folder");
    // A subdirectory, and a link out of it.
    fs::create_dir(conf.join("sub")).unwrap();
    init.folder.write("target", "linked\n");
    std::os::unix::fs::symlink(init.folder.path("target"), conf.join("z")).unwrap();
    init.wait_for_out("linked");
    init.folder.write("target", "linked twice\n");
    init.wait_for_out("linked twice");
    fs::remove_file(conf.join("a")).unwrap();
    wait_until("it is missed", || init.out().lines().last().is_some_and(|line| !line.contains("another")));
}

#[test]
fn without_inotify_the_files_are_polled() {
    for (limit, why) in [("instances", "inotify is not available"), ("watches", "cannot watch")] {
        let folder = Folder::new();
        fs::create_dir(folder.path("conf")).unwrap();
        folder.write("conf/a", "one\n");
        let text = format!(
            "app.env.DIR = \"FOLDER\"\n[[reload]]\nname = \"conf\"\nwatch = [\"FOLDER/conf\"]\nsettleSeconds = 0.1\npollSeconds = 0.3\n{HUP}\n"
        );
        let config = folder.write("bookend.toml", &text.replace("FOLDER", folder.shown()));
        let mut command = Command::new("unshare");
        // The limit is that of the new user namespace.
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
        command.arg(format!("echo 0 > /proc/sys/user/max_inotify_{limit}; exec \"$0\" \"$@\""));
        command.arg(debug_build()).arg("-c").arg(config).args(APP);
        let init = Init::start(folder, command);
        init.wait_for_log(why);
        init.wait_for_log("its files are read every 0.3 s instead");
        init.wait_for_out("up");
        init.folder.write("conf/a", "two\n");
        init.wait_for_out("HUP two");
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(init.out().matches("HUP").count(), 1, "{}", init.out());
        assert_eq!(init.log().matches("its files are read every").count(), 1, "{}", init.log());
    }
}

#[test]
fn a_stop_in_any_step_waits_for_nothing() {
    if !is_root("a_stop_in_any_step_waits_for_nothing") {
        return;
    }
    let cases = [
        ("Settling", "settleSeconds = 300\nsignal.name = \"SIGHUP\""),
        ("Checking", "check.exec.command = [\"sh\", \"-c\", \"trap '' TERM; sleep 300\"]\nsignal.name = \"SIGHUP\""),
        ("Applying", "exec.command = [\"sh\", \"-c\", \"trap '' TERM; sleep 300\"]"),
        ("Backoff", "exec.command = [\"sh\", \"-c\", \"exit 1\"]"),
    ];
    for (step, entry) in cases {
        let entry = if step == "Settling" { entry.to_owned() } else { format!("timeoutSeconds = 300\n{entry}") };
        let folder = Folder::new();
        fs::create_dir(folder.path("conf")).unwrap();
        let settle = if step == "Settling" { "" } else { "settleSeconds = 0.1\n" };
        let text = format!(
            "http.listen = \"127.0.0.1:9797\"\napp.env.DIR = \"FOLDER\"\nlifecycle.preStop.exec.command = [\"echo\", \"preStop runs\"]\n\
             [[reload]]\nname = \"conf\"\nwatch = [\"FOLDER/conf\"]\n{settle}{entry}\n"
        );
        let text = text.replace("FOLDER", folder.shown());
        let mut init = start(folder, &text, "", APP);
        wait_until("it is watched", || state(&init) == "Idle" && is_watched(&init));
        init.wait_for_out("up");
        init.folder.write("conf/a", "two\n");
        wait_until("the step has begun", || state(&init) == step);
        init.signal(15);
        let finished = init.end();
        assert_eq!(finished.code(), 5, "{step}: {}", finished.log);
        assert!(finished.log.contains("preStop runs"), "{step}: {}", finished.log);
        // The program of a step that was only asked to end would be waited for until SIGKILL, a second later.
        let at = |row: &str| -> Option<f64> {
            let line = finished.log.lines().find(|line| line.contains(row))?;
            line.split_once('+')?.1.split(' ').next()?.parse().ok()
        };
        let waited = at("the remaining processes have ended").zip(at("SIGTERM sent to the remaining processes"));
        assert!(waited.is_none_or(|(until, from)| until - from < 0.7), "{step}: {}", finished.log);
        assert!(finished.log.contains("stopped by SIGTERM in ") && !finished.log.contains("SIGKILL"), "{step}");
    }
}

#[test]
fn nothing_is_reloaded_before_the_app_has_started() {
    if !is_root("nothing_is_reloaded_before_the_app_has_started") {
        return;
    }
    let probe = "startupProbe = { exec.command = [\"test\", \"-e\", \"FOLDER/started\"], periodSeconds = 0.1 }";
    let init = life_of(HUP, probe, APP);
    init.folder.write("conf/a", "early\n");
    let refused = bookend(&init, &["reload"]);
    assert!(refused.code() == 1 && refused.log.contains("the app has not started"), "{refused:?}");
    nothing_follows();
    assert!(!init.out().contains("HUP"), "{}", init.log());
    init.folder.write("started", "");
    init.wait_for_out("HUP early");
}

#[test]
fn a_signal_that_would_end_the_app_is_not_sent() {
    if !is_root("a_signal_that_would_end_the_app_is_not_sent") {
        return;
    }
    let mut init = life_of(HUP, "", &["--", "sleep", "1000"]);
    let refused = bookend(&init, &["reload", "conf"]);
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.out.contains("conf: Failed: the app does not handle SIGHUP"), "{refused:?}");
    assert!(init.is_running());
    wait_until("it tries again", || state(&init) == "Backoff");
}

#[test]
fn bookend_reload_prints_the_result() {
    if !is_root("bookend_reload_prints_the_result") {
        return;
    }
    let init = life(&format!("{CHECK}\n{HUP}\n[[reload]]\nname = \"other\"\nexec.command = [\"true\"]"));
    let both = bookend(&init, &["reload"]);
    assert_eq!(both.code(), 0, "{both:?}");
    assert!(both.out.contains("conf: Succeeded: SIGHUP sent to the app\n"), "{both:?}");
    assert!(both.out.contains("other: Succeeded: exit code 0\n"), "{both:?}");
    init.wait_for_out("HUP one");
    init.folder.write("conf/a", "broken\n");
    let failed = bookend(&init, &["reload", "conf"]);
    assert!(failed.code() == 1 && failed.out.contains("conf: CheckFailed: exit code 1; it is broken"), "{failed:?}");
    let unknown = bookend(&init, &["reload", "nginx"]);
    assert!(unknown.code() == 1 && unknown.log.contains("configured: conf, other"), "{unknown:?}");
    let other_path = bookend(&init, &["reload", "conf?x"]);
    assert!(other_path.code() == 125 && other_path.log.contains("only letters, digits"), "{other_path:?}");
    // Anybody may call the port, so it has no such path.
    let posted = in_network_of(init.pid(), || code(9797, "/reload"));
    assert_eq!(posted, 404);
    let metrics = asked(&init, "/metrics");
    for line in ["{name=\"conf\",result=\"Succeeded\"} 1", "{name=\"conf\",result=\"CheckFailed\"}"] {
        assert!(metrics.contains(&format!("bookend_reloads_total{line}")), "{metrics}");
    }
    assert!(metrics.contains("bookend_reload_last_success_timestamp_seconds{name=\"other\"} 1"), "{metrics}");
}

#[test]
fn a_reload_is_an_event_and_fails_no_readiness() {
    if !is_root("a_reload_is_an_event_and_fails_no_readiness") {
        return;
    }
    let action = "exec.command = [\"sh\", \"-c\", \"while [ -e FOLDER/hold ]; do sleep 0.02; done\"]";
    let init = life(action);
    let mut follow = Command::new(debug_build());
    follow.args(["events", "--follow"]).env("BOOKEND_SOCKET", init.folder.path("bookend.sock"));
    let follower = Init::start(Folder::new(), follow);
    follower.wait_for_out("phase Running");
    init.folder.write("hold", "");
    init.folder.write("conf/a", "two\n");
    wait_until("the action runs", || state(&init) == "Applying");
    assert!(asked(&init, "/readyz").starts_with("HTTP/1.1 200"));
    fs::remove_file(init.folder.path("hold")).unwrap();
    follower.wait_for_out("reload conf: Succeeded: exit code 0");
}

#[test]
fn nothing_is_paid_without_an_entry() {
    if !is_root("nothing_is_paid_without_an_entry") {
        return;
    }
    let of = |entry: &str| {
        let folder = Folder::new();
        let text = format!("http.listen = \"127.0.0.1:9797\"\napp.env.DIR = \"FOLDER\"\n{entry}")
            .replace("FOLDER", folder.shown());
        let init = start(folder, &text, "", APP);
        init.wait_for_out("up");
        wait_until("the endpoint answers", || asked(&init, "/livez").starts_with("HTTP/1.1 200"));
        init
    };
    let with = of(&format!("[[reload]]\nname = \"conf\"\nwatch = [\"FOLDER/conf\"]\n{HUP}"));
    // One watches memory.events, where the cgroup has it.
    let count = |init: &Init| links(init).iter().filter(|link| link.contains("inotify")).count();
    let without = of("");
    wait_until("the entry has its two descriptors", || count(&with) == count(&without) + 2);
    let threads = fs::read_dir(format!("/proc/{}/task", without.pid())).unwrap().count();
    assert_eq!(threads, 1);
    assert!(!asked(&without, "/status").contains("reloads") && !asked(&without, "/metrics").contains("reload"));
}
