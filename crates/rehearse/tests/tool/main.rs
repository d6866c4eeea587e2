//! `bookend-rehearse` beside servers with a planted defect. Servers run on loopback, on a port of their own; no test needs root, and only
//! those with bookend need `BOOKEND_BIN`. The tests that take minutes are ignored: `make rehearse` runs them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]

mod advice;
mod verdicts;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bookend_test_support::{free_port, wait_until};
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_bookend-rehearse");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/server.py");

/// The tool in a network of its own, if this is root: a drain counts all connections of its network namespace, and must not count those of other tests.
fn alone() -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        return Command::new(TOOL);
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh", TOOL]);
    command
}

/// The tool for the server of these tests, with a defect or without one.
fn tool(how: &str, port: u16, options: &[&str]) -> Command {
    tool_of(Command::new(TOOL), how, port, options)
}

fn tool_of(mut command: Command, how: &str, port: u16, options: &[&str]) -> Command {
    command.args([
        "--url",
        &format!("http://127.0.0.1:{port}/"),
        "--slow-url",
        &format!("http://127.0.0.1:{port}/slow"),
    ]);
    command.args(options).args(["--", "python3", SERVER, &port.to_string(), how]);
    command
}

/// The server as it is, stopped by SIGTERM: exit code and result.
fn as_it_is(how: &str) -> (i32, Value) {
    let options = ["--late", "2", "--strategies", "as-is", "--judge", "as-is", "--tries", "0", "--json"];
    result(&tool(how, free_port(), &options).output().unwrap())
}

fn result(output: &Output) -> (i32, Value) {
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), json.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

fn run(results: &Value) -> &Value {
    results.get("runs").and_then(|runs| runs.get(0)).unwrap_or_else(|| panic!("{results}"))
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// The losses that a defect causes, by kind of traffic and of loss.
fn found(how: &str, losses: &[&str]) -> Value {
    let (code, results) = as_it_is(how);
    assert_eq!(code, 1, "{how}: {results:#}");
    for path in losses {
        assert_ne!(number(run(&results), path), 0, "{how}: {path} {results:#}");
    }
    assert_eq!(number(run(&results), "/failedBefore"), 0, "{results:#}");
    run(&results).clone()
}

#[test]
fn a_server_that_stops_well_loses_nothing() {
    let (code, results) = as_it_is("well");
    assert_eq!(code, 0, "{results:#}");
    let run = run(&results);
    assert_eq!((number(run, "/lost"), number(run, "/exitCode")), (0, 0), "{results:#}");
    assert!(number(run, "/total/okAfterStop") > 100, "{results:#}");
    assert_eq!(run.pointer("/leftovers"), Some(&Value::Array(Vec::new())), "{results:#}");
}

#[test]
fn dropped_kept_connections_are_found() {
    found("drops", &["/kinds/kept/reset"]);
}

#[test]
fn requests_read_and_not_answered_are_found() {
    found("unread", &["/kinds/kept/reset"]);
}

#[test]
fn an_end_100_ms_too_early_is_found() {
    found("early", &["/kinds/slow/reset"]);
}

#[test]
fn a_listener_closed_before_the_last_client_is_found() {
    found("refuses", &["/kinds/new/refused"]);
}

#[test]
fn answers_with_503_while_stopping_are_found() {
    let run = found("503", &["/kinds/new/failed", "/kinds/slow/failed"]);
    let seconds = |path: &str| run.pointer(path).and_then(Value::as_f64).unwrap_or_default();
    // The list has the first fifty; clients see them through the whole stop.
    assert!(seconds("/lastLossSeconds") > seconds("/losses/49/seenSeconds") + 0.2, "{run:#}");
}

/// Every kind of transfer, from a server of these tests.
fn transfers(how: &str) -> Value {
    let port = free_port();
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let (file, upload, events) = (url("/file"), url("/upload"), url("/events"));
    let websocket = format!("ws://127.0.0.1:{port}/ws");
    let mut options =
        vec!["--download-url", &file, "--upload-url", &upload, "--stream-url", &events, "--websocket-url", &websocket];
    options.extend([
        "--transfer-seconds",
        "2",
        "--late",
        "1",
        "--strategies",
        "as-is",
        "--judge",
        "as-is",
        "--tries",
        "0",
        "--json",
    ]);
    result(&tool(how, port, &options).output().unwrap()).1
}

#[test]
fn transfers_are_whole_or_cut() {
    const KINDS: [&str; 4] = ["download", "upload", "stream", "websocket"];
    let well = transfers("well");
    let cut = transfers("at-once");
    for kind in KINDS {
        assert_eq!(number(run(&well), &format!("/kinds/{kind}/ok")), 1, "{kind}: {well:#}");
        assert_eq!(number(run(&cut), &format!("/kinds/{kind}/ok")), 0, "{kind}: {cut:#}");
    }
    assert_eq!(number(run(&well), "/lost"), 0, "{well:#}");
}

/// bookend's binary; without it the test says that it did not run.
fn bookend(test: &str) -> Option<PathBuf> {
    let bookend = std::env::var_os("BOOKEND_BIN").map(PathBuf::from).filter(|file| file.is_file());
    if bookend.is_none() {
        let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!ci, "NOT RUN: {test}: BOOKEND_BIN is not set; in CI nothing may be skipped");
        eprintln!("NOT RUN: {test}: BOOKEND_BIN is not set");
    }
    bookend
}

