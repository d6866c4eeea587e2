//! Traces for OpenTelemetry, received by a collector of our own, which checks the rules of OTLP/HTTP in JSON.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http_get::{Server, answer};
use crate::support::{Folder, Init, PATIENCE, free_port, not_run, wait_until};

/// A life of the binary that was built with the features of this test: `make test` gives the others the release.
fn life(folder: Folder, endpoint: &str, more: &[(&str, &str)], config: &str, app: &[&str]) -> Init {
    let binary = Path::new(env!("CARGO_BIN_EXE_bookend"));
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
    let config = format!("otel.enabled = true\nsocket = \"None\"\nlog.level = \"Info\"\n{config}");
    Init::of_binary(binary, folder, &[&endpoint, more].concat(), &config, &[&["--"], app].concat())
}

fn collector() -> (Server, String) {
    let server = Server::new(&[&answer("200 OK", "Content-Type: application/json\r\n")]);
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    (server, endpoint)
}

/// The next request: its head, and its body.
fn next(server: &Server) -> (String, Value) {
    let request = server.request();
    let (head, body) = request.split_once("\r\n\r\n").expect("a request has a head");
    (head.to_owned(), serde_json::from_str(body).expect("the body is JSON"))
}

/// The spans of the next request, checked.
fn spans(server: &Server) -> Vec<Value> {
    let (head, body) = next(server);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    let spans = checked(&body);
    assert!(body.to_string().len() < 100_000);
    spans
}

