//! Profiles of servers that come from PyPI (`scripts/servers`) or are small packages of Debian: each real server is stopped under
//! load and loses nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::servers::{LOAD, WSGI, folder, not_run, program, stop_under_load};
use crate::support::{Folder, Init, in_network_of, wait_until};
use bookend_rehearse::load::{Load, wait_for_port};

/// A script or a binary that `scripts/servers` has installed.
pub(crate) fn from_pypi(test: &str, name: &str) -> Option<PathBuf> {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ready = READY.get_or_init(|| match Command::new(root.join("scripts/servers")).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    });
    match ready {
        Ok(()) => Some(root.join("target/servers/bin").join(name)),
        Err(reason) => {
            not_run(test, &format!("scripts/servers failed: {reason}"));
            None
        }
    }
}

/// Stops a server whose stop signal cuts requests, by signal: a request of five seconds is answered as a whole, although the
/// drain would be quiet after three.
fn long_request_is_answered(profile: &str, folder: Folder, command: &[&str], prelude: &str) {
    let command: Vec<&str> = std::iter::once("--").chain(command.iter().copied()).collect();
    let config = format!("terminationGracePeriodSeconds = 28\napp.profile = \"{profile}\"");
    let init = Init::in_a_pod(folder, &config, prelude, &command);
    let pid = init.pid();
    wait_for_port(pid, 80);
    let (asks, asked) = channel();
    // It listens before the first client comes.
    let upstream = in_network_of(pid, || TcpListener::bind("127.0.0.1:9001").unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || answer_upstream(&upstream));
        let client = scope.spawn(move || {
            in_network_of(pid, || {
                let mut stream = TcpStream::connect("127.0.0.1:80").unwrap();
                stream.write_all(b"GET /long HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
                asks.send(()).unwrap();
                let mut answer = String::new();
                // A reset leaves what came before it.
                let _ = stream.read_to_string(&mut answer);
                answer
            })
        });
        asked.recv().unwrap();
        // The kernel's clock ticks every 1 to 10 ms.
        std::thread::sleep(Duration::from_millis(100));
        init.signal(15);
        let answer = client.join().unwrap();
        let finished = init.finish();
        assert!(answer.contains("200") && answer.contains("hello"), "{profile}: {answer:?}\n{}", finished.log);
        assert!(finished.log.contains("quiet after") && !finished.log.contains("SIGKILL"), "{}", finished.log);
    });
}

/// The upstream of a proxy: one request, if there is a proxy, and its answer after five seconds.
fn answer_upstream(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    for _ in 0..50 {
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            let _ = stream.read(&mut [0; 4096]);
            std::thread::sleep(Duration::from_secs(5));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

const ASGI: &str = "
import asyncio
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            event = await receive()
            await send({'type': event['type'] + '.complete'})
            if event['type'] == 'lifespan.shutdown':
                return
    await asyncio.sleep({'/slow': 1, '/long': 5}.get(scope['path'], 0))
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'6')]})
    await send({'type': 'http.response.body', 'body': b'hello\\n'})
";

/// Under load, with clients that end their kept connections.
fn under_load(profile: &str, folder: Folder, command: &[&str], prelude: &str) {
    stop_under_load(profile, folder, command, prelude, Load { kept_end: true, ..LOAD });
}

/// A stop of a server: its name, folder, command and configuration.
type Stop = fn(&str, Folder, &[&str], &str);
const STOPS: [Stop; 2] = [under_load, long_request_is_answered];

/// A server in Python with the application in its folder.
fn python(test: &str, profile: &str, name: &str, args: &[&str], stop: fn(&str, Folder, &[&str], &str)) {
    let Some(server) = from_pypi(test, name) else { return };
    let folder = folder();
    folder.write("asgi.py", ASGI);
    folder.write("wsgi.py", WSGI);
    let packages = server.parent().and_then(Path::parent).unwrap().to_owned();
    let prelude = format!("cd {}\nexport PYTHONPATH={}:.", folder.shown(), packages.display());
    let command: Vec<&str> = std::iter::once(server.to_str().unwrap()).chain(args.iter().copied()).collect();
    stop(profile, folder, &command, &prelude);
}

