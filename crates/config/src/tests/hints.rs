//! Hints: the likely meaning of a mistake.

use super::*;

/// One of the hints about the file.
#[track_caller]
fn hint(text: &str, expected: &str) {
    let diagnostics = refuse(&file(text));
    let all: Vec<&String> = diagnostics.iter().flat_map(|diagnostic| &diagnostic.help).collect();
    assert!(all.iter().any(|one| one.contains(expected)), "{text}: {all:?}");
}

#[test]
fn words_with_another_name_here_are_explained() {
    for (text, help) in [
        ("command = [\"a\"]", "program and arguments of the app are one list: app.command"),
        ("[lifecycle]\nlivenessProbe = {}", "probes are at the top level, beside lifecycle"),
        ("[app]\nstop_signal = 1", "did you mean \"stopSignal\"? keys are spelled as in a Pod spec"),
        (
            "termination_grace_period_seconds = 1",
            "did you mean \"terminationGracePeriodSeconds\"? keys are spelled as in a Pod spec",
        ),
        ("listen = 1", "this key is in the table http"),
        ("[lifecycle.preStop]\ncommand = [\"a\"]", "a program is exec.command, program and arguments in one list"),
        ("http.port = 80", "address and port are one value: http.listen = \"0.0.0.0:9797\""),
        ("lifecycle.preStop.sleep = 5", "did you mean sleep.seconds = ...?"),
        ("lifecycle.preStop.exec = [\"a\"]", "did you mean exec.command = ...?"),
        (
            "terminationGracePeriodSeconds = \"30s\"",
            "a number without quotes and unit: terminationGracePeriodSeconds = 30",
        ),
        ("http.listen = \":80\"", "for all addresses: \"0.0.0.0:80\" or \"[::]:80\""),
        ("subreaper = \"true\"", "without quotes: subreaper = true"),
        (
            "[spec]",
            "this is not a manifest: lifecycle, the probes and terminationGracePeriodSeconds of one container are at the top level",
        ),
    ] {
        let diagnostics = refuse(&file(text));
        let first = diagnostics.iter().next().and_then(|diagnostic| diagnostic.help.first());
        assert_eq!(first.map(String::as_str), Some(help), "{text}");
    }
}

#[test]
fn words_of_a_pod_spec_or_a_compose_file_are_explained() {
    let hook = "lifecycle.preStop.sleep.seconds = 1\nlifecycle.preStop.";
    for (text, help) in [
        ("app.env = [{ name = \"A\", value = \"x\" }]", "a table of names, not a list: env = { NAME = \"value\" }"),
        ("app.env.A = 1", "put the value in quotes: it is a string"),
        (
            "app.env.A.valueFrom.secretKeyRef.name = \"x\"",
            "mount a Secret or ConfigMap as a file; a field of the Pod is a variable of the container",
        ),
        (
            "app.envFrom = []",
            "the environment of the container is inherited; a value from a file is { valueFrom.file = \"/path\" }",
        ),
        ("app.environment = {}", "as in a Pod spec: env"),
        ("app.stopSignals = \"SIGTERM\"", "a list of one: stopSignals = [\"SIGTERM\"]"),
        ("app.cwd = \"/\"", "as in a Pod spec: workingDir"),
        ("app.umask = 22", "in octal: umask = \"22\""),
        ("app.ulimits.nofile = 1", "limits of the process are app.rlimits; CPU and memory belong to the container"),
        ("app.securityContext.runAsUser = 1", "user = \"name\", \"uid\", \"uid:gid\" or \"name:group\""),
        (
            "app.restartPolicy = \"Always\"",
            "bookend does not restart the app: it ends with the app, and the runtime restarts the container",
        ),
        ("user = \"nobody\"", "this key is in the table app"),
        ("image = \"nginx\"", "this belongs to the container: its runtime does it, not bookend"),
        ("lifecycle.terminationGracePeriodSeconds = 3", "the budget of a stop is at the top level"),
        (
            &format!("{hook}terminationGracePeriodSeconds = 3"),
            "the budget of the whole stop is at the top level; the limit of a handler is timeoutSeconds",
        ),
        (
            &format!("{hook}initialDelaySeconds = 3"),
            "this key belongs to a probe; a handler runs once: see timeoutSeconds and retries",
        ),
        (&format!("{hook}grpc.port = 3"), "gRPC is not supported; run a client with exec"),
        (&format!("{hook}exec = [\"a\"]"), "did you mean exec.command = ...?"),
        ("lifecycle.preStop.exec.args = [\"a\"]", "program and arguments are one list: exec.command"),
    ] {
        let diagnostics = refuse(&file(text));
        let all: Vec<&String> = diagnostics.iter().flat_map(|diagnostic| &diagnostic.help).collect();
        assert!(all.iter().any(|one| *one == help), "{text}: {all:?}");
    }
}