/// The names of an object, which are all known and all there unless they end in `?`.
fn object(value: &Value, names: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    for name in object.keys() {
        assert!(names.iter().any(|known| known.trim_end_matches('?') == name), "{name}: {value}");
    }
    for name in names.iter().filter(|name| !name.ends_with('?')) {
        assert!(object.contains_key(*name), "{name} is missing: {value}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

fn id(value: &Value, digits: usize) {
    let id = text(value);
    assert!(id.len() == digits && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id:?}");
    assert!(id.bytes().any(|byte| byte != b'0'), "an id of zeros is invalid");
}

/// Nanoseconds since 1970, as a string.
fn nanos(value: &Value) -> u128 {
    let nanos = text(value).parse().unwrap_or_else(|_| panic!("{value}"));
    assert!((1_700_000_000_000_000_000..1 << 64).contains(&nanos), "{nanos}");
    nanos
}

fn attributes(value: &Value) -> HashMap<String, String> {
    let mut all = HashMap::new();
    for attribute in list(value) {
        object(attribute, &["key", "value"]);
        object(&attribute["value"], &["stringValue?", "intValue?", "doubleValue?", "boolValue?"]);
        let (kind, value) = attribute["value"].as_object().unwrap().iter().next().expect("one value");
        match kind.as_str() {
            "stringValue" => drop(text(value)),
            "intValue" => drop(text(value).parse::<i64>().expect("a number in a string")),
            "doubleValue" => assert!(value.is_f64(), "{value}"),
            _ => assert!(value.is_boolean(), "{value}"),
        }
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert!(all.insert(text(&attribute["key"]).to_owned(), shown).is_none(), "twice: {attribute}");
    }
    all
}

/// Checks the rules of OTLP and returns the spans.
fn checked(body: &Value) -> Vec<Value> {
    object(body, &["resourceSpans"]);
    let mut all = Vec::new();
    for resource in list(&body["resourceSpans"]) {
        object(resource, &["resource", "scopeSpans"]);
        object(&resource["resource"], &["attributes"]);
        assert!(attributes(&resource["resource"]["attributes"]).contains_key("service.name"));
        for scope in list(&resource["scopeSpans"]) {
            object(scope, &["scope", "spans"]);
            assert_eq!(scope["scope"], serde_json::json!({ "name": "bookend", "version": env!("CARGO_PKG_VERSION") }));
            all.extend(list(&scope["spans"]).iter().cloned());
        }
    }
    let known = ["parentSpanId?", "events?", "droppedEventsCount?"];
    let needed = ["traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status"];
    for span in &all {
        object(span, &[&known[..], &needed].concat());
        id(&span["traceId"], 32);
        id(&span["spanId"], 16);
        assert!(all.iter().filter(|other| other["spanId"] == span["spanId"]).count() == 1, "an id means one span");
        assert!((1..=5).contains(&span["kind"].as_u64().expect("a number")), "{span}");
        let (start, end) = (nanos(&span["startTimeUnixNano"]), nanos(&span["endTimeUnixNano"]));
        assert!(start <= end, "{span}");
        object(&span["status"], &["code", "message?"]);
        let code = span["status"]["code"].as_u64().expect("a number");
        assert!(code <= 2 && (code == 2 || span["status"].get("message").is_none()), "{span}");
        assert_eq!(attributes(&span["attributes"]).contains_key("error.type"), code == 2, "{span}");
        for event in span.get("events").map_or(&[][..], list) {
            object(event, &["timeUnixNano", "name", "attributes"]);
            assert!((start..=end).contains(&nanos(&event["timeUnixNano"])), "{event}");
            attributes(&event["attributes"]);
        }
        let is_of_trace = |other: &&Value| other["traceId"] == span["traceId"];
        match span.get("parentSpanId") {
            None => {
                assert_eq!(all.iter().filter(is_of_trace).filter(|one| one.get("parentSpanId").is_none()).count(), 1)
            }
            Some(parent) => {
                let parent = all.iter().filter(is_of_trace).find(|other| other["spanId"] == *parent);
                let parent = parent.unwrap_or_else(|| panic!("the parent is not in the trace: {span}"));
                assert!(
                    nanos(&parent["startTimeUnixNano"]) <= start && end <= nanos(&parent["endTimeUnixNano"]),
                    "{all:#?}"
                );
            }
        }
    }
    all
}

fn names(spans: &[Value]) -> Vec<&str> {
    spans.iter().map(|span| text(&span["name"])).collect()
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name}: {:?}", names(spans)))
}

const APP: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; echo up${TRACEPARENT:-}; while :; do sleep 0.02; done"];

#[test]
fn a_start_and_a_stop_are_a_trace_each() {
    let (server, endpoint) = collector();
    let environment = [
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=web-1,service.name=other"),
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret"),
    ];
    let config = "lifecycle.preStart.sleep.seconds = 0.01\n[lifecycle.preStop]\nname = \"goodbye\"\n\
                  retries = 1\nbackoffSeconds = 0.01\nfailurePolicy = \"Ignore\"\nexec.command = [\"false\"]\n";
    let mut init = life(Folder::new(), &endpoint, &environment, config, &APP);
    let (head, start) = next(&server);
    assert!(head.contains("api-key: s3cret"), "{head}");
    let resource = attributes(&start["resourceSpans"][0]["resource"]["attributes"]);
    assert_eq!((resource["service.name"].as_str(), resource["k8s.pod.name"].as_str()), ("shop", "web-1"));
    let start = checked(&start);
    assert_eq!(names(&start), ["container.start", "preStart", "postStart", "preStart[0]"]);
    assert_eq!(start[0]["status"]["code"], 1);
    init.wait_for_out("up\n");
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    let stop = spans(&server);
    assert_ne!(stop[0]["traceId"], start[0]["traceId"], "a trace each");
    assert_eq!(names(&stop), ["container.stop", "preStop", "app", "preStop goodbye", "preStop goodbye"]);
    let facts = attributes(&stop[0]["attributes"]);
    assert_eq!((facts["process.exit.code"].as_str(), facts["bookend.stopped_by"].as_str()), ("0", "SIGTERM"));
    let numbers: Vec<_> =
        stop[3..].iter().map(|one| attributes(&one["attributes"])["bookend.attempt"].clone()).collect();
    assert_eq!(numbers, ["1", "2"]);
    assert!(stop[3..].iter().all(|one| one["status"]["code"] == 2), "both attempts failed");
    let signals: Vec<_> = list(&stop[0]["events"]).iter().map(|event| text(&event["name"])).collect();
    assert_eq!(signals, ["signal.received", "signal.sent"]);
    assert!(!finished.log.contains("s3cret") && !finished.log.contains("trace"), "{}", finished.log);
}

#[test]
fn a_handler_gets_the_context_of_its_span() {
    let (server, endpoint) = collector();
    let hooked = Server::new(&[&answer("200 OK", "")]);
    let folder = Folder::new();
    let config = format!(
        "[[lifecycle.preStop]]\nname = \"exec\"\nexec.command = [\"sh\", \"-c\", \"echo $TRACEPARENT > {}/context\"]\n\
         [[lifecycle.preStop]]\nname = \"get\"\nhttpGet.port = {}\n",
        folder.shown(),
        hooked.port
    );
    // A context of others is not passed on: the handler's own span is its parent.
    let environment = [("TRACEPARENT", "00-00000000000000000000000000000001-0000000000000001-01")];
    let mut init = life(folder, &endpoint, &environment, &config, &APP);
    spans(&server);
    init.wait_for_out("up00-00000000000000000000000000000001-0000000000000001-01\n");
    init.signal(15);
    assert_eq!(init.end().code(), 0, "{}", init.log());
    let stop = spans(&server);
    let context = |span: &Value| format!("00-{}-{}-01", text(&span["traceId"]), text(&span["spanId"]));
    let (exec, get) = (named(&stop, "preStop exec"), named(&stop, "preStop get"));
    assert_eq!(init.folder.read("context").trim(), context(exec));
    let request = hooked.request();
    assert!(request.to_lowercase().contains(&format!("traceparent: {}\r\n", context(get))), "{request}");
    assert_eq!((exec["kind"].as_u64(), get["kind"].as_u64()), (Some(1), Some(3)));
    assert_eq!(exec["parentSpanId"], named(&stop, "preStop")["spanId"]);
}

#[test]
fn an_end_without_a_stop_is_a_trace_with_its_outcome() {
    let (server, endpoint) = collector();
    let config = "[[lifecycle.postStop]]\nname = \"deregister\"\nsleep.seconds = 0\n";
    let mut init = life(Folder::new(), &endpoint, &[], config, &["sh", "-c", "exit 3"]);
    assert_eq!(init.end().code(), 3);
    // The app may have ended before the start was sent.
    let mut all = spans(&server);
    if !names(&all).contains(&"container.stop") {
        all.extend(spans(&server));
    }
    assert_eq!(named(&all, "container.start")["status"]["code"], 1);
    let end = named(&all, "container.stop");
    assert_eq!(end["status"], serde_json::json!({ "code": 2, "message": "Failed" }));
    assert_eq!(attributes(&end["attributes"])["process.exit.code"], "3");
    assert_eq!(named(&all, "postStop deregister")["parentSpanId"], named(&all, "postStop")["spanId"]);
    assert_eq!(attributes(&all[0]["attributes"]).get("service.name"), None);
}

#[test]
fn a_collector_that_is_not_there_is_one_warning_a_trace() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let secret = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")];
    let mut init = life(Folder::new(), &endpoint, &secret, "", &APP);
    init.wait_for_log("cannot send the trace to 127.0.0.1:");
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 0);
    assert_eq!(finished.log.matches("Connection refused").count(), 2, "{}", finished.log);
    assert!(!finished.log.contains("s3cret"), "{}", finished.log);
}