const UVICORN: &[&str] = &["--host", "0.0.0.0", "--port", "80", "asgi:app"];
const HYPERCORN: &[&str] = &["-b", "0.0.0.0:80", "asgi:app"];
const GRANIAN: &[&str] = &["--interface", "asgi", "--host", "0.0.0.0", "--port", "80", "asgi:app"];
const WAITRESS: &[&str] = &["--listen=*:80", "--threads=16", "wsgi:app"];
const DAPHNE: &[&str] = &["-b", "0.0.0.0", "-p", "80", "asgi:app"];

#[test]
fn uvicorn_loses_nothing() {
    python("uvicorn_loses_nothing", "uvicorn", "uvicorn", UVICORN, under_load);
    python("uvicorn_loses_nothing", "uvicorn", "uvicorn", UVICORN, long_request_is_answered);
}

#[test]
fn hypercorn_loses_nothing() {
    python("hypercorn_loses_nothing", "hypercorn", "hypercorn", HYPERCORN, under_load);
    python("hypercorn_loses_nothing", "hypercorn", "hypercorn", HYPERCORN, long_request_is_answered);
}

#[test]
fn granian_loses_nothing() {
    python("granian_loses_nothing", "granian", "granian", GRANIAN, under_load);
    python("granian_loses_nothing", "granian", "granian", GRANIAN, long_request_is_answered);
}

#[test]
fn waitress_loses_nothing_although_sigterm_ends_it_at_once() {
    let test = "waitress_loses_nothing_although_sigterm_ends_it_at_once";
    python(test, "waitress", "waitress-serve", WAITRESS, under_load);
    python(test, "waitress", "waitress-serve", WAITRESS, long_request_is_answered);
}

#[test]
fn daphne_loses_nothing_although_sigterm_cuts_requests() {
    let test = "daphne_loses_nothing_although_sigterm_cuts_requests";
    python(test, "daphne", "daphne", DAPHNE, under_load);
    python(test, "daphne", "daphne", DAPHNE, long_request_is_answered);
}

#[test]
fn aiohttp_loses_nothing_under_the_generic_profile() {
    let test = "aiohttp_loses_nothing_under_the_generic_profile";
    let Some(packages) = from_pypi(test, "..") else { return };
    let prelude = format!("export PYTHONPATH={}", packages.display());
    for stop in STOPS {
        let folder = folder();
        let main = folder.write("main.py", AIOHTTP);
        stop("auto", folder, &["python3", main.to_str().unwrap()], &prelude);
    }
}

const AIOHTTP: &str = "
import asyncio
from aiohttp import web
async def answer(request):
    await asyncio.sleep({'/slow': 1, '/long': 5}.get(request.path, 0))
    return web.Response(text='hello')
app = web.Application()
app.router.add_get('/{any:.*}', answer)
web.run_app(app, port=80, handle_signals=False)
";

#[test]
fn puma_loses_nothing() {
    let Some(puma) = program("puma") else { return not_run("puma_loses_nothing", "no puma") };
    let folder = folder();
    let rack = "run lambda { |env| sleep 1 if env['PATH_INFO'] == '/slow'\n\
                [200, {'content-type' => 'text/plain', 'content-length' => '6'}, [\"hello\\n\"]] }\n";
    folder.write("config.ru", rack);
    let file = format!("{}/config.ru", folder.shown());
    let command = [puma.to_str().unwrap(), "-b", "tcp://0.0.0.0:80", "-t", "16:16", &file];
    stop_under_load("puma", folder, &command, "", Load { kept_end: true, ..LOAD });
}

/// A proxy in front of the load's own upstream.
const PROXIED: Load = Load { slow: 0, proxied: 2, ..LOAD };

