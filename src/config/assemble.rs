//! From the merged tree to the settings the program works with. Every value has been checked on its
//! way in; what is read here under a wrong name would be silently unset, so a test says every key of
//! the vocabulary and looks whether the settings change. Pure.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::key::join;
use super::kind::{Value, read_user};
use super::settings::{
    App, CommandFrom, FailurePolicy, Handler, HandlerKind, Http, Lifecycle, Log, LogFormat, LogLevel, Program,
    ReadyzDuringStop, Settings, SignalScope, Socket, Tls, ValueSource,
};
use super::tree::Tree;
use crate::drain::{Drain, Until};
use crate::lifecycle::Hurry;
use crate::signal::Signal;

/// The settings of a tree without mistakes.
pub(super) fn settings(tree: &Tree) -> Settings {
    let root = At { tree, path: String::new() };
    let lifecycle = |hook: &str| -> Vec<Handler> {
        let handlers = tree.tables(&format!("lifecycle.{hook}"));
        let named = handlers.into_iter().enumerate();
        named.filter_map(|(index, path)| handler(&At { tree, path }, format!("{hook}[{index}]"))).collect()
    };
    Settings {
        termination_grace_period: root.seconds("terminationGracePeriodSeconds"),
        termination_message_path: root.text("terminationMessagePath").map(PathBuf::from),
        subreaper: root.bool("subreaper"),
        socket: match root.text("socket") {
            None => Socket::Default,
            Some("None") => Socket::None,
            Some(path) => Socket::At(path.into()),
        },
        pdeath_signal: root.signal("pdeathSignal"),
        app: App {
            // A Pod spec says it in its lifecycle.
            stop_signal: root
                .table("app")
                .signal("stopSignal")
                .or_else(|| root.table("lifecycle").signal("stopSignal")),
            ..app(&root.table("app"))
        },
        http: http(&root.table("http")),
        lifecycle: Lifecycle {
            pre_start: lifecycle("preStart"),
            post_start: lifecycle("postStart"),
            pre_stop: lifecycle("preStop"),
            post_stop: lifecycle("postStop"),
        },
        log: log(&root.table("log")),
    }
}

fn app(at: &At<'_>) -> App {
    let exit_code = |text: &str| text.parse::<u8>().ok();
    App {
        program: program(at),
        command_from: match at.value("command") {
            Some(_) => CommandFrom::Configuration,
            None => CommandFrom::CommandLine,
        },
        umask: match at.value("umask") {
            Some(Value::Umask(mask)) => Some(*mask),
            _ => None,
        },
        rlimits: at
            .pairs("rlimits")
            .filter_map(|(name, value)| if let Value::Limit(limit) = value { Some((name, *limit)) } else { None })
            .collect(),
        oom_score_adj: match at.value("oomScoreAdj") {
            Some(Value::Integer(score)) => i16::try_from(*score).ok(),
            _ => None,
        },
        stop_signal: at.signal("stopSignal"),
        stop_signals: at.list("stopSignals").map(|list| list.iter().filter_map(as_signal).collect()),
        signals: at.pairs("signals").filter_map(|(name, value)| Some((name.parse().ok()?, as_signal(value)))).collect(),
        signal_scope: match at.text("signalScope") {
            Some("ProcessGroup") => SignalScope::ProcessGroup,
            _ => SignalScope::Process,
        },
        exit_codes: at
            .pairs("exitCodes")
            .filter_map(|(name, value)| match value {
                Value::Integer(code) => Some((exit_code(&name)?, u8::try_from(*code).ok()?)),
                _ => None,
            })
            .collect(),
        pdeath_signal: at.signal("pdeathSignal"),
        hurry: hurry(&at.table("hurry")),
        stop_is_success: at.bool("stopIsSuccess").unwrap_or_default(),
    }
}

/// What every program may say: `app`, `exec`.
fn program(at: &At<'_>) -> Program {
    Program {
        command: at.words("command"),
        env: at.sources("env"),
        working_dir: at.text("workingDir").map(PathBuf::from),
        user: at.text("user").and_then(read_user),
    }
}

fn http(at: &At<'_>) -> Option<Http> {
    let tls = at.table("tls");
    let networks = |list: &[Value]| {
        list.iter().filter_map(|value| if let Value::Text(text) = value { text.parse().ok() } else { None }).collect()
    };
    Some(Http {
        listen: at.text("listen")?.parse().ok()?,
        tls: match (tls.text("certFile"), tls.text("keyFile")) {
            (Some(cert), Some(key)) => Some(Tls::Files { cert: cert.into(), key: key.into() }),
            _ => at.bool("selfSigned").filter(|own| *own).map(|_| Tls::SelfSigned),
        },
        token_file: at.text("tokenFile").map(PathBuf::from),
        allow_from: at.list("allowFrom").map(networks),
        post_start_max: at.seconds("postStartMaxSeconds").unwrap_or(Http::POST_START_MAX),
        readyz_during_stop: match at.text("readyzDuringStop") {
            Some("Failing") => ReadyzDuringStop::Failing,
            _ => ReadyzDuringStop::Serving,
        },
        page: at.bool("page").unwrap_or(false),
    })
}

