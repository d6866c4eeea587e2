//! From the merged tree to the settings that the program works with. Every value has been checked when it was read. A key
//! that is read here under a wrong name would silently be unset, so a test sets every key of the vocabulary and expects
//! that the settings change.

use std::path::PathBuf;
use std::time::Duration;

use crate::scalar::{read_status, read_user};
use crate::settings::{
    AppSettings, CommandFrom, ContainerSettings, FailurePolicy, FileValue, Handler, HandlerKind, HandlerName, Header,
    HttpGet, HttpSettings, LifecycleSettings, LogFormat, LogLevel, LogSettings, Method, PortState, ProbeSet,
    ProbeSettings, ProcessSelector, Program, ReadyzDuringStop, Scheme, Settings, SignalScope, SocketPath, TcpSocket,
    TlsSettings, ValueSource,
};
use crate::tree::Tree;
use crate::value::Value;
use crate::view::{TableView, as_integer, as_signal, as_source};
use crate::vocabulary::LOCALHOST;
use bookend_lifecycle::drain::{Drain, Until};
use bookend_lifecycle::probe;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::sorted::collect_map;
use bookend_lifecycle::{On, Reason, SecondSignal};

/// The settings of a tree without errors.
pub(crate) fn settings(tree: &Tree) -> Settings {
    let root = TableView::root(tree);
    Settings {
        termination_grace_period: root.seconds("terminationGracePeriodSeconds"),
        leftovers: root.seconds("leftoversSeconds"),
        termination_message_path: root.text("terminationMessagePath").map(PathBuf::from),
        termination_message_bytes: root.integer("terminationMessageBytes"),
        state_file: root.text("stateFile").map(PathBuf::from),
        subreaper: root.bool("subreaper"),
        socket: match root.text("socket") {
            None => SocketPath::Default,
            Some("None") => SocketPath::None,
            Some(path) => SocketPath::At(path.into()),
        },
        pdeath_signal: root.signal("pdeathSignal"),
        app: AppSettings {
            stop_signal: stop_signal(&root.table("app"), &root.table("lifecycle")),
            ..app(&root.table("app"))
        },
        ports: collect_map(root.pairs("ports").filter_map(|(name, value)| Some((name, as_integer(value)?)))),
        http: http(&root.table("http")),
        lifecycle: lifecycle(&root.table("lifecycle")),
        containers: collect_map(root.named("containers").into_iter().map(|(name, at)| (name, container(&at)))),
        probes: ProbeSet {
            startup: probe(&root, probe::ProbeKind::Startup),
            readiness: probe(&root, probe::ProbeKind::Readiness),
            liveness: probe(&root, probe::ProbeKind::Liveness),
            stop_on_liveness: root.table("livenessProbe").text("action") == Some("Stop"),
        },
        log: log(&root.table("log")),
        #[cfg(feature = "reload")]
        reloads: root.tables("reload").iter().filter_map(reload).collect(),
        #[cfg(feature = "otel")]
        otel: root.table("otel").bool("enabled").unwrap_or_default(),
    }
}

#[cfg(feature = "reload")]
fn reload(at: &TableView<'_>) -> Option<crate::settings::ReloadSettings> {
    let seconds = |name, default| at.seconds(name).unwrap_or(Duration::from_secs(default));
    let name = at.text("name")?.to_owned();
    let timeout = seconds("timeoutSeconds", 10);
    let bounded = |handler: Handler| Handler { timeout: Some(timeout), ..handler };
    let paths = at.list("watch").unwrap_or_default().iter();
    Some(crate::settings::ReloadSettings {
        container: at.text("container").map(str::to_owned),
        watch: paths.filter_map(|path| if let Value::Text(path) = path { Some(path.into()) } else { None }).collect(),
        on_limits_change: at.bool("onLimitsChange").unwrap_or_default(),
        settle: seconds("settleSeconds", 1),
        splay: seconds("splaySeconds", 0),
        poll: at.seconds("pollSeconds"),
        timeout,
        check: handler(&at.table("check"), name.clone()).map(bounded),
        action: handler(at, name.clone()).map(bounded)?,
        name,
    })
}

/// A Pod spec has it in its lifecycle.
fn stop_signal(app: &TableView<'_>, lifecycle: &TableView<'_>) -> Option<Signal> {
    app.signal("stopSignal").or_else(|| lifecycle.signal("stopSignal"))
}

fn lifecycle(at: &TableView<'_>) -> LifecycleSettings {
    let list = |hook: &str| -> Vec<Handler> {
        let handlers = at.tables(hook).into_iter().enumerate();
        handlers.filter_map(|(index, at)| handler(&at, format!("{hook}[{index}]"))).collect()
    };
    LifecycleSettings {
        pre_start: list("preStart"),
        post_start: list("postStart"),
        pre_stop: list("preStop"),
        post_stop: list("postStop"),
    }
}

