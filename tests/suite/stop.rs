//! The stop: its order, its budget, its timeline.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::unistd::Pid;

use crate::start_up::Traced;
use crate::support::{Folder, Init, bookend, child_of, signal, took, wait_until};

#[test]
fn pre_stop_runs_before_the_stop_signal() {
    let config =
        "lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"sleep 0.3; echo first\"]\napp.stopSignal = \"SIGQUIT\"";
    let app = "trap 'echo second >&2; exit 0' QUIT; echo up; while :; do sleep 0.02; done";
    let init = Init::configured(config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 0);
    let (first, second) = (finished.log.find("first"), finished.log.find("second"));
    assert!(first.is_some() && first < second, "{}", finished.log);
}

#[test]
fn an_app_that_ignores_the_signal_is_killed_in_time_for_post_stop() {
    let folder = Folder::new();
    let config = format!(
        "terminationGracePeriodSeconds = 3\nlifecycle.postStop.exec.command = [\"touch\", \"{}/done\"]",
        folder.shown()
    );
    let mut init = Init::configured_in(
        folder,
        &config,
        &["--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"],
    );
    init.wait_for_out("up");
    let began = Instant::now();
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 137);
    assert!(init.folder.path("done").exists(), "{}", finished.log);
    assert!(began.elapsed() < Duration::from_secs(3), "later than the runtime's own SIGKILL: {:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_secs(1), "the app had its time");
}

#[test]
fn without_a_grace_period_bookend_never_kills() {
    let mut init = Init::first_process(&[
        "--",
        "perl",
        "-e",
        "$SIG{TERM} = sub { syswrite STDOUT, 'no ' }; syswrite STDOUT, 'up'; while (1) { sleep 1 }",
    ]);
    init.wait_for_out("up");
    for n in 1..=5 {
        init.signal(15);
        init.wait_for_out(&"no ".repeat(n));
    }
    assert!(init.is_running());
    init.signal(10);
    assert_eq!(init.end().code(), 138);
}

