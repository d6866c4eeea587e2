//! HTTP/2 and gRPC: requests in flight on one connection are answered, although the server sends SETTINGS, PING, WINDOW_UPDATE,
//! GOAWAY and answers to other streams. By the second signal, and by the end of a drain; with the stop signal and with the hook.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::more_servers::from_pypi;
use crate::rollout::By;
use crate::servers::{folder, not_run, program};
use crate::support::{Folder, Init, get_as, in_network_of, wait_until};
use bookend_rehearse::http2::{Http2, Request};
use bookend_rehearse::load::wait_for_port;
use bookend_test_support::nginx_conf;

/// Answers a request after six seconds, or after its body: longer than two seconds without a byte and `afterSeconds`.
const UPSTREAM: &str = "
import http.server, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        time.sleep(0.8 if self.path == '/proxied/soon' else 6)
        self.send_response(200)
        self.send_header('Content-Length', '5')
        self.end_headers()
        self.wfile.write(b'hello')
    do_POST = do_GET
    log_message = lambda *_: None
http.server.ThreadingHTTPServer(('127.0.0.1', 9000), Slow).serve_forever()
";

/// A server, and the requests that are in flight when it is stopped.
struct Case {
    folder: Folder,
    /// The lines of the configuration besides the budget and the endpoint.
    config: String,
    port: u16,
    tls: bool,
    requests: Vec<Request>,
}

impl Case {
    fn stop(self, by: By) {
        let Case { folder, config, port, tls, requests } = self;
        let upstream = folder.write("upstream.py", UPSTREAM);
        let config = format!("terminationGracePeriodSeconds = 20\nhttp.listen = \"127.0.0.1:9797\"\n{config}");
        let mut init = Init::in_a_pod(folder, &config, "", &[]);
        let pid = init.pid();
        // This process does not run below bookend. There it would count as a part of the app, and its busy connections would delay the second signal.
        let mut outside = Command::new("nsenter");
        outside.args(["-t", &pid.to_string(), "-n", "python3"]).arg(upstream);
        let mut upstream = outside.spawn().expect("util-linux has nsenter");
        wait_for_port(pid, 9000);
        wait_for_port(pid, port);
        // A load balancer's pool: its silent connections would keep nginx running for a minute.
        let _silent = in_network_of(pid, || TcpStream::connect(("127.0.0.1", port))).unwrap();
        // Pings of the client make a connection look busy; without them nothing moves for six seconds.
        let ping_every = (by == By::Hook).then_some(Duration::from_millis(700));
        let client = Http2 { tls, ping_every, ..Http2::new(port, requests) };
        let in_flight = client.start(pid);
        in_flight.wait_until_sent();
        // The pause is long enough for the quick answer, which is the last byte; the slow requests are in flight.
        std::thread::sleep(Duration::from_millis(1200));
        if by == By::Hook {
            let answer = in_network_of(pid, || get_as("kube-lifecycle/1.36", 9797, "/lifecycle/preStop"));
            assert!(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{}", init.log());
        }
        init.signal(15);
        let finished = init.end();
        let outcome = in_flight.finish();
        upstream.kill().unwrap();
        upstream.wait().unwrap();
        assert_eq!(outcome.lost(), 0, "{outcome:?}\n{}", finished.log);
        assert!(!finished.log.contains("SIGKILL sent") && !finished.log.contains(" cut"), "{}", finished.log);
    }

    /// The same server, stopped in both ways at the same time, each in a network of its own.
    fn stop_in_both_ways(case: impl Fn() -> Case + Sync) {
        std::thread::scope(|scope| {
            for by in [By::Signal, By::Hook] {
                let case = &case;
                scope.spawn(move || case().stop(by));
            }
        });
    }
}

fn words(command: &[&str]) -> String {
    command.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

/// Two slow requests, a quick one between them, and an upload, which makes the server send WINDOW_UPDATE.
fn requests() -> Vec<Request> {
    let upload = Request::upload("/proxied", 300_000, Duration::from_millis(400));
    vec![Request::get("/proxied"), Request::get("/proxied/soon"), upload, Request::get("/proxied")]
}

/// A drain that is soon over, so that the stop signal comes while the requests are in flight.
const SHORT_DRAIN: &str = "drain = { minSeconds = 0.2, quietSeconds = 0.2 }";

fn nginx(tls: bool) -> Case {
    let folder = folder();
    let dir = folder.shown().to_owned();
    let port = if tls { 443 } else { 80 };
    let listen = if tls {
        certificate(&folder);
        format!("listen 443 ssl http2; ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;")
    } else {
        "listen 80 http2;".to_owned()
    };
    let conf = nginx_conf(&dir).replace("listen 80;", &listen).replace("location = /proxied", "location /proxied");
    folder.write("nginx.conf", &conf);
    let command = words(&["nginx", "-c", &format!("{dir}/nginx.conf"), "-g", "daemon off;"]);
    let config = format!("lifecycle.preStop = {{ {SHORT_DRAIN} }}\n[app]\nprofile = \"nginx\"\ncommand = [{command}]");
    Case { folder, config, port, tls, requests: requests() }
}

fn certificate(folder: &Folder) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]);
    openssl.args(["-subj", "/CN=test", "-keyout"]).arg(folder.path("key.pem")).arg("-out").arg(folder.path("cert.pem"));
    assert!(openssl.output().unwrap().status.success());
}

