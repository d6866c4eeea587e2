//! Faults of the environment, one by one: never a hang, a lost exit code or a silent loss. strace's injector makes the
//! kernel refuse calls; namespaces and limits take away what usually exists. docs/proof.md has the table and names the
//! tests of the other faults (closed and full descriptors: `log.rs`). One file, as the table is one.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Folder, Init, bookend, code, code_of, copy_program, free_port, get, is_root, wait_until};

/// bookend as an ordinary child, with injected system call results. Its children are not traced.
fn injected(folder: Folder, rules: &[&str], args: &[&str]) -> Init {
    let strace = strace(&folder, rules, args);
    Init::start(folder, strace)
}

/// The same with a pipe as stderr, which is written in another way than a file.
fn injected_with_a_pipe(folder: Folder, rules: &[&str], args: &[&str]) -> Init {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let mut log = std::fs::File::create(folder.path("log")).unwrap();
    std::thread::spawn(move || std::io::copy(&mut std::fs::File::from(reader), &mut log));
    let strace = strace(&folder, rules, args);
    Init::start_with_log(folder, strace, writer.into())
}

fn strace(folder: &Folder, rules: &[&str], args: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "signal=none", "-o"]).arg(folder.path("strace"));
    let names: Vec<_> = rules.iter().map(|rule| name_of(rule)).collect();
    if names.iter().any(|name| name.starts_with("pidfd_")) {
        // A thread of bookend calls it.
        strace.arg("-f");
    }
    strace.args(["-e", &format!("trace={}", names.join(","))]);
    for rule in rules {
        strace.args(["-e", &format!("inject={rule}")]);
    }
    strace.arg(bookend()).args(args);
    strace
}

fn name_of(rule: &str) -> &str {
    rule.split(':').next().unwrap_or(rule)
}

/// The process that strace traces: signals are sent to it.
pub(crate) fn traced(init: &Init) -> i32 {
    let mut pid = None;
    wait_until("strace has its child", || {
        pid = crate::support::child_of(init.pid().unsigned_abs());
        pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}/exe")).exists())
    });
    pid.unwrap()
}

fn config(folder: &Folder, text: &str) -> String {
    folder.write("bookend.toml", text).to_str().unwrap().to_owned()
}

#[test]
fn a_failed_fork_of_the_app_is_125() {
    let limited = " (the container's pids limit, or ulimit -u, is reached)";
    for (error, limit, words) in [("EAGAIN", limited, "os error 11"), ("ENOMEM", "", "os error 12")] {
        let rule = format!("?fork,clone:error={error}:when=1");
        let finished = injected(Folder::new(), &[&rule], &["--", "sh", "-c", "exit 7"]).finish();
        assert_eq!(finished.code(), 125, "{finished:?}");
        let expected = format!("cannot create a process for \"sh\"{limit}: ");
        assert!(finished.log.contains(&expected), "{}", finished.log);
        assert!(finished.log.contains(words), "{}", finished.log);
    }
}

#[test]
fn a_handler_that_cannot_be_forked_fails_and_the_stop_goes_on() {
    for error in ["EAGAIN", "ENOMEM"] {
        let folder = Folder::new();
        let path = config(&folder, "lifecycle.preStop = { name = \"drain\", exec.command = [\"true\"] }");
        let rule = format!("?fork,clone:error={error}:when=2+");
        let app = "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done";
        let init = injected(folder, &[&rule], &["-c", &path, "--", "sh", "-c", app]);
        init.wait_for_out("up");
        crate::support::signal(traced(&init), 15);
        let finished = init.finish();
        assert_eq!(finished.code(), 6, "{error}: {finished:?}");
        assert!(finished.log.contains("handler failed: cannot create a process"), "{}", finished.log);
    }
}

#[test]
fn a_handlers_duration_is_never_too_short() {
    let folder = Folder::new();
    let text = "log.level = \"Debug\"\nlifecycle.preStart.exec.command = [\"sleep\", \"0.3\"]";
    let path = config(&folder, text);
    // The program may have run for a while when spawn returns to a bookend that other processes keep from the processor.
    let rule = "?fork,clone:delay_exit=200000:when=1";
    let finished = injected(folder, &[rule], &["-c", &path, "--", "true"]).finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let took = finished.log.split_once("took_seconds=").expect("the handler's time").1;
    let took: f64 = took.split_whitespace().next().unwrap_or_default().parse().expect("a number");
    assert!(took >= 0.3, "{}", finished.log);
}

