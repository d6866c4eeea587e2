//! httpGet and tcpSocket handlers, against real servers.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking; the packets are those of this machine")]

pub(crate) mod https;
mod names;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Finished, Folder, Init, PRINTS_SIGNALS, free_port, is_root, wait_until};

/// The requests that a server received, and its responses: one per connection, in order; the last one repeats.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) requests: Receiver<String>,
}

impl Server {
    pub(crate) fn new(answers: &[&str]) -> Server {
        Server::serving(answers, None)
    }

    /// With a certificate, over TLS.
    fn serving(answers: &[&str], tls: Option<Arc<ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Vec<String> = answers.iter().map(|answer| answer.replace("PORT", &port.to_string())).collect();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let answer = &answers[n.min(answers.len() - 1)];
                let stream = stream.unwrap();
                let head = match &tls {
                    None => exchange(stream, answer),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        exchange(StreamOwned::new(connection, stream), answer)
                    }
                };
                if sender.send(head).is_err() {
                    return;
                }
            }
        });
        Server { port, requests }
    }

    pub(crate) fn request(&self) -> String {
        self.requests.recv_timeout(crate::support::PATIENCE).expect("a request came")
    }
}

/// One request and its response; an empty response closes the connection. Returns what was read, or nothing on failure.
fn exchange(mut stream: impl Read + Write, answer: &str) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return String::new(),
        }
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    head.extend(body);
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
    String::from_utf8_lossy(&head).into_owned()
}

pub(crate) fn answer(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{more}\r\n")
}

/// A life whose preStart is this handler, before an app that ends at once; exit code 0 or 125.
fn life(handler: &str) -> Finished {
    Init::configured(&format!("[lifecycle]\npreStart = {{ {handler} }}"), &["--", "true"]).finish()
}

#[track_caller]
fn succeeds(handler: &str) {
    let finished = life(handler);
    assert_eq!(finished.code(), 0, "{handler}\n{}", finished.log);
}

#[track_caller]
fn fails(handler: &str, because: &str) {
    let finished = life(handler);
    assert_eq!(finished.code(), 125, "{handler}\n{}", finished.log);
    assert!(finished.log.contains(because), "{because:?} is not in\n{}", finished.log);
}

#[test]
fn a_method_and_a_body_are_sent() {
    for method in ["POST", "PUT", "DELETE"] {
        let server = Server::new(&[&answer("200 OK", "")]);
        let port = server.port;
        let more = format!("method = \"{method}\", body = '{{\"hook\": \"$(BOOKEND_HOOK)\"}}'");
        let finished = life(&format!("httpGet = {{ port = {port}, path = \"/fail\", {more} }}"));
        assert_eq!(finished.code(), 0, "{}", finished.log);
        let request = server.request();
        assert!(request.starts_with(&format!("{method} /fail HTTP/1.1\r\n")), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"hook\": \"preStart\"}"), "{request}");
    }
    let server = Server::new(&[&answer("200 OK", "")]);
    life(&format!("httpGet = {{ port = {}, method = \"POST\" }}", server.port));
    let request = server.request().to_lowercase();
    assert!(request.contains("content-length: 0\r\n"), "servers wait for a body of unknown length: {request}");
}

#[test]
fn only_307_and_308_keep_the_method_and_the_body() {
    for (status, second) in
        [("303 See Other", "GET /next"), ("302 Found", "GET /next"), ("307 Temporary Redirect", "POST /next")]
    {
        let server = Server::new(&[&answer(status, "Location: /next\r\n"), &answer("200 OK", "")]);
        let port = server.port;
        let finished = life(&format!("httpGet = {{ port = {port}, method = \"POST\", body = \"text\" }}"));
        assert_eq!(finished.code(), 0, "{}", finished.log);
        assert!(server.request().ends_with("text"));
        let request = server.request();
        assert!(request.starts_with(second), "{status}: {request}");
        assert_eq!(request.ends_with("text"), second.starts_with("POST"), "{status}: {request}");
    }
}

#[test]
fn a_handler_waits_until_a_port_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let config =
        format!("lifecycle.preStart = {{ name = \"wait\", tcpSocket = {{ port = {port}, until = \"Closed\" }} }}");
    let init = Init::configured(&config, &["--", "echo", "started"]);
    // The handler checks the port ten times a second.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(listener.accept().is_err(), "it makes no connection");
    assert!(!init.out().contains("started"), "{}", init.log());
    drop(listener);
    let finished = init.finish();
    assert_eq!((finished.code(), &*finished.out), (0, "started\n"), "{}", finished.log);
}

#[test]
fn a_request_looks_like_a_kubelets_plus_configured_headers() {
    let server = Server::new(&[&answer("200 OK", "")]);
    let folder = Folder::new();
    folder.write("token", "s3cret\n");
    let config = format!(
        r#"
        ports = {{ web = {} }}
        app.env = {{ ZONE = "a b/ü" }}
        [lifecycle.preStart]
        httpGet = {{ port = "web", path = "v1/$(ZONE)/x?hook=$(BOOKEND_HOOK)", httpHeaders = [
            {{ name = "Authorization", valueFrom = {{ file = "{}/token", prefix = "Bearer " }} }},
            {{ name = "X-Zone", value = "$(BOOKEND_HANDLER) $$(ZONE)" }},
        ] }}
        "#,
        server.port,
        folder.shown()
    );
    let finished = Init::configured_in(folder, &config, &["--", "true"]).finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    let request = server.request();
    let mut lines = request.lines();
    assert_eq!(lines.next(), Some("GET /v1/a%20b%2F%C3%BC/x?hook=preStart HTTP/1.1"));
    let lines: Vec<String> = lines.map(|line| line.to_lowercase()).collect();
    for line in [
        format!("host: localhost:{}", server.port),
        format!("user-agent: bookend/{}", env!("CARGO_PKG_VERSION")),
        "accept: */*".into(),
        "connection: close".into(),
        "authorization: bearer s3cret".into(),
        "x-zone: prestart[0] $(zone)".into(),
    ] {
        assert!(lines.contains(&line), "{line}: {request}");
    }
    assert!(!finished.log.contains("s3cret"), "no secret is logged: {}", finished.log);
}

