//! The advice: what was tried, with which the next run loses nothing.

use super::*;

/// A server that SIGTERM ends at once loses everything, and bookend's drain nothing; the advice is what was tried.
#[test]
fn the_advice_makes_the_next_run_lose_nothing() {
    let Some(bookend) = bookend("the_advice_makes_the_next_run_lose_nothing") else { return };
    let options =
        ["--late", "1", "--tries", "1", "--strategies", "as-is,bookend-signal", "--bookend", bookend.to_str().unwrap()];
    let hook_port = free_port().to_string();
    let file = std::env::temp_dir().join(format!("bookend-rehearse-{}.toml", std::process::id()));
    let first = ["--json", "--hook-port", &hook_port, "--advice", file.to_str().unwrap()];
    let (_, results) = result(&tool("at-once", free_port(), &[&options[..], &first].concat()).output().unwrap());
    assert_ne!(number(run(&results), "/lost"), 0, "as it is: {results:#}");
    let toml = results.pointer("/advice/toml").and_then(Value::as_str).unwrap_or_else(|| panic!("{results:#}"));
    assert!(toml.contains("drain = { minSeconds = 1, quietSeconds = 2, maxSeconds = 11"), "{toml}");
    // The next run, with exactly this file.
    assert_eq!(std::fs::read_to_string(&file).unwrap(), toml);
    let options = [&options[..], &["--config", file.to_str().unwrap(), "--hook-port", &hook_port]].concat();
    let options = [&options[..], &["--strategies", "bookend-hook", "--json"]].concat();
    let (code, next) = result(&tool("at-once", free_port(), &options).output().unwrap());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, 0, "{next:#}");
}

/// A server that needs longer than `--grace` to end has lost nothing; the advice is a longer grace period.
#[test]
fn a_server_that_ends_late_gets_the_grace_period_it_needs() {
    let Some(bookend) = bookend("a_server_that_ends_late_gets_the_grace_period_it_needs") else { return };
    let options = ["--late", "1", "--grace", "4", "--tries", "1", "--strategies", "bookend-signal", "--json"];
    let options = [&options[..], &["--profile", "none", "--bookend", bookend.to_str().unwrap()]].concat();
    let mut command = tool_of(alone(), "well", free_port(), &options);
    let (_, results) = result(&command.env("LINGER", "5").output().unwrap());
    assert_eq!((number(run(&results), "/lost"), number(run(&results), "/exitCode")), (0, 137), "{results:#}");
    let advised = number(&results, "/advice/terminationGracePeriodSeconds");
    let longest = results.pointer("/advice/stopSeconds").and_then(Value::as_f64).unwrap_or_default();
    assert!(longest > 5.0 && Duration::from_secs(advised) > Duration::from_secs_f64(longest), "{results:#}");
}

/// The reason for missing advice is what happened: no life with bookend began, so none of them lost anything.
#[test]
fn a_server_that_never_answers_gets_no_advice_and_a_reason() {
    let Some(bookend) = bookend("a_server_that_never_answers_gets_no_advice_and_a_reason") else { return };
    let url = format!("http://127.0.0.1:{}/", free_port());
    let mut command = Command::new(TOOL);
    command.args(["--url", &url, "--strategies", "bookend-signal", "--json", "--bookend", bookend.to_str().unwrap()]);
    let output = command.args(["--", "sh", "-c", "echo broken; exit 3"]).output().unwrap();
    let (code, results) = result(&output);
    let reason = results.get("noAdvice").and_then(Value::as_str).unwrap_or_default();
    assert_eq!((code, reason), (125, "the server did not run with bookend; the reasons are above"), "{results:#}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("advice:"), "{output:?}");
}