fn container(at: &TableView<'_>) -> ContainerSettings {
    let hooks = at.table("lifecycle");
    ContainerSettings {
        lifecycle: lifecycle(&hooks),
        stop_signal: stop_signal(at, &hooks),
        process: process(&at.table("process")),
    }
}

fn process(at: &TableView<'_>) -> Option<ProcessSelector> {
    at.is_there().then(|| ProcessSelector {
        executable: at.text("executable").map(PathBuf::from),
        command_line: at.text("commandLine").map(str::to_owned),
        pid_file: at.text("pidFile").map(PathBuf::from),
        container: at.text("container").map(str::to_owned),
    })
}

fn app(at: &TableView<'_>) -> AppSettings {
    let exit_code = |text: &str| text.parse::<u8>().ok();
    AppSettings {
        profile: at.text("profile").map(str::to_owned),
        program: program(at),
        command_from: match at.value("command") {
            Some(_) => CommandFrom::Configuration,
            None => CommandFrom::CommandLine,
        },
        umask: match at.value("umask") {
            Some(Value::Umask(mask)) => Some(*mask),
            _ => None,
        },
        rlimits: collect_map(
            at.pairs("rlimits")
                .filter_map(|(name, value)| if let Value::Limit(limit) = value { Some((name, *limit)) } else { None }),
        ),
        oom_score_adj: match at.value("oomScoreAdj") {
            Some(Value::Integer(score)) => i16::try_from(*score).ok(),
            _ => None,
        },
        stop_signal: at.signal("stopSignal"),
        stop_signals: at.list("stopSignals").map(|list| list.iter().filter_map(as_signal).collect()),
        signals: collect_map(
            at.pairs("signals").filter_map(|(name, value)| Some((name.parse().ok()?, as_signal(value)))),
        ),
        signal_scope: at.choice("signalScope", SignalScope::of).unwrap_or_default(),
        exit_codes: collect_map(at.pairs("exitCodes").filter_map(|(name, value)| match value {
            Value::Integer(code) => Some((exit_code(&name)?, u8::try_from(*code).ok()?)),
            _ => None,
        })),
        pdeath_signal: at.signal("pdeathSignal"),
        second_signal: second_signal(&at.table("secondSignal")),
        notify: at.bool("notify").unwrap_or_default(),
        stop_is_success: at.bool("stopIsSuccess").unwrap_or_default(),
        hold_on_failure: at.seconds("holdOnFailureSeconds"),
        process: process(&at.table("process")),
    }
}

/// The keys that every program has: `app`, `exec`.
fn program(at: &TableView<'_>) -> Program {
    Program {
        command: at.words("command"),
        env: at.sources("env"),
        working_dir: at.text("workingDir").map(PathBuf::from),
        user: at.text("user").and_then(read_user),
    }
}

fn http(at: &TableView<'_>) -> Option<HttpSettings> {
    let tls = at.table("tls");
    let networks = |list: &[Value]| {
        list.iter().filter_map(|value| if let Value::Text(text) = value { text.parse().ok() } else { None }).collect()
    };
    Some(HttpSettings {
        listen: at.text("listen")?.parse().ok()?,
        tls: match (tls.text("certFile"), tls.text("keyFile")) {
            (Some(cert), Some(key)) => Some(TlsSettings::Files { cert: cert.into(), key: key.into() }),
            _ => at.bool("selfSigned").filter(|own| *own).map(|_| TlsSettings::SelfSigned),
        },
        token_file: at.text("tokenFile").map(PathBuf::from),
        allow_from: at.list("allowFrom").map(networks),
        post_start_max: at.seconds("postStartMaxSeconds").unwrap_or(HttpSettings::POST_START_MAX),
        readyz_during_stop: at.choice("readyzDuringStop", ReadyzDuringStop::of).unwrap_or_default(),
        page: at.bool("page").unwrap_or(false),
    })
}

fn handler(at: &TableView<'_>, position: String) -> Option<Handler> {
    let name = HandlerName::ALL.iter().copied().find(|name| at.table(name.name()).is_there())?;
    let kind = handler_kind(name, &at.table(name.name()))?;
    let on = at.list("on").map_or(On::EVERY, |words| {
        let has = |reason: Reason| words.iter().any(|one| matches!(one, Value::Text(text) if text == reason.name()));
        On {
            completed: has(Reason::Completed),
            failed: has(Reason::Failed),
            stopped: has(Reason::Stopped),
            unseen: has(Reason::Unseen),
        }
    });
    Some(Handler {
        name: at.text("name").map_or(position, str::to_owned),
        kind,
        timeout: at.seconds("timeoutSeconds"),
        retries: at.integer("retries").unwrap_or(0),
        backoff: at.seconds("backoffSeconds").unwrap_or(Duration::from_secs(1)),
        on,
        failure_policy: at.choice("failurePolicy", FailurePolicy::of).unwrap_or_default(),
    })
}

