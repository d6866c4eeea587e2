//! The checks of any container: what in its spec loses requests at a stop or at a rollout. Pure.

use serde_json::Value;

use super::finding::Finding;
use super::hook::{HookAction, ends_server_at_once, sleep_of};
use super::subject::Subject;
use crate::shell::{base_name, commands, script_of};
use crate::wrapped::{bookend_of, seems_wrapped, words};

/// All findings of one container. `drains`: bookend in it pauses before the stop signal.
pub(super) fn examine(subject: Subject<'_>, drains: bool) -> Vec<Finding> {
    let pre_stop = HookAction::of(subject.get("lifecycle/preStop"));
    let checks = [
        no_pre_stop(subject, pre_stop.as_ref(), drains),
        hook_ends_server(subject, pre_stop.as_ref()),
        grace(subject, pre_stop.as_ref()),
        sleep_missing(subject),
        hook_kinds(subject),
        host_network(subject),
        readiness(subject),
        probe_grace(subject, pre_stop.as_ref()),
        shell_without_exec(subject),
        proxy_ends_first(subject, pre_stop.as_ref()),
        strategy(subject),
    ];
    checks.into_iter().flatten().collect()
}

fn no_pre_stop(subject: Subject<'_>, pre_stop: Option<&HookAction<'_>>, drains: bool) -> Vec<Finding> {
    if pre_stop.is_some() || drains || !subject.serves() || seems_wrapped(subject.container) {
        return Vec::new();
    }
    if is_labelled(subject) {
        let found = Finding::new(
            "labelled",
            "the label bookend-inject brings bookend to this Pod when it is created",
            "its hooks are not in this manifest; without the policies in the cluster the label changes nothing",
            "examine a Pod of the cluster: kubectl bookend doctor pod/NAME",
        );
        return vec![found.note().at("")];
    }
    let found = Finding::new(
        "no-pre-stop",
        "the container has ports and no preStop hook",
        "the stop signal comes at once, while proxies and load balancers still send new requests for some seconds",
        "preStop.sleep.seconds: 5 (Kubernetes 1.30 or later), or bookend with a drain, which waits only as long as requests come",
    );
    vec![found.at("lifecycle.preStop")]
}

/// Whether the policies of `kubectl bookend kit` change the Pod; the label may have a prefix.
fn is_labelled(subject: Subject<'_>) -> bool {
    let labels = subject.metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
    let is_ours = |name: &str| name.rsplit('/').next() == Some("bookend-inject");
    labels.into_iter().any(|(name, value)| is_ours(name) && matches!(value.as_str(), Some("sidecar" | "wrap")))
}

fn hook_ends_server(subject: Subject<'_>, pre_stop: Option<&HookAction<'_>>) -> Vec<Finding> {
    let Some(HookAction::Exec(words)) = pre_stop else { return Vec::new() };
    let Some(command) = ends_server_at_once(words).filter(|_| subject.serves()) else { return Vec::new() };
    let found = match seems_wrapped(subject.container) {
        false => Finding::new(
            "hook-ends-server",
            format!("preStop ends the server at once: {command}"),
            "new requests still arrive for some seconds, and are refused",
            "let a pause come first: sleep 5 before the command; or leave the signal to bookend (app.stopSignal) and drain before it",
        ),
        true => Finding::new(
            "hook-ends-server",
            format!("preStop signals the server itself: {command}"),
            "bookend takes a signal to PID 1 for the beginning of a stop, and its own drain comes after the command",
            "call bookend's hook in its place: httpGet with path /lifecycle/preStop, and set app.stopSignal",
        )
        .note(),
    };
    vec![found.at("lifecycle.preStop.exec.command")]
}