#[test]
fn keys_that_only_a_pods_probe_has_are_explained() {
    let helped = |text: &str| helped(&file(text)).remove(0);
    assert!(helped("livenessProbe = { tcpSocket.port = 1, grpc.port = 1 }").contains("gRPC is not supported"));
    let budget = helped("livenessProbe = { tcpSocket.port = 1, terminationGracePeriodSeconds = 5 }");
    assert!(budget.contains("a stop has one budget"), "{budget}");
    assert!(helped("startupProbe = { tcpSocket.port = 1, action = \"Stop\" }").contains("only a livenessProbe"));
}

#[test]
fn words_of_compose_under_a_probe_are_explained() {
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let with = |key: &str| format!("{probe} = {{ tcpSocket.port = 1, {key} = 5 }}");
        hint(&with("interval"), "the time between two attempts is periodSeconds");
        hint(&with("start_period"), "the time before the first attempt is initialDelaySeconds");
        hint(&with("retries"), "the number of failures that count is failureThreshold");
        hint(&with("timeout"), "keys carry their unit: timeoutSeconds");
    }
    hint("healthcheck.test = [\"CMD\"]", "a health check is a livenessProbe");
}

#[test]
fn files_of_tokens_and_certificates_are_explained() {
    hint("http.token = \"x\"", "tokens are read from a file: http.tokenFile");
    hint("http.tls.cert = \"/c\"", "the certificate chain is read from a file: certFile");
    hint("http.tls.key = \"/k\"", "the private key is read from a file: keyFile");
    hint("http.certFile = \"/c\"", "certificate and key are http.tls.certFile and http.tls.keyFile");
    hint("tls.certFile = \"/c\"", "this key is in the table http");
}

#[test]
fn a_drain_that_is_switched_on_is_an_empty_table() {
    hint("lifecycle.preStop.drain = true", "did you mean drain = {}? that sets every key to its default");
}

#[test]
fn a_url_instead_of_a_table_is_split_into_its_keys() {
    let get = |url: &str, meant: &str| {
        hint(&format!("lifecycle.preStop.httpGet = \"{url}\""), &format!("did you mean httpGet = {{ {meant} }}?"));
    };
    get("http://localhost:8080/drain", "port = 8080, path = \"/drain\"");
    get("http://app/", "host = \"app\", port = 80");
    get("https://u:p@app:8443/x?token=y", "host = \"app\", port = 8443, path = \"/x\", scheme = \"HTTPS\"");
    hint("lifecycle.preStop.httpPost = { port = 1 }", "the method is a key: httpGet = { method");
}

#[test]
fn a_file_in_another_language_is_recognised() {
    hint("app:\n  command: [nginx]\n", "this looks like YAML; in TOML a value follows `=`");
    hint("apiVersion: v1\nkind: Pod\n", "this looks like a Kubernetes manifest; `kubectl bookend import` converts one");
    hint("{ \"app\": { \"command\": [\"nginx\"] } }", "this looks like JSON");
}

#[test]
fn an_unclosed_header_is_explained() {
    let diagnostics = refuse(&file("[app\ncommand = [\"nginx\"]\n"));
    let first = diagnostics.iter().next().unwrap();
    assert!(first.message.starts_with("invalid TOML: unclosed table"), "{}", first.message);
    assert!(first.help[0].starts_with("a table's header ends on its line: [app]"), "{:?}", first.help);
}

#[test]
fn a_shells_reference_to_a_variable_is_explained() {
    hint("http.listen = \"0.0.0.0:${PORT}\"", "as $(NAME); set BOOKEND_HTTP_LISTEN instead");
    hint("lifecycle.preStop.tcpSocket.port = \"${PORT}\"", "variables are expanded only in command, env, host, path");
    for text in [
        "app.env.PORT = \"${PORT}\"",
        "app.command = [\"server\", \"${PORT}\"]",
        "lifecycle.preStop.tcpSocket = { port = 1, host = \"${HOST}\" }",
    ] {
        let warnings = warnings(&file(text));
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(warnings[0].contains("${NAME} is not expanded | write $(NAME)"), "{warnings:?}");
    }
    for text in ["app.command = [\"sh\", \"-c\", \"${RUN}\"]", "app.env.A = \"a ${B}\"", "app.env.A = \"$(B)\""] {
        assert_eq!(warnings(&file(text)), Vec::<String>::new(), "{text}");
    }
}
