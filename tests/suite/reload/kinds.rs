//! Reloads of other kinds: an app that speaks RELOADING=1, limits instead of files, and an app of another container.

use std::fs;
use std::process::Command;

use super::{APP, HUP, asked, bookend, field, life_of, nothing_follows, start, state};
use crate::hung_files::hung;
use crate::rollout::Quota;
use crate::support::{Folder, Init, debug_build, is_root, not_run, wait_until};

/// Answers SIGHUP as `Type=notify-reload` of systemd wants it, and takes its time.
const NOTIFIES: &str = r#"
use Socket;
(my $path = $ENV{NOTIFY_SOCKET}) =~ s/^@/\0/;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
connect($s, pack_sockaddr_un($path)) or die $!;
$| = 1;
$SIG{HUP} = sub {
    send($s, "RELOADING=1\nMONOTONIC_USEC=1", 0);
    select undef, undef, undef, 0.02 until -e "$ENV{DIR}/loaded";
    send($s, "READY=1", 0);
};
send($s, "READY=1", 0);
select undef, undef, undef, 0.05 while 1;
"#;

#[test]
fn ready_ends_a_reload_of_an_app_that_speaks_it() {
    if !is_root("ready_ends_a_reload_of_an_app_that_speaks_it") {
        return;
    }
    let init = life_of(HUP, "app.notify = true", &["--", "perl", "-e", NOTIFIES]);
    init.folder.write("conf/a", "two\n");
    wait_until("it is applied", || state(&init) == "Applying");
    nothing_follows();
    assert_eq!(state(&init), "Applying", "the app has not sent READY=1");
    assert!(asked(&init, "/readyz").starts_with("HTTP/1.1 200"));
    init.folder.write("loaded", "");
    wait_until("it has sent READY=1", || field(&init, "result") == "Succeeded");
}

#[test]
fn limits_that_change_in_place_reload_the_app() {
    let test = "limits_that_change_in_place_reload_the_app";
    if !is_root(test) || !(Quota::can_be_had() || not_run(test, "there is no cpu cgroup to create")) {
        return;
    }
    let quota = Quota::new();
    let folder = Folder::new();
    fs::create_dir(folder.path("conf")).unwrap();
    let text = format!(
        "http.listen = \"127.0.0.1:9797\"\napp.env.DIR = {:?}\n[[reload]]\nname = \"limits\"\nonLimitsChange = true\n\
         pollSeconds = 0.3\nsettleSeconds = 0.1\n{HUP}\n",
        folder.shown()
    );
    let init = start(folder, &text, &quota.enter(), APP);
    init.wait_for_out("up");
    wait_until("its limits are known", || state(&init) == "Idle");
    nothing_follows();
    assert!(!init.out().contains("HUP"));
    quota.double();
    init.wait_for_out("HUP");
    nothing_follows();
    assert_eq!(init.out().matches("HUP").count(), 1, "{}", init.log());
    drop(init);
}

/// A pod: a PID and a network namespace, in which this script runs; `$0` is bookend.
fn sidecar_in(folder: Folder, script: &str) -> Init {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--net", "sh", "-c"]);
    command.arg(format!("ip link set lo up; {script}")).arg(debug_build());
    Init::start(folder, command)
}

#[test]
fn a_sidecar_signals_the_app_of_another_container() {
    if !is_root("a_sidecar_signals_the_app_of_another_container") {
        return;
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("conf")).unwrap();
    folder.write("conf/a", "one\n");
    let text = "http.listen = \"127.0.0.1:9797\"\n[containers.web]\nprocess.commandLine = \"not-bookend\"\n\
        [[reload]]\nname = \"conf\"\ncontainer = \"web\"\nwatch = [\"FOLDER/conf\"]\nsettleSeconds = 0.3\nsignal.name = \"SIGHUP\"\n";
    let text = text.replace("FOLDER", folder.shown());
    let path = folder.write("sidecar.toml", &text).display().to_string();
    // The app is a process of the same PID namespace, and not bookend's child.
    let app = format!("DIR={} bash -c '{}' not-bookend &", folder.shown(), APP[3].replace('\'', "'\\''"));
    let mut init = sidecar_in(folder, &format!("{app} \"$0\" sidecar -c {path}; sleep 1000"));
    init.wait_for_log("the app's process is found");
    init.wait_for_out("up");
    nothing_follows();
    init.folder.write("conf/a", "two\n");
    init.wait_for_out("HUP two");
    init.wait_for_log("reloaded: SIGHUP sent to the app");
    assert!(init.is_running());
}

