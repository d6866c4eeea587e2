//! A port that any client can reach: slow, silent, unreading, broken and far too many clients, all from the kubelet's own
//! address, and the promises that must hold meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::kubelet::{Kubelet, Scheme};
use crate::support::{Folder, Init, PATIENCE, bookend, child_of, code, free_port, get, signal, wait_until};

/// Prints at each SIGUSR1, and leaves an orphan behind every few hundredths of a second.
const APP: &str = "trap 'echo usr1' USR1; trap 'exit 3' TERM; echo up; while :; do (sleep 0.01 &); sleep 0.03; done";

fn children_in_state(pid: i32, state: &str) -> usize {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let is = |child: &&str| {
        fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| stat.contains(&format!(") {state} ")))
    };
    children.split_whitespace().filter(is).count()
}

fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn resident_kb(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// One kind of bad client, until `stop`. `count`: connections made.
fn attack(kind: usize, port: u16, stop: &AtomicBool, count: &AtomicU64) {
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let _ = stream.set_write_timeout(Some(Duration::from_millis(50)));
        let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
        count.fetch_add(1, Ordering::Relaxed);
        Some(stream)
    };
    let mut held: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match kind {
            // Slowloris: an endless header, one byte at a time, over many connections.
            0 => {
                if held.len() < 150
                    && let Some(mut stream) = connect()
                {
                    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nX: ");
                    held.push(stream);
                }
                held.retain_mut(|stream| stream.write_all(b"x").is_ok());
            }
            // Thousands of connections that send nothing and close.
            1 => drop(connect()),
            // Clients that request much and read nothing; TLS hellos that stop half-way; silence.
            2 => {
                for bytes in [&b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b""] {
                    if let Some(mut stream) = connect() {
                        let _ = stream.write_all(bytes);
                        held.push(stream);
                    }
                }
                if held.len() > 120 {
                    held.drain(..60);
                }
            }
            // Garbage, huge paths and headers, pipelines, bodies without end.
            _ => {
                let huge = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(60_000));
                let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(500));
                let pipeline = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
                let endless = format!(
                    "POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                    "5\r\nhello\r\n".repeat(5000)
                );
                for text in [huge, many, pipeline, endless, "\0\0\x7f\r\n\r\n".to_owned()] {
                    if let Some(mut stream) = connect() {
                        let _ = stream.write_all(text.as_bytes());
                        let _ = stream.read(&mut [0; 64]);
                    }
                }
            }
        }
    }
}

#[test]
fn a_storm_delays_nothing_and_memory_stays_bounded() {
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nlog.level = \"Warn\"\nlifecycle.preStop.exec.command = [\"echo\", \"prepared\"]"
    );
    let mut init = Init::configured(&config, &["--", "sh", "-c", APP]);
    init.wait_for_out("up");
    wait_until("the endpoint answers", || code(port, "/readyz") == 200);
    let pid = init.pid();
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut slowest = [Duration::ZERO; 3];
    let (mut most_descriptors, mut most_kb) = (0, 0);
    std::thread::scope(|scope| {
        for kind in 0..4 {
            let (stop, count) = (&stop, &count);
            scope.spawn(move || attack(kind, port, stop, count));
        }
        let storm = || {
            let mut round = 0;
            while round < 15 || count.load(Ordering::Relaxed) < 1500 {
                round += 1;
                let began = Instant::now();
                init.signal(10);
                wait_until("the app has its signal", || init.out().matches("usr1").count() >= round);
                slowest[0] = slowest[0].max(began.elapsed());
                let began = Instant::now();
                // The client reads only this connection, and never repeats a request.
                Kubelet::new(port, Scheme::Http).hook("/lifecycle/postStart").expect("the hook is answered");
                slowest[1] = slowest[1].max(began.elapsed());
                let began = Instant::now();
                assert_eq!(code(port, "/readyz"), 200);
                slowest[2] = slowest[2].max(began.elapsed());
                wait_until("zombies are reaped", || children_in_state(pid, "Z") <= 1);
                most_descriptors = most_descriptors.max(descriptors(pid));
                most_kb = most_kb.max(resident_kb(pid));
            }
            Kubelet::new(port, Scheme::Http).hook("/lifecycle/preStop").expect("the hook is answered");
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(storm));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    let connections = count.load(Ordering::Relaxed);
    println!(
        "{connections} connections; slowest signal, hook, probe: {slowest:?}; {most_descriptors} fds, {most_kb} kB"
    );
    assert!(slowest.iter().all(|took| *took < Duration::from_secs(5)), "{slowest:?}");
    // 128 unfinished requests, 64 that wait, and bookend's own descriptors.
    assert!(most_descriptors <= 128 + 64 + 40, "{most_descriptors} descriptors");
    assert!(most_kb < 64 * 1024, "{most_kb} kB");
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 3, "{}", finished.log);
    assert_eq!(finished.log.matches("prepared").count(), 0, "a handler's line is below the level that was asked for");
}

