//! Every refusal, with its exact words.

use super::*;

/// The file has exactly this one mistake.
#[track_caller]
fn one(text: &str, sentence: &str) {
    assert_eq!(sentences(&file(text)), [sentence], "{text}");
}

#[test]
fn every_mistake_of_every_source_is_told_at_once() {
    let sources = Sources {
        files: vec![
            document("a.toml", "subreaper = 1\n[app]\nstopSignl = \"SIGQUIT\"\n"),
            document("b.toml", "subreaper = true\n[log]\nlevel = \"Loud\"\n"),
        ],
        env: variables(&[("BOOKEND_HTTP_LISTEN", "nowhere"), ("BOOKEND_SUBREAPR", "true")]),
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
            "BOOKEND_SUBREAPR: no such variable",
            "app.stopSignal: SIGSTOP freezes a process and never ends it",
        ]
    );
}

#[test]
fn a_mistake_shows_file_line_column_snippet_and_help() {
    let text =
        "[app]\ncommand = [\"nginx\"]\n\n[[lifecycle.preStop]]\nexec.command = [\"/bin/drain\"]\ntimeoutSecond = 5\n";
    assert_eq!(
        refuse(&file(text)).to_string(),
        "lifecycle.preStop[0].timeoutSecond: unknown key
  --> bookend.toml:6:1
   |
 6 | timeoutSecond = 5
   | ^^^^^^^^^^^^^
  = did you mean \"timeoutSeconds\"?
  = accepted here: name, exec, httpGet, tcpSocket, sleep, drain, timeoutSeconds, retries, backoffSeconds, failurePolicy, signal

1 mistake"
    );
}

#[test]
fn a_mistake_in_a_variable_shows_the_variable() {
    assert_eq!(
        refuse(&env(&[("BOOKEND_LOG_LEVEL", "info")])).to_string(),
        "log.level: \"info\" is not one of Error, Warn, Info, Debug
  --> environment variable BOOKEND_LOG_LEVEL
  |
  | BOOKEND_LOG_LEVEL=info
  |                   ^^^^
  = did you mean \"Info\"?

1 mistake"
    );
}