#[test]
fn a_sidecar_that_sees_no_process_reloads_the_app_by_a_request() {
    if !is_root("a_sidecar_that_sees_no_process_reloads_the_app_by_a_request") {
        return;
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("conf")).unwrap();
    folder.write("conf/a", "one\n");
    // The app prints what it is asked for.
    let app = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 9, LocalAddr => '127.0.0.1:9000'); \
        $| = 1; while (my $c = $s->accept) { print scalar <$c>; print $c \"HTTP/1.1 200 OK\\r\\n\\r\\n\"; close $c }";
    let app = folder.write("app.pl", app).display().to_string();
    let text = "http.listen = \"127.0.0.1:9797\"\n[containers.web]\n\
        [[reload]]\nname = \"conf\"\ncontainer = \"web\"\nwatch = [\"FOLDER/conf\"]\nsettleSeconds = 0.3\n\
        httpGet = { port = 9000, path = \"/-/reload\" }\n";
    let path = folder.write("sidecar.toml", &text.replace("FOLDER", folder.shown())).display().to_string();
    // They share the network, and no process.
    let sidecar = "exec unshare --pid --fork --mount-proc --kill-child \"$0\" sidecar -c";
    let mut init = sidecar_in(folder, &format!("perl {app} & {sidecar} {path}"));
    wait_until("the sidecar answers", || is_asked(&init, "status"));
    init.folder.write("conf/a", "two\n");
    init.wait_for_out("GET /-/reload HTTP/1.1");
    init.wait_for_log("reloaded: ");
    let status = bookend(&init, &["status"]);
    assert!(status.out.contains("reload    conf: Idle, Succeeded at 2"), "{status:?}");
    assert!(init.is_running());
}

#[test]
fn a_container_that_has_not_started_holds_no_other_reload() {
    if !is_root("a_container_that_has_not_started_holds_no_other_reload") {
        return;
    }
    let folder = Folder::new();
    let text = "http.listen = \"127.0.0.1:9797\"\n[containers.web]\n[containers.queue]\nprocess.commandLine = \"not-there\"\n\
        [[reload]]\nname = \"queue\"\ncontainer = \"queue\"\nsignal.name = \"SIGHUP\"\n\
        [[reload]]\nname = \"web\"\ncontainer = \"web\"\nexec.command = [\"true\"]\n";
    let path = folder.write("sidecar.toml", text).display().to_string();
    let init = sidecar_in(folder, &format!("exec \"$0\" sidecar -c {path}"));
    wait_until("the sidecar answers", || is_asked(&init, "status"));
    let both = bookend(&init, &["reload"]);
    assert_eq!(both.code(), 1, "{both:?}");
    assert!(both.out.contains("web: Succeeded: exit code 0\n"), "{both:?}");
    assert!(both.out.contains("queue: not reloaded: the app has not started"), "{both:?}");
    assert!(both.log.contains("not everything was reloaded"), "{both:?}");
    let one = bookend(&init, &["reload", "queue"]);
    assert!(one.code() == 1 && one.log.contains("queue: not reloaded: "), "{one:?}");
    assert_eq!(bookend(&init, &["reload", "web"]).code(), 0);
}

/// Whether the socket answers this subcommand.
fn is_asked(init: &Init, subcommand: &str) -> bool {
    bookend(init, &[subcommand]).code() == 0
}

#[test]
fn an_action_can_be_a_request_and_is_tried_again() {
    if !is_root("an_action_can_be_a_request_and_is_tried_again") {
        return;
    }
    // bookend's own endpoint answers: 200 once the file is there.
    let probe = "readinessProbe = { exec.command = [\"test\", \"-e\", \"FOLDER/ready\"], periodSeconds = 0.1 }";
    let init = life_of("httpGet = { port = 9797, path = \"/readyz\" }", probe, APP);
    init.folder.write("conf/a", "two\n");
    wait_until("the request has failed", || state(&init) == "Backoff");
    assert!(field(&init, "detail").contains("503"), "{}", init.log());
    init.folder.write("ready", "");
    wait_until("the next one succeeds", || field(&init, "result") == "Succeeded");
}

#[test]
fn a_volume_that_hangs_delays_the_reload_of_no_other() {
    if !is_root("a_volume_that_hangs_delays_the_reload_of_no_other") {
        return;
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("conf")).unwrap();
    folder.write("conf/a", "one\n");
    folder.write("volume", "");
    let held = hung(&folder, "volume");
    let hanging = (0..4).map(|number| {
        format!("[[reload]]\nname = \"hangs-{number}\"\nwatch = [\"FOLDER/volume\"]\nexec.command = [\"true\"]\n")
    });
    let entry = format!("[[reload]]\nname = \"conf\"\nwatch = [\"FOLDER/conf\"]\nsettleSeconds = 0.1\n{HUP}\n");
    let text = format!("app.env.DIR = \"FOLDER\"\n{}{entry}", hanging.collect::<String>());
    let text = text.replace("FOLDER", folder.shown());
    let init = start(folder, &text, "", APP);
    init.wait_for_out("up");
    nothing_follows();
    init.folder.write("conf/a", "two\n");
    init.wait_for_out("HUP two");
    let threads = fs::read_dir(format!("/proc/{}/task", init.pid())).unwrap().count();
    assert!(threads <= 1 + 4 + 1, "{threads} threads: one of each entry may wait");
    drop(held);
}