#[test]
fn hooks_are_answered_with_few_free_descriptors() {
    let port = free_port();
    let folder = crate::support::Folder::new();
    let config = folder.write("bookend.toml", &format!("http.listen = \"127.0.0.1:{port}\""));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 16; exec \"$0\" -c \"$1\" -- sleep 1000"]);
    command.arg(crate::support::bookend()).arg(config);
    let init = Init::start(folder, command);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let silent: Vec<_> = (0..60).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/postStart").is_ok());
    drop(silent);
    assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/preStop").is_ok());
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn a_probe_is_answered_at_once_while_a_handler_runs_and_prints() {
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nlifecycle.preStop.exec.command = [\"sh\", \"-c\", \"while :; do echo noise; sleep 0.01; done\"]"
    );
    let init =
        Init::configured(&config, &["--", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"]);
    init.wait_for_out("up");
    wait_until("the endpoint answers", || code(port, "/readyz") == 200);
    let mut hook = TcpStream::connect(("127.0.0.1", port)).unwrap();
    hook.write_all(b"GET /lifecycle/preStop HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    init.wait_for_log("stopping");
    let times = (0..50).map(|_| {
        let began = Instant::now();
        assert_eq!((code(port, "/livez"), code(port, "/readyz")), (200, 200));
        began.elapsed() / 2
    });
    let fastest = times.min().unwrap();
    // The promise is a millisecond; the debug build and a busy machine take their share of the round trip.
    assert!(fastest < Duration::from_millis(5), "{fastest:?}");
    init.signal(15);
    assert_eq!(init.finish().code(), 3);
}

/// The response to these bytes until the connection ends by itself, and how long that took.
fn answer_to(port: u16, bytes: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock), "it hangs");
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[test]
fn every_wait_for_a_client_has_a_limit() {
    let port = free_port();
    let init = Init::configured(
        &format!("http.listen = \"127.0.0.1:{port}\"\nhttp.selfSigned = true"),
        &["--", "sleep", "1000"],
    );
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let cases: [(&str, &[u8], u16); 7] = [
        ("silence", b"", 0),
        ("half a header", b"GET /livez HTTP/1.1\r\nHost", 0),
        ("half a hello", b"\x16\x03\x01\x02\x00", 0),
        ("a body that never comes", b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 413),
        ("an unexpected body", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 200),
        (
            "a large body",
            &[&b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"[..], &[b'x'; 20000]].concat(),
            413,
        ),
        (
            "a large header",
            &[&b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: "[..], &[b'x'; 20000], b"\r\n\r\n"].concat(),
            431,
        ),
    ];
    std::thread::scope(|scope| {
        for (what, bytes, expected) in &cases {
            scope.spawn(move || {
                let (answer, took) = answer_to(port, bytes);
                // A response after a timeout, if there is one, must not be a success.
                let code = crate::support::code_of(&answer);
                assert!(code == *expected || *expected == 0 && code >= 400 || answer.is_empty(), "{what}: {answer}");
                assert!(took < Duration::from_secs(20), "{what}: {took:?}");
            });
        }
    });
    drop(init);
}

/// Valid requests, and what can happen to them on the way.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let method =
        prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "OPTIONS", "PRI", "get", "", "G\u{e9}T", "CONNECT"]);
    let path = prop_oneof![
        prop::sample::select(vec![
            "/livez",
            "//readyz?verbose",
            "/status",
            "/lifecycle/preStop",
            "*",
            "http://x/lbz",
            "/stop",
            "/signal/9"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,40}",
        "/[a-z%/.?&=#]{0,2000}",
    ];
    let version = prop::sample::select(vec!["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "", "ICY"]);
    let header = prop_oneof![
        "[A-Za-z-]{1,20}: [ -~]{0,60}",
        prop::sample::select(vec![
            "Content-Length: 5",
            "Content-Length: -1",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: gzip",
            "Connection: keep-alive",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "User-Agent: kube-lifecycle/1.36",
            "Authorization: Bearer x",
            ": empty",
            " folded",
        ])
        .prop_map(str::to_owned),
    ];
    let whole =
        (method, path, version, prop::collection::vec(header, 0..80), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(method, path, version, headers, body)| {
                let head = format!("{method} {path} {version}\r\n{}\r\n\r\n", headers.join("\r\n"));
                [head.into_bytes(), body].concat()
            });
    let broken = (whole.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        let at = at.index(bytes.len());
        bytes.get_mut(at).into_iter().for_each(|there| *there = byte);
        bytes
    });
    let cut = (whole.clone(), any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len()));
        bytes
    });
    prop_oneof![whole, broken, cut, prop::collection::vec(any::<u8>(), 0..600)]
}