#[test]
fn seconds_are_finite_not_negative_and_at_most_a_year() {
    for (said, shown) in [
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
            &format!("terminationGracePeriodSeconds = {said}"),
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
fn exactly_one_kind_of_handler_stands_in_an_entry() {
    one(
        "[[lifecycle.preStop]]\nname = \"a\"",
        "lifecycle.preStop[0]: no handler; exactly one of exec, httpGet, tcpSocket, sleep, drain, signal is needed",
    );
    one(
        "[lifecycle.preStop]\nexec.command = [\"a\"]\nsleep.seconds = 1",
        "lifecycle.preStop: 2 handlers in one entry (exec and sleep); exactly one of exec, httpGet, tcpSocket, sleep, drain, signal is accepted",
    );
}

#[test]
fn a_handler_misspelt_is_one_mistake_and_not_two() {
    one("lifecycle.preStop.exce.command = [\"a\"]", "lifecycle.preStop.exce: unknown key");
    one("lifecycle.preStop.sleep.second = 1", "lifecycle.preStop.sleep.second: unknown key");
    one("http.listen = 1", "http.listen: 1 is not an IP address and a port like \"0.0.0.0:9797\" or \"[::]:9797\"");
}

#[test]
fn what_a_table_cannot_do_without_is_named() {
    one("[lifecycle.preStop.exec]", "lifecycle.preStop.exec.command: missing: program and arguments, without a shell");
    one("[lifecycle.preStop.sleep]", "lifecycle.preStop.sleep.seconds: missing: how long, in seconds");
    one(
        "[http]",
        "http.listen: missing: address and port to bind; a kubelet calls the pod's IP, never localhost; port 0: any free one",
    );
}

#[test]
fn a_command_is_a_list_with_a_program() {
    one("app.command = []", "app.command: an empty list names no program");
    one("app.command = [\"\"]", "app.command: the program's name is empty");
    one("app.command = [1]", "app.command[0]: 1 is not a string");
    one("app.command = [\"a\\u0000\"]", "app.command[0]: \"a\\u0000\" contains a NUL byte");
    assert_eq!(
        helped(&file("app.command = \"nginx -g x\"")),
        [
            "app.command: \"nginx -g x\" is not a list of strings like [\"program\", \"argument\"] | there is no shell in between; with one: [\"/bin/sh\", \"-c\", \"...\"]"
        ]
    );
}

#[test]
fn signals_that_cannot_be_received_are_refused_with_the_reason() {
    one("app.signals.SIGKILL = 1", "app.signals.SIGKILL: SIGKILL cannot be caught by any process (signal(7))");
    one("app.signals.19 = 1", "app.signals.19: SIGSTOP cannot be caught by any process (signal(7))");
    one("app.stopSignals = [9]", "app.stopSignals[0]: SIGKILL cannot be caught by any process (signal(7))");
    one("app.signals.CHLD = 1", "app.signals.CHLD: SIGCHLD is bookend's own: it tells that a child has ended");
    one("app.stopSignal = \"STOP\"", "app.stopSignal: SIGSTOP freezes a process and never ends it");
    one("app.stopSignal = \"CHLD\"", "app.stopSignal: SIGCHLD ends no process");
    accept(&file("app.signals = { USR1 = \"SIGKILL\", TSTP = \"SIGSTOP\" }\napp.stopSignal = \"KILL\""));
}

#[test]
fn what_is_no_signal_is_refused_with_what_is_one() {
    let accepted = "accepted: a name of signal(7) like SIGTERM or TERM, SIGRTMIN+n, SIGRTMAX-n, or a number 1-64";
    one("app.stopSignal = \"SIGFOO\"", &format!("app.stopSignal: \"SIGFOO\" is not a signal; {accepted}"));
    one("app.stopSignal = 65", &format!("app.stopSignal: \"65\" is not a signal; {accepted}"));
    one("app.signals.X = 1", &format!("app.signals.X: \"X\" is not a signal; {accepted}"));
    one("app.signals.HUP = \"no\"", &format!("app.signals.SIGHUP: \"no\" is not a signal; {accepted}, or \"ignore\""));
}

#[test]
fn one_signal_under_two_names_is_said_twice() {
    one("app.signals = { SIGHUP = 1, HUP = 2 }", "app.signals.SIGHUP: \"HUP\" is SIGHUP, which is said already");
    one("app.exitCodes = { 1 = 1, 01 = 2 }", "app.exitCodes.1: \"01\" is 1, which is said already");
}

#[test]
fn exit_codes_are_between_0_and_255() {
    one("app.exitCodes.256 = 0", "app.exitCodes.256: \"256\" is not an exit code (0-255)");
    one("app.exitCodes.-1 = 0", "app.exitCodes.-1: \"-1\" is not an exit code (0-255)");
    one("app.exitCodes.1 = 256", "app.exitCodes.1: 256 is not an exit code (0-255)");
    one("app.exitCodes.1 = \"0\"", "app.exitCodes.1: \"0\" is not an exit code (0-255)");
}

#[test]
fn words_of_a_choice_are_told() {
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
        "lifecycle.preStop[1].name: another handler of this list has that name",
    );
    one("lifecycle.preStop = { name = \"\", sleep.seconds = 1 }", "lifecycle.preStop.name: \"\" is empty");
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
fn toml_that_is_none_is_refused_line_by_line_and_the_rest_is_still_read() {
    let text = "subreaper = \n[app]\nstopSignal = \"SIGFOO\nsignalScope = 1\n";
    assert_eq!(
        sentences(&file(text)),
        [
            ": not TOML: string values must be quoted, expected literal string",
            ": not TOML: invalid basic string, expected `\"`",
            "app.signalScope: 1 is not one of Process, ProcessGroup",
        ]
    );
    assert_eq!(sentences(&file("subreaper = true\nsubreaper = true")), [": the key \"subreaper\" is said twice"]);
    assert_eq!(sentences(&file("[app]\n[app]")), [": the key \"app\" is said twice"]);
}

#[test]
fn words_that_mean_something_else_here_are_explained() {
    for (text, help) in [
        ("command = [\"a\"]", "the app's program and arguments are one list: app.command"),
        ("[lifecycle]\nlivenessProbe = {}", "probes stand at the top level, beside lifecycle"),
        ("[app]\nstop_signal = 1", "did you mean \"stopSignal\"? keys are spelled as in a Pod spec"),
        (
            "termination_grace_period_seconds = 1",
            "did you mean \"terminationGracePeriodSeconds\"? keys are spelled as in a Pod spec",
        ),
        ("listen = 1", "there is http.listen"),
        ("[lifecycle.preStop]\ncommand = [\"a\"]", "a program is exec.command, program and arguments in one list"),
        ("http.port = 80", "address and port are one: http.listen = \"0.0.0.0:9797\""),
        ("lifecycle.preStop.sleep = 5", "did you mean sleep.seconds = ...?"),
        ("lifecycle.preStop.exec = [\"a\"]", "did you mean exec.command = ...?"),
        (
            "terminationGracePeriodSeconds = \"30s\"",
            "a number without quotes and unit: terminationGracePeriodSeconds = 30",
        ),
        ("http.listen = \":80\"", "for every address: \"0.0.0.0:80\" or \"[::]:80\""),
        ("subreaper = \"true\"", "without quotes: subreaper = true"),
        (
            "[spec]",
            "this is no manifest: lifecycle, the probes and terminationGracePeriodSeconds of one container stand at the top level",
        ),
    ] {
        let diagnostics = refuse(&file(text));
        let first = diagnostics.iter().next().and_then(|diagnostic| diagnostic.help.first());
        assert_eq!(first.map(String::as_str), Some(help), "{text}");
    }
}

#[test]
fn fifty_mistakes_are_shown_and_the_rest_is_counted() {
    let text: String = (0..60).map(|n| format!("banana{n} = 1\n")).collect();
    let shown = refuse(&file(&text)).to_string();
    assert_eq!(shown.matches("unknown key").count(), 50);
    assert!(shown.ends_with("50 mistakes and 10 more"), "{shown}");
}

#[test]
fn a_large_file_of_another_language_is_given_up_soon() {
    let text: String = (0..18_000).map(|n| format!("key{n}:\n  - name: \"x{n}\"\n    value: 5\n")).collect();
    let diagnostics = refuse(&file(&text));
    assert_eq!(diagnostics.iter().count(), 500, "each is looked for from the beginning of the text");
    let text: String = (0..60).map(|n| format!("banana{n} = 1\n")).collect();
    let is_shown: Vec<bool> = refuse(&file(&text)).iter().map(|diagnostic| !diagnostic.shown.is_empty()).collect();
    assert_eq!(is_shown, [[true; 50].as_slice(), &[false; 10]].concat());
}

#[test]
fn a_file_far_too_large_is_refused_unread() {
    one(&"#".repeat(2 << 20), ": 2097152 bytes are too many for a configuration (at most 1048576)");
}

#[test]
fn a_mistake_hidden_by_a_stronger_layer_is_still_told() {
    let mut sources = file("[lifecycle.preStop]\nname = \"a\"");
    sources.overrides = vec![option("lifecycle.preStop", "[]")];
    assert_eq!(
        sentences(&sources),
        ["lifecycle.preStop: no handler; exactly one of exec, httpGet, tcpSocket, sleep, drain, signal is needed"]
    );
}

#[test]
fn a_drain_cannot_end_before_it_may() {
    one(
        "lifecycle.preStop.drain = { minSeconds = 20 }",
        "lifecycle.preStop.drain.maxSeconds: 15 is less than minSeconds, which is 20",
    );
    one(
        "lifecycle.preStop.drain = { maxSeconds = 1 }",
        "lifecycle.preStop.drain.maxSeconds: 1 is less than minSeconds, which is 3",
    );
    one("lifecycle.preStop.drain.ports = [0]", "lifecycle.preStop.drain.ports[0]: 0 is not a port (1-65535)");
}

#[test]
fn values_of_an_environment_are_refused_without_being_shown() {
    let accepted = "is not a string or { valueFrom.file = \"/path\" }";
    one("app.env.A = 1234", &format!("app.env.A: a number {accepted}"));
    one("app.env.A = true", &format!("app.env.A: true or false without quotes {accepted}"));
    one("app.env.A = \"hunter2\\u0000\"", "app.env.A: the value contains a NUL byte");
    one("app.env.A = {}", &format!("app.env.A: a table with 0 keys {accepted}"));
    one("app.env.A.file = \"/x\"", &format!("app.env.A: this table {accepted}"));
    one("app.env.A.valueFrom.file = \"x\"", "app.env.A: valueFrom.file: \"x\" is not an absolute path");
    one(
        "app.env.\"\" = \"x\"",
        "app.env.\"\": \"\" is not the name of an environment variable (not empty, without \"=\")",
    );
    let diagnostics = refuse(&file("[app]\nenv = { A = \"hunter2\", B = 12345 }")).to_string();
    assert!(!diagnostics.contains("hunter2"), "{diagnostics}");
}

#[test]
fn a_user_is_a_name_or_a_number() {
    for said in ["\"\"", "\":1\"", "\"a:\"", "\"a:b:c\"", "\"a b\"", "-1", "4294967295", "\"99999999999\"", "true"] {
        let diagnostics = sentences(&file(&format!("app.user = {said}")));
        let accepted = "is not a user like \"name\", \"uid\", \"uid:gid\" or \"name:group\"";
        assert!(diagnostics.len() == 1 && diagnostics[0].ends_with(accepted), "{said}: {diagnostics:?}");
    }
    one("app.workingDir = \"srv\"", "app.workingDir: \"srv\" is not an absolute path");
}

#[test]
fn a_mask_is_octal_and_a_limit_has_two_halves() {
    for said in ["22", "\"0778\"", "\"1000\"", "\"\"", "\"-1\"", "0x12", "true"] {
        let diagnostics = sentences(&file(&format!("app.umask = {said}")));
        let accepted = "is not a file mode mask in octal like \"022\" or 0o022";
        assert!(diagnostics.len() == 1 && diagnostics[0].ends_with(accepted), "{said}: {diagnostics:?}");
    }
    one("app.rlimits.nofile = { soft = 2, hard = 1 }", "app.rlimits.nofile: soft is more than hard");
    one("app.rlimits.nofile = { soft = \"all\" }", "app.rlimits.nofile: soft and hard are numbers or \"unlimited\"");
    one("app.rlimits.nofile = { max = 1 }", "app.rlimits.nofile: a limit has soft and hard, and nothing else");
    let accepted = "is not a number, \"unlimited\" or { soft = ..., hard = ... }";
    one("app.rlimits.nofile = -1", &format!("app.rlimits.nofile: -1 {accepted}"));
    one("app.rlimits.nofile = {}", &format!("app.rlimits.nofile: a table {accepted}"));
    one("app.oomScoreAdj = 1001", "app.oomScoreAdj: 1001 is not an oom_score_adj (-1000-1000)");
}

#[test]
fn what_a_pod_spec_or_a_compose_file_says_otherwise_is_explained() {
    let hook = "lifecycle.preStop.sleep.seconds = 1\nlifecycle.preStop.";
    for (text, help) in [
        ("app.env = [{ name = \"A\", value = \"x\" }]", "a table of names, no list: env = { NAME = \"value\" }"),
        ("app.env.A = 1", "a string stands in quotes"),
        (
            "app.env.A.valueFrom.secretKeyRef.name = \"x\"",
            "a Secret or ConfigMap is mounted as a file; a field of the Pod is a variable of the container",
        ),
        (
            "app.envFrom = []",
            "what the container has in its environment is inherited; a value in a file is { valueFrom.file = \"/path\" }",
        ),
        ("app.environment = {}", "as in a Pod spec: env"),
        ("app.stopSignals = \"SIGTERM\"", "a list of one: stopSignals = [\"SIGTERM\"]"),
        ("app.cwd = \"/\"", "as in a Pod spec: workingDir"),
        ("app.umask = 22", "in octal: umask = \"22\""),
        ("app.ulimits.nofile = 1", "limits of the process are app.rlimits; CPU and memory are the container's"),
        ("app.securityContext.runAsUser = 1", "user = \"name\", \"uid\", \"uid:gid\" or \"name:group\""),
        (
            "app.restartPolicy = \"Always\"",
            "bookend does not restart an app: it ends with it, and the runtime restarts the container",
        ),
        ("user = \"nobody\"", "it stands in the table app"),
        ("image = \"nginx\"", "that is the container's: the runtime does it, not bookend"),
        ("lifecycle.terminationGracePeriodSeconds = 3", "the budget of a stop stands at the top level"),
        (
            &format!("{hook}terminationGracePeriodSeconds = 3"),
            "the budget of the whole stop stands at the top level; a handler's limit is timeoutSeconds",
        ),
        (
            &format!("{hook}initialDelaySeconds = 3"),
            "that is a probe's: a hook runs once; see timeoutSeconds and retries",
        ),
        (&format!("{hook}grpc.port = 3"), "gRPC is not spoken; exec a client of your own"),
        (&format!("{hook}exec = [\"a\"]"), "did you mean exec.command = ...?"),
        ("lifecycle.preStop.exec.args = [\"a\"]", "program and arguments are one list: exec.command"),
    ] {
        let diagnostics = refuse(&file(text));
        let said: Vec<&String> = diagnostics.iter().flat_map(|diagnostic| &diagnostic.help).collect();
        assert!(said.iter().any(|said| *said == help), "{text}: {said:?}");
    }
}

#[test]
fn a_port_is_a_number_or_a_name_of_the_table() {
    one("lifecycle.preStop.tcpSocket.port = 0", "lifecycle.preStop.tcpSocket.port: 0 is not a port (1-65535)");
    one(
        "lifecycle.preStop.tcpSocket.port = \"8080\"",
        "lifecycle.preStop.tcpSocket.port: \"8080\" is not a port (1-65535), or a name of the table ports",
    );
    assert_eq!(
        helped(&file("ports = { web = 80 }\nlifecycle.preStop.tcpSocket.port = \"wbe\"")),
        ["lifecycle.preStop.tcpSocket.port: \"wbe\" is not in the table ports | names there: web"]
    );
    one(
        "ports = { Web_1 = 80 }",
        "ports.Web_1: \"Web_1\" is not a name of at most 15 of a-z, 0-9 and -, with a letter in it",
    );
}

#[test]
fn a_status_is_one_or_a_range_of_them() {
    for said in ["\"2xx\"", "99", "600", "\"399-200\"", "\"200-\"", "\"0200\"", "true"] {
        let text = format!("lifecycle.preStop.httpGet = {{ port = 1, successStatus = [{said}] }}");
        let sentence = format!(
            "lifecycle.preStop.httpGet.successStatus[0]: {said} is not a status (100-599) or a range like \"200-399\""
        );
        one(&text, &sentence);
    }
}

#[test]
fn a_header_has_a_name_and_one_value_which_is_never_shown() {
    let get = |header: &str| format!("lifecycle.preStop.httpGet = {{ port = 1, httpHeaders = [{{ {header} }}] }}");
    let header = "lifecycle.preStop.httpGet.httpHeaders[0]";
    one(&get("name = \"A\""), &format!("{header}: no value; exactly one of value, valueFrom is needed"));
    one(
        &get("name = \"A\", value = \"x\", valueFrom.file = \"/x\""),
        &format!("{header}: 2 values in one entry (value and valueFrom); exactly one of value, valueFrom is accepted"),
    );
    one(&get("name = \"A b\", value = \"\""), &format!("{header}.name: \"A b\" is not the name of an HTTP header"));
    let refused = refuse(&file(&get("name = \"A\", value = 12345"))).iter().next().unwrap().message.clone();
    assert!(!refused.contains("12345"), "{refused}");
}

#[test]
fn a_signal_needs_an_app_to_go_to() {
    for hook in ["preStart", "postStop"] {
        let helped = helped(&file(&format!("lifecycle.{hook} = {{ sleep.seconds = 1, signal.name = \"SIGHUP\" }}")));
        assert!(helped[0].contains("signal: unknown key | there is no app then that could get a signal"), "{helped:?}");
    }
    accept(&file("lifecycle.postStart.signal.name = \"SIGHUP\""));
}

#[test]
fn a_probes_numbers_are_those_a_pod_may_say() {
    for probe in ["startupProbe", "livenessProbe"] {
        one(
            &format!("{probe} = {{ tcpSocket.port = 1, successThreshold = 2 }}"),
            &format!("{probe}.successThreshold: must be 1, as in a Pod: the first success counts"),
        );
    }
    accept(&file("readinessProbe = { tcpSocket.port = 1, successThreshold = 2 }"));
    one(
        "readinessProbe = { tcpSocket.port = 1, periodSeconds = 0.05 }",
        "readinessProbe.periodSeconds: 0.05 is less than 0.1",
    );
    one(
        "readinessProbe.periodSeconds = 1",
        "readinessProbe: no probe; exactly one of exec, httpGet, tcpSocket is needed",
    );
}

#[test]
fn what_a_pods_probe_knows_and_ours_does_not_is_explained() {
    let helped = |text: &str| helped(&file(text)).remove(0);
    assert!(helped("livenessProbe = { tcpSocket.port = 1, grpc.port = 1 }").contains("gRPC is not spoken"));
    let budget = helped("livenessProbe = { tcpSocket.port = 1, terminationGracePeriodSeconds = 5 }");
    assert!(budget.contains("a stop has one budget"), "{budget}");
    assert!(helped("startupProbe = { tcpSocket.port = 1, action = \"Stop\" }").contains("only a livenessProbe"));
}
