//! The checks of a container with bookend: its configuration, and whether it fits the Pod. Pure.

use bookend_config::Effective;
use bookend_config::settings::{HandlerKind, HttpSettings, Program};
use bookend_lifecycle::seconds::Seconds;
use serde_json::Value;

use super::configuration::ContainerConfiguration;
use super::finding::Finding;
use super::hook::{HookAction, ends_server_at_once, sleep_of};
use super::subject::Subject;
use crate::shell::commands;

/// All findings of one container with bookend.
pub(crate) fn examine(subject: Subject<'_>, configuration: &ContainerConfiguration) -> Vec<Finding> {
    let effective = match &configuration.effective {
        Ok(effective) => effective,
        Err(diagnostics) => {
            return vec![
                Finding::new(
                    "configuration",
                    diagnostics.to_string(),
                    "bookend refuses the configuration: the container ends with 125, again and again",
                    "correct it; `bookend check` shows the same",
                )
                .at(""),
            ];
        }
    };
    let mut found = Vec::new();
    found.extend(effective.all_warnings().into_iter().map(|warning| {
        Finding::new(
            "configuration",
            warning,
            "bookend works, and not as it is configured",
            "`bookend check` explains it",
        )
        .at("")
    }));
    // A source that is not known may set what seems to be missing.
    let is_complete = configuration.missing.is_empty();
    if is_complete || effective.settings.termination_grace_period.is_some() {
        found.extend(grace_differs(subject, effective));
    }
    if is_complete && !configuration.is_sidecar {
        found.extend(no_drain(subject, effective));
        found.extend(handler_ends_server(subject, effective));
    }
    found.extend(termination_message(subject, effective));
    found.extend(pid_namespace(subject, configuration));
    found
}

/// Whether its preStop handlers wait before the stop signal, whatever begins the stop.
pub(crate) fn drains(configuration: &ContainerConfiguration) -> bool {
    let Ok(effective) = &configuration.effective else { return false };
    effective.settings.lifecycle.pre_stop.iter().any(|handler| waits(&handler.kind))
}

/// Whether a handler waits, or may do so.
fn waits(handler: &HandlerKind) -> bool {
    match handler {
        HandlerKind::Drain(_) => true,
        HandlerKind::Sleep { duration } => duration.as_secs() >= 1,
        HandlerKind::Exec(program) => commands(&words_of(program)).iter().any(|command| sleep_of(command).is_some()),
        // The answer of a server may come late; that is not visible here.
        kind => kind.name().is_client(),
    }
}