#[test]
fn nginx_answers_http2_requests_in_flight() {
    Case::stop_in_both_ways(|| nginx(false));
}

#[test]
fn nginx_answers_http2_requests_over_tls_in_flight() {
    Case::stop_in_both_ways(|| nginx(true));
}

#[test]
fn haproxy_answers_http2_requests_in_flight() {
    let test = "haproxy_answers_http2_requests_in_flight";
    let Some(haproxy) = program("haproxy") else { return not_run(test, "no haproxy") };
    Case::stop_in_both_ways(|| {
        let folder = folder();
        let conf = "global\n  hard-stop-after 20s\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  \
                    timeout server 30s\nfrontend f\n  bind :80 proto h2\n  default_backend b\nbackend b\n  \
                    server s 127.0.0.1:9000\n";
        let file = folder.write("haproxy.cfg", conf);
        let command = words(&[haproxy.to_str().unwrap(), "-W", "-db", "-f", file.to_str().unwrap()]);
        let config =
            format!("lifecycle.preStop = {{ {SHORT_DRAIN} }}\n[app]\nprofile = \"haproxy\"\ncommand = [{command}]");
        Case { folder, config, port: 80, tls: false, requests: requests() }
    });
}

/// SIGTERM ends envoy at once: the drain of its profile waits.
#[test]
fn envoy_answers_http2_requests_in_flight() {
    let Some(envoy) = from_pypi("envoy_answers_http2_requests_in_flight", "../envoy/_bin/envoy") else { return };
    Case::stop_in_both_ways(|| {
        let folder = folder();
        let file = folder.write("envoy.yaml", crate::more_servers::ENVOY);
        let (envoy, file) = (envoy.to_str().unwrap(), file.to_str().unwrap());
        let command = words(&[envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]);
        let config = format!("[app]\nprofile = \"envoy\"\ncommand = [{command}]");
        Case { folder, config, port: 80, tls: false, requests: requests() }
    });
}

/// node's server of HTTP/2 sends PING; SIGTERM ends it at once. The user marks its port.
#[test]
fn node_answers_http2_requests_in_flight() {
    let test = "node_answers_http2_requests_in_flight";
    let Some(node) = program("node") else { return not_run(test, "no node") };
    Case::stop_in_both_ways(|| {
        let server = "const server = require('http2').createServer((request, answer) => \
                      setTimeout(() => answer.end('hello'), request.url == '/proxied/soon' ? 800 : 6000)); \
                      server.on('session', session => setInterval(() => session.destroyed || session.ping(() => {}), 300)); \
                      server.listen(80)";
        let command = words(&[node.to_str().unwrap(), "-e", server]);
        let drain = "drain = { minSeconds = 0.2, quietSeconds = 0.2, maxSeconds = 15, until = \"NoBusyConnections\", \
                     multiplexed = true }";
        let config = format!("lifecycle.preStop = {{ {drain} }}\n[app]\nprofile = \"node\"\ncommand = [{command}]");
        Case { folder: folder(), config, port: 80, tls: false, requests: requests() }
    });
}

