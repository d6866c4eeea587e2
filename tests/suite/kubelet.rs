//! A kubelet's side of the hooks, byte for byte: GET with its headers, the status ignored, no timeout, a kept
//! connection reused and the GET repeated when that breaks, HTTPS that falls back to HTTP. The whole table of possible
//! combinations is tested.

#[cfg(feature = "tls")]
mod tls;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::{Folder, Init, PATIENCE, code, code_of, free_port, get, get_as, wait_until};

/// How the Pod's `httpGet` names the scheme, and what the port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    /// `scheme: HTTPS`, and a port without a certificate.
    HttpsFallsBack,
    #[cfg(feature = "tls")]
    Https,
}

/// The kubelet's client for one container.
pub(crate) struct Kubelet {
    port: u16,
    scheme: Scheme,
    kept: Option<TcpStream>,
    /// How often a GET was sent.
    sent: u32,
}

impl Kubelet {
    pub(crate) fn new(port: u16, scheme: Scheme) -> Kubelet {
        Kubelet { port, scheme, kept: None, sent: 0 }
    }

    /// Ok: the hook has succeeded, whatever its status.
    pub(crate) fn hook(&mut self, path: &str) -> io::Result<String> {
        match self.scheme {
            Scheme::Http => {}
            Scheme::HttpsFallsBack => {
                // crypto/tls: the first five bytes of the response are not a TLS record and begin with HTTP/.
                let mut stream = self.connect()?;
                stream.write_all(HELLO)?;
                let mut first = [0; 5];
                stream.read_exact(&mut first)?;
                assert_eq!(&first, b"HTTP/", "a kubelet would hang, or fail");
            }
            #[cfg(feature = "tls")]
            Scheme::Https => {
                self.sent += 1;
                let (_, answer) = tls::get(self.connect()?, &request(self.port, path), &[])?;
                return Ok(answer);
            }
        }
        self.sent += 1;
        if let Some(mut kept) = self.kept.take() {
            match self.on(&mut kept, path) {
                // net/http: a reused connection that ends without a byte: the GET is sent again.
                Err(_) => self.sent += 1,
                answered => return answered,
            }
        }
        let mut fresh = self.connect()?;
        let answer = self.on(&mut fresh, path)?;
        if !answer.to_ascii_lowercase().contains("connection: close") {
            self.kept = Some(fresh);
        }
        Ok(answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        // A kubelet has no timeout; a test that waits this long has found a hang.
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    fn on(&self, stream: &mut TcpStream, path: &str) -> io::Result<String> {
        stream.write_all(request(self.port, path).as_bytes())?;
        read_answer(stream)
    }
}

fn request(port: u16, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: kube-lifecycle/1.36\r\nAccept: */*\r\n\
         Accept-Encoding: gzip\r\n\r\n"
    )
}

/// Reads head and body; an end before the head is a failure.
fn read_answer(stream: &mut impl Read) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&answer).into_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.expect("a body that ends with its head")];
    stream.read_exact(&mut body)?;
    Ok(head + &String::from_utf8_lossy(&body))
}

/// The first bytes of a TLS hello of Go's.
const HELLO: &[u8] = b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03 a hello without an answer.....";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handlers {
    Ok,
    Failing,
    Slow,
    Hanging,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum App {
    Alive,
    Exiting,
    Crashing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Before,
    During,
    After,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    hook: &'static str,
    handlers: Handlers,
    app: App,
    signal: Signal,
    scheme: Scheme,
}

/// The result that the kubelet must see. `None`: two events race, and either result is right.
fn expected(case: Case) -> Option<bool> {
    match (case.handlers, case.app, case.signal) {
        (Handlers::Failing | Handlers::Hanging, ..) => Some(false),
        // These handlers are over before anything else happens.
        (Handlers::Ok, App::Alive, Signal::During | Signal::After) => Some(true),
        (Handlers::Slow, App::Alive, Signal::After) => Some(true),
        // The kubelet gives up, or a stop aborts postStart.
        (Handlers::Slow, App::Alive, Signal::During) => Some(false),
        _ => None,
    }
}

fn live(case: Case) {
    let port = free_port();
    let command = match case.handlers {
        Handlers::Ok => "",
        Handlers::Failing => "; exit 3",
        Handlers::Slow => "; exec sleep 0.8",
        Handlers::Hanging => "; exec sleep 1000",
    };
    let app = match case.app {
        App::Alive => "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done",
        App::Exiting => "trap 'exit 0' TERM; echo up; sleep 0.2; exit 0",
        App::Crashing => "echo up; sleep 0.2; kill -SEGV $$",
    };
    let is_plain = matches!(case.scheme, Scheme::Http | Scheme::HttpsFallsBack);
    let tls = if is_plain { "" } else { "selfSigned = true" };
    let config = format!(
        "terminationGracePeriodSeconds = 4\n[http]\nlisten = \"127.0.0.1:{port}\"\npostStartMaxSeconds = 2\n{tls}\n\
         [lifecycle.{}]\nexec.command = [\"sh\", \"-c\", \"echo ran {command}\"]\n",
        case.hook
    );
    let mut init = Init::configured_without_waiting(&config, &["--", "sh", "-c", app]);
    let began = Instant::now();
    let mut kubelet = Kubelet::new(port, case.scheme);
    let path = format!("/lifecycle/{}", case.hook);
    if case.hook == "preStop" || case.signal == Signal::Before {
        // A failing postStart can end the container before it is answered.
        wait_until("the app is up", || init.out().contains("up") || init.has_ended());
    }
    if case.signal == Signal::Before {
        init.signal_if_running(15);
    }
    let hook = std::thread::spawn(move || {
        loop {
            match kubelet.hook(&path) {
                // The call came before the bind or after the end; the latter is checked below.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && began.elapsed().as_secs() < 5 => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                answer => return answer,
            }
        }
    });
    if case.signal == Signal::During {
        if matches!(case.handlers, Handlers::Slow | Handlers::Hanging) {
            wait_until("the handler runs", || init.log().contains("bookend: ran") || init.has_ended());
        }
        if case.handlers != Handlers::Ok {
            init.signal_if_running(15);
        }
    }
    let answer = hook.join().unwrap();
    let context = || format!("{case:?}: {answer:?}\n{}", init.log());
    assert!(began.elapsed() < Duration::from_secs(25), "unbounded: {}", context());
    if let Err(error) = &answer {
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "a kubelet would wait for ever: {}", context());
        if error.kind() == io::ErrorKind::ConnectionRefused {
            wait_until("refused only when all is over", || init.has_ended());
        }
    }
    if let Some(expected) = expected(case) {
        assert_eq!(answer.is_ok(), expected, "{}", context());
    }
    init.signal_if_running(15);
    let finished = init.end();
    let may_fail_the_start = case.hook == "postStart" && case.handlers != Handlers::Ok;
    let codes: &[i32] = match case.app {
        _ if may_fail_the_start => &[125, 0, 139, 143],
        // A signal before the shell has set its trap ends it.
        App::Alive | App::Exiting => &[0, 143],
        App::Crashing => &[139, 143],
    };
    assert!(codes.contains(&finished.code()), "{} is not in {codes:?}: {case:?}\n{}", finished.code(), finished.log);
    let ran = finished.log.lines().filter(|line| line.contains("bookend: ran")).count();
    assert!(ran <= 1, "{ran} runs: {case:?}\n{}", finished.log);
}

#[test]
fn every_hook_is_answered_as_a_kubelet_needs_it() {
    let schemes = [
        Scheme::Http,
        Scheme::HttpsFallsBack,
        #[cfg(feature = "tls")]
        Scheme::Https,
    ];
    let mut cases = Vec::new();
    for hook in ["postStart", "preStop"] {
        for handlers in [Handlers::Ok, Handlers::Failing, Handlers::Slow, Handlers::Hanging] {
            for app in [App::Alive, App::Exiting, App::Crashing] {
                for signal in [Signal::Before, Signal::During, Signal::After] {
                    // Each group of three uses all schemes, and the groups below in another order.
                    let scheme = schemes[(cases.len() + cases.len() / 3) % schemes.len()];
                    cases.push(Case { hook, handlers, app, signal, scheme });
                }
            }
        }
    }
    assert_eq!(cases.len(), 72);
    let cases = Mutex::new(cases);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(case) = cases.lock().unwrap().pop() else { return };
                    live(case);
                }
            });
        }
    });
}

#[test]
fn a_repeated_hook_request_changes_nothing() {
    let port = free_port();
    let config =
        format!("http.listen = \"127.0.0.1:{port}\"\nlifecycle.preStop.exec.command = [\"echo\", \"prepared\"]");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    let mut kubelet = Kubelet::new(port, Scheme::Http);
    kubelet.hook("/lifecycle/postStart").unwrap();
    assert!(kubelet.kept.is_none(), "the response announces that the connection closes");
    // A client that keeps the connection anyway meets its end and sends the GET again.
    let mut stale = kubelet.connect().unwrap();
    kubelet.on(&mut stale, "/lifecycle/postStart").unwrap();
    kubelet.kept = Some(stale);
    kubelet.hook("/lifecycle/preStop").unwrap();
    assert_eq!(kubelet.sent, 3, "one GET for postStart, two for preStop");
    kubelet.hook("/lifecycle/preStop").unwrap();
    assert_eq!(init.log().matches("bookend: prepared").count(), 1);
}

#[test]
fn two_requests_in_one_packet_are_one_hook() {
    let port = free_port();
    let config =
        format!("http.listen = \"127.0.0.1:{port}\"\nlifecycle.preStop.exec.command = [\"echo\", \"prepared\"]");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request(port, "/lifecycle/preStop").repeat(2).as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(init.log().matches("bookend: prepared").count(), 1);
}

#[test]
fn pre_stop_may_come_before_post_start_is_over() {
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nlifecycle.postStart.exec.command = [\"sleep\", \"2\"]\n\
         lifecycle.preStop.exec.command = [\"echo\", \"prepared\"]"
    );
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let post_start = std::thread::spawn(move || Kubelet::new(port, Scheme::Http).hook("/lifecycle/postStart"));
    assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/preStop").is_ok());
    assert!(init.log().contains("prepared"), "{}", init.log());
    assert!(post_start.join().unwrap().is_ok());
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn an_endless_post_start_is_answered_in_bounded_time() {
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nhttp.postStartMaxSeconds = 0.3\n\
         lifecycle.postStart.exec.command = [\"sleep\", \"1000\"]"
    );
    let mut init = Init::configured(&config, &["--", "sleep", "1000"]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let began = Instant::now();
    assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/postStart").is_err());
    assert_eq!(code(port, "/lifecycle/postStart"), 504);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(init.is_running() && code(port, "/startupz") == 503, "the handlers go on");
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn hooks_without_the_token_get_a_broken_connection() {
    let port = free_port();
    let folder = Folder::new();
    let token = folder.write("token", "a-secret-of-ours\n");
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nhttp.tokenFile = {token:?}\nhttp.allowFrom = [\"127.0.0.0/8\"]\n\
         lifecycle.preStop.exec.command = [\"echo\", \"prepared\"]"
    );
    let init = Init::configured_in(folder, &config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    let with = |agent: &str, authorization: &str| {
        let agent = format!("{agent}\r\nAuthorization: {authorization}");
        get_as(&agent, port, "/lifecycle/preStop")
    };
    assert_eq!(code(port, "/lifecycle/preStop"), 401);
    assert_eq!(code_of(&with("curl/8", "Bearer another").unwrap()), 401);
    assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/preStop").is_err());
    assert!(!init.log().contains("prepared"));
    (0..20).for_each(|_| assert_eq!(code(port, "/lifecycle/preStop"), 401));
    assert_eq!(init.log().matches("hook refused").count(), 1, "callers cannot fill the log");
    assert_eq!(code(port, "/livez"), 200, "probes need no token");
    assert_eq!(code_of(&with("kube-lifecycle/1.36", "Bearer a-secret-of-ours").unwrap()), 200);
    wait_until("the handler's line is there", || init.log().contains("prepared"));
    std::fs::remove_file(&token).unwrap();
    assert_eq!(code_of(&with("curl/8", "Bearer a-secret-of-ours").unwrap()), 503);
    let status = get(port, "/status").unwrap();
    assert!(!status.contains("a-secret-of-ours") && !init.log().contains("a-secret-of-ours"));
}

#[test]
fn hooks_come_from_the_allowed_networks_only() {
    let serve = |networks: &str| {
        let port = free_port();
        let config = format!("http.listen = \"[::]:{port}\"\nhttp.allowFrom = [{networks:?}]");
        let init = Init::configured(&config, &["--", "sleep", "1000"]);
        init.wait_for_log("started");
        (port, init)
    };
    let (port, _init) = serve("10.0.0.0/8");
    assert_eq!(code(port, "/lifecycle/preStop"), 403);
    assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/preStop").is_err());
    assert_eq!((code(port, "/readyz"), code(port, "/lbz")), (200, 200));
    let (port, _init) = serve("127.0.0.1");
    assert_eq!(code(port, "/lifecycle/preStop"), 200, "an IPv4 peer of an IPv6 socket");
}

#[test]
fn a_page_of_another_site_calls_no_hook() {
    let port = free_port();
    let config = format!("http.listen = \"0.0.0.0:{port}\"\nlifecycle.preStop.exec.command = [\"echo\", \"prepared\"]");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    let call = |headers: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET /lifecycle/preStop HTTP/1.1\r\n{headers}\r\n\r\n").unwrap();
        code_of(&read_answer(&mut stream).unwrap())
    };
    for headers in [
        "Host: localhost:8080\r\nOrigin: https://evil.example",
        "Host: localhost:8080\r\nSec-Fetch-Site: cross-site",
        "Host: localhost:8080\r\nSec-Fetch-Site: same-site",
        "Host: evil.example:8080",
    ] {
        assert_eq!(call(headers), 403, "{headers}");
    }
    init.wait_for_log("hook refused");
    assert!(!init.log().contains("prepared"), "{}", init.log());
    assert_eq!(call("Host: localhost:8080\r\nSec-Fetch-Site: none"), 200);
    wait_until("the handler's line is there", || init.log().contains("prepared"));
}

#[test]
fn readiness_can_fail_from_the_beginning_of_a_stop() {
    let port = free_port();
    let config = format!("http.listen = \"127.0.0.1:{port}\"\nhttp.readyzDuringStop = \"Failing\"");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    assert_eq!(code(port, "/readyz"), 200);
    assert_eq!(code(port, "/lifecycle/preStop"), 200);
    assert_eq!(code(port, "/readyz"), 503);
    let expected = get(port, "/readyz?verbose").unwrap();
    assert!(expected.contains("[+]ping ok\n") && expected.ends_with("readyz check failed\n"), "{expected}");
    assert_eq!(code(port, "/readyz?exclude=stop"), 200);
    assert_eq!(code(port, "/livez"), 200);
}