fn words_of(program: &Program) -> Vec<String> {
    program.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// A handler that ends the server before any other has waited: a hook of a Pod that was carried over as it was.
fn handler_ends_server(subject: Subject<'_>, effective: &Effective) -> Vec<Finding> {
    let settings = &effective.settings;
    if !serves_apart_from_bookend(subject, settings.http.as_ref()) {
        return Vec::new();
    }
    for handler in &settings.lifecycle.pre_stop {
        if let HandlerKind::Exec(program) = &handler.kind
            && let Some(command) = ends_server_at_once(&words_of(program))
        {
            let found = Finding::new(
                "hook-ends-server",
                format!("bookend's preStop handler {} ends the server at once: {command}", handler.name),
                "new requests still arrive for some seconds, and are refused",
                "a drain as the first preStop handler; the server's graceful signal as app.stopSignal in place of this handler",
            );
            return vec![found.at("")];
        }
        if waits(&handler.kind) {
            break;
        }
    }
    Vec::new()
}

fn grace_differs(subject: Subject<'_>, effective: &Effective) -> Vec<Finding> {
    let pods = subject.grace();
    let field = "pod.terminationGracePeriodSeconds";
    match effective.settings.termination_grace_period {
        None => {
            let found = Finding::new(
                "no-budget",
                format!("the Pod's grace period is {pods} s, and bookend's terminationGracePeriodSeconds is not set"),
                "bookend does not know when SIGKILL comes: postStop handlers and the report may be lost",
                format!("terminationGracePeriodSeconds = {pods} in its configuration"),
            );
            let has_post_stop = !effective.settings.lifecycle.post_stop.is_empty();
            vec![if has_post_stop { found } else { found.note() }.at(field)]
        }
        Some(ours) if ours.as_secs_f64() > pods => {
            let ours = Seconds(ours);
            let found = Finding::new(
                "grace-differs",
                format!("bookend plans with terminationGracePeriodSeconds = {ours}, and the Pod's is {pods}"),
                "the kubelet's SIGKILL comes before bookend's own: requests, postStop handlers and the report are lost",
                format!("set both to the same value: {ours} in the Pod, or {pods} in the configuration"),
            );
            vec![found.at(field)]
        }
        Some(_) => Vec::new(),
    }
}

fn no_drain(subject: Subject<'_>, effective: &Effective) -> Vec<Finding> {
    let settings = &effective.settings;
    let waits_in_hook = HookAction::of(subject.get("lifecycle/preStop")).is_some_and(|hook| hook.pause() >= 1.0);
    let has_pause = settings.lifecycle.pre_stop.iter().any(|handler| !matches!(handler.kind, HandlerKind::Signal(_)));
    if has_pause || waits_in_hook || !serves_apart_from_bookend(subject, settings.http.as_ref()) {
        return Vec::new();
    }
    let found = Finding::new(
        "no-drain",
        "bookend has no preStop handler that waits",
        "the stop signal comes at once, while proxies and load balancers still send new requests for some seconds",
        "lifecycle.preStop.drain = {}, or app.profile = \"auto\", which drains",
    );
    vec![found.at("")]
}

/// Whether it has a port besides bookend's own.
fn serves_apart_from_bookend(subject: Subject<'_>, http: Option<&HttpSettings>) -> bool {
    let own = http.map(|http| u64::from(http.listen.port()));
    let mut ports = subject.items("ports").filter_map(|port| port.get("containerPort")?.as_u64());
    subject.serves() && ports.any(|port| Some(port) != own)
}

fn termination_message(subject: Subject<'_>, effective: &Effective) -> Vec<Finding> {
    let mut found = Vec::new();
    let pods = subject.text("terminationMessagePath").unwrap_or(MESSAGE_PATH);
    let ours = effective
        .settings
        .termination_message_path
        .as_deref()
        .map_or(MESSAGE_PATH.into(), |path| path.to_string_lossy());
    if ours != pods {
        let one = Finding::new(
            "termination-message",
            format!("bookend writes its report to {ours}, and the kubelet reads {pods}"),
            "the report of a stop does not reach `kubectl describe` or `kubectl bookend stops`",
            format!("terminationMessagePath = \"{pods}\" in its configuration, or the same path in the Pod"),
        );
        found.push(one.at("terminationMessagePath"));
    }
    if subject.text("terminationMessagePolicy") != Some("FallbackToLogsOnError") {
        let one = Finding::new(
            "termination-message-policy",
            "terminationMessagePolicy is not FallbackToLogsOnError",
            "a mistake in the configuration is in the log only: `kubectl describe` shows exit code 125 without a reason",
            "terminationMessagePolicy: FallbackToLogsOnError",
        );
        found.push(one.note().at("terminationMessagePolicy"));
    }
    found
}

fn pid_namespace(subject: Subject<'_>, configuration: &ContainerConfiguration) -> Vec<Finding> {
    let is_shared = subject.pod.get("shareProcessNamespace").and_then(Value::as_bool) == Some(true);
    if !is_shared || configuration.is_sidecar {
        return Vec::new();
    }
    let found = Finding::new(
        "not-pid-1",
        "shareProcessNamespace: PID 1 is the Pod's pause process",
        "bookend reaps only the children of its own app, as a subreaper",
        "remove shareProcessNamespace, unless a sidecar needs it",
    );
    vec![found.note().at("pod.shareProcessNamespace")]
}

/// Hooks and probes of all containers of a pod that call bookend: whether it listens there. `endpoints`: the ports where the bookends of
/// this pod listen, with the container that has each.
pub(crate) fn calls(subject: Subject<'_>, endpoints: &[(String, HttpSettings)], are_all_known: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    for field in ["lifecycle/postStart", "lifecycle/preStop", "startupProbe", "readinessProbe", "livenessProbe"] {
        let Some(HookAction::HttpGet { port, path, .. }) = HookAction::of(subject.get(field)) else { continue };
        let is_hook = field.starts_with("lifecycle");
        let shown = format!("{}.httpGet", field.replace('/', "."));
        let to_bookend = path.starts_with("/lifecycle/") || (!is_hook && PROBES.contains(&path));
        let Some(number) = subject.port(port).filter(|_| to_bookend) else { continue };
        let listener = endpoints.iter().find(|(_, http)| http.listen.port() == number);
        let Some((owner, http)) = listener else {
            // `/readyz` and `/livez` may be the app's own.
            if (is_hook || endpoints.iter().any(|(owner, _)| owner == subject.name()))
                && are_all_known
                && !endpoints.is_empty()
            {
                let ports: Vec<String> = endpoints.iter().map(|(_, http)| http.listen.port().to_string()).collect();
                let one = Finding::new(
                    "hook-port",
                    format!("{shown} calls {path} at port {number}, and bookend listens on {}", ports.join(", ")),
                    "the call is refused: a failed postStart restarts the container, a failed probe keeps it out of service",
                    "the port of http.listen",
                );
                found.push(one.at(&shown));
            } else if is_hook && are_all_known {
                let one = Finding::new(
                    "hook-port",
                    format!("{shown} calls {path}, and no bookend of this Pod has http.listen"),
                    "the call is refused: a failed postStart restarts the container, and the stop signal comes at once",
                    "http.listen = \"0.0.0.0:9797\" in bookend's configuration",
                );
                found.push(one.at(&shown));
            }
            continue;
        };
        if http.listen.ip().is_loopback() {
            let one = Finding::new(
                "hooks-on-loopback",
                format!("{shown} calls port {number}, and http.listen is {}", http.listen),
                "the kubelet calls the Pod's address, where bookend does not listen",
                format!("http.listen = \"0.0.0.0:{number}\""),
            );
            found.push(one.at(&shown));
        }
        if field == "lifecycle/postStart" && owner == subject.name() {
            let one = Finding::new(
                "post-start-race",
                "postStart calls a port of its own container",
                "the kubelet calls when the container has been created, sometimes before its process listens; a refused call restarts it",
                "exec.command: [\"/bookend\", \"hook\", \"postStart\"], which waits for the socket",
            );
            found.push(one.at(&shown));
        }
        if field == "readinessProbe" && path == "/startupz" {
            let one = Finding::new(
                "readiness-never-fails",
                "the readinessProbe calls /startupz",
                "it succeeds for ever once the app has started",
                "path: /readyz",
            );
            found.push(one.at(&shown));
        }
    }
    found
}

/// Paths of bookend's endpoint that a probe may call.
const PROBES: [&str; 3] = ["/startupz", "/readyz", "/livez"];
/// Kubernetes' default.
const MESSAGE_PATH: &str = "/dev/termination-log";
