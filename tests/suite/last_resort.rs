//! After the app is spawned nothing is fatal. Without descriptors for a runtime bookend still forwards signals, reaps and
//! exits with the app's code.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::support::{Folder, Init, bookend, pipe_without_reader, wait_until};

fn few_descriptors(most: u32, script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {most}; exec \"$@\""), "sh"])
        .arg(bookend())
        .args(["--", "sh", "-c", script]);
    command
}

fn with_few_descriptors(most: u32, script: &str) -> Init {
    Init::start(Folder::new(), few_descriptors(most, script))
}

#[test]
fn without_descriptors_signals_are_forwarded_and_the_code_is_kept() {
    for most in 4..12 {
        let init = with_few_descriptors(most, "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done");
        init.wait_for_out("up");
        init.signal(15);
        assert_eq!(init.finish().code(), 6, "{most} descriptors");
    }
}

#[test]
fn without_descriptors_orphans_are_reaped() {
    let init = with_few_descriptors(4, "(sleep 0.1 & sleep 0.1 &) ; sleep 0.5; exit 3");
    assert_eq!(init.finish().code(), 3);
}

#[test]
fn an_unread_error_message_does_not_end_the_app() {
    let command = few_descriptors(4, "sleep 0.3; exit 3");
    let init = Init::start_with_log(Folder::new(), command, pipe_without_reader());
    assert_eq!(init.finish().code(), 3);
}

/// Limits bookend's memory to what it already has, and makes it need more.
fn starve(init: &Init) {
    let limit = Command::new("prlimit").args(["--pid", &init.pid().to_string(), "--as=1"]).status().unwrap();
    assert!(limit.success());
    let mut clients = Vec::new();
    // Heads that never end: each holds some memory.
    let head = format!("GET /livez HTTP/1.0\r\nX: {}", "x".repeat(14_000));
    wait_until("no memory is left", || {
        if let Ok(mut client) = UnixStream::connect(init.folder.path("bookend.sock")) {
            client.set_nonblocking(true).unwrap();
            let _ = client.write_all(head.as_bytes());
            clients.push(client);
        }
        init.log().contains("out of memory: staying as a bare init")
    });
}

/// With one heap: glibc reserves another one for each thread, and the reserve of a thread that has ended is not subject to the limit.
fn with_one_heap(config: &str, script: &str) -> Init {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", config);
    let mut command = Command::new(bookend());
    command.env("MALLOC_ARENA_MAX", "1").env("BOOKEND_SOCKET", folder.path("bookend.sock"));
    command.arg("-c").arg(config).args(["--", "sh", "-c", script]);
    Init::start(folder, command)
}

#[test]
fn without_memory_a_stop_sends_its_pending_stop_signal() {
    let config = "app.stopSignal = \"SIGINT\"\nlifecycle.preStop.sleep.seconds = 1000";
    let init = with_one_heap(config, "trap 'exit 6' INT; echo up; while :; do sleep 0.02; done");
    init.wait_for_out("up");
    init.signal(15);
    init.wait_for_log("stopping");
    starve(&init);
    assert_eq!(init.finish().code(), 6);
}

#[test]
fn without_memory_for_a_stop_the_app_gets_its_stop_signal() {
    let argument = format!("\"{}\"", "x".repeat(120_000));
    // Memory ends where the stop begins: at the copies for the handler's start.
    let config = format!("lifecycle.preStop.exec.command = [\"sleep\", \"1000\"{}]", format!(", {argument}").repeat(8));
    let init = with_one_heap(&config, "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done");
    init.wait_for_out("up");
    init.wait_for_log("started");
    let status = std::fs::read_to_string(format!("/proc/{}/status", init.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let bytes = size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
    let limited = Command::new("prlimit").args(["--pid", &init.pid().to_string(), &format!("--as={bytes}")]).status();
    assert!(limited.unwrap().success());
    init.signal(15);
    init.wait_for_log("out of memory: staying as a bare init");
    assert_eq!(init.finish().code(), 6);
}

#[test]
fn without_memory_the_deadline_still_ends_an_app() {
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.02; done";
    // The stop begins before, or in the init of last resort itself.
    for stops_before in [true, false] {
        let init = with_one_heap("terminationGracePeriodSeconds = 3", deaf);
        init.wait_for_out("up");
        if stops_before {
            init.signal(15);
            init.wait_for_log("stopping");
        }
        starve(&init);
        if !stops_before {
            init.signal(15);
        }
        assert_eq!(init.finish().code(), 137);
    }
}
