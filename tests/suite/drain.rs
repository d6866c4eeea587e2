//! The drain: the app serves until no client arrives any more, and only then gets its stop signal.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::socket::ask;
use crate::support::{Finished, Folder, Init, code, get, in_network_of, wait_until};

/// An app that listens on port 80 of its own network and accepts every client.
const APP: &[&str] = &["--", "python3", "-c", SERVER];
const SERVER: &str = "
import socket, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = socket.create_server(('', 80), backlog=100)
while True:
    server.accept()[0].close()
";

/// An app that keeps every connection as long as its client does. It answers a request once a file exists. SIGTERM
/// ends it at once.
const KEEPER: &str = "
import os, signal, socket, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def serve(client):
    if client.recv(100):
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.02)
        client.sendall(b'the whole answer')
    client.close()
server = socket.create_server(('', 80), backlog=100)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
";

fn start(drain: &str, prelude: &str) -> Init {
    let config =
        format!("http.listen = \"127.0.0.1:9797\"\nlifecycle.preStop = {{ name = \"drain\", drain = {drain} }}");
    let init = Init::in_a_pod(Folder::new(), &config, prelude, APP);
    in_network_of(init.pid(), || wait_until("the app listens", || TcpStream::connect("127.0.0.1:80").is_ok()));
    init
}

/// How long the drain took, according to the timeline.
fn drained(finished: &Finished) -> f64 {
    let row = finished.log.lines().find_map(|line| line.split_once("preStop drain took "));
    let number = row.and_then(|(_, rest)| rest.split(' ').next()).and_then(|number| number.parse().ok());
    assert!(number.is_some(), "no drain in:\n{}", finished.log);
    number.unwrap()
}

/// Stops the app while clients arrive for this long, and returns the result.
fn stop_with_clients(init: Init, port: u16, interval: Duration, arriving: Duration) -> (Finished, u32) {
    let over = AtomicBool::new(false);
    let pid = init.pid();
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            in_network_of(pid, || {
                let (end, mut refused) = (Instant::now() + arriving, 0);
                while Instant::now() < end && !over.load(Ordering::Relaxed) {
                    // The app closes the connection first, as an HTTP server does.
                    let answered = TcpStream::connect(("127.0.0.1", port)).map(|mut client| client.read(&mut [0]));
                    refused += u32::from(answered.is_err());
                    std::thread::sleep(interval);
                }
                refused
            })
        });
        init.signal(15);
        let finished = init.finish();
        over.store(true, Ordering::Relaxed);
        (finished, clients.join().unwrap())
    })
}

#[test]
fn the_stop_signal_waits_until_no_client_arrives() {
    let init = start("{ minSeconds = 0.2, quietSeconds = 0.6 }", "");
    let (finished, refused) = stop_with_clients(init, 80, Duration::from_millis(30), Duration::from_millis(1500));
    assert_eq!(refused, 0, "{}", finished.log);
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
    assert!(drained(&finished) >= 2.0, "{}", finished.log);
}

/// The endpoint's response, read inside the network namespace.
fn body(init: &Init, path: &str) -> String {
    let answer = in_network_of(init.pid(), || get(9797, path)).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn status(init: &Init) -> Value {
    serde_json::from_str(&body(init, "/status")).unwrap()
}

#[test]
fn status_and_metrics_show_a_running_drain() {
    let config = r#"
http.listen = "127.0.0.1:9797"
app.profile = "node"
[[lifecycle.preStop]]
sleep.seconds = 0.5
[[lifecycle.preStop]]
drain = { quietSeconds = 0.3, minSeconds = 0.3, maxSeconds = 25, until = "NoConnections" }
"#;
    let init = Init::in_a_pod(Folder::new(), config, "", &["--", "python3", "-c", KEEPER]);
    let connect = || in_network_of(init.pid(), || TcpStream::connect("127.0.0.1:80"));
    let mut early = None;
    wait_until("the app listens", || {
        early = connect().ok();
        early.is_some()
    });
    assert_eq!(status(&init)["profile"], "node");
    assert!(status(&init)["drain"].is_null() && status(&init)["newConnections"].is_null(), "before a stop");
    init.signal(15);
    // The test does not read the endpoint, because a connection to it that is not accepted yet would be counted at the beginning.
    let socket = init.folder.path("bookend.sock");
    wait_until("new connections are counted", || ask(&socket, "GET /status").contains("\"newConnections\": 0"));
    // This connection comes before the drain, so the drain does not see it.
    let _first = connect().unwrap();
    wait_until("the drain goes on", || status(&init)["drain"].is_object());
    // A connection of ours that was on its way at the drain's first count may hide one.
    let mut later = Vec::new();
    wait_until("the drain has seen one", || {
        later.push(connect().unwrap());
        status(&init)["drain"]["newConnections"].as_u64() >= Some(1)
    });
    let all = 1 + later.len() as u64;
    wait_until("it has looked at the sockets", || status(&init)["drain"]["connections"].as_u64() > Some(all));
    let seen = status(&init);
    // The endpoint's own connections are not counted.
    assert_eq!(seen["newConnections"], all, "{seen:#}");
    assert_eq!((&seen["drain"]["unavailable"], &seen["drain"]["busy"]), (&false.into(), &0.into()), "{seen:#}");
    let text = body(&init, "/metrics");
    for line in [
        "bookend_profile_info{profile=\"node\"} 1",
        &format!("bookend_new_connections_total {all}"),
        "bookend_drain_new_connections_total ",
        "bookend_drain_unavailable 0",
        "bookend_drain_blind 0",
        "bookend_drain_busy 0",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is missing:\n{text}");
    }
}

#[test]
fn a_quiet_app_is_stopped_after_the_minimum() {
    let init = start("{ minSeconds = 0.5, quietSeconds = 0.2 }", "");
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("quiet after 0."), "{}", finished.log);
    assert!(drained(&finished) >= 0.5, "{}", finished.log);
}