#[test]
fn a_configured_header_replaces_the_default() {
    let server = Server::new(&[&answer("200 OK", "")]);
    succeeds(&format!(
        r#"httpGet = {{ host = "127.0.0.1", port = {}, httpHeaders = [{{ name = "Host", value = "app.example" }}, {{ name = "User-Agent", value = "me" }}, {{ name = "Accept", value = "" }}] }}"#,
        server.port
    ));
    let request = server.request().to_lowercase();
    assert!(request.contains("host: app.example\r\n") && request.contains("user-agent: me\r\n"), "{request}");
    assert!(request.matches("host:").count() == 1 && !request.contains("accept"), "{request}");
}

#[test]
fn success_is_200_to_399_or_success_status() {
    for (status, success_status, good) in [
        ("204 No Content", "", true),
        ("399 Odd", "", true),
        ("404 Not Found", "", false),
        ("500 Oops", "", false),
        ("404 Not Found", ", successStatus = [404]", true),
        ("204 No Content", ", successStatus = [404, \"200-203\"]", false),
    ] {
        let server = Server::new(&[&answer(status, "")]);
        let handler = format!("httpGet = {{ port = {}{success_status} }}", server.port);
        if good { succeeds(&handler) } else { fails(&handler, &format!("status {}", &status[..3])) }
    }
}

#[test]
fn a_refusals_body_is_recorded() {
    let server = Server::new(&["HTTP/1.1 503 Busy\r\nContent-Length: 22\r\n\r\nno database\n\nat db:\x1b[1"]);
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nlifecycle.postStart = {{ httpGet.port = {}, failurePolicy = \"Ignore\" }}",
        server.port
    );
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("status 503");
    let status = crate::support::get(port, "/status").unwrap();
    assert!(status.contains("no database") && status.contains("at db:\u{fffd}[1"), "{status}");
}

#[test]
fn redirects_are_followed_within_the_host_and_success_to_another() {
    let go = |to: &str| answer("302 Found", &format!("Location: {to}\r\n"));
    let server = Server::new(&[&go("/next?a=1"), &go("http://localhost:PORT/last"), &answer("404 Not Found", "")]);
    fails(&format!("httpGet = {{ port = {}, path = \"/first\" }}", server.port), "status 404");
    let paths: Vec<String> = (0..3).map(|_| server.request().split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/first", "/next?a=1", "/last"]);

    // No second request is made: the redirect itself is the result.
    let server = Server::new(&[&go("http://127.0.0.2:1/")]);
    succeeds(&format!("httpGet = {{ port = {} }}", server.port));
    let server = Server::new(&[&go("http://127.0.0.2:1/")]);
    fails(&format!("httpGet = {{ port = {}, successStatus = [200] }}", server.port), "status 302");

    // Three redirects without a usable target.
    let server = Server::new(&[&answer("302 Found", "")]);
    succeeds(&format!("httpGet = {{ port = {} }}", server.port));
    let server = Server::new(&[&go("ftp://localhost/")]);
    fails(&format!("httpGet = {{ port = {} }}", server.port), "invalid URL");
    let server = Server::new(&[&go("/again")]);
    fails(&format!("httpGet = {{ port = {} }}", server.port), "redirected more than 10 times");
    assert_eq!(server.requests.try_iter().count(), 10);
}

#[test]
fn a_configured_host_header_survives_relative_redirects_only() {
    let go = |to: &str| answer("302 Found", &format!("Location: {to}\r\n"));
    let server = Server::new(&[&go("/next"), &go("http://localhost:PORT/last"), &answer("200 OK", "")]);
    let headers = r#"httpHeaders = [{ name = "Host", value = "app.example" }]"#;
    succeeds(&format!("httpGet = {{ port = {}, {headers} }}", server.port));
    let hosts: Vec<bool> = (0..3).map(|_| server.request().to_lowercase().contains("host: app.example")).collect();
    assert_eq!(hosts, [true, true, false]);
}

#[test]
fn late_huge_or_malformed_responses_fail_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    fails(&format!("httpGet.port = {port}, timeoutSeconds = 0.3"), "timed out after 0.300 s");
    fails(&format!("httpGet.port = {}", free_port()), "cannot connect to");
    for (rubbish, because) in [
        ("", "no valid HTTP response"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "no valid HTTP response"),
        (&*format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000)), "no valid HTTP response"),
    ] {
        let server = Server::new(&[rubbish]);
        fails(&format!("httpGet.port = {}", server.port), because);
    }
    // 10 KiB of it are enough: the rest is not waited for.
    let server = Server::new(&[&format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}", "x".repeat(30_000))]);
    succeeds(&format!("httpGet.port = {}, timeoutSeconds = 20", server.port));
}

#[test]
fn a_tcp_socket_accepts_or_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    succeeds(&format!("tcpSocket.port = {port}"));
    succeeds(&format!("tcpSocket = {{ host = \"127.0.0.1\", port = {port} }}"));
    drop(listener);
    fails(&format!("tcpSocket.port = {port}"), "Connection refused");
}

#[test]
fn localhost_finds_a_port_on_ipv6_loopback_only() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    succeeds(&format!("tcpSocket.port = {}", listener.local_addr().unwrap().port()));
}
