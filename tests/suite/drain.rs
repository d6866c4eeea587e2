//! The drain: the app serves on until nobody comes any more, and only then gets its stop signal.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Finished, Folder, Init, code, in_network_of, wait_until};

/// An app that listens on port 80 of its own network and accepts everybody.
const APP: &[&str] = &["--", "python3", "-c", SERVER];
const SERVER: &str = "
import socket, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = socket.create_server(('', 80), backlog=100)
while True:
    server.accept()[0].close()
";

fn start(drain: &str, prelude: &str) -> Init {
    let config =
        format!("http.listen = \"127.0.0.1:9797\"\nlifecycle.preStop = {{ name = \"drain\", drain = {drain} }}");
    let init = Init::in_a_pod(Folder::new(), &config, prelude, APP);
    in_network_of(init.pid(), || wait_until("the app listens", || TcpStream::connect("127.0.0.1:80").is_ok()));
    init
}

/// How long the drain took, as the timeline tells it.
fn drained(finished: &Finished) -> f64 {
    let row = finished.log.lines().find_map(|line| line.split_once("preStop drain took "));
    let number = row.and_then(|(_, rest)| rest.split(' ').next()).and_then(|number| number.parse().ok());
    assert!(number.is_some(), "no drain in:\n{}", finished.log);
    number.unwrap()
}

/// Stops it while clients come for so long; how it went.
fn stop_with_clients(init: Init, port: u16, interval: Duration, arriving: Duration) -> (Finished, u32) {
    let over = AtomicBool::new(false);
    let pid = init.pid();
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            in_network_of(pid, || {
                let (end, mut refused) = (Instant::now() + arriving, 0);
                while Instant::now() < end && !over.load(Ordering::Relaxed) {
                    refused += u32::from(TcpStream::connect(("127.0.0.1", port)).is_err());
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
fn the_stop_signal_waits_until_nobody_comes_any_more() {
    let init = start("{ minSeconds = 0.2, quietSeconds = 0.6 }", "");
    let (finished, refused) = stop_with_clients(init, 80, Duration::from_millis(30), Duration::from_millis(1500));
    assert_eq!(refused, 0, "{}", finished.log);
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
    assert!(drained(&finished) >= 2.0, "{}", finished.log);
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
fn probes_of_bookend_itself_are_no_clients_of_the_app() {
    let init = start("{ minSeconds = 0.2, quietSeconds = 1, maxSeconds = 20 }", "");
    in_network_of(init.pid(), || assert_eq!(code(9797, "/livez"), 200));
    let (finished, _) = stop_with_clients(init, 9797, Duration::from_millis(450), Duration::from_secs(60));
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
}

#[test]
fn clients_that_never_end_are_told_and_do_not_hold_the_stop_for_ever() {
    let init = start("{ minSeconds = 0.1, quietSeconds = 0.5, maxSeconds = 1 }", "");
    let (finished, _) = stop_with_clients(init, 80, Duration::from_millis(20), Duration::from_secs(60));
    assert!(finished.log.contains("not quiet after 1."), "{}", finished.log);
}

#[test]
fn in_the_nodes_own_network_the_drain_says_so_and_waits_for_a_fixed_time() {
    // The file that only the first network namespace has.
    let prelude = "mount -t tmpfs none /proc/sys/net/core && : >/proc/sys/net/core/netdev_budget";
    let init = start("{ minSeconds = 0.1, quietSeconds = 0.1, fallbackSeconds = 1.2 }", prelude);
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("hostNetwork"), "{}", finished.log);
    assert!(drained(&finished) >= 1.2, "{}", finished.log);
}

#[test]
fn without_the_kernels_counters_the_drain_says_so_and_waits_for_a_fixed_time() {
    let prelude = "mount -t tmpfs none /proc";
    let init = start("{ minSeconds = 0.1, quietSeconds = 0.6 }", prelude);
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("connections cannot be seen here"), "{}", finished.log);
    assert!(drained(&finished) >= 0.7, "{}", finished.log);
}

#[test]
fn an_app_without_a_graceful_signal_keeps_its_connection_until_it_is_over() {
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
fn an_app_that_ends_during_its_drain_is_not_waited_out() {
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
