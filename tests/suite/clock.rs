//! Changing the wall clock while the container runs (NTP, a suspended node, a person) changes timestamps only:
//! every deadline is on the monotonic clock.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Folder, Init};

/// libfaketime, installed by scripts/setup. It works with the dynamic build only.
fn faketime() -> PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1")).filter(|path| path.exists());
    found.next().expect("scripts/setup installs faketime")
}

#[test]
fn changing_the_wall_clock_moves_no_deadline() {
    let folder = Folder::new();
    let config = folder.write(
        "bookend.toml",
        "terminationGracePeriodSeconds = 4\nlog = { format = \"Json\", level = \"Debug\" }\nlifecycle.preStop.sleep.seconds = 1",
    );
    let clock = folder.write("clock", "@2030-06-15 12:00:00");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookend"));
    command.arg("-c").arg(&config).args([
        "--",
        "sh",
        "-c",
        "trap 'echo told' TERM; echo up; while :; do sleep 0.02; done",
    ]);
    command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    let init = Init::start(folder, command);
    init.wait_for_out("up");
    init.folder.write("clock", "@2032-06-15 12:00:00");
    let began = Instant::now();
    init.signal(15);
    init.wait_for_log("stopping");
    // The test sets the clock in the middle of the preStop handler, and again while the app ends.
    init.folder.write("clock", "@2031-06-15 12:00:00");
    init.wait_for_out("told");
    init.folder.write("clock", "@2029-06-15 12:00:00");
    let finished = init.finish();
    let took = began.elapsed();
    assert_eq!(finished.code(), 137, "{finished:?}");
    assert!((Duration::from_millis(2500)..Duration::from_secs(9)).contains(&took), "{took:?}: {}", finished.log);
    for day in ["2030-06-15", "2031-06-15", "2029-06-15"] {
        assert!(finished.log.contains(day), "the clock was set to {day}: {}", finished.log);
    }
    assert!(finished.log.contains("\"beganAt\":\"2032-06-15"), "as the clock showed it then: {}", finished.log);
}