fn refused(options: &[&str], message: &str) {
    let output = Command::new(TOOL).args(options).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{options:?}: {text}");
    assert!(text.contains(message), "{options:?}: {text}");
}

#[test]
fn what_cannot_be_rehearsed_is_reported_with_125() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let short = ["--url", &url, "--strategies", "as-is", "--judge", "as-is", "--start-seconds", "1", "--tries", "0"];
    let with = |options: &[&'static str]| [&short[..], options].concat();
    refused(&["--url", &url], "the server's command is missing");
    refused(&["--url", "http://example.com/", "--", "true"], "the host is not an address");
    // An address for documentation, RFC 5737: never ours, and nothing may be sent to it.
    refused(
        &["--url", "http://192.0.2.1/", "--judge", "as-is", "--", "true"],
        "not an address of the server's own network",
    );
    refused(&with(&["--rate", "100000", "--", "true"]), "at most 2000");
    refused(&with(&["--judge", "tini", "--", "true"]), "this strategy is not run");
    refused(&with(&["--", "sh", "-c", "echo broken; exit 3"]), "broken");
    refused(&with(&["--", "sleep", "30"]), "did not answer");
    refused(&with(&["--", "/no/such/program"]), "/no/such/program");
}

#[test]
fn a_server_that_it_did_not_start_is_left_alone() {
    let port = free_port();
    let mut other = Command::new("python3").args([SERVER, &port.to_string(), "well"]).spawn().unwrap();
    wait_until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let output = tool("well", port, &["--strategies", "as-is", "--judge", "as-is", "--tries", "0"]).output().unwrap();
    let still_runs = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(still_runs);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not start"), "{output:?}");
}

#[test]
fn an_interrupted_rehearsal_leaves_no_process_behind() {
    let port = free_port();
    let options = ["--strategies", "as-is", "--judge", "as-is", "--tries", "0"];
    let mut command = tool("well", port, &options);
    let mut tool = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let kill = Command::new("kill").arg(tool.id().to_string()).status().unwrap();
    assert!(kill.success());
    wait_until("the tool ends", || tool.try_wait().unwrap().is_some());
    assert_eq!(tool.wait().unwrap().code(), Some(143));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn remaining_processes_are_named_and_ended() {
    let port = free_port();
    let script = format!("sleep 1000 & exec python3 {SERVER} {port} well");
    let mut command = Command::new(TOOL);
    command.args(["--url", &format!("http://127.0.0.1:{port}/"), "--late", "1", "--rate", "20", "--json"]);
    command.args(["--strategies", "as-is", "--judge", "as-is", "--tries", "0", "--", "sh", "-c", &script]);
    let (code, results) = result(&command.env("LINGER", "1.5").output().unwrap());
    assert_eq!(code, 0, "{results:#}");
    assert_eq!(run(&results).pointer("/leftovers/0").and_then(Value::as_str), Some("sleep"), "{results:#}");
}

#[test]
fn the_markdown_summary_is_a_table() {
    let file = std::env::temp_dir().join(format!("bookend-rehearse-{}.md", std::process::id()));
    let options = [
        "--late",
        "1,2",
        "--proxies",
        "10",
        "--spread",
        "1",
        "--strategies",
        "as-is",
        "--judge",
        "as-is",
        "--tries",
        "0",
    ];
    let mut command = tool("well", free_port(), &[&options[..], &["--markdown", file.to_str().unwrap()]].concat());
    let output = command.output().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.contains("passed: as-is"), "{text}");
    let columns = |line: &str| line.matches(" | ").count();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| the image as it is")).collect();
    assert_eq!(rows.iter().map(|row| columns(row)).collect::<Vec<_>>(), [10, 10], "{text}");
}