#[test]
fn probes_of_bookend_itself_do_not_hold_the_drain() {
    let init = start("{ minSeconds = 0.2, quietSeconds = 1, maxSeconds = 20 }", "");
    in_network_of(init.pid(), || assert_eq!(code(9797, "/livez"), 200));
    let (finished, _) = stop_with_clients(init, 9797, Duration::from_millis(450), Duration::from_secs(60));
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
}

/// Reads each request; SIGTERM closes the port, and two seconds later the app ends.
const SLOW_TO_END: &str = "
import socket, signal, sys, threading, time
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
server = socket.create_server(('', 80), backlog=100)
def serve():
    while True:
        try:
            client = server.accept()[0]
        except OSError:
            return
        if client.recv(1000):
            client.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n')
        client.close()
threading.Thread(target=serve, daemon=True).start()
stop.wait()
server.shutdown(socket.SHUT_RDWR)
server.close()
time.sleep(2)
";

#[test]
fn own_probes_of_the_app_are_neither_clients_nor_damage() {
    let drain = "lifecycle.preStop.drain = { minSeconds = 2.5, quietSeconds = 2, maxSeconds = 20 }";
    let probe =
        |probe| format!("{drain}\nterminationGracePeriodSeconds = 28\n[readinessProbe]\nperiodSeconds = 1\n{probe}");
    std::thread::scope(|scope| {
        for probe in [
            probe("httpGet.port = 80"),
            probe("tcpSocket.port = 80"),
            probe("tcpSocket = { host = \"127.0.0.2\", port = 80 }"),
        ] {
            scope.spawn(move || {
                let init = Init::in_a_pod(Folder::new(), &probe, "", &["--", "python3", "-c", SLOW_TO_END]);
                init.wait_for_log("readinessProbe succeeded");
                init.signal(15);
                let finished = init.finish();
                let log = finished.log;
                assert!(log.contains("quiet after") && log.contains(" and 0 new connections"), "{probe}\n{log}");
                assert!(!log.contains("TCP resets"), "{probe}\n{log}");
            });
        }
    });
}

#[test]
fn endless_clients_are_reported_and_end_the_drain_at_max() {
    let init = start("{ minSeconds = 0.1, quietSeconds = 0.5, maxSeconds = 1 }", "");
    let (finished, _) = stop_with_clients(init, 80, Duration::from_millis(20), Duration::from_secs(60));
    assert!(finished.log.contains("not quiet after 1."), "{}", finished.log);
}

#[test]
fn with_host_network_the_apps_own_ports_are_looked_at() {
    let init = start("{ minSeconds = 0.1, quietSeconds = 1, fallbackSeconds = 0.5, maxSeconds = 20 }", HOST_NETWORK);
    let (finished, refused) = stop_with_clients(init, 80, Duration::from_millis(100), Duration::from_millis(2500));
    assert!(finished.log.contains("looked for on the app's own ports"), "{}", finished.log);
    assert_eq!(refused, 0, "{}", finished.log);
    // Without a new connection the app would be quiet after one second.
    assert!(finished.log.contains("quiet after") && drained(&finished) >= 1.3, "{}", finished.log);
}

/// The file that exists only in the first network namespace.
const HOST_NETWORK: &str = "mount -t tmpfs none /proc/sys/net/core && : >/proc/sys/net/core/netdev_budget";

#[test]
fn with_host_network_the_drain_waits_at_least_a_fixed_time() {
    let init = start("{ minSeconds = 0.1, quietSeconds = 0.1, fallbackSeconds = 1.2 }", HOST_NETWORK);
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("hostNetwork"), "{}", finished.log);
    assert!(drained(&finished) >= 1.2, "{}", finished.log);
}

#[test]
fn without_kernel_counters_the_drain_waits_a_fixed_time() {
    let prelude = "mount -t tmpfs none /proc";
    let init = start("{ minSeconds = 0.1, quietSeconds = 0.6 }", prelude);
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("connections cannot be counted here"), "{}", finished.log);
    assert!(drained(&finished) >= 0.7, "{}", finished.log);
}