#[test]
fn without_pidfds_remaining_processes_are_still_ended() {
    let left = "sh -c 'trap \"echo told; exit\" TERM; echo up; while :; do sleep 0.02; done' &";
    let script = format!("{left} until [ -e \"$0\" ]; do sleep 0.02; done; exit 3");
    for rule in ["pidfd_open:error=ENOSYS", "pidfd_send_signal:error=EPERM"] {
        let folder = Folder::new();
        let go = folder.path("go");
        let app = ["--", "sh", "-c", &script, go.to_str().unwrap()];
        let mut init = injected(folder, &[rule], &app);
        init.wait_for_out("up");
        std::fs::write(go, "").unwrap();
        assert_eq!(init.end().code(), 3, "{rule}: {}", init.log());
        init.wait_for_out("told");
        assert!(!init.log().contains("SIGKILL"), "{rule}: {}", init.log());
    }
}

#[test]
fn a_refused_poll_starts_the_app_only_once() {
    let folder = Folder::new();
    let app = ["--", "sh", "-c", "echo started >>\"$0\"", folder.path("starts").to_str().unwrap()].map(str::to_owned);
    // The child is killed only after it had time for its work.
    let rules = ["poll:error=EPERM:delay_exit=100000"];
    let mut init = injected(folder, &rules, &app.each_ref().map(String::as_str));
    assert_eq!(init.end().code(), 0, "{}", init.log());
    assert_eq!(init.folder.read("starts"), "started\n", "{}", init.log());
}

#[test]
fn a_connection_that_cannot_be_accepted_is_accepted_a_moment_later() {
    for error in ["EMFILE", "ENFILE", "ENOMEM"] {
        let folder = Folder::new();
        let port = free_port();
        let path = config(&folder, &format!("http.listen = \"127.0.0.1:{port}\""));
        let rule = format!("accept4:error={error}:when=1..3");
        let init = injected(folder, &[&rule], &["-c", &path, "--", "sh", "-c", "echo up; exec sleep 1000"]);
        init.wait_for_out("up");
        assert_eq!(code(port, "/lifecycle/preStop"), 200, "{error}: {}", init.log());
        assert!(init.log().contains("cannot accept connections"), "{error}: {}", init.log());
        crate::support::signal(traced(&init), 15);
        assert_eq!(init.finish().code(), 143);
    }
}