#[test]
fn caddy_loses_nothing() {
    let Some(caddy) = program("caddy") else { return not_run("caddy_loses_nothing", "no caddy") };
    let folder = folder();
    let text = "{\n  admin off\n  grace_period 20s\n}\nhttp://:80 {\n  handle /proxied {\n    reverse_proxy 127.0.0.1:9000\n  }\n  respond hello\n}\n";
    folder.write("Caddyfile", text);
    let file = format!("{}/Caddyfile", folder.shown());
    let prelude = format!("export HOME={}", folder.shown());
    let command = [caddy.to_str().unwrap(), "run", "--adapter", "caddyfile", "--config", &file];
    stop_under_load("caddy", folder, &command, &prelude, PROXIED);
}

#[test]
fn lighttpd_loses_nothing() {
    let Some(lighttpd) = program("lighttpd") else { return not_run("lighttpd_loses_nothing", "no lighttpd") };
    let folder = folder();
    let dir = folder.shown().to_owned();
    folder.write("index.html", "hello\n");
    let conf = format!(
        "server.port = 80\nserver.document-root = \"{dir}\"\nindex-file.names = (\"index.html\")\nserver.modules += (\"mod_proxy\")\n\
         $HTTP[\"url\"] =~ \"^/proxied\" {{ proxy.server = (\"\" => ((\"host\" => \"127.0.0.1\", \"port\" => 9000))) }}\n"
    );
    folder.write("lighttpd.conf", &conf);
    let file = format!("{dir}/lighttpd.conf");
    stop_under_load("lighttpd", folder, &[lighttpd.to_str().unwrap(), "-D", "-f", &file], "", PROXIED);
}

#[test]
fn varnish_loses_nothing_although_sigterm_ends_it_at_once() {
    let test = "varnish_loses_nothing_although_sigterm_ends_it_at_once";
    let Some(varnish) = program("varnishd") else { return not_run(test, "no varnish") };
    let vcl = "vcl 4.1;\nbackend b { .host = \"127.0.0.1\"; .port = \"9000\"; }\n\
               backend long { .host = \"127.0.0.1\"; .port = \"9001\"; }\n\
               sub vcl_recv {\n  if (req.url == \"/long\") { set req.backend_hint = long; return (pass); }\n  \
               if (req.url != \"/proxied\") { return (synth(200)); }\n  return (pass);\n}\n";
    let stops: [Stop; 2] = [under_load_of_proxy, long_request_is_answered];
    for stop in stops {
        let folder = folder();
        let file = folder.write("default.vcl", vcl);
        let work = format!("{}/varnish", folder.shown());
        let file = file.to_str().unwrap();
        let command = [varnish.to_str().unwrap(), "-F", "-j", "none", "-n", &work, "-a", ":80", "-f", file];
        stop("varnish", folder, &command, "");
    }
}

fn under_load_of_proxy(profile: &str, folder: Folder, command: &[&str], prelude: &str) {
    stop_under_load(profile, folder, command, prelude, Load { kept_end: true, ..PROXIED });
}

#[test]
fn a_go_program_without_a_handler_loses_nothing() {
    let test = "a_go_program_without_a_handler_loses_nothing";
    let Some(webhook) = program("webhook") else { return not_run(test, "no webhook") };
    let hook = |id, seconds| {
        format!(
            "{{\"id\": \"{id}\", \"execute-command\": \"/bin/sh\", \"include-command-output-in-response\": true,\
             \"pass-arguments-to-command\": [{{\"source\": \"string\", \"name\": \"-c\"}}, \
             {{\"source\": \"string\", \"name\": \"sleep {seconds}; echo hello\"}}]}}"
        )
    };
    for stop in STOPS {
        let folder = folder();
        let hooks = folder.write("hooks.json", &format!("[{}, {}]", hook("slow", 1), hook("long", 5)));
        let hooks = hooks.to_str().unwrap();
        let command = [webhook.to_str().unwrap(), "-ip", "0.0.0.0", "-port", "80", "-urlprefix", "", "-hooks", hooks];
        stop("go", folder, &command, "");
    }
}