fn handler(at: &At<'_>, position: String) -> Option<Handler> {
    let exec = at.table("exec");
    let kind = if exec.is_there() {
        HandlerKind::Exec(program(&exec))
    } else if at.table("drain").is_there() {
        HandlerKind::Drain(drain(&at.table("drain")))
    } else {
        HandlerKind::Sleep { duration: at.table("sleep").seconds("seconds")? }
    };
    Some(Handler {
        name: at.text("name").map_or(position, str::to_owned),
        kind,
        timeout: at.seconds("timeoutSeconds"),
        failure_policy: match at.text("failurePolicy") {
            Some("Ignore") => FailurePolicy::Ignore,
            _ => FailurePolicy::Fail,
        },
    })
}

fn hurry(at: &At<'_>) -> Option<Hurry> {
    let after = at.seconds("afterSeconds").unwrap_or(Duration::from_secs(1));
    Some(Hurry { after, signal: at.signal("signal")? })
}

fn drain(at: &At<'_>) -> Drain {
    let default = Drain::default();
    Drain {
        min: at.seconds("minSeconds").unwrap_or(default.min),
        quiet: at.seconds("quietSeconds").unwrap_or(default.quiet),
        max: at.seconds("maxSeconds").unwrap_or(default.max),
        fallback: at.seconds("fallbackSeconds"),
        tolerated: at.integer("toleratedConnections").unwrap_or(default.tolerated),
        ports: at.list("ports").unwrap_or_default().iter().filter_map(as_integer).collect(),
        until: match at.text("until") {
            Some("NoBusyConnections") => Until::NoBusyConnections,
            Some("NoConnections") => Until::NoConnections,
            _ => Until::Quiet,
        },
    }
}

fn log(at: &At<'_>) -> Log {
    Log {
        format: match at.text("format") {
            Some("Json") => LogFormat::Json,
            _ => LogFormat::Text,
        },
        level: match at.text("level") {
            Some("Error") => Some(LogLevel::Error),
            Some("Warn") => Some(LogLevel::Warn),
            Some("Info") => Some(LogLevel::Info),
            Some("Debug") => Some(LogLevel::Debug),
            _ => None,
        },
    }
}

/// A table of the tree and what stands in it.
struct At<'a> {
    tree: &'a Tree,
    path: String,
}

impl<'a> At<'a> {
    fn table(&self, name: &str) -> At<'a> {
        At { tree: self.tree, path: join(&self.path, name) }
    }

    fn is_there(&self) -> bool {
        self.tree.get(&self.path).is_some()
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.tree.get(&join(&self.path, name)).map(|entry| &entry.value)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn bool(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(Value::Bool(yes)) => Some(*yes),
            _ => None,
        }
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Value::Seconds(time)) => Some(*time),
            _ => None,
        }
    }

    fn integer<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        self.value(name).and_then(as_integer)
    }

    fn signal(&self, name: &str) -> Option<Signal> {
        self.value(name).and_then(as_signal)
    }

    fn list(&self, name: &str) -> Option<&'a [Value]> {
        match self.value(name) {
            Some(Value::List(list)) => Some(list),
            _ => None,
        }
    }

    fn words(&self, name: &str) -> Vec<OsString> {
        let words = self.list(name).unwrap_or_default().iter();
        words.filter_map(|word| if let Value::Text(text) = word { Some(text.into()) } else { None }).collect()
    }

    /// A table of sources, in the order in which they were said: weaker layers first.
    fn sources(&self, name: &str) -> Vec<(String, ValueSource)> {
        let mut said: Vec<_> = self
            .tree
            .names(&join(&self.path, name))
            .into_iter()
            .filter_map(|(name, path)| Some((name, self.tree.get(&path)?)))
            .collect();
        said.sort_by_key(|(_, entry)| entry.place);
        said.into_iter().filter_map(|(name, entry)| Some((name, as_source(&entry.value)?))).collect()
    }

    fn pairs(&self, name: &str) -> impl Iterator<Item = (String, &'a Value)> {
        let names = self.tree.names(&join(&self.path, name)).into_iter();
        names.filter_map(|(name, path)| Some((name, &self.tree.get(&path)?.value)))
    }
}

fn as_source(value: &Value) -> Option<ValueSource> {
    match value {
        Value::Text(text) => Some(ValueSource::Plain(text.clone())),
        Value::File(path) => Some(ValueSource::File(path.into())),
        _ => None,
    }
}

fn as_integer<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    match value {
        Value::Integer(number) => T::try_from(*number).ok(),
        _ => None,
    }
}

fn as_signal(value: &Value) -> Option<Signal> {
    match value {
        Value::Signal(signal) => Some(*signal),
        _ => None,
    }
}
