//! The dashboard and the alert rules in config/: they name existing metrics only, and the alerts fire when they should.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Init, code, free_port, get, wait_until};

fn config(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// Every `bookend_...` in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("bookend_")).map(str::to_owned).collect()
}

/// The names of the samples in a /metrics response.
fn samples(answer: &str) -> BTreeSet<String> {
    let lines = answer.lines().filter(|line| line.starts_with("bookend_"));
    lines.map(|line| line.split(['{', ' ']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn panels_and_alerts_name_existing_metrics() {
    let port = free_port();
    let text = format!(
        "terminationGracePeriodSeconds = 30\nhttp.listen = \"127.0.0.1:{port}\"\n\
         lifecycle.postStart.exec.command = [\"true\"]\nlifecycle.preStop.drain = {{ minSeconds = 0.1, quietSeconds = 0.1, maxSeconds = 0.3, fallbackSeconds = 0.1 }}\n"
    );
    let app = ["--", "sh", "-c", "trap 'sleep 1000 & wait' TERM; trap : HUP; echo up; while :; do sleep 0.02; done"];
    let init = Init::configured(&text, &app);
    init.wait_for_out("up");
    init.signal(1);
    wait_until("postStart is over", || code(port, "/startupz") == 200);
    assert_eq!(code(port, "/lifecycle/preStop"), 200);
    // In the middle of a stop every metric has a value.
    init.signal(15);
    let mut there = BTreeSet::new();
    let mut missing = Vec::new();
    let texts = ["grafana-dashboard.json", "alerts.yaml"].map(|name| std::fs::read_to_string(config(name)).unwrap());
    let mut used: BTreeSet<String> = texts.iter().flat_map(|text| named(text)).collect();
    // This metric exists only if there was a previous life: `life_before.rs`.
    used.remove("bookend_previous_life_info");
    assert!(used.len() > 10, "{used:?}");
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        there.extend(samples(&get(port, "/metrics").unwrap_or_default()));
        missing.clear();
        missing.extend(used.difference(&there).cloned());
        if missing.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < end, "no such metrics: {missing:?}; there are {there:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn every_dashboard_panel_has_a_query() {
    let text = std::fs::read_to_string(config("grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let questions = panel["targets"].as_array().unwrap();
        assert!(!questions.is_empty(), "{panel}");
        assert!(
            questions.iter().all(|one| one["expr"].as_str().is_some_and(|expr| expr.contains("bookend_"))),
            "{panel}"
        );
    }
}

/// The queries of a panel, with a value for each of Grafana's variables.
pub(crate) fn queries(panel: &serde_json::Value) -> Vec<String> {
    let queries = panel["targets"].as_array().into_iter().flatten().filter_map(|target| target["expr"].as_str());
    let values = [("$instance", ".*"), ("$__rate_interval", "2m"), ("$__range", "1h")];
    queries
        .map(|query| values.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value)))
        .collect()
}

pub(crate) fn panels() -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(config("grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    dashboard.get("panels").and_then(serde_json::Value::as_array).cloned().unwrap_or_default()
}

#[test]
fn prometheus_accepts_the_query_of_each_panel() {
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (number, query) in panels().iter().flat_map(queries).enumerate() {
        assert!(!query.contains('$'), "{query}");
        // A series that begins with its first event has no increase then.
        let begins_late =
            ["handler_runs", "handler_duration", "hooks_total", "signals_sent", "probe_tries", "reloads_total"];
        let is_late = begins_late.iter().any(|name| query.contains(name));
        assert!(!is_late || !(query.contains("increase(") || query.contains("rate(")), "{query}");
        rules.push_str(&format!("      - {{ record: 'panel:{number}', expr: '{query}' }}\n"));
    }
    let folder = crate::support::Folder::new();
    let file = folder.write("panels.yaml", &rules);
    match Command::new("promtool").args(["check", "rules"]).arg(file).output() {
        Ok(checked) => assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr)),
        Err(_) => drop(crate::support::not_run("prometheus_accepts_the_query_of_each_panel", "no promtool")),
    }
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let test = "each_alert_fires_when_it_should_and_not_before";
    let promtool = |args: [&str; 2], file: PathBuf| Command::new("promtool").args(args).arg(file).output();
    let Ok(checked) = promtool(["check", "rules"], config("alerts.yaml")) else {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!is_ci, "NOT RUN: {test}: no promtool: in CI nothing may be skipped");
        // The message goes directly to stderr, because libtest hides what a passing test prints.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: no promtool (scripts/setup brings it)");
        return;
    };
    assert!(checked.status.success(), "{checked:?}");
    let histories = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/alerts_test.yaml");
    let tested = promtool(["test", "rules"], histories).unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

/// A series of a life: its value at a second, `None` while nothing can be scraped.
type Series = (&'static str, fn(u64) -> Option<u64>);

/// The container is killed in the 607th second, and started again 13 s later. Then it lives on for long.
const KILLED: u64 = 607;
const AGAIN: u64 = 620;

fn in_life(second: u64) -> bool {
    !(KILLED..AGAIN).contains(&second)
}

/// Lives, and the alert that each raises, with its labels.
fn lives() -> Vec<(&'static str, Vec<Series>, &'static str)> {
    let restarts: Series =
        (r#"kube_pod_container_status_restarts_total{namespace="n", pod="p", container="c"}"#, |second| {
            Some(u64::from(second >= AGAIN))
        });
    let exit_code = |code| -> Series {
        let name = r#"kube_pod_container_status_last_terminated_exitcode{namespace="n", pod="p", container="c"}"#;
        match code {
            125 => (name, |second| (second >= AGAIN).then_some(125)),
            _ => (name, |second| (second >= AGAIN).then_some(137)),
        }
    };
    let out_of_memory: Series = (
        r#"kube_pod_container_status_last_terminated_reason{namespace="n", pod="p", container="c", reason="OOMKilled"}"#,
        |second| (second >= AGAIN).then_some(1),
    );
    vec![
        (
            "BookendLifeUnreported",
            vec![(r#"bookend_previous_life_info{instance="a", end="Stopping"}"#, |second| {
                (second >= AGAIN).then_some(1)
            })],
            "severity: warning, instance: a, end: Stopping",
        ),
        ("ContainerKilled", vec![restarts, exit_code(137)], "severity: warning, namespace: n, pod: p, container: c"),
        (
            "ContainerOutOfMemory",
            vec![restarts, exit_code(137), out_of_memory],
            "severity: warning, namespace: n, pod: p, container: c, reason: OOMKilled",
        ),
        (
            "ContainerNotStarted",
            vec![restarts, exit_code(125)],
            "severity: warning, namespace: n, pod: p, container: c",
        ),
        (
            "BookendOutOfMemory",
            vec![(r#"bookend_oom_kills_total{instance="a"}"#, |second| Some(2 * u64::from(second >= KILLED)))],
            "severity: warning, instance: a",
        ),
        (
            "BookendHandlerFailed",
            vec![(
                r#"bookend_handler_runs_total{instance="a", hook="postStart", name="x", result="Failed"}"#,
                |second| (second >= KILLED).then_some(1),
            )],
            "severity: warning, instance: a, hook: postStart, name: x",
        ),
        (
            "BookendStopOutOfBudget",
            vec![
                (r#"bookend_grace_left_seconds{instance="a"}"#, |second| {
                    (KILLED..KILLED + 240).contains(&second).then_some(KILLED + 240 - second.min(KILLED + 240))
                }),
                (r#"bookend_grace_period_seconds{instance="a"}"#, |_| Some(240)),
            ],
            "severity: warning, instance: a",
        ),
        (
            "BookendHeld",
            vec![(r#"bookend_phase{instance="a", phase="Held"}"#, |second| {
                Some(u64::from((KILLED..KILLED + 900).contains(&second)))
            })],
            "severity: info, instance: a, phase: Held",
        ),
        // A stop of 25 s with a budget of 30 s, like most stops: a scrape once a minute need not see it.
        (
            "",
            vec![(r#"bookend_previous_life_info{instance="a", end="Reported"}"#, |second| {
                in_life(second).then_some(1)
            })],
            "",
        ),
    ]
}