#[test]
fn any_request_bytes_leave_the_endpoint_working() {
    let port = free_port();
    let mut init = Init::configured(&format!("http.listen = \"127.0.0.1:{port}\""), &["--", "sleep", "1000"]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let result = runner.run(&requests(), |bytes| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may have hung up before everything is sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            prop_assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs");
        }
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}\n{}", init.log());
    assert!(init.is_running() && !init.log().contains("this is a bug"), "{}", init.log());
    assert!(get(port, "/status").unwrap().contains("\"pid\""), "the app lives");
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

/// An endpoint whose system calls of these names are recorded.
fn traced(calls: &str) -> (Init, u16) {
    let (folder, port) = (Folder::new(), free_port());
    let config = folder.write("bookend.toml", &format!("http.listen = \"127.0.0.1:{port}\""));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", &format!("trace={calls}"), "-o"]);
    strace.arg(folder.path("strace")).arg(bookend()).arg("-c").arg(config).args(["--", "sleep", "1000"]);
    (Init::start(folder, strace), port)
}

#[test]
fn many_requests_do_not_delay_signals() {
    let (init, port) = traced("?epoll_wait,epoll_pwait,writev,sendto");
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let pid = child_of(init.pid().unsigned_abs()).unwrap();
    // bookend is stopped until all clients have sent their requests.
    signal(pid, 19);
    let stopped = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") t "));
    wait_until("it is stopped", stopped);
    let mut clients: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("the backlog has room")).collect();
    for client in &mut clients {
        client.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    signal(pid, 18);
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
    }
    let trace = init.folder.read("strace");
    let most = trace.split("epoll_").map(|between| between.matches("HTTP/1.1 200").count()).max().unwrap();
    assert!((1..=4).contains(&most), "{most} answers without a look:\n{trace}");
}

/// Asks for the status from another address, with a receive buffer that holds a small part of it, and does not read.
fn unread_status(port: u16) -> Option<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};
    use std::os::fd::AsRawFd;
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).ok()?;
    setsockopt(&fd, sockopt::RcvBuf, &2048).ok()?;
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 2, 0)).ok()?;
    connect(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).ok()?;
    let mut stream = TcpStream::from(fd);
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    Some(stream)
}

#[test]
fn memory_for_unread_answers_is_bounded() {
    let port = free_port();
    let prints = r#"{ exec.command = ["sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do head -c 200 /dev/zero | tr '\\0' '\"'; echo; done"] }"#;
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nlog.level = \"Warn\"\nlifecycle.postStart = [{}]",
        [prints; 50].join(", ")
    );
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    let status = || get(port, "/status").unwrap_or_default();
    wait_until("all handlers have ended", || status().contains("postStart[49]") && code(port, "/startupz") == 200);
    let size = status().len();
    assert!((20_000..200_000).contains(&size), "{size} bytes of status");
    let before = resident_kb(init.pid());
    // As many clients as the endpoint accepts take all connections, three times in a row.
    for _ in 0..3 {
        let clients: Vec<_> = (0..128).filter_map(|_| unread_status(port)).collect();
        // Clients that read are answered meanwhile.
        wait_until("another client has its answer", || status().ends_with("}\n"));
        assert_eq!(code(port, "/readyz"), 200);
        let grown = resident_kb(init.pid()).saturating_sub(before);
        assert!(grown < 16 * 1024, "{grown} kB more, for answers of {size} bytes");
        drop(clients);
    }
}

#[test]
fn status_requests_read_processes_once_a_second() {
    let (init, port) = traced("?open,openat");
    let began = Instant::now();
    wait_until("the endpoint answers", || code(port, "/status") == 200);
    (0..50).for_each(|_| assert_eq!(code(port, "/metrics"), 200));
    let seconds = began.elapsed().as_secs();
    let trace = init.folder.read("strace");
    // A look begins with the lists of bookend's own children.
    let pid = child_of(init.pid().unsigned_abs()).unwrap();
    let looks = trace.matches(&format!("\"/proc/{pid}/task\", ")).count();
    assert!(looks > 0 && u64::try_from(looks).unwrap() <= seconds + 1, "{looks} looks in {seconds} s:\n{trace}");
}