#[test]
fn an_app_without_graceful_signal_finishes_its_request() {
    let config = "lifecycle.preStop = { name = \"drain\", drain = { minSeconds = 0.1, quietSeconds = 0.1, until = \"NoConnections\" } }";
    let server = "
import socket, time
server = socket.create_server(('', 80))
while True:
    client = server.accept()[0]
    time.sleep(1.5)
    client.close()
";
    let init = Init::in_a_pod(Folder::new(), config, "", &["--", "python3", "-c", server]);
    let pid = init.pid();
    in_network_of(pid, || wait_until("the app listens", || TcpStream::connect("127.0.0.1:80").is_ok()));
    init.signal(15);
    let finished = init.finish();
    assert!(drained(&finished) > 0.4 && finished.log.contains("quiet after"), "{}", finished.log);
}

#[test]
fn an_app_that_ends_ends_its_drain() {
    let init = Init::in_a_pod(
        Folder::new(),
        "lifecycle.preStop.drain = { minSeconds = 50, maxSeconds = 60 }",
        "",
        &["--", "sh", "-c", "echo up; sleep 1"],
    );
    init.wait_for_out("up");
    let began = Instant::now();
    init.signal(15);
    init.finish();
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// `KEEPER` with this drain, and a connection that sends nothing.
fn keeper(drain: &str, prelude: &str) -> (Init, TcpStream) {
    let folder = Folder::new();
    let answer = folder.path("answer");
    let config =
        format!("http.listen = \"127.0.0.1:9797\"\nlifecycle.preStop = {{ name = \"drain\", drain = {drain} }}");
    let init = Init::in_a_pod(folder, &config, prelude, &["--", "python3", "-c", KEEPER, answer.to_str().unwrap()]);
    let mut silent = None;
    in_network_of(init.pid(), || {
        wait_until("the app listens", || {
            silent = TcpStream::connect("127.0.0.1:80").ok();
            silent.is_some()
        });
    });
    (init, silent.unwrap())
}

/// From now on bookend gets no new socket, as under a seccomp profile that forbids netlink.
pub(crate) fn deny_sockets(init: &Init) -> Child {
    let reported = init.folder.path("strace.log");
    let mut strace = Command::new("strace");
    strace.args(["-e", "signal=none", "-e", "trace=socket", "-e", "inject=socket:error=EPERM", "-o"]);
    strace.arg(init.folder.path("strace")).args(["-p", &init.pid().to_string()]);
    let strace = strace.stderr(File::create(&reported).unwrap()).spawn().expect("scripts/setup installs strace");
    wait_until("strace is attached", || fs::read_to_string(&reported).unwrap().contains("attached"));
    strace
}

/// The result, and that the kernel did refuse.
fn finish_denied(mut init: Init, mut strace: Child) -> Finished {
    let finished = init.end();
    strace.wait().unwrap();
    let trace = init.folder.read("strace");
    assert!(trace.contains("AF_NETLINK") && trace.contains("INJECTED"), "{trace}");
    finished
}

#[test]
fn where_netlink_is_denied_the_drain_reads_proc_net_tcp() {
    let (init, silent) =
        keeper("{ minSeconds = 0.1, quietSeconds = 0.1, maxSeconds = 25, until = \"NoConnections\" }", "");
    let strace = deny_sockets(&init);
    init.signal(15);
    wait_until("the connection is seen", || status(&init)["drain"]["connections"] == 1);
    let seen = &status(&init)["drain"];
    // Only netlink shows which connections are busy.
    assert!(seen["unavailable"] == false && seen["busy"].is_null(), "{seen}");
    drop(silent);
    let finished = finish_denied(init, strace);
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
}

#[test]
fn without_socket_lists_the_drain_waits_a_fixed_time() {
    // The counters stay readable, with their present values.
    let prelude = "snmp=$(cat /proc/net/snmp); mount -t tmpfs none /proc/1/net; echo \"$snmp\" >/proc/1/net/snmp";
    let (init, _silent) = keeper("{ minSeconds = 0.1, quietSeconds = 0.8, maxSeconds = 25 }", prelude);
    let strace = deny_sockets(&init);
    init.signal(15);
    let finished = finish_denied(init, strace);
    assert!(
        finished.log.contains("drain: connections cannot be counted here: waited for a fixed time"),
        "{}",
        finished.log
    );
    let took = drained(&finished);
    assert!((0.9..20.0).contains(&took), "{}", finished.log);
}

#[test]
fn the_drain_waits_for_requests_not_silent_connections() {
    let drain = "{ minSeconds = 0.1, quietSeconds = 0.1, maxSeconds = 25, until = \"NoBusyConnections\" }";
    let (init, _silent) = keeper(drain, "");
    let mut client = in_network_of(init.pid(), || TcpStream::connect("127.0.0.1:80")).unwrap();
    client.write_all(b"GET").unwrap();
    let asked = Instant::now();
    init.signal(15);
    // The pause is long enough that the request itself is not recent any more: only the owed response keeps the connection busy.
    wait_until("it is only owed", || asked.elapsed() > Duration::from_millis(2500));
    let seen = status(&init);
    assert!(seen["drain"]["busy"] == 1 && seen["drain"]["connections"] == 2, "{seen:#}");
    init.folder.write("answer", "");
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "the whole answer", "{}", init.log());
    drop(client);
    let finished = init.finish();
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
}