const GRPC: &str = "
import grpc, signal, sys, threading, time
from concurrent import futures
def call(seconds):
    return grpc.unary_unary_rpc_method_handler(lambda request, context: time.sleep(seconds) or b'')
handler = grpc.method_handlers_generic_handler('test.Slow', {'Call': call(6), 'Soon': call(0.8)})
pings = [('grpc.keepalive_time_ms', 400), ('grpc.keepalive_permit_without_calls', 1), ('grpc.http2.max_pings_without_data', 0),
         ('grpc.http2.min_recv_ping_interval_without_data_ms', 100), ('grpc.http2.max_ping_strikes', 0)]
server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[handler], options=pings)
stop = threading.Event()
if len(sys.argv) > 1:
    # A graceful server: it waits for its calls, and for its connections.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
server.add_insecure_port('0.0.0.0:8080')
server.start()
stop.wait()
server.stop(60).wait()
";

fn grpc(python: &str, path: &str, graceful: bool) -> Case {
    let folder = folder();
    let file = folder.write("server.py", GRPC);
    let file = file.to_str().unwrap();
    let command = if graceful { words(&[python, file, "graceful"]) } else { words(&[python, file]) };
    let stop = if graceful {
        format!("lifecycle.preStop = {{ {SHORT_DRAIN} }}\n[app]\nsecondSignal.signal = \"SIGQUIT\"")
    } else {
        "lifecycle.preStop.drain = { minSeconds = 0.2, quietSeconds = 0.2, until = \"NoBusyConnections\", \
         multiplexed = true }\n[app]"
            .to_owned()
    };
    let config = format!("{stop}\nenv = {{ PYTHONPATH = {path:?} }}\ncommand = [{command}]");
    let requests = ["Call", "Soon", "Call"].map(|method| Request::grpc(&format!("/test.Slow/{method}"), b""));
    Case { folder, config, port: 8080, tls: false, requests: requests.to_vec() }
}

#[test]
fn a_grpc_server_answers_calls_in_flight() {
    let test = "a_grpc_server_answers_calls_in_flight";
    let Some(path) = from_pypi(test, "../grpc") else { return };
    let path: PathBuf = path.ancestors().nth(3).unwrap().to_owned();
    let path = path.to_str().unwrap();
    std::thread::scope(|scope| {
        for graceful in [false, true] {
            scope.spawn(move || Case::stop_in_both_ways(|| grpc("python3", path, graceful)));
        }
    });
}

/// The drain of a marked port goes on while a request may be in flight, and reports it.
#[test]
fn a_marked_port_is_busy_although_the_server_sent_last() {
    let test = "a_marked_port_is_busy_although_the_server_sent_last";
    let Some(node) = program("node") else { return not_run(test, "no node") };
    let server = "require('http2').createServer(() => {}).listen(80)";
    let config = "http.listen = \"127.0.0.1:9797\"\nlifecycle.preStop.drain = { minSeconds = 0.1, quietSeconds = 0.1, \
                  maxSeconds = 4, until = \"NoBusyConnections\", multiplexed = true }";
    let init = Init::in_a_pod(folder(), config, "", &["--", node.to_str().unwrap(), "-e", server]);
    let pid = init.pid();
    wait_for_port(pid, 80);
    let patience = Duration::from_secs(20);
    let in_flight = Http2 { patience, ..Http2::new(80, vec![Request::get("/never")]) }.start(pid);
    in_flight.wait_until_sent();
    wait_until("SETTINGS are exchanged", || in_network_of(pid, || std::fs::read_to_string("/proc/net/tcp")).is_ok());
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("not quiet after 4.") && finished.log.contains("1 of them busy"), "{}", finished.log);
    in_flight.finish();
}