pub(crate) const ENVOY: &str = "
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
static_resources:
  listeners:
  - address: { socket_address: { address: 0.0.0.0, port_value: 80 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - { match: { path: /long }, route: { cluster: long, timeout: 20s } }
              - { match: { prefix: / }, route: { cluster: upstream } }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: upstream
    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9000 } } }
  - name: long
    load_assignment:
      cluster_name: long
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9001 } } }
";

#[test]
fn envoy_loses_nothing_although_sigterm_ends_it_at_once() {
    let test = "envoy_loses_nothing_although_sigterm_ends_it_at_once";
    let Some(envoy) = from_pypi(test, "../envoy/_bin/envoy") else { return };
    let stops: [Stop; 2] = [under_load_of_proxy, long_request_is_answered];
    for stop in stops {
        let folder = folder();
        let file = folder.write("envoy.yaml", ENVOY);
        let file = file.to_str().unwrap();
        let command =
            [envoy.to_str().unwrap(), "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
        stop("envoy", folder, &command, "");
    }
}

#[test]
fn a_silent_connection_does_not_hold_node_until_sigkill() {
    let test = "a_silent_connection_does_not_hold_node_until_sigkill";
    let Some(node) = program("node") else { return not_run(test, "no node") };
    let server = "const server = require('http').createServer((_, answer) => answer.end('hello'));\
                  server.listen(80); process.on('SIGTERM', () => server.close())";
    let config = "terminationGracePeriodSeconds = 20\napp.profile = \"node\"\n\
                  lifecycle.preStop.drain = { minSeconds = 0, quietSeconds = 0, until = \"NoBusyConnections\" }";
    let init = Init::in_a_pod(Folder::new(), config, "", &["--", node.to_str().unwrap(), "-e", server]);
    wait_for_port(init.pid(), 80);
    let _silent = in_network_of(init.pid(), || TcpStream::connect("127.0.0.1:80").unwrap());
    init.signal(15);
    let finished = init.finish();
    assert!(finished.log.contains("SIGHUP sent to the app"), "{}", finished.log);
    assert!(!finished.log.contains("SIGKILL") && !finished.log.contains(" cut"), "{}", finished.log);
    assert_eq!(finished.code(), 0, "{}", finished.log);
}

fn output_of(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_page_of_profiles_tells_envoy_to_fail_its_health_check() {
    let test = "the_page_of_profiles_tells_envoy_to_fail_its_health_check";
    let Some(envoy) = from_pypi(test, "../envoy/_bin/envoy") else { return };
    let docs = include_str!("../../docs/profiles.md");
    let (_, example) = docs.split_once("profile = \"envoy\"").expect("the page has an example for envoy");
    let (example, _) = example.split_once("```").unwrap();
    let folder = Folder::new();
    folder.write("envoy.yaml", ENVOY);
    let file = format!("{}/envoy.yaml", folder.shown());
    let config = format!("[app]\nprofile = \"envoy\"{example}");
    let command =
        ["--", envoy.to_str().unwrap(), "-c", &file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
    let mut init = Init::in_a_pod(folder, &format!("terminationGracePeriodSeconds = 28\n{config}"), "", &command);
    let pid = init.pid();
    let state = |state: &str| {
        let info = in_network_of(pid, || output_of("curl -s --max-time 5 http://127.0.0.1:9901/server_info"));
        info.contains(&format!("\"state\": \"{state}\""))
    };
    wait_until("envoy is live", || state("LIVE"));
    init.signal(15);
    wait_until("envoy drains", || state("DRAINING"));
    let finished = init.end();
    assert!(finished.log.contains("quiet after"), "{}", finished.log);
    assert!(!finished.log.contains("failed") && !finished.log.contains("status 405"), "{}", finished.log);
}
