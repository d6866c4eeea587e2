//! Responses for Prometheus and programs: /metrics, and /status against its schema.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Init, code, free_port, get, get_as, output_of, wait_until};

/// A container in the middle of a stop, with a value for every field.
fn stopping(port: u16) -> Init {
    let config = format!(
        "terminationGracePeriodSeconds = 30\nhttp.listen = \"127.0.0.1:{port}\"\napp.profile = \"java\"\n\
         readinessProbe = {{ exec.command = [\"true\"], periodSeconds = 1 }}\n\
         [[lifecycle.postStart]]\nname = \"greet\"\nexec.command = [\"echo\", \"hello\"]\n\
         [[lifecycle.preStop]]\nname = \"quo\\\"te\"\nexec.command = [\"false\"]\nfailurePolicy = \"Ignore\"\n\
         [[lifecycle.preStop]]\nname = \"drain\"\nsleep.seconds = 0.05\n\
         [[lifecycle.preStop]]\nname = \"look\"\ndrain = {{ minSeconds = 0, quietSeconds = 0, maxSeconds = 0.1 }}\n\
         [[lifecycle.preStop]]\nname = \"long\"\nexec.command = [\"sleep\", \"1000\"]\ntimeoutSeconds = 20\n"
    );
    let init =
        Init::configured(&config, &["--", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"]);
    init.wait_for_out("up");
    wait_until("it has started", || code(port, "/startupz") == 200 && code(port, "/readyz") == 200);
    init.signal(28);
    init.signal(15);
    wait_until("the long handler runs", || body(port, "/status").contains("\"name\": \"long\""));
    init
}

fn body(port: u16, path: &str) -> String {
    get(port, path).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn promtool_accepts_the_metrics_and_they_are_right() {
    let port = free_port();
    let init = stopping(port);
    let text = body(port, "/metrics");
    for line in [
        "bookend_phase{phase=\"Stopping\"} 1",
        "bookend_phase{phase=\"Running\"} 0",
        "bookend_app_up 1",
        "bookend_probe_success{probe=\"readinessProbe\"} 1",
        "bookend_probe_tries_total{probe=\"readinessProbe\",result=\"Failed\"} 0",
        "bookend_grace_period_seconds 30",
        "bookend_signals_sent_total{signal=\"SIGWINCH\"} 1",
        "bookend_handler_runs_total{hook=\"postStart\",name=\"greet\",result=\"Succeeded\"} 1",
        "bookend_handler_runs_total{hook=\"preStop\",name=\"quo\\\"te\",result=\"Failed\"} 1",
        "bookend_handler_duration_seconds_count{hook=\"preStop\",name=\"drain\"} 1",
        "bookend_handler_duration_seconds_bucket{hook=\"preStop\",name=\"drain\",le=\"+Inf\"} 1",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is missing:\n{text}");
    }
    assert!(text.contains("bookend_build_info{version=\""), "{text}");
    assert!(text.contains("bookend_grace_left_seconds "), "{text}");
    assert!(text.contains("bookend_start_duration_seconds{stage=\"postStart\"}"), "{text}");
    let open = get_as("Prometheus/3\r\nAccept: application/openmetrics-text;version=1.0.0", port, "/metrics").unwrap();
    assert!(open.contains("application/openmetrics-text") && open.ends_with("# EOF\n"), "{open}");
    drop(init);
    promtool_accepts(&text);
}

/// Prometheus' own check, if it is installed.
pub(crate) fn promtool_accepts(text: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            println!("NOT RUN: promtool check metrics ({error}); scripts/setup installs it");
            assert!(std::env::var_os("CI").is_none(), "CI has promtool");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let reported = output_of(promtool);
    assert!(
        reported.status.success() && reported.stderr.is_empty() && reported.stdout.is_empty(),
        "{reported:?}\n{text}"
    );
}

/// The part of JSON Schema that the status schema uses.
fn violations(schema: &Value, root: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).expect("the schema refers to itself");
        return violations(target, root, value, path, found);
    }
    let is_of_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => schema["enum"].as_array().is_some_and(|words| words.contains(value)),
    };
    if !is_of_type {
        found.push(format!("{path}: {value} is not {schema}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{path}: {name} is missing"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let additional = schema.get("additionalProperties");
        match schema["properties"].get(name).or(additional) {
            Some(schema) => violations(schema, root, value, &format!("{path}.{name}"), found),
            // Clients may meet unknown keys; the schema knows them all.
            None => found.push(format!("{path}.{name} is not in docs/status.schema.json")),
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        violations(&schema["items"], root, value, &format!("{path}[{index}]"), found);
    }
}

/// The parts of a status that the documented schema does not allow.
fn undocumented(status: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    let mut found = Vec::new();
    violations(&schema, &schema, status, "status", &mut found);
    found
}

/// The body of `/status`, checked against the schema.
#[track_caller]
pub(crate) fn documented_status(text: &str) -> Value {
    let status = serde_json::from_str(text).unwrap();
    let found = undocumented(&status);
    assert!(found.is_empty(), "{found:#?}\n{text}");
    status
}

#[test]
fn the_status_matches_its_schema() {
    let port = free_port();
    let init = stopping(port);
    let text = body(port, "/status");
    let status = documented_status(&text);
    assert_eq!(status["handlers"][0]["output"][0], "hello");
    assert_eq!(status["handlers"][1]["detail"], "exit code 1");
    assert_eq!(status["stoppedBy"], "SIGTERM");
    assert_eq!(status["profile"], "java");
    assert!(status["drain"]["newConnections"].is_u64(), "{text}");
    drop(init);
    let port = free_port();
    let init = Init::configured(&format!("http.listen = \"127.0.0.1:{port}\""), &["--", "sleep", "1000"]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    documented_status(&body(port, "/status"));
    drop(init);
    let found = undocumented(&serde_json::json!({ "version": 1, "new": true }));
    assert!(found.len() > 5, "the check does not find the faults that this test adds: {found:?}");
}
