//! Every error, with its exact words.

use super::*;
use crate::settings::HandlerName;

/// The file has exactly this one error.
#[track_caller]
fn one(text: &str, sentence: &str) {
    assert_eq!(sentences(&file(text)), [sentence.replace("KINDS", &kinds())], "{text}");
}

/// The kinds of handlers that preStop accepts: all of them.
fn kinds() -> String {
    HandlerName::WORDS.join(", ")
}

#[test]
fn all_errors_of_all_sources_are_reported_at_once() {
    let sources = Sources {
        files: vec![
            document("a.toml", "subreaper = 1\n[app]\nstopSignl = \"SIGQUIT\"\n"),
            document("b.toml", "subreaper = true\n[log]\nlevel = \"Loud\"\n"),
        ],
        env: variables(&[("BOOKEND_HTTP_LISTEN", "nowhere"), ("BOOKEND_SUBREAPER", "maybe")]),
        overrides: vec![option("app.stopSignal", "SIGSTOP")],
        command: Vec::new(),
        ..Sources::default()
    };
    assert_eq!(
        sentences(&sources),
        [
            "subreaper: 1 is not true or false",
            "app.stopSignl: unknown key",
            "log.level: \"Loud\" is not one of Error, Warn, Info, Debug",
            "http.listen: \"nowhere\" is not an IP address and a port like \"0.0.0.0:9797\" or \"[::]:9797\"",
            "subreaper: \"maybe\" is not true or false",
            "app.stopSignal: SIGSTOP only suspends a process; it does not end it",
        ]
    );
}

#[test]
fn an_error_shows_file_line_column_snippet_and_help() {
    let text =
        "[app]\ncommand = [\"nginx\"]\n\n[[lifecycle.preStop]]\nexec.command = [\"/bin/drain\"]\ntimeoutSecond = 5\n";
    assert_eq!(
        refuse(&file(text)).to_string(),
        "error: lifecycle.preStop[0].timeoutSecond: unknown key
  --> bookend.toml:6:1
   |
 6 | timeoutSecond = 5
   | ^^^^^^^^^^^^^
  = did you mean \"timeoutSeconds\"?
  = accepted here: name, KINDS, timeoutSeconds, retries, backoffSeconds, failurePolicy

1 error"
            .replace("KINDS", &kinds())
    );
}

#[test]
fn an_error_in_a_variable_shows_the_variable() {
    assert_eq!(
        refuse(&env(&[("BOOKEND_LOG_LEVEL", "ifno")])).to_string(),
        "error: log.level: \"ifno\" is not one of Error, Warn, Info, Debug
  --> environment variable BOOKEND_LOG_LEVEL
  |
  | BOOKEND_LOG_LEVEL=ifno
  |                   ^^^^
  = did you mean \"Info\"?

1 error"
    );
}

