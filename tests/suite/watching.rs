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
         lifecycle.postStart.exec.command = [\"true\"]\nlifecycle.preStop.exec.command = [\"true\"]\n"
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
    let used: BTreeSet<String> = texts.iter().flat_map(|text| named(text)).collect();
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

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let test = "each_alert_fires_when_it_should_and_not_before";
    let promtool = |args: [&str; 2], file: PathBuf| Command::new("promtool").args(args).arg(file).output();
    let Ok(checked) = promtool(["check", "rules"], config("alerts.yaml")) else {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!is_ci, "NOT RUN: {test}: no promtool: in CI nothing may be skipped");
        // Written directly: libtest hides what a passing test prints.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: no promtool (scripts/setup brings it)");
        return;
    };
    assert!(checked.status.success(), "{checked:?}");
    let histories = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/alerts_test.yaml");
    let tested = promtool(["test", "rules"], histories).unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}