/// The life as a scraper sees it, in promtool's notation.
fn scraped(series: fn(u64) -> Option<u64>, interval: u64) -> String {
    let value = |second| series(second).map_or("_".to_owned(), |value| value.to_string());
    (0..=3600 / interval).map(|n| value(n * interval)).collect::<Vec<_>>().join(" ")
}

#[test]
fn alerts_fire_at_scrapes_of_15_30_and_60_seconds() {
    let folder = crate::support::Folder::new();
    let mut text = format!("rule_files: [{}]\nevaluation_interval: 15s\ntests:\n", config("alerts.yaml").display());
    for interval in [15, 30, 60] {
        for (alert, series, labels) in lives() {
            text.push_str(&format!("  - interval: {interval}s\n    input_series:\n"));
            for (name, values) in series {
                let values = scraped(values, interval);
                text.push_str(&format!("      - series: '{name}'\n        values: {values}\n"));
            }
            // The alert must not fire too early, must fire within three minutes, and must end again.
            text.push_str("    promql_expr_test:\n");
            for (second, fires) in [(600, false), (KILLED + 180, true), (3600, false)] {
                let fires = fires && !alert.is_empty();
                let names = if alert.is_empty() { ".*" } else { alert };
                let expected = format!(
                    "labels: '{{__name__=\"ALERTS\", alertname=\"{alert}\", alertstate=\"firing\", {}}}', value: 1",
                    labels
                        .split(", ")
                        .filter_map(|one| one.split_once(": "))
                        .map(|(k, v)| format!("{k}=\"{v}\""))
                        .collect::<Vec<_>>()
                        .join(", ")
                );
                let samples = if fires { format!("[{{ {expected} }}]") } else { "[]".to_owned() };
                text.push_str(&format!(
                    "      - {{ expr: 'ALERTS{{alertname=~\"{names}\"}}', eval_time: {second}s, exp_samples: {samples} }}\n"
                ));
            }
        }
    }
    let file = folder.write("lives.yaml", &text);
    let Ok(tested) = Command::new("promtool").args(["test", "rules"]).arg(file).output() else {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        return assert!(!is_ci, "NOT RUN: no promtool: in CI nothing may be skipped");
    };
    assert!(tested.status.success(), "{}\n{text}", String::from_utf8_lossy(&tested.stderr));
}