fn handler_kind(name: HandlerName, at: &TableView<'_>) -> Option<HandlerKind> {
    Some(match name {
        HandlerName::Exec => HandlerKind::Exec(program(at)),
        HandlerName::HttpGet => HandlerKind::HttpGet(http_get(at)?),
        HandlerName::TcpSocket => HandlerKind::TcpSocket(tcp_socket(at)?),
        HandlerName::Sleep => HandlerKind::Sleep { duration: at.seconds("seconds")? },
        HandlerName::Drain => HandlerKind::Drain(drain(at)),
        HandlerName::Signal => HandlerKind::Signal(at.signal("name")?),
    })
}

fn second_signal(at: &TableView<'_>) -> Option<SecondSignal> {
    let after = at.seconds("afterSeconds").unwrap_or(Duration::from_secs(1));
    Some(SecondSignal { after, signal: at.signal("signal")? })
}

fn drain(at: &TableView<'_>) -> Drain {
    let default = Drain::default();
    Drain {
        min: at.seconds("minSeconds").unwrap_or(default.min),
        quiet: at.seconds("quietSeconds").unwrap_or(default.quiet),
        max: at.seconds("maxSeconds").unwrap_or(default.max),
        fallback: at.seconds("fallbackSeconds"),
        tolerated: at.integer("toleratedConnections").unwrap_or(default.tolerated),
        only_if_listening: at.bool("onlyIfListening").unwrap_or_default(),
        udp: at.bool("udp").unwrap_or_default(),
        ports: at.list("ports").unwrap_or_default().iter().filter_map(as_integer).collect(),
        until: at.choice("until", Until::of).unwrap_or_default(),
        multiplexed: at.bool("multiplexed"),
    }
}

/// Zero means the default, as in a Pod, where zero and unset are the same.
fn probe(root: &TableView<'_>, kind: probe::ProbeKind) -> Option<ProbeSettings> {
    let at = root.table(kind.name());
    if !at.is_there() {
        return None;
    }
    let seconds = |name, default| at.seconds(name).filter(|s| !s.is_zero()).unwrap_or(Duration::from_secs(default));
    let threshold = |name, default| at.integer(name).filter(|n| *n != 0).unwrap_or(default);
    let rule = probe::ProbeRule {
        initial_delay: at.seconds("initialDelaySeconds").unwrap_or_default(),
        period: seconds("periodSeconds", 10),
        failure_threshold: threshold("failureThreshold", 3),
        success_threshold: threshold("successThreshold", 1),
    };
    let handler = handler(&at, kind.name().to_owned())?;
    Some(ProbeSettings { handler: Handler { timeout: Some(seconds("timeoutSeconds", 1)), ..handler }, rule })
}

fn http_get(at: &TableView<'_>) -> Option<HttpGet> {
    let status = at.list("successStatus").map(|list| {
        list.iter().filter_map(|range| if let Value::Text(text) = range { read_status(text) } else { None }).collect()
    });
    Some(HttpGet {
        host: at.text("host").unwrap_or(LOCALHOST).to_owned(),
        port: at.port("port")?,
        path: at.text("path").unwrap_or("/").to_owned(),
        scheme: at.choice("scheme", Scheme::of).unwrap_or_default(),
        method: at.choice("method", Method::of).unwrap_or_default(),
        body: at.text("body").unwrap_or_default().to_owned(),
        headers: at.tables("httpHeaders").iter().filter_map(header).collect(),
        success_status: status.unwrap_or_else(|| vec![200..=399]),
        ca_file: at.text("caFile").map(PathBuf::from),
        insecure_skip_verify: at.bool("insecureSkipVerify").unwrap_or_default(),
    })
}

fn header(at: &TableView<'_>) -> Option<Header> {
    let from = at.table("valueFrom");
    let from_file =
        || Some(ValueSource::File(FileValue::new(from.text("file")?, from.text("prefix").unwrap_or_default())));
    Some(Header { name: at.text("name")?.to_owned(), value: at.value("value").and_then(as_source).or_else(from_file)? })
}

fn tcp_socket(at: &TableView<'_>) -> Option<TcpSocket> {
    Some(TcpSocket {
        host: at.text("host").unwrap_or(LOCALHOST).to_owned(),
        port: at.port("port")?,
        until: at.choice("until", PortState::of).unwrap_or_default(),
    })
}

fn log(at: &TableView<'_>) -> LogSettings {
    LogSettings {
        format: at.choice("format", LogFormat::of).unwrap_or_default(),
        level: at.choice("level", LogLevel::of),
    }
}