#[test]
fn an_accept_that_is_refused_for_good_is_reported_once() {
    let (folder, port) = (Folder::new(), free_port());
    let path = config(&folder, &format!("http.listen = \"127.0.0.1:{port}\""));
    let app = ["-c", &path, "--", "sh", "-c", "echo up; exec sleep 1000"];
    let init = injected(folder, &["accept4:error=EPERM"], &app);
    init.wait_for_out("up");
    let waiting = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    init.wait_for_log("cannot accept connections");
    std::thread::sleep(Duration::from_secs(3));
    let calls = init.folder.read("strace").matches("accept4").count();
    // 1 + 2 + 4 + ... milliseconds, and then one call a second.
    assert!((4..=16).contains(&calls), "{calls} calls");
    assert_eq!(init.log().matches("cannot accept connections").count(), 1, "{}", init.log());
    drop(waiting);
    crate::support::signal(traced(&init), 15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn a_recvmsg_that_is_refused_for_good_is_reported_once() {
    let folder = Folder::new();
    let path = config(&folder, "app.notify = true");
    let app = "use Socket; ($_ = $ENV{NOTIFY_SOCKET}) =~ s/^@/\\0/; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); \
               send($s, 'READY=1', 0, pack_sockaddr_un($_)) or die $!; $| = 1; print 'up'; sleep 1000";
    let init = injected(folder, &["recvmsg:error=EPERM"], &["-c", &path, "--", "perl", "-e", app]);
    init.wait_for_out("up");
    init.wait_for_log("cannot receive sd_notify messages");
    std::thread::sleep(Duration::from_secs(3));
    let calls = init.folder.read("strace").matches("recvmsg").count();
    assert!((2..=5).contains(&calls), "{calls} calls");
    assert_eq!(init.log().matches("cannot receive sd_notify messages").count(), 1, "{}", init.log());
    crate::support::signal(traced(&init), 15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn a_certificate_that_cannot_be_made_is_reported_once() {
    let (folder, port) = (Folder::new(), free_port());
    let path = config(&folder, &format!("http.listen = \"127.0.0.1:{port}\"\nhttp.selfSigned = true"));
    let init = Init::ordinary(folder, &["-c", &path, "--", "sleep", "1000"]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    // Later than the standard library's own use of random numbers.
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-f", "-e", "signal=none", "-o"]).arg(init.folder.path("strace"));
    strace.args(["-e", "trace=getrandom", "-e", "inject=getrandom:error=EIO", "-p", &init.pid().to_string()]);
    let mut strace = strace.spawn().unwrap();
    let status = format!("/proc/{}/status", init.pid());
    wait_until("it is traced", || !std::fs::read_to_string(&status).unwrap_or_default().contains("TracerPid:\t0"));
    for _ in 0..2 {
        let mut hello = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        hello.write_all(b"\x16\x03\x01").unwrap();
        let mut answer = String::new();
        hello.read_to_string(&mut answer).unwrap();
        assert_eq!(code_of(&answer), 400, "{answer}");
        // A certificate is looked for once a second.
        std::thread::sleep(Duration::from_millis(1100));
    }
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert_eq!(init.log().matches("cannot make a self-signed certificate").count(), 1, "{}", init.log());
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn a_log_that_takes_no_byte_holds_nothing_up() {
    // A seccomp profile can refuse a call with any result.
    let folder = Folder::new();
    let path = config(&folder, "log.level = \"Debug\"");
    let init = injected(folder, &["write:retval=0"], &["-c", &path, "--", "sh", "-c", "exit 7"]);
    assert_eq!(init.finish().code(), 7);
}

#[test]
fn without_its_umask_or_parent_death_signal_no_app_starts() {
    for (call, key, value) in [("umask", "umask", "027"), ("prctl", "pdeathSignal", "SIGKILL")] {
        let folder = Folder::new();
        let path = config(&folder, &format!("app.{key} = \"{value}\""));
        // The app is traced until it is executed.
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-f", "-b", "execve", "-e", "signal=none", "-o"]).arg(folder.path("strace"));
        strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error=EPERM")]);
        strace.arg(bookend()).args(["-c", &path, "--", "true"]);
        let finished = Init::start(folder, strace).finish();
        assert_eq!(finished.code(), 125, "{}", finished.log);
        assert!(finished.log.contains(&format!("app.{key}: cannot ")), "{}", finished.log);
    }
}

#[test]
fn a_refused_prctl_is_an_error_for_a_key_and_else_a_warning() {
    for (config_text, code, words) in [
        ("", 5, "cannot become a subreaper: Operation not permitted (os error 1): orphans go to another process"),
        ("subreaper = true", 125, "cannot set subreaper: prctl(2) is refused: Operation not permitted"),
        ("pdeathSignal = \"SIGTERM\"", 125, "cannot set pdeathSignal: prctl(2) is refused: Operation not permitted"),
    ] {
        let folder = Folder::new();
        let path = config(&folder, config_text);
        let finished = injected(folder, &["prctl:error=EPERM"], &["-c", &path, "--", "sh", "-c", "exit 5"]).finish();
        assert_eq!(finished.code(), code, "{}", finished.log);
        assert!(finished.log.contains(words), "{}", finished.log);
    }
}

#[test]
fn a_flood_without_descriptors_does_not_fill_the_log() {
    let (folder, port) = (Folder::new(), free_port());
    let path = config(&folder, &format!("http.listen = \"127.0.0.1:{port}\"\nsocket = \"None\""));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 20; exec \"$@\"", "sh"]).arg(bookend()).args(["-c", &path]);
    command.args(["--", "sh", "-c", "echo up; exec sleep 1000"]);
    let init = Init::start(folder, command);
    init.wait_for_out("up");
    let mut clients = std::collections::VecDeque::new();
    for _ in 0..500 {
        clients.extend(std::net::TcpStream::connect(("127.0.0.1", port)));
        if clients.len() > 100 {
            clients.pop_front();
        }
    }
    init.wait_for_log("cannot accept connections");
    drop(clients);
    wait_until("the flood is over", || code(port, "/livez") == 200);
    let lines = init.log().matches("cannot accept connections").count();
    assert!(lines <= 2, "{lines} lines");
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn with_few_descriptors_no_exit_code_is_lost() {
    let app = "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done";
    for most in 4..24 {
        let folder = Folder::new();
        let path = config(
            &folder,
            "terminationGracePeriodSeconds = 20\nhttp.listen = \"127.0.0.1:0\"\nlifecycle.preStop.exec.command = [\"true\"]",
        );
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most}; exec \"$@\""), "sh"]).arg(bookend());
        command.args(["-c", &path, "--", "sh", "-c", app]);
        let mut init = Init::start(folder, command);
        wait_until("it runs or has given up", || init.out().contains("up") || !init.is_running());
        if init.out().contains("up") {
            init.signal(15);
            assert_eq!(init.finish().code(), 6, "{most} descriptors");
        } else {
            // There are too few descriptors to bind or to read the configuration. bookend reports this and starts no app.
            let finished = init.finish();
            assert_eq!(finished.code(), 125, "{most} descriptors: {finished:?}");
            assert!(finished.log.contains("Too many open files"), "{most}: {}", finished.log);
        }
    }
}

#[test]
fn a_foreign_binary_is_126_a_missing_interpreter_127() {
    let folder = Folder::new();
    // An ELF header of an unknown machine.
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\xfe\x01\0\0\0".to_vec();
    elf.resize(120, 0);
    let programs = [
        ("other-machine", elf, 0o755, 126, "neither a program for this machine"),
        ("no-permission", b"#!/bin/sh\n".to_vec(), 0o644, 126, "Permission denied"),
        ("no-interpreter", b"#!/no/such/interpreter\n".to_vec(), 0o755, 127, "the file exists, but the interpreter"),
    ];
    for (name, bytes, mode, code, why) in programs {
        let path = folder.path(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let finished = crate::support::run(&["--", path.to_str().unwrap()]);
        assert_eq!(finished.code(), code, "{name}: {finished:?}");
        assert!(finished.log.contains("cannot execute") && finished.log.contains(why), "{name}: {}", finished.log);
    }
}

/// bookend as PID 1 after a script has changed its mount namespace.
fn in_changed_world(script: &str, config: &str, args: &[&str]) -> Init {
    let folder = Folder::new();
    let path = folder.write("bookend.toml", config);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-e", "-c"]);
    unshare.arg(format!("{script}; exec \"$@\"")).arg("sh").arg(bookend()).arg("-c").arg(path).args(args);
    let mut init = Init::start(folder, unshare);
    wait_until("the app is up", || init.out().contains("up") || !init.is_running());
    init
}

/// The process in the new PID namespace. /proc outside is complete.
fn first_process_of(init: &Init) -> i32 {
    crate::support::child_of(init.pid().unsigned_abs()).expect("unshare's child")
}

const OBEDIENT: &str = "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done";
const ALL_HOOKS: &str = r#"
terminationGracePeriodSeconds = 20
[lifecycle]
postStart.exec.command = ["echo", "greeted"]
preStop.exec.command = ["echo", "drained"]
postStop.exec.command = ["echo", "gone"]
"#;

fn lives_a_whole_life(test: &str, script: &str) {
    if !is_root(test) {
        return;
    }
    // A process is left behind as well; it is found and ended without /proc.
    let app = format!("(trap '' TERM; while :; do sleep 0.1; done) & {OBEDIENT}");
    let init = in_changed_world(script, ALL_HOOKS, &["--", "sh", "-c", &app]);
    init.wait_for_log("greeted");
    crate::support::signal(first_process_of(&init), 15);
    let finished = init.finish();
    assert_eq!(finished.code(), 6, "{finished:?}");
    for word in ["greeted", "drained", "gone"] {
        assert!(finished.log.contains(word), "{word}: {}", finished.log);
    }
}

#[test]
fn a_whole_life_works_without_proc() {
    lives_a_whole_life("a_whole_life_works_without_proc", "umount -l /proc; test ! -e /proc/self");
}

#[test]
fn a_whole_life_works_with_hidepid() {
    let test = "a_whole_life_works_with_hidepid";
    lives_a_whole_life(test, "umount -l /proc; mount -t proc -o hidepid=2,subset=pid proc /proc");
}

#[test]
fn a_whole_life_works_on_a_read_only_root() {
    lives_a_whole_life("a_whole_life_works_on_a_read_only_root", "mount -o remount,bind,ro /; ! touch /x 2>&-");
}

#[test]
fn a_whole_life_works_without_dev_null() {
    lives_a_whole_life("a_whole_life_works_without_dev_null", "mount -t tmpfs none /dev; test ! -e /dev/null");
}

#[test]
fn a_whole_life_works_without_tmp() {
    let test = "a_whole_life_works_without_tmp";
    // The configuration is in the test's folder: bookend reads it from where it is bound to.
    if !is_root(test) {
        return;
    }
    let folder = Folder::new();
    let path = folder.write("bookend.toml", ALL_HOOKS);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-e", "-c"]);
    let script = "cp \"$1\" /run/bookend-test.toml; cp \"$2\" /run/bookend-test; mount -t tmpfs -o ro none /tmp";
    let script =
        format!("mount -t tmpfs none /run; {script}; shift 2; exec /run/bookend-test -c /run/bookend-test.toml \"$@\"");
    unshare.arg(script).arg("sh").arg(path).arg(bookend()).args(["--", "sh", "-c", OBEDIENT]);
    let init = Init::start(folder, unshare);
    init.wait_for_log("greeted");
    init.wait_for_out("up");
    crate::support::signal(first_process_of(&init), 15);
    assert_eq!(init.finish().code(), 6);
}

/// A whole life, with system calls that are always refused.
fn lives_with(rules: &[&str], warning: Option<&str>) {
    let folder = Folder::new();
    let path = config(&folder, ALL_HOOKS);
    let app = format!("sleep 0.1 & {OBEDIENT}");
    let mut init = injected(folder, rules, &["-c", &path, "--", "sh", "-c", &app]);
    init.wait_for_out("up");
    warning.into_iter().for_each(|warning| init.wait_for_log(warning));
    crate::support::signal(traced(&init), 15);
    assert_eq!(init.end().code(), 6, "{rules:?}: {}", init.log());
    for word in ["drained", "gone"] {
        init.wait_for_log(word);
    }
}

#[test]
fn a_refused_send_or_recv_loses_no_signal() {
    for rule in ["sendto:error=EPERM", "recvfrom:error=EPERM", "sendto:error=ENOSYS"] {
        lives_with(&[rule], None);
    }
}

#[test]
fn a_refused_wait4_or_waitid_loses_no_exit_code() {
    for rule in ["wait4:error=EPERM", "waitid:error=ENOSYS"] {
        lives_with(&[rule], None);
    }
}

#[test]
fn without_signalfd_signals_are_received_through_handlers() {
    for rule in ["signalfd4:error=EPERM", "signalfd4:error=ENOSYS"] {
        lives_with(&[rule], Some("refuses signalfd(2)"));
    }
}

#[test]
fn ten_seconds_stopped_lose_no_signal_hook_or_status() {
    let folder = Folder::new();
    let port = free_port();
    let config = format!("http.listen = \"127.0.0.1:{port}\"\nlifecycle.preStop.sleep.seconds = 0.1");
    let app = "trap 'echo hup' HUP; trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done";
    let init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.signal(19);
    let began = Instant::now();
    let hook = std::thread::spawn(move || get(port, "/lifecycle/preStop"));
    init.signal(1);
    // The pause is the tested fault, so there is no condition to wait for.
    std::thread::sleep(Duration::from_secs(10).saturating_sub(began.elapsed()));
    init.signal(18);
    let answer = hook.join().unwrap().unwrap_or_default();
    assert_eq!(code_of(&answer), 200, "{answer}");
    init.wait_for_out("hup");
    init.signal(15);
    assert_eq!(init.finish().code(), 6);
}

#[test]
fn an_app_that_ends_while_bookend_is_stopped_is_reported() {
    let folder = Folder::new();
    let app = format!("echo up; while [ ! -e {}/go ]; do sleep 0.02; done; touch {0}/gone; exit 9", folder.shown());
    let init = Init::in_folder(folder, &["--", "sh", "-c", &app]);
    init.wait_for_out("up");
    init.signal(19);
    init.folder.write("go", "");
    wait_until("the app has ended", || init.folder.path("gone").exists());
    init.signal(18);
    assert_eq!(init.finish().code(), 9);
}

#[test]
fn a_whole_life_works_on_old_kernels_and_strict_seccomp() {
    // Newer Linux calls, and calls that seccomp profiles forbid: always refused, and bookend does call them.
    let calls = ["pwritev2:error=ENOSYS", "pwritev2:error=EPERM", "pidfd_open:error=ENOSYS", "pidfd_open:error=EPERM"];
    for rule in calls.into_iter().chain(["prctl:error=EPERM"]) {
        let folder = Folder::new();
        let path = config(&folder, ALL_HOOKS);
        // The app leaves a process behind; bookend finds and ends it although bookend is not PID 1.
        let app = format!("(trap '' TERM; while :; do sleep 0.1; done) & {OBEDIENT}");
        let mut init = injected_with_a_pipe(folder, &[rule], &["-c", &path, "--", "sh", "-c", &app]);
        init.wait_for_out("up");
        init.wait_for_log("greeted");
        crate::support::signal(traced(&init), 15);
        assert_eq!(init.end().code(), 6, "{rule}: {}", init.log());
        for word in ["greeted", "drained", "gone", "exit code 6"] {
            init.wait_for_log(word);
        }
        let asked = init.folder.read("strace");
        let said_no = |line: &str| line.contains(name_of(rule)) && line.ends_with("(INJECTED)");
        assert!(asked.lines().any(said_no), "{rule} was never asked: {asked}");
    }
}

#[test]
fn without_epoll_or_signalfd_it_stays_an_init() {
    // Handlers that stand in for a signalfd report through a socket, with send(2) and recv(2).
    let [epoll, signalfd] = ["epoll_create1:error=EPERM", "signalfd4:error=EPERM"];
    for rule in [
        &["epoll_create1:error=EMFILE"][..],
        &[epoll],
        &[signalfd, "socketpair:error=EMFILE"],
        &[signalfd, "sendto:error=EPERM"],
        &[signalfd, "recvfrom:error=EPERM"],
        // Without a runtime, the signals are waited for in rt_sigtimedwait(2).
        &[epoll, "rt_sigtimedwait:error=ENOSYS"],
        &[epoll, "rt_sigtimedwait:error=EPERM"],
    ] {
        let init = injected(Folder::new(), rule, &["--", "sh", "-c", OBEDIENT]);
        init.wait_for_out("up");
        init.wait_for_log("forwarding and reaping only");
        crate::support::signal(traced(&init), 15);
        assert_eq!(init.finish().code(), 6, "{rule:?}");
    }
}

/// bookend as a user without an entry in /etc/passwd.
fn as_nobody_known(folder: Folder, before: &[&str], args: &[&str]) -> Init {
    // The debug binary may be readable by root only.
    let binary = folder.path("bookend");
    copy_program(bookend(), &binary);
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid", "74219", "--regid", "74219", "--clear-groups"]).args(before).arg(&binary).args(args);
    Init::start(folder, setpriv)
}

#[test]
fn a_whole_life_works_with_a_random_uid() {
    let test = "a_whole_life_works_with_a_random_uid";
    if !is_root(test) {
        return;
    }
    let folder = Folder::new();
    let path = config(&folder, ALL_HOOKS);
    let before = ["unshare", "--user", "--pid", "--fork", "--kill-child"];
    for before in [[].as_slice(), before.as_slice()] {
        let folder = Folder::new();
        let init = as_nobody_known(folder, before, &["-c", &path, "--", "sh", "-c", OBEDIENT]);
        init.wait_for_out("up");
        init.wait_for_log("greeted");
        let pid = if before.is_empty() { init.pid() } else { first_process_of(&init) };
        crate::support::signal(pid, 15);
        let finished = init.finish();
        assert_eq!(finished.code(), 6, "{finished:?}");
        assert!(finished.log.contains("drained") && finished.log.contains("gone"), "{}", finished.log);
    }
}

#[test]
fn at_the_pids_limit_failed_starts_are_reported() {
    let test = "at_the_pids_limit_failed_starts_are_reported";
    if !is_root(test) {
        return;
    }
    // One process: not even the app. Two: the app but no handler.
    let folder = Folder::new();
    let path = config(&folder, "lifecycle.preStop = { name = \"drain\", exec.command = [\"true\"] }");
    let app =
        ["perl", "-e", "$SIG{TERM} = sub { exit 6 }; $| = 1; print 'up'; select undef, undef, undef, 0.02 while 1"];
    let args = [&["-c", &path, "--"], app.as_slice()].concat();
    let none = as_nobody_known(Folder::new(), &["prlimit", "--nproc=1"], &args).finish();
    assert_eq!(none.code(), 125, "{none:?}");
    assert!(none.log.contains("cannot create a process for \"perl\""), "{}", none.log);
    let init = as_nobody_known(Folder::new(), &["prlimit", "--nproc=2"], &args);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 6, "{finished:?}");
    assert!(finished.log.contains("handler failed: cannot create a process"), "{}", finished.log);
}

#[test]
fn near_the_memory_limit_it_runs_or_reports_why_not() {
    let app = ["sh", "-c", "echo up; exit 7"];
    let mut lived = 0;
    // The limits go from far too little to enough, in steps that are smaller than bookend's stack.
    for kilobytes in (1000..60_000).step_by(2900) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {kilobytes} && exec \"$@\""), "sh"]).arg(bookend()).arg("--").args(app);
        let finished = Init::start(Folder::new(), command).finish();
        if finished.out.contains("up") {
            lived += 1;
            assert_eq!(finished.code(), 7, "{kilobytes} kB: bookend exits with the app's status: {finished:?}");
        } else {
            assert_ne!(finished.code(), 0, "{kilobytes} kB: no app, and no success: {finished:?}");
        }
    }
    assert!(lived > 0, "some of the limits are enough");
}