#[test]
fn a_collectors_refusal_is_reported_without_the_headers() {
    let body = "{\"message\":\"bad key s3cret\"}";
    let refusal = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = Server::new(&[&refusal, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nslow"]);
    let environment = [("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret")];
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let mut init = life(Folder::new(), &endpoint, &environment, "", &APP);
    init.wait_for_log("status 403 Forbidden");
    init.signal(15);
    let log = init.end().log;
    assert!(log.contains("status 429 Too Many Requests: slow") && !log.contains("s3cret"), "{log}");
}

#[test]
fn a_collector_that_hangs_does_not_hold_the_exit() {
    // The backlog accepts, and no answer comes.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let mut init = life(Folder::new(), &endpoint, &[], "terminationGracePeriodSeconds = 30\n", &APP);
    init.wait_for_out("up\n");
    let asked = Instant::now();
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 0);
    assert_eq!(finished.log.matches("the collector has not answered before the exit").count(), 1, "{}", finished.log);
    assert!(asked.elapsed() < PATIENCE / 4, "{:?}", asked.elapsed());
}

#[test]
fn the_standard_variables_switch_traces_off() {
    for (name, value, warning) in [
        ("OTEL_SDK_DISABLED", "true", ""),
        ("OTEL_TRACES_EXPORTER", "none", ""),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER=\"zipkin\": only otlp can be sent"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\": only http/json can be sent"),
    ] {
        let (server, endpoint) = collector();
        let mut init = life(Folder::new(), &endpoint, &[(name, value)], "", &["true"]);
        let log = init.end().log;
        assert_eq!(server.requests.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout), "{name}");
        assert_eq!(log.matches(" WARN ").count(), usize::from(!warning.is_empty()), "{name}: {log}");
        assert!(log.contains(warning), "{name}: {log}");
    }
}