fn grace(subject: Subject<'_>, pre_stop: Option<&HookAction<'_>>) -> Vec<Finding> {
    let (grace, pause) = (subject.grace(), pre_stop.map_or(0.0, HookAction::pause));
    if grace < LEAST {
        let found = Finding::new(
            "short-grace",
            format!("terminationGracePeriodSeconds is {grace}"),
            "SIGKILL follows the stop signal before a request can finish",
            "30, or more than the longest request takes",
        );
        return vec![found.at("pod.terminationGracePeriodSeconds")];
    }
    if pause > 0.0 && grace - pause < LEAST {
        let found = Finding::new(
            "no-time-for-the-app",
            format!("preStop waits {pause} s of a grace period of {grace} s"),
            "the rest is the app's time for its requests in flight: then SIGKILL cuts them",
            format!(
                "raise terminationGracePeriodSeconds above {pause} by the time of the longest request, or shorten the pause"
            ),
        );
        return vec![found.at("lifecycle.preStop")];
    }
    Vec::new()
}

fn sleep_missing(subject: Subject<'_>) -> Vec<Finding> {
    let image = subject.text("image").unwrap_or_default();
    let Some(known) = WITHOUT_SHELL.iter().find(|known| image.contains(**known)) else { return Vec::new() };
    if [":debug", "-debug", "-dev"].iter().any(|tag| image.contains(tag)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for hook in ["postStart", "preStop"] {
        let Some(HookAction::Exec(words)) = HookAction::of(subject.get(&format!("lifecycle/{hook}"))) else { continue };
        let needs_shell = script_of(&words).is_some();
        if !needs_shell && !commands(&words).iter().any(|command| sleep_of(command).is_some()) {
            continue;
        }
        let program = words.first().cloned().unwrap_or_default();
        let one = Finding::new(
            "sleep-missing",
            format!("{hook} runs {program}, and images of {known} have neither a shell nor sleep"),
            "the hook fails at once, the stop goes on, and only an event of the Pod (FailedPreStopHook) tells it",
            "preStop.sleep, which the kubelet does itself; or [\"/bookend\", \"sleep\", \"5\"] with bookend's binary in the image",
        );
        found.push(one.at(&format!("lifecycle.{hook}.exec.command")));
    }
    found
}

fn hook_kinds(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for hook in ["postStart", "preStop"] {
        if HookAction::of(subject.get(&format!("lifecycle/{hook}"))) == Some(HookAction::TcpSocket) {
            let one = Finding::new(
                "hook-tcp-socket",
                format!("{hook} is a tcpSocket"),
                "the API server accepts it, and the kubelet always fails it: postStart then ends the container",
                "sleep, exec or httpGet",
            );
            found.push(one.at(&format!("lifecycle.{hook}.tcpSocket")));
        }
    }
    if let Some(signal) = subject.text("lifecycle/stopSignal") {
        let one = Finding::new(
            "stop-signal-gate",
            format!("lifecycle.stopSignal is {signal}"),
            "it needs the feature gate ContainerStopSignals and a runtime that knows it; without them the field is dropped",
            "STOPSIGNAL in the image works everywhere, as does bookend's app.stopSignal",
        );
        found.push(one.note().at("lifecycle.stopSignal"));
    }
    found
}

fn host_network(subject: Subject<'_>) -> Vec<Finding> {
    if subject.pod.get("hostNetwork").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for hook in ["postStart", "preStop"] {
        if let Some(HookAction::HttpGet { host: None, .. }) = HookAction::of(subject.get(&format!("lifecycle/{hook}")))
        {
            let one = Finding::new(
                "host-network-hook",
                format!("hostNetwork, and {hook}.httpGet has no host"),
                "the kubelet finds no address for the Pod and fails the hook; a failed postStart restarts the container again and again",
                "host: 127.0.0.1 for preStop, and an exec hook for postStart",
            );
            found.push(one.at(&format!("lifecycle.{hook}.httpGet")));
        }
    }
    if seems_wrapped(subject.container) {
        let one = Finding::new(
            "host-network",
            "hostNetwork: bookend shares the node's network",
            "its port may be in use on the node, and a drain counts connections of other programs",
            "choose a free port for http.listen, and name the app's ports in drain.ports",
        );
        found.push(one.note().at("pod.hostNetwork"));
    }
    found
}

fn readiness(subject: Subject<'_>) -> Vec<Finding> {
    let probe = HookAction::of(subject.get("readinessProbe"));
    let Some(probe) = probe else {
        if !subject.serves() || subject.list != "containers" {
            return Vec::new();
        }
        let found = Finding::new(
            "no-readiness",
            "the container has ports and no readinessProbe",
            "it counts as ready when its process starts: a rollout stops old Pods before the new ones can answer",
            "a readinessProbe that succeeds when the app answers; with bookend: httpGet with path /readyz",
        )
        .at("readinessProbe");
        // The clients may use another container, whose probe decides about the Pod; a Pod alone has no rollout.
        let containers = subject.pod.get("containers").and_then(Value::as_array).into_iter().flatten();
        let has_other = containers
            .into_iter()
            .take(MOST_CONTAINERS)
            .any(|other| other.get("readinessProbe").is_some_and(Value::is_object));
        return vec![if has_other || subject.kind() == "Pod" { found.note() } else { found }];
    };
    let never_fails = match &probe {
        HookAction::Exec(words) => commands(words).iter().all(|command| {
            let program = command.first().map(|word| base_name(word)).unwrap_or_default();
            matches!(program, "true" | ":" | "echo")
                || (program == "exit" && command.get(1).is_none_or(|code| code == "0"))
        }),
        HookAction::HttpGet { path, .. } => *path == "/livez" && seems_wrapped(subject.container),
        _ => false,
    };
    if never_fails {
        let found = Finding::new(
            "readiness-never-fails",
            "the readinessProbe succeeds whatever the app does",
            "the container counts as ready before the app answers, and while it cannot",
            "probe what clients use; with bookend: httpGet with path /readyz",
        );
        return vec![found.at("readinessProbe")];
    }
    let number = |name: &str, default: f64| {
        subject.get(&format!("readinessProbe/{name}")).and_then(Value::as_f64).unwrap_or(default)
    };
    let patience = number("failureThreshold", 3.0) * number("periodSeconds", 10.0);
    if patience > MOST_PATIENCE {
        let found = Finding::new(
            "readiness-slow",
            format!("the readinessProbe fails only after {patience} s"),
            "an app that cannot answer gets requests for so long",
            "failureThreshold: 3 and periodSeconds: 5; a slow start needs a startupProbe",
        );
        return vec![found.note().at("readinessProbe")];
    }
    Vec::new()
}

fn probe_grace(subject: Subject<'_>, pre_stop: Option<&HookAction<'_>>) -> Vec<Finding> {
    let mut found = Vec::new();
    let own = |probe: &str| subject.get(&format!("{probe}/terminationGracePeriodSeconds")).and_then(Value::as_f64);
    if own("readinessProbe").is_some() {
        let one = Finding::new(
            "probe-grace",
            "readinessProbe.terminationGracePeriodSeconds is set",
            "the API server refuses it: a readiness probe ends no container",
            "remove it",
        );
        found.push(one.at("readinessProbe.terminationGracePeriodSeconds"));
    }
    let pause = pre_stop.map_or(0.0, HookAction::pause);
    for probe in ["livenessProbe", "startupProbe"] {
        let Some(grace) = own(probe).filter(|grace| *grace < subject.grace()) else { continue };
        let what =
            format!("{probe}.terminationGracePeriodSeconds is {grace}, the Pod's grace period is {}", subject.grace());
        let why = "it replaces the Pod's when this probe ends the container: the preStop hook and the app share it";
        let fix = format!("more than {} s, or remove it; bookend counts with the Pod's", pause + LEAST);
        let one = Finding::new("probe-grace", what, why, fix).at(&format!("{probe}.terminationGracePeriodSeconds"));
        let is_short = grace - pause < LEAST || seems_wrapped(subject.container);
        found.push(if is_short { one } else { one.note() });
    }
    found
}

fn shell_without_exec(subject: Subject<'_>) -> Vec<Finding> {
    let mut words = words(subject.container, "command");
    words.extend(self::words(subject.container, "args"));
    let field = if subject.get("command").is_some() { "command" } else { "args" };
    if bookend_of(subject.container).is_some() {
        words = words.into_iter().skip_while(|word| word != "--").skip(1).collect();
    }
    let program = words.first().map(|word| base_name(word)).unwrap_or_default();
    if matches!(program, "npm" | "yarn" | "npx" | "pnpm") {
        let found = Finding::new(
            "npm",
            format!("the command is {program}"),
            "it runs a shell, which may keep the stop signal from the server",
            "the program that the script in package.json runs: node server.js",
        );
        return vec![found.note().at(field)];
    }
    let Some(script) = script_of(&words) else { return Vec::new() };
    let last = commands(&words).pop().unwrap_or_default();
    let replaces = script.split_whitespace().any(|word| word == "exec");
    let is_alone = commands(&words).len() == 1;
    if replaces || last.is_empty() || subject.kind() == "Job" || subject.kind() == "CronJob" {
        return Vec::new();
    }
    let is_program = |word: &&String| word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.');
    let server = last.first().filter(is_program).map_or("its programs", String::as_str);
    let found = Finding::new(
        "shell-without-exec",
        format!("a shell stays in front of {server}"),
        "the stop signal reaches the shell and not the server, which SIGKILL ends at the end of the grace period",
        "let the script end with `exec` and the server's command",
    );
    // Most shells replace themselves by their only command; without clients a late end costs no request.
    vec![if is_alone || !subject.serves() { found.note() } else { found }.at(field)]
}

fn proxy_ends_first(subject: Subject<'_>, pre_stop: Option<&HookAction<'_>>) -> Vec<Finding> {
    let image = subject.text("image").unwrap_or_default();
    let others = subject.pod.get("containers").and_then(Value::as_array).map_or(0, Vec::len);
    let is_proxy = PROXIES.iter().any(|known| image.contains(known));
    if !is_proxy || others < 2 || subject.list != "containers" || pre_stop.is_some() {
        return Vec::new();
    }
    let found = Finding::new(
        "proxy-ends-first",
        format!("{} is a proxy beside the app, and an ordinary container", subject.name()),
        "all containers get the stop signal at once: the app loses its connections while it still answers requests",
        "make it a native sidecar (an init container with restartPolicy: Always), which ends after the app; or give it a preStop hook that waits",
    );
    vec![found.at("")]
}

/// Once for each object: at its first container.
fn strategy(subject: Subject<'_>) -> Vec<Finding> {
    let first = subject.pod.get("containers").and_then(|containers| containers.get(0));
    let is_first = first.is_some_and(|first| std::ptr::eq(first, subject.container));
    if subject.kind() != "Deployment" || !is_first {
        return Vec::new();
    }
    let text = |pointer: &str| {
        subject.owner.pointer(pointer).map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
    };
    let replicas = subject.owner.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let unavailable = text("/spec/strategy/rollingUpdate/maxUnavailable").unwrap_or_default();
    let surge = text("/spec/strategy/rollingUpdate/maxSurge").unwrap_or_default();
    let has_none = matches!(surge.as_str(), "0" | "0%");
    if text("/spec/strategy/type").as_deref() == Some("Recreate") {
        let found = Finding::new(
            "recreate",
            "strategy Recreate: all old Pods end before the first new one starts",
            "requests between the two have no server",
            "RollingUpdate with maxUnavailable: 0, unless two versions must never run at once",
        );
        return vec![found.at("object.spec.strategy")];
    }
    if unavailable == "100%" || (has_none && replicas == 1) {
        let found = Finding::new(
            "all-unavailable",
            format!("a rollout may stop all {replicas} replicas before a new one is ready"),
            "requests between the two have no server",
            "maxUnavailable: 0 and maxSurge: 1",
        );
        return vec![found.at("object.spec.strategy.rollingUpdate")];
    }
    Vec::new()
}

/// More containers than a Pod has: a file may have any number.
const MOST_CONTAINERS: usize = 100;
/// Less than this is not enough for requests in flight: the kubelet itself never gives less.
const LEAST: f64 = 2.0;
/// More than this and the probe hardly ever fails.
const MOST_PATIENCE: f64 = 120.0;
/// Parts of the names of images that have neither a shell nor sleep.
const WITHOUT_SHELL: [&str; 2] = ["distroless", "cgr.dev/chainguard/"];
/// Parts of the names of images of proxies that run beside an app.
const PROXIES: [&str; 6] =
    ["envoyproxy/envoy", "istio/proxyv2", "linkerd/proxy", "cloud-sql-proxy", "cloudsql-proxy", "pgbouncer"];
