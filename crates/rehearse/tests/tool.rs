//! `bookend-rehearse` beside servers with a planted defect. Servers run on loopback, on a port of their own; no test needs root, and only
//! those with bookend need `BOOKEND_BIN`. The tests that take minutes are ignored: `make rehearse` runs them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_bookend-rehearse");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/server.py");

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

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
fn found(how: &str, losses: &[&str]) {
    let (code, results) = as_it_is(how);
    assert_eq!(code, 1, "{how}: {results:#}");
    for path in losses {
        assert_ne!(number(run(&results), path), 0, "{how}: {path} {results:#}");
    }
    assert_eq!(number(run(&results), "/failedBefore"), 0, "{results:#}");
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
fn a_listener_closed_100_ms_too_early_is_found() {
    found("refuses", &["/kinds/new/refused"]);
}

#[test]
fn answers_with_503_while_stopping_are_found() {
    found("503", &["/kinds/new/failed", "/kinds/slow/failed"]);
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

/// A server that SIGTERM ends at once loses everything, and bookend's drain nothing; the advice is what was tried.
#[test]
fn the_advice_makes_the_next_run_lose_nothing() {
    let Some(bookend) = bookend("the_advice_makes_the_next_run_lose_nothing") else { return };
    let options =
        ["--late", "1", "--tries", "1", "--strategies", "as-is,bookend-signal", "--bookend", bookend.to_str().unwrap()];
    let hook_port = free_port().to_string();
    let (_, results) = result(
        &tool("at-once", free_port(), &[&options[..], &["--json", "--hook-port", &hook_port]].concat())
            .output()
            .unwrap(),
    );
    assert_ne!(number(run(&results), "/lost"), 0, "as it is: {results:#}");
    let toml = results.pointer("/advice/toml").and_then(Value::as_str).unwrap_or_else(|| panic!("{results:#}"));
    assert!(toml.contains("drain = { minSeconds = 1, quietSeconds = 2, maxSeconds = 11"), "{toml}");
    // The next run, with exactly this file.
    let file = std::env::temp_dir().join(format!("bookend-rehearse-{}.toml", std::process::id()));
    std::fs::write(&file, toml).unwrap();
    let options = [&options[..], &["--config", file.to_str().unwrap(), "--hook-port", &hook_port]].concat();
    let options = [&options[..], &["--strategies", "bookend-hook", "--json"]].concat();
    let (code, next) = result(&tool("at-once", free_port(), &options).output().unwrap());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, 0, "{next:#}");
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

/// The same verdict five times, and stops that differ by less than half a second. `make test` ignores it because it takes five
/// minutes; `make rehearse` runs it.
#[test]
#[ignore = "five minutes: make rehearse"]
fn five_runs_give_the_same_verdict() {
    let Some(bookend) = bookend("five_runs_give_the_same_verdict") else { return };
    let hook_port = free_port().to_string();
    let options = [
        "--late",
        "2",
        "--tini",
        "/usr/bin/tini-static",
        "--bookend",
        bookend.to_str().unwrap(),
        "--hook-port",
        &hook_port,
        "--tries",
        "0",
        "--json",
        "--profile",
        "none",
    ];
    for how in ["well", "at-once"] {
        let runs: Vec<Vec<(String, bool, f64, f64)>> = (0..5)
            .map(|_| {
                let (_, results) = result(&tool_of(alone(), how, free_port(), &options).output().unwrap());
                let runs = results.get("runs").and_then(Value::as_array).unwrap().iter();
                let seconds = |run: &Value, name: &str| run.get(name).and_then(Value::as_f64).unwrap();
                let name = |run: &Value| run.get("strategy").and_then(Value::as_str).unwrap().to_owned();
                let both = |run: &Value| (seconds(run, "stopSeconds"), seconds(run, "stallSeconds"));
                runs.map(|run| (name(run), number(run, "/lost") == 0, both(run).0, both(run).1)).collect()
            })
            .collect();
        let (first, others) = runs.split_first().unwrap();
        assert_eq!(first.len(), 5, "{runs:?}");
        for other in others {
            for (a, b) in first.iter().zip(other) {
                assert_eq!((&a.0, a.1), (&b.0, b.1), "{how}: {runs:?}");
                // A machine that delayed the load delayed the stop, too.
                assert!((a.2 - b.2).abs() <= 0.5 + 2.0 * (a.3 + b.3), "{how}: {runs:?}");
            }
        }
    }
}

/// The tool finds for nginx what `make bench-drain` finds. `make test` ignores it because nginx without bookend waits
/// minutes for silent connections; `make rehearse` runs it.
#[test]
#[ignore = "minutes: make rehearse"]
fn the_strategies_of_the_bench_are_told_apart_on_nginx() {
    let Some(bookend) = bookend("the_strategies_of_the_bench_are_told_apart_on_nginx") else { return };
    let folder = std::env::temp_dir().join(format!("bookend-rehearse-nginx-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let lost = |signal: &str, options: &[&str]| -> Vec<(String, u64)> {
        let port = free_port();
        nginx_conf(&folder, port);
        let conf = folder.join("nginx.conf").display().to_string();
        let (url, slow) = (format!("http://127.0.0.1:{port}/"), format!("http://127.0.0.1:{port}/slow"));
        let mut command = alone();
        command.args([
            "--url",
            &url,
            "--slow-url",
            &slow,
            "--late",
            "6",
            "--grace",
            "20",
            "--rate",
            "200",
            "--silent",
            "2",
        ]);
        command.args(["--tries", "0", "--json", "--stop-signal", signal, "--bookend", bookend.to_str().unwrap()]);
        command.args(options).args(["--", "nginx", "-c", &conf, "-g", "daemon off;"]);
        let (_, results) = result(&command.output().unwrap());
        let runs = results.get("runs").and_then(Value::as_array).unwrap().iter();
        runs.map(|run| (run.get("strategy").unwrap().as_str().unwrap().to_owned(), number(run, "/lost"))).collect()
    };
    let script = format!("nginx -c {}/nginx.conf -s quit; while killall -0 nginx; do sleep 1; done", folder.display());
    let term = lost(
        "SIGTERM",
        &[
            "--tini",
            "/usr/bin/tini-static",
            "--init",
            "dumb-init=/usr/bin/dumb-init --rewrite 15:3 --",
            "--sleep",
            "3",
            "--pre-stop",
            &script,
        ],
    );
    let quit = lost("SIGQUIT", &["--sleep", "3,5"]);
    std::fs::remove_dir_all(&folder).unwrap();
    for (strategy, lost) in term.iter().chain(&quit) {
        assert_eq!(*lost == 0, strategy.starts_with("bookend-"), "{strategy}: {term:?} {quit:?}");
    }
    assert_eq!(term.len() + quit.len(), 12, "{term:?} {quit:?}");
}

/// Over TLS with a certificate that no client trusts: nginx alone refuses the clients that still arrive, and behind bookend none.
#[test]
fn nginx_with_tls_is_rehearsed() {
    let Some(bookend) = bookend("nginx_with_tls_is_rehearsed") else { return };
    let folder = std::env::temp_dir().join(format!("bookend-rehearse-tls-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let port = free_port();
    nginx_conf(&folder, port);
    let own = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let conf = folder.join("nginx.conf");
    let plain = std::fs::read_to_string(&conf).unwrap();
    let dir = folder.display();
    let tls =
        format!(":{port} ssl;\n        ssl_certificate {dir}/cert.pem;\n        ssl_certificate_key {dir}/key.pem;");
    std::fs::write(&conf, plain.replace(&format!(":{port};"), &tls)).unwrap();
    let (url, slow) = (format!("https://127.0.0.1:{port}/"), format!("https://127.0.0.1:{port}/slow"));
    let mut command = alone();
    command.args(["--url", &url, "--slow-url", &slow, "--late", "2", "--silent", "0", "--stop-signal", "SIGQUIT"]);
    command.args(["--strategies", "as-is,bookend-signal", "--judge", "bookend-signal", "--tries", "0", "--json"]);
    command.args(["--bookend", bookend.to_str().unwrap(), "--", "nginx", "-c", conf.to_str().unwrap()]);
    command.args(["-g", "daemon off;"]);
    let (code, results) = result(&command.output().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(code, 0, "nothing is lost behind bookend: {results:#}");
    assert_ne!(number(run(&results), "/kinds/new/refused"), 0, "as it is: {results:#}");
    assert!(number(run(&results), "/total/ok") > 0, "{results:#}");
}

fn nginx_conf(folder: &Path, port: u16) {
    let dir = folder.display();
    std::fs::write(folder.join("slow"), vec![b'x'; 400_000]).unwrap();
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "worker_processes 2;\nworker_shutdown_timeout 20s;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n    access_log off;\n    server {{\n        listen 127.0.0.1:{port};\n\
         location = / {{ return 200 \"hello\\n\"; }}\n        location = /slow {{ alias {dir}/slow; limit_rate 200k; }}\n    }}\n}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text).unwrap();
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
