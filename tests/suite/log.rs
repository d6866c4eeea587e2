//! The process does not depend on its log: closed, full or unread, bookend goes on.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::support::{Folder, Init, PATIENCE, bookend, run, signal, wait_until};

/// Handlers that print far more than a pipe holds, and an app that obeys.
fn noisy(folder: &Folder) -> Vec<String> {
    let config = format!(
        r#"
        log.level = "Debug"
        [lifecycle]
        postStart.exec.command = ["sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo a line of fifty characters, more or less, $i; i=$((i+1)); done; touch {0}/ready"]
        preStop.exec.command = ["sh", "-c", "echo going; touch {0}/stopped"]
        "#,
        folder.shown()
    );
    let config = folder.write("bookend.toml", &config);
    ["-c", config.to_str().unwrap(), "--", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.02; done"]
        .map(str::to_owned)
        .to_vec()
}

fn lives(folder: &Folder, mut command: Command) {
    let mut child = command.spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    wait_until("postStart is over", || folder.path("ready").exists());
    signal(pid, 15);
    let end = std::time::Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(std::time::Instant::now() < end, "bookend waits for its log");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(4));
    assert!(folder.path("stopped").exists());
}

#[test]
fn an_unread_log_pipe_delays_nothing() {
    let folder = Folder::new();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut command = Command::new(bookend());
    command.args(noisy(&folder)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    lives(&folder, command);
    drop::<OwnedFd>(reader);
}

#[test]
fn a_log_pipe_without_reader_delays_nothing() {
    let folder = Folder::new();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(bookend());
    command.args(noisy(&folder)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    lives(&folder, command);
}

#[test]
fn a_full_disk_delays_nothing() {
    let folder = Folder::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(bookend());
    command.args(noisy(&folder)).stdin(Stdio::null()).stdout(full()).stderr(full());
    lives(&folder, command);
}

#[test]
fn closed_descriptors_in_every_combination_delay_nothing() {
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "0<&- 2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"] {
        let folder = Folder::new();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$@\" {closed}"), "sh"]).arg(bookend()).args(noisy(&folder));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        lives(&folder, command);
    }
}

#[test]
fn a_late_log_reader_learns_how_much_it_missed() {
    let folder = Folder::new();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut command = Command::new(bookend());
    command.args(noisy(&folder)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    wait_until("postStart is over", || folder.path("ready").exists());
    let read = std::thread::spawn(move || std::io::read_to_string(File::from(reader)).unwrap());
    // The reader takes what is kept; the next log line reports what is missing.
    std::thread::sleep(std::time::Duration::from_millis(300));
    signal(i32::try_from(child.id()).unwrap(), 15);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let log = read.join().unwrap();
    assert!(log.contains("log lines were dropped"), "{}", &log[log.len().saturating_sub(2000)..]);
    assert!(log.contains("stopped by SIGTERM"), "the end is logged again");
}

#[test]
fn zero_config_is_silent() {
    let finished = run(&["--", "true"]);
    assert_eq!((finished.log.as_str(), finished.out.as_str()), ("", ""));
}

#[test]
fn the_log_can_be_json_line_by_line() {
    let config =
        "log.format = \"Json\"\nlifecycle.postStart = { name = \"greet\", exec.command = [\"echo\", \"hello\"] }";
    let init = Init::configured(config, &["--", "sleep", "1000"]);
    init.wait_for_log("hello");
    init.signal(15);
    let log = init.finish().log;
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    assert!(log.contains("\"handler\":\"greet\""), "{log}");
}