#[test]
fn without_the_key_no_trace_is_sent() {
    let (server, endpoint) = collector();
    let config = "log.level = \"Info\"\nlifecycle.postStart.exec.command = [\"sh\", \"-c\", \"echo up$TRACEPARENT\"]\n";
    let binary = Path::new(env!("CARGO_BIN_EXE_bookend"));
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut init = Init::of_binary(binary, Folder::new(), &environment, config, &["--", "sleep", "0.2"]);
    assert_eq!(init.end().code(), 0, "{}", init.log());
    assert_eq!(server.requests.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
}

#[test]
#[cfg(feature = "tls")]
fn a_trace_goes_to_a_collector_with_tls() {
    let authority = crate::http_get::https::Authority::new();
    let server = authority.server("localhost", false);
    let endpoint = format!("https://localhost:{}/base", server.port);
    let mut init = life(Folder::new(), &endpoint, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority.file())], "", &APP);
    let (head, body) = next(&server);
    assert!(head.starts_with("POST /base/v1/traces HTTP/1.1"), "{head}");
    checked(&body);
    init.signal(15);
    assert_eq!(init.end().code(), 0);
    checked(&next(&server).1);

    let other = crate::http_get::https::Authority::new();
    let mut init = life(Folder::new(), &endpoint, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", &other.file())], "", &["true"]);
    let log = init.end().log;
    assert!(log.contains("set OTEL_EXPORTER_OTLP_CERTIFICATE to the issuer"), "{log}");
}

/// The validators and the collector below target/kube-tools.
fn has_tools(test: &str) -> bool {
    let tools = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kube-tools")).output().unwrap();
    let why = || format!("scripts/kube-tools failed: {}", String::from_utf8_lossy(&tools.stderr));
    tools.status.success() || not_run(test, &why())
}

fn tool(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kube-tools").join(name))
}

const ALL_STAGES: &str = "terminationGracePeriodSeconds = 30\nlifecycle.preStart.sleep.seconds = 0\n\
    lifecycle.preStop = { name = \"drain\", drain = { minSeconds = 0.1, quietSeconds = 0 } }\n\
    [lifecycle.postStop]\nname = \"leave\"\nfailurePolicy = \"Ignore\"\nexec.command = [\"false\"]\n";

#[test]
fn opentelemetrys_own_definitions_read_a_trace() {
    if !has_tools("opentelemetrys_own_definitions_read_a_trace") {
        return;
    }
    let (server, endpoint) = collector();
    let mut init = life(Folder::new(), &endpoint, &[], ALL_STAGES, &APP);
    for expected in ["container.start", "container.stop"] {
        let (_, body) = next(&server);
        let output = crate::support::output_with_input(&mut tool("otlp-validate"), &body.to_string());
        let spans = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}\n{body}", String::from_utf8_lossy(&output.stderr));
        assert!(spans.starts_with(expected), "{spans}");
        if expected == "container.start" {
            init.wait_for_out("up\n");
            init.signal(15);
        }
    }
    assert_eq!(init.end().code(), 0);
}

#[test]
fn a_real_collector_reads_a_start_and_a_stop() {
    if !has_tools("a_real_collector_reads_a_start_and_a_stop") {
        return;
    }
    let (folder, port, other) = (Folder::new(), free_port(), free_port());
    let log = std::fs::File::create(folder.path("collector")).unwrap();
    let mut program = tool("otlp-collector");
    program.args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
    program.args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}")]);
    program.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{other}")]);
    let mut program = program.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    wait_until("the collector listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut init = life(Folder::new(), &endpoint, &[], ALL_STAGES, &APP);
    init.wait_for_out("up\n");
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert!(!finished.log.contains("the trace"), "it was refused: {}", finished.log);
    for span in ["container.start", "container.stop", "preStop drain", "postStop leave"] {
        let seen = || folder.read("collector").contains(span);
        wait_until(span, seen);
    }
    program.kill().unwrap();
    drop(crate::support::output_of(program));
}
