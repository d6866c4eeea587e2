//! The HTTP endpoint as a kubelet, a probe and a person use it.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::{Init, code, code_of, free_port, get, get_as, wait_for_socket, wait_until};

const KUBELET: &str = "kube-lifecycle/1.36";

fn with(port: u16, rest: &str) -> String {
    format!("http.listen = \"127.0.0.1:{port}\"\n{rest}")
}

fn serving(config: &str, port: u16) -> Init {
    let init = Init::configured(
        &with(port, config),
        &["--", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"],
    );
    init.wait_for_out("up");
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    init
}

#[test]
fn an_early_hook_call_waits_for_its_response() {
    let port = free_port();
    let config = with(port, "lifecycle.postStart.exec.command = [\"sleep\", \"0.5\"]");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    // Connections are refused until the listener is bound, and never after that.
    let mut answer = Err(std::io::ErrorKind::ConnectionRefused.into());
    wait_until("the port is bound", || {
        answer = get_as(KUBELET, port, "/lifecycle/postStart");
        !answer.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    let answer = answer.unwrap();
    assert_eq!(code_of(&answer), 200);
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert!(init.log().contains("started"), "the answer came before the handlers were done");
}

#[test]
fn a_kubelet_stop_is_hook_then_signal() {
    let port = free_port();
    let init = serving("lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"sleep 0.3; echo prepared\"]", port);
    assert_eq!(code(port, "/readyz"), 200);
    assert_eq!(code_of(&get_as(KUBELET, port, "/lifecycle/preStop").unwrap()), 200);
    assert!(init.log().contains("prepared"));
    assert_eq!(code(port, "/livez"), 200);
    assert_eq!(code(port, "/readyz"), 200, "terminating but serving");
    assert_eq!(code(port, "/lbz"), 503, "not for new clients");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 0);
    assert_eq!(finished.log.matches("prepared").count(), 1, "{}", finished.log);
}

#[test]
fn hooks_join_the_run_in_flight() {
    let port = free_port();
    let init = serving("lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"sleep 0.5; echo prepared\"]", port);
    let callers: Vec<_> = (0..5).map(|_| std::thread::spawn(move || code(port, "/lifecycle/preStop"))).collect();
    assert!(callers.into_iter().all(|caller| caller.join().unwrap() == 200));
    assert_eq!(code(port, "//lifecycle/preStop"), 200, "kubelets before 1.26 say //path");
    assert_eq!(init.log().matches("prepared").count(), 1);
}

#[test]
fn a_failed_hook_is_500_and_breaks_a_kubelets_connection() {
    let port = free_port();
    let _init = serving("lifecycle.preStop.exec.command = [\"false\"]", port);
    let kubelet = get_as(KUBELET, port, "/lifecycle/preStop");
    assert!(kubelet.as_ref().is_ok_and(String::is_empty) || kubelet.is_err(), "{kubelet:?}");
    assert_eq!(code(port, "/lifecycle/preStop"), 500);
}

#[test]
fn a_stop_signal_ends_the_handlers_of_a_hook_and_answers_it() {
    let port = free_port();
    let init = serving("lifecycle.preStop.exec.command = [\"sleep\", \"1000\"]", port);
    let caller = std::thread::spawn(move || code(port, "/lifecycle/preStop"));
    init.wait_for_log("stopping");
    init.signal(15);
    assert_eq!(init.finish().code(), 0);
    assert_eq!(caller.join().unwrap(), 500);
}

#[test]
fn a_hook_in_flight_is_answered_when_the_app_ends_by_itself() {
    // The example of the Kubernetes documentation: the handler makes the app end and waits for it.
    let port = free_port();
    let config = "lifecycle.preStop.exec.command = [\"sh\", \"-c\", \"kill -TERM $BOOKEND_APP_PID; while kill -0 $BOOKEND_APP_PID 2>/dev/null; do sleep 0.05; done\"]";
    let init = serving(config, port);
    assert_eq!(code_of(&get_as(KUBELET, port, "/lifecycle/preStop").unwrap()), 200);
    assert_eq!(init.finish().code(), 0);
}

#[test]
fn every_hook_is_answered_when_the_app_ends() {
    for (n, hook) in ["/lifecycle/preStop", "/lifecycle/postStart"].into_iter().cycle().take(30).enumerate() {
        let port = free_port();
        let config = with(
            port,
            "lifecycle.preStop.exec.command = [\"sleep\", \"0.05\"]\nlifecycle.postStart.exec.command = [\"sleep\", \"0.03\"]\nlifecycle.postStop.exec.command = [\"sleep\", \"0.2\"]",
        );
        let init = Init::configured(&config, &["--", "sleep", &format!("0.{:03}", n * 5)]);
        wait_until("the port is bound", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        // Any response counts, even a refusal because bookend has exited.
        let began = Instant::now();
        match get(port, hook) {
            Ok(answer) => assert!([200, 500].contains(&code_of(&answer)), "life {n}: {answer:?}\n{}", init.log()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "life {n}"),
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(init.finish().code(), 0);
    }
}

#[test]
fn a_slow_client_delays_no_other() {
    let port = free_port();
    let init = serving("", port);
    let slow: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(code(port, "/livez"), 200);
    assert!(began.elapsed() < Duration::from_secs(2));
    init.signal(15);
    assert_eq!(init.finish().code(), 0);
    drop(slow);
}

#[test]
fn unknown_paths_and_methods_are_explained() {
    let port = free_port();
    let _init = serving("", port);
    assert_eq!(code(port, "/nothing"), 404);
    assert_eq!(code(port, "/startupz"), 200);
    assert!(get(port, "/status").unwrap().contains("\"phase\": \"Running\""));
}

#[test]
fn only_get_calls_a_hook() {
    let port = free_port();
    let init = serving("lifecycle.preStop.exec.command = [\"echo\", \"called\"]", port);
    for method in ["HEAD", "POST", "DELETE"] {
        let answer = request(port, &format!("{method} /lifecycle/preStop HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(code_of(&answer), 405, "{method}: {answer}");
    }
    assert_eq!(code_of(&request(port, "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")), 200);
    assert!(!init.log().contains("called"));
}

#[test]
fn bytes_that_are_not_http_break_nothing() {
    let port = free_port();
    let init = serving("", port);
    for garbage in ["\x16\x03\x01\x02\x00\x01\x00\x01", "GET\r\n\r\n", "\r\n\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        request(port, garbage);
    }
    request(port, &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)));
    assert_eq!(code(port, "/livez"), 200);
    init.signal(15);
    assert_eq!(init.finish().code(), 0);
}

/// Sends these bytes, and returns the response until the connection ends.
fn request(port: u16, bytes: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    // The server may have hung up on the garbage already.
    let _ = stream.write_all(bytes.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn waiting_hooks_do_not_block_other_requests() {
    let port = free_port();
    let config = "lifecycle.postStart.exec.command = [\"sleep\", \"1000\"]";
    let init = serving(config, port);
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            use std::io::Write;
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"GET /lifecycle/postStart HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    // The first sixty-four wait, the others are refused; then those hang up and make room.
    assert_eq!(code(port, "/livez"), 200);
    drop(waiting);
    wait_until("a hook finds a place", || code(port, "/lifecycle/preStop") == 200);
    init.signal(15);
    assert_eq!(init.finish().code(), 0);
}

#[test]
fn a_hook_call_at_the_very_end_is_answered() {
    let mut answered = 0;
    for _ in 0..20 {
        let port = free_port();
        let init = Init::configured_without_waiting(&with(port, "log.level = \"Error\""), &["--", "no-such-program"]);
        // The first connection after the bind, when the app cannot be executed and bookend is about to exit.
        let answer = loop {
            match get(port, "/lifecycle/postStart") {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused && !init.has_ended() => {}
                answer => break answer,
            }
        };
        answered += u32::from(answer.is_ok_and(|answer| [200, 500].contains(&code_of(&answer))));
        assert_eq!(init.finish().code(), 127);
    }
    // On a busy machine we may be too late for some of these lives of two milliseconds.
    assert!(answered >= 15, "{answered} of 20");
}

#[test]
fn a_hook_before_the_app_is_answered_although_a_handler_prints_much() {
    let config = "lifecycle.preStart.exec.command = [\"sh\", \"-c\", \"yes & yes & yes\"]\nlog.level = \"Error\"";
    for _ in 0..5 {
        let init = Init::configured(config, &["--", "true"]);
        let socket = init.folder.path("bookend.sock");
        wait_for_socket(&socket);
        // The request is there before the signal, whether or not bookend has read it.
        let mut call = crate::socket::send(&socket, "GET /lifecycle/preStop");
        init.signal(15);
        let mut answer = String::new();
        let read = call.read_to_string(&mut answer);
        assert!(read.is_ok() && code_of(&answer) == 200, "{read:?} {answer}");
        init.finish();
    }
}