#[test]
fn a_repeated_stop_signal_cuts_the_handlers_short() {
    let config = "lifecycle.preStop.sleep.seconds = 1000";
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    init.wait_for_log("stopping");
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn the_stop_report_is_a_timeline_of_about_ten_lines() {
    let config = "lifecycle.preStop = { name = \"pause\", sleep.seconds = 0.2 }";
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    for row in [
        "stopped by SIGTERM in 0.",
        "+0.000 s  stop triggered by SIGTERM",
        "SIGTERM sent to the app",
        "app was killed by SIGTERM",
    ] {
        assert!(finished.log.contains(row), "{row}: {}", finished.log);
    }
    assert!(took(&finished.log, "preStop pause") >= 0.2, "{}", finished.log);
    assert!(finished.log.lines().count() <= 10, "{}", finished.log);
}

/// The system calls of a stop by SIGTERM, as strace writes them.
fn calls_of_a_stop(config: &str) -> Vec<String> {
    let folder = Folder::new();
    let (file, calls) = (folder.write("bookend.toml", config), folder.path("calls"));
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o"]).arg(&calls).arg(bookend()).arg("-c").arg(file);
    strace.args(["--", "sh", "-c", "echo up; exec sleep 1000"]);
    let mut init = Init::start(folder, strace);
    init.wait_for_out("up");
    // strace writes the beginning of a call before the call returns.
    let waits = |calls: &str| calls.lines().next_back().is_some_and(|call| call.starts_with("epoll_"));
    wait_until("its start is over", || waits(&init.folder.read("calls")));
    let traced = child_of(init.pid().unsigned_abs()).expect("strace has its child");
    signal(traced, 15);
    assert_eq!(init.end().code(), 143);
    let calls = init.folder.read("calls");
    let stop = calls.split_once("\"\\17\\0\\0\\0").expect("the signal is read from a signalfd").1;
    stop.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_app_gets_its_signal_before_any_lookup() {
    let calls = calls_of_a_stop("");
    let before: Vec<_> = calls.iter().take_while(|call| !call.starts_with("kill(")).collect();
    assert!(before.len() < calls.len(), "{calls:#?}");
    assert!(before.iter().all(|call| !call.contains("/proc")), "{before:#?}");
}

#[test]
fn the_end_waits_for_no_lookup_of_the_report() {
    let calls = calls_of_a_stop("");
    let after = calls.iter().skip_while(|call| !call.starts_with("kill("));
    let before_a_look: Vec<_> = after.take_while(|call| !call.contains("/proc")).collect();
    assert!(
        before_a_look.iter().any(|call| call.starts_with("epoll_")),
        "bookend must return to its loop before it reads /proc: {before_a_look:#?}"
    );
}

#[test]
fn only_listeners_are_read_before_the_stop_signal() {
    let calls = calls_of_a_stop("terminationGracePeriodSeconds = 30");
    // Of the first request, strace shows bytes: protocol, attributes, padding, states. A later one it decodes.
    let is_listeners =
        |call: &str| call.contains(r"\x06\x02\x00\x00\x04\x00\x00") || call.contains("idiag_states=1<<TCP_LISTEN,");
    let asked: Vec<_> = calls.iter().filter(|call| call.starts_with("sendto(")).collect();
    assert!(!asked.is_empty(), "{calls:#?}");
    assert!(asked.iter().all(|call| is_listeners(call)), "{asked:#?}");
}

#[test]
fn the_exit_leaves_cleanup_to_the_kernel() {
    let calls = calls_of_a_stop("");
    let apart: Vec<_> = calls.iter().filter(|call| call.contains("EPOLL_CTL_DEL")).collect();
    assert!(apart.is_empty(), "the kernel removes these when the process ends: {apart:#?}");
}

#[test]
fn a_failed_container_is_held_for_inspection() {
    let port = crate::support::free_port();
    let mut command = Command::new(bookend());
    command.args(["--", "sh", "-c", "exit 9"]);
    command.env("BOOKEND_APP_HOLD_ON_FAILURE_SECONDS", "1000").env("BOOKEND_HTTP_LISTEN", format!("127.0.0.1:{port}"));
    let mut init = Init::start(Folder::new(), command);
    init.wait_for_log("the app has failed: the container is held for 1000 s");
    assert_eq!([crate::support::code(port, "/livez"), crate::support::code(port, "/readyz")], [200, 503]);
    assert!(crate::support::get(port, "/status").unwrap().contains("Held"));
    assert!(init.is_running());
    init.signal(15);
    assert_eq!(init.end().code(), 9);
    assert!(init.log().contains("app exited with 9; exit code 9"), "{}", init.log());
}

#[test]
fn the_report_and_post_stop_measure_the_same_stop() {
    let folder = Folder::new();
    let config = format!(
        "log.level = \"Info\"\nsocket = \"None\"\n\
         lifecycle.postStop.exec.command = [\"sh\", \"-c\", \"echo $BOOKEND_STOP_SECONDS > {}/seconds\"]",
        folder.shown()
    );
    let app = "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done";
    let init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.wait_for_log("bookend: started");
    let pid = Pid::from_raw(init.pid());
    let mut traced = Traced::waiting(init, pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    // The machine has begun the stop when bookend logs it. A busy machine may stop bookend for long just then.
    let writes = [libc::SYS_write, libc::SYS_writev, libc::SYS_pwritev2];
    while !writes.contains(&traced.next_call(|_| {}).expect("it has not ended")) {}
    std::thread::sleep(Duration::from_millis(400));
    ptrace::detach(pid, None).unwrap();
    let finished = traced.init.end();
    let headline = finished.log.split_once("stopped by SIGTERM in ").expect(&finished.log).1;
    let whole: f64 = headline.split(' ').next().unwrap().parse().unwrap();
    let until_the_end_of_the_app: f64 = traced.init.folder.read("seconds").trim().parse().unwrap();
    assert!(until_the_end_of_the_app <= whole, "{until_the_end_of_the_app} of {whole} s\n{}", finished.log);
    assert!(until_the_end_of_the_app >= 0.4, "it was stopped for that time: {until_the_end_of_the_app}");
}
