//! The stop: its order, its budget, its timeline.

use std::time::{Duration, Instant};

use crate::support::{Folder, Init, took};

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
fn the_stop_is_told_as_a_timeline_in_about_ten_lines() {
    let config = "lifecycle.preStop = { name = \"pause\", sleep.seconds = 0.2 }";
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    for row in [
        "stopped by SIGTERM in 0.",
        "+0.000 s  stop begun by SIGTERM",
        "SIGTERM sent to the app",
        "app was killed by SIGTERM",
    ] {
        assert!(finished.log.contains(row), "{row}: {}", finished.log);
    }
    assert!(took(&finished.log, "preStop pause") >= 0.2, "{}", finished.log);
    assert!(finished.log.lines().count() <= 10, "{}", finished.log);
}