#[test]
fn seconds_are_finite_not_negative_and_at_most_a_year() {
    for (value, shown) in [
        ("-1", "-1"),
        ("-0.5", "-0.5"),
        ("31536001", "31536001"),
        ("1e300", "1e300"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("99999999999999999999", "99999999999999999999"),
        ("\"5\"", "\"5\""),
        ("[]", "an empty list"),
        ("{}", "a table"),
        ("2024-01-01", "a date"),
        ("true", "true"),
    ] {
        one(
            &format!("terminationGracePeriodSeconds = {value}"),
            &format!("terminationGracePeriodSeconds: {shown} is not a number of seconds (0 to 31536000)"),
        );
    }
}

#[test]
fn a_timeout_of_zero_is_refused_and_a_grace_period_of_zero_is_not() {
    one(
        "lifecycle.preStop = { sleep.seconds = 1, timeoutSeconds = 0 }",
        "lifecycle.preStop.timeoutSeconds: 0 is not a number of seconds (more than 0, at most 31536000)",
    );
    accept(&file("terminationGracePeriodSeconds = 0"));
    accept(&file("lifecycle.preStop = { sleep.seconds = 0 }"));
}

#[test]
fn an_entry_has_exactly_one_kind_of_handler() {
    one("[[lifecycle.preStop]]\nname = \"a\"", "lifecycle.preStop[0]: no handler: set exactly one of KINDS");
    one(
        "[lifecycle.preStop]\nexec.command = [\"a\"]\nsleep.seconds = 1",
        "lifecycle.preStop: 2 handlers in one entry (exec, sleep): set exactly one of KINDS",
    );
}

#[test]
fn a_misspelt_handler_is_one_error_and_not_two() {
    one("lifecycle.preStop.exce.command = [\"a\"]", "lifecycle.preStop.exce: unknown key");
    one("lifecycle.preStop.sleep.second = 1", "lifecycle.preStop.sleep.second: unknown key");
    one("http.listen = 1", "http.listen: 1 is not an IP address and a port like \"0.0.0.0:9797\" or \"[::]:9797\"");
}

#[test]
fn a_missing_required_key_is_named() {
    one(
        "[lifecycle.preStop.exec]",
        "lifecycle.preStop.exec.command: required key is missing: program and arguments, run without a shell",
    );
    one(
        "[lifecycle.preStop.sleep]",
        "lifecycle.preStop.sleep.seconds: required key is missing: how long to wait, in seconds",
    );
    one(
        "[http]",
        "http.listen: required key is missing: address and port to listen on; a kubelet calls the pod's IP, never localhost; port 0: any free port",
    );
}

#[test]
fn a_command_is_a_list_with_a_program() {
    one("app.command = []", "app.command: the list is empty: a program is required");
    one("app.command = [\"\"]", "app.command: the name of the program is empty");
    one("app.command = [1]", "app.command[0]: 1 is not a string");
    one("app.command = [\"a\\u0000\"]", "app.command[0]: \"a\\u0000\" contains a NUL byte");
    assert_eq!(
        helped(&file("app.command = \"nginx -g x\"")),
        [
            "app.command: \"nginx -g x\" is not a list of strings like [\"program\", \"argument\"] | no shell splits it; to use one: [\"/bin/sh\", \"-c\", \"...\"]"
        ]
    );
}

#[test]
fn an_uncatchable_signal_is_refused_with_the_reason() {
    one("app.signals.SIGKILL = 1", "app.signals.SIGKILL: SIGKILL cannot be caught by any process (signal(7))");
    one("app.signals.19 = 1", "app.signals.19: SIGSTOP cannot be caught by any process (signal(7))");
    one("app.stopSignals = [9]", "app.stopSignals[0]: SIGKILL cannot be caught by any process (signal(7))");
    one("app.signals.CHLD = 1", "app.signals.CHLD: SIGCHLD is reserved: it reports to bookend that a child has ended");
    one("app.stopSignal = \"STOP\"", "app.stopSignal: SIGSTOP only suspends a process; it does not end it");
    one("app.stopSignal = \"CHLD\"", "app.stopSignal: SIGCHLD does not end a process");
    accept(&file("app.signals = { USR1 = \"SIGKILL\", TSTP = \"SIGSTOP\" }\napp.stopSignal = \"KILL\""));
}

#[test]
fn an_unknown_signal_is_refused_with_the_accepted_ones() {
    let accepted = "accepted: a name of signal(7) like SIGTERM or TERM, SIGRTMIN+n, SIGRTMAX-n, or a number 1-64";
    one("app.stopSignal = \"SIGFOO\"", &format!("app.stopSignal: \"SIGFOO\" is not a signal; {accepted}"));
    one("app.stopSignal = 65", &format!("app.stopSignal: \"65\" is not a signal; {accepted}"));
    one("app.signals.X = 1", &format!("app.signals.X: \"X\" is not a signal; {accepted}"));
    one("app.signals.HUP = \"no\"", &format!("app.signals.SIGHUP: \"no\" is not a signal; {accepted}, or \"ignore\""));
}

#[test]
fn one_signal_under_two_names_is_a_duplicate_key() {
    one(
        "app.signals = { SIGHUP = 1, HUP = 2 }",
        "app.signals.SIGHUP: duplicate key: \"HUP\" is another name of SIGHUP",
    );
    one("app.exitCodes = { 1 = 1, 01 = 2 }", "app.exitCodes.1: duplicate key: \"01\" is another name of 1");
}

#[test]
fn exit_codes_are_between_0_and_255() {
    one("app.exitCodes.256 = 0", "app.exitCodes.256: \"256\" is not an exit code (0-255)");
    one("app.exitCodes.-1 = 0", "app.exitCodes.-1: \"-1\" is not an exit code (0-255)");
    one("app.exitCodes.1 = 256", "app.exitCodes.1: 256 is not an exit code (0-255)");
    one("app.exitCodes.1 = \"0\"", "app.exitCodes.1: \"0\" is not an exit code (0-255)");
}

#[test]
fn the_words_of_a_choice_are_listed() {
    one("app.signalScope = \"Group\"", "app.signalScope: \"Group\" is not one of Process, ProcessGroup");
    one("log.format = \"xml\"", "log.format: \"xml\" is not one of Text, Json");
    one("log.level = 3", "log.level: 3 is not one of Error, Warn, Info, Debug");
    one(
        "lifecycle.preStop = { sleep.seconds = 1, failurePolicy = \"Retry\" }",
        "lifecycle.preStop.failurePolicy: \"Retry\" is not one of Fail, Ignore",
    );
}

#[test]
fn paths_are_absolute() {
    one("terminationMessagePath = \"log\"", "terminationMessagePath: \"log\" is not an absolute path");
    one("terminationMessagePath = 1", "terminationMessagePath: 1 is not an absolute path");
}

#[test]
fn handlers_of_one_list_have_different_names() {
    one(
        "lifecycle.preStop = [{ name = \"a\", sleep.seconds = 1 }, { name = \"a\", sleep.seconds = 1 }]",
        "lifecycle.preStop[1].name: duplicate name: another handler of this list has it",
    );
    one("lifecycle.preStop = { name = \"\", sleep.seconds = 1 }", "lifecycle.preStop.name: must not be empty");
}

#[test]
fn wrong_shapes_are_refused() {
    one("app = 1", "app: 1 is not a table");
    one("lifecycle.preStop = 5", "lifecycle.preStop: 5 is not a table or a list of tables");
    one("lifecycle.preStop = [5]", "lifecycle.preStop[0]: 5 is not a table");
    one("lifecycle.preStop.sleep = 5", "lifecycle.preStop.sleep: 5 is not a table");
    one("app.signals = []", "app.signals: an empty list is not a table like { name = value }");
}

#[test]
fn invalid_toml_is_refused_by_line_and_the_rest_is_read() {
    let text = "subreaper = \n[app]\nstopSignal = \"SIGFOO\nsignalScope = 1\n";
    assert_eq!(
        sentences(&file(text)),
        [
            ": invalid TOML: string values must be quoted, expected literal string",
            ": invalid TOML: invalid basic string, expected `\"`",
            "app.signalScope: 1 is not one of Process, ProcessGroup",
        ]
    );
    assert_eq!(sentences(&file("subreaper = true\nsubreaper = true")), [": duplicate key \"subreaper\""]);
    assert_eq!(sentences(&file("[app]\n[app]")), [": duplicate key \"app\""]);
}

#[test]
fn fifty_errors_are_shown_and_all_are_counted() {
    let text: String = (0..60).map(|n| format!("banana{n} = 1\n")).collect();
    let shown = refuse(&file(&text)).to_string();
    assert_eq!(shown.matches("unknown key").count(), 50);
    assert!(shown.ends_with("the first 50 of 60 errors"), "{shown}");
}

#[test]
fn a_large_file_of_another_language_is_given_up_soon() {
    let text: String = (0..18_000).map(|n| format!("key{n}:\n  - name: \"x{n}\"\n    value: 5\n")).collect();
    let diagnostics = refuse(&file(&text));
    assert_eq!(diagnostics.iter().count(), 500, "the search for each begins at the start of the text");
    let text: String = (0..60).map(|n| format!("banana{n} = 1\n")).collect();
    let is_shown: Vec<bool> = refuse(&file(&text)).iter().map(|diagnostic| !diagnostic.shown.is_empty()).collect();
    assert_eq!(is_shown, [[true; 50].as_slice(), &[false; 10]].concat());
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    one(&"#".repeat(2 << 20), ": the configuration is too large: 2097152 bytes (at most 1048576)");
}

#[test]
fn an_error_hidden_by_a_stronger_layer_is_still_reported() {
    let mut sources = file("[lifecycle.preStop]\nname = \"a\"");
    sources.overrides = vec![option("lifecycle.preStop", "[]")];
    assert_eq!(sentences(&sources), [format!("lifecycle.preStop: no handler: set exactly one of {}", kinds())]);
}

#[test]
fn the_maximum_of_a_drain_is_not_below_its_minimum() {
    one(
        "lifecycle.preStop.drain = { minSeconds = 20 }",
        "lifecycle.preStop.drain.maxSeconds: 15 is less than minSeconds (20)",
    );
    one(
        "lifecycle.preStop.drain = { maxSeconds = 1 }",
        "lifecycle.preStop.drain.maxSeconds: 1 is less than minSeconds (3)",
    );
    one("lifecycle.preStop.drain.ports = [0]", "lifecycle.preStop.drain.ports[0]: 0 is not a port (1-65535)");
}

#[test]
fn a_refused_value_of_an_environment_is_not_shown() {
    let accepted = "is not a string or { valueFrom.file = \"/path\" }";
    one("app.env.A = 1234", &format!("app.env.A: a number {accepted}"));
    one("app.env.A = true", &format!("app.env.A: true or false without quotes {accepted}"));
    one("app.env.A = \"hunter2\\u0000\"", "app.env.A: the value contains a NUL byte");
    one("app.env.A = {}", &format!("app.env.A: a table {accepted}"));
    one("app.env.A.valueFrom.prefix = \"x\"", &format!("app.env.A: a table {accepted}"));
    one("app.env.A.file = \"/x\"", &format!("app.env.A: a table {accepted}"));
    one("app.env.A.valueFrom.file = \"x\"", "app.env.A: valueFrom.file is not an absolute path");
    one(
        "app.env.\"\" = \"x\"",
        "app.env.\"\": \"\" is not the name of an environment variable (not empty, without \"=\")",
    );
    let diagnostics = refuse(&file("[app]\nenv = { A = \"hunter2\", B = 12345 }")).to_string();
    assert!(!diagnostics.contains("hunter2"), "{diagnostics}");
}

#[test]
fn a_user_is_a_name_or_a_number() {
    for value in ["\"\"", "\":1\"", "\"a:\"", "\"a:b:c\"", "\"a b\"", "-1", "4294967295", "\"99999999999\"", "true"] {
        let diagnostics = sentences(&file(&format!("app.user = {value}")));
        let accepted = "is not a user like \"name\", \"uid\", \"uid:gid\" or \"name:group\"";
        assert!(diagnostics.len() == 1 && diagnostics[0].ends_with(accepted), "{value}: {diagnostics:?}");
    }
    one("app.workingDir = \"srv\"", "app.workingDir: \"srv\" is not an absolute path");
}

#[test]
fn a_mask_is_octal_and_a_limit_is_soft_and_hard() {
    for value in ["22", "\"0778\"", "\"1000\"", "\"\"", "\"-1\"", "0x12", "true"] {
        let diagnostics = sentences(&file(&format!("app.umask = {value}")));
        let accepted = "is not a file mode mask in octal like \"022\" or 0o022";
        assert!(diagnostics.len() == 1 && diagnostics[0].ends_with(accepted), "{value}: {diagnostics:?}");
    }
    one("app.rlimits.nofile = { soft = 2, hard = 1 }", "app.rlimits.nofile: soft is more than hard");
    one(
        "app.rlimits.nofile = { soft = \"all\" }",
        "app.rlimits.nofile: soft and hard must be numbers or \"unlimited\"",
    );
    one("app.rlimits.nofile = { max = 1 }", "app.rlimits.nofile: unknown key in a limit; accepted: soft, hard");
    let accepted = "is not a number, \"unlimited\" or { soft = ..., hard = ... }";
    one("app.rlimits.nofile = -1", &format!("app.rlimits.nofile: -1 {accepted}"));
    one("app.rlimits.nofile = {}", &format!("app.rlimits.nofile: a table {accepted}"));
    one("app.oomScoreAdj = 1001", "app.oomScoreAdj: 1001 is not an oom_score_adj (-1000-1000)");
}

#[test]
fn a_port_is_a_number_or_a_name_of_the_table() {
    one("lifecycle.preStop.tcpSocket.port = 0", "lifecycle.preStop.tcpSocket.port: 0 is not a port (1-65535)");
    one(
        "lifecycle.preStop.tcpSocket.port = \"8080\"",
        "lifecycle.preStop.tcpSocket.port: \"8080\" is not a port (1-65535) or a name of the table ports",
    );
    assert_eq!(
        helped(&file("ports = { web = 80 }\nlifecycle.preStop.tcpSocket.port = \"wbe\"")),
        ["lifecycle.preStop.tcpSocket.port: \"wbe\" is not in the table ports | the table has: web"]
    );
    one(
        "ports = { Web_1 = 80 }",
        "ports.Web_1: \"Web_1\" is not a port's name: at most 15 of a-z, 0-9 and -, at least one letter",
    );
}

#[test]
fn a_status_is_one_or_a_range_of_them() {
    for value in ["\"2xx\"", "99", "600", "\"399-200\"", "\"200-\"", "\"0200\"", "true"] {
        let text = format!("lifecycle.preStop.httpGet = {{ port = 1, successStatus = [{value}] }}");
        let sentence = format!(
            "lifecycle.preStop.httpGet.successStatus[0]: {value} is not a status (100-599) or a range like \"200-399\""
        );
        one(&text, &sentence);
    }
}

#[test]
fn a_header_has_a_name_and_one_value_that_is_not_shown() {
    let get = |header: &str| format!("lifecycle.preStop.httpGet = {{ port = 1, httpHeaders = [{{ {header} }}] }}");
    let header = "lifecycle.preStop.httpGet.httpHeaders[0]";
    one(&get("name = \"A\""), &format!("{header}: no value: set exactly one of value, valueFrom"));
    one(
        &get("name = \"A\", value = \"x\", valueFrom.file = \"/x\""),
        &format!("{header}: 2 values in one entry (value, valueFrom): set exactly one of value, valueFrom"),
    );
    one(&get("name = \"A b\", value = \"\""), &format!("{header}.name: the value is not the name of an HTTP header"));
    let refused = refuse(&file(&get("name = \"A\", value = 12345"))).iter().next().unwrap().message.clone();
    assert!(!refused.contains("12345"), "{refused}");
}

#[test]
fn a_signal_needs_an_app_to_go_to() {
    for hook in ["preStart", "postStop"] {
        let helped = helped(&file(&format!("lifecycle.{hook} = {{ sleep.seconds = 1, signal.name = \"SIGHUP\" }}")));
        assert!(
            helped[0]
                .contains("signal: unknown key | the app is not running at that time: there is no process to signal"),
            "{helped:?}"
        );
    }
    accept(&file("lifecycle.postStart.signal.name = \"SIGHUP\""));
}

#[test]
fn a_probe_accepts_the_numbers_of_a_pod() {
    for probe in ["startupProbe", "livenessProbe"] {
        one(
            &format!("{probe} = {{ tcpSocket.port = 1, successThreshold = 2 }}"),
            &format!("{probe}.successThreshold: must be 1, as in a Pod: only a readinessProbe accepts more"),
        );
    }
    accept(&file("readinessProbe = { tcpSocket.port = 1, successThreshold = 2 }"));
    one(
        "readinessProbe = { tcpSocket.port = 1, periodSeconds = 0.05 }",
        "readinessProbe.periodSeconds: 0.05 is less than the minimum of 0.1",
    );
    one("readinessProbe.periodSeconds = 1", "readinessProbe: no probe: set exactly one of exec, httpGet, tcpSocket");
}