#[test]
fn a_handlers_group_is_killed_even_if_its_leader_just_ended() {
    let folder = Folder::new();
    let member = folder.path("member");
    // On SIGTERM an orphan ends, and a moment later the leader does.
    let script = "trap '(true &); sleep 0.3; exit 0' TERM; sh -c 'trap \"\" TERM; echo $$$$ >\"$0\"; exec sleep 1000' \"$0\" & \
                  while :; do sleep 0.02; done";
    let text = format!(
        "[lifecycle.postStart]\nexec.command = [\"sh\", \"-c\", {script:?}, {member:?}]\ntimeoutSeconds = 1\nfailurePolicy = \"Ignore\""
    );
    let path = config(&folder, &text);
    // The first search finds the orphan. The second search finds no process, and the leader ends before that search returns.
    let rule = "waitid:delay_exit=1000000:when=2";
    let init = injected(folder, &[rule], &["-c", &path, "--", "sh", "-c", "exec sleep 1000"]);
    init.wait_for_log("timed out after");
    let pid: i32 = std::fs::read_to_string(&member).unwrap().trim().parse().expect("its pid");
    wait_until("the member that does not mind SIGTERM has ended", || !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_handler_whose_output_cannot_be_read_is_not_run() {
    let folder = Folder::new();
    let ran = folder.path("ran");
    let text = format!("lifecycle.postStart = {{ exec.command = [\"touch\", {ran:?}], failurePolicy = \"Ignore\" }}");
    let path = config(&folder, &text);
    // The four before it are the loop's own.
    let mut init = injected(folder, &["epoll_ctl:error=ENOSPC:when=5+"], &["-c", &path, "--", "sleep", "0.5"]);
    let finished = init.end();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.log.contains("cannot make a pipe for the handler's output"), "{}", finished.log);
    assert!(!ran.exists(), "the handler ran although its pipe was refused: {}", finished.log);
}
