//! What the program needs to know, after every layer has been read, merged and checked. Plain
//! values with units and meanings already in their types: nothing here can be impossible any more.

mod hooks;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use hooks::*;

use super::network::Network;
use bookend_lifecycle::SecondSignal;
use bookend_lifecycle::probe::{ProbeKind, ProbeRule};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;

/// Everything bookend was told. `Settings::default()` is the zero config mode: a correct init.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `terminationGracePeriodSeconds`; `None`: bookend never kills the app by itself.
    pub termination_grace_period: Option<Duration>,
    /// `terminationMessagePath`: where the last summary goes; `None`: /dev/termination-log.
    pub termination_message_path: Option<PathBuf>,
    /// Whether orphans of our descendants come to us although we are not PID 1.
    pub subreaper: Option<bool>,
    /// Where the command line talks to us.
    pub socket: SocketPath,
    /// `pdeathSignal`: what the kernel sends bookend when the process that started it dies.
    pub pdeath_signal: Option<Signal>,
    /// The main process.
    pub app: AppSettings,
    /// `ports`: their names.
    pub ports: SmallMap<String, u16>,
    /// The pod-facing listener; `None`: no listener, no cost.
    pub http: Option<HttpSettings>,
    /// The handlers before and after the app.
    pub lifecycle: LifecycleSettings,
    /// `containers`: the hook sets of a sidecar that have a name.
    pub containers: SmallMap<String, ContainerSettings>,
    /// The probes of the app.
    pub probes: ProbeSet,
    /// The log.
    pub log: LogSettings,
}

impl Settings {
    /// The apps of a sidecar: the one of the top level, which has no name, and those of `containers`.
    pub fn of_sidecar(&self) -> Vec<(Option<String>, ContainerSettings)> {
        let first = ContainerSettings {
            lifecycle: self.lifecycle.clone(),
            stop_signal: self.app.stop_signal,
            process: self.app.process.clone(),
        };
        let named = self.containers.iter().map(|(name, container)| (Some(name.clone()), container.clone()));
        std::iter::once((None, first)).chain(named).collect()
    }
}

/// What the app, exec handlers and exec probes have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// Program and arguments. Not empty; the app's may be until `run` starts.
    pub command: Vec<OsString>,
    /// `env`: in the order they were said, which is the order in which `$(VAR)` finds them.
    pub env: Vec<(String, ValueSource)>,
    /// `workingDir`; `None`: bookend's own.
    pub working_dir: Option<PathBuf>,
    /// `user`; `None`: bookend's own.
    pub user: Option<User>,
}

/// A value of `env` or `httpHeaders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// Said in the configuration; `$(VAR)` is expanded in it.
    Plain(String),
    /// `valueFrom.file`: the file's content when it is needed, without the line break at its end, never expanded.
    File(PathBuf),
}

/// `user`: `name`, `uid`, `uid:gid`, `name:group`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What stands before the colon.
    pub user: Id,
    /// What stands after it; `None`: the user's own group.
    pub group: Option<Id>,
}

/// A user or group by name or by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// Looked up in /etc/passwd or /etc/group.
    Name(String),
    /// Taken as it is.
    Number(u32),
}

/// `socket`: the door for the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SocketPath {
    /// /run/bookend.sock, if that can be made.
    #[default]
    Default,
    /// There, as somebody said.
    At(PathBuf),
    /// Nowhere.
    None,
}

impl SocketPath {
    /// Where, and whether somebody asked for it there.
    pub fn path(&self) -> Option<(&Path, bool)> {
        match self {
            SocketPath::Default => Some((Path::new("/run/bookend.sock"), false)),
            SocketPath::At(path) => Some((path, true)),
            SocketPath::None => None,
        }
    }
}

/// `[app]`: the main process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppSettings {
    /// `profile`: the name, to be shown; what it brings is in the other settings.
    pub profile: Option<String>,
    /// What is run; its command is never empty once `run` starts.
    pub program: Program,
    /// Where the command stands, and so whether `$(VAR)` is expanded in it.
    pub command_from: CommandFrom,
    /// `umask`; `None`: bookend's own.
    pub umask: Option<u32>,
    /// `rlimits`: by their names in [`RLIMITS`].
    pub rlimits: SmallMap<String, ResourceLimit>,
    /// `oomScoreAdj`; `None`: bookend's own.
    pub oom_score_adj: Option<i16>,
    /// `stopSignal`: what the app gets instead of the stop signal that was received.
    pub stop_signal: Option<Signal>,
    /// `stopSignals`: what begins a stop; `None`: SIGTERM, SIGINT, SIGQUIT.
    pub stop_signals: Option<Vec<Signal>>,
    /// `signals`: rewrite (`Some`) or drop (`None`); signals not named here are forwarded as they are.
    pub signals: SmallMap<Signal, Option<Signal>>,
    /// `signalScope`: who gets forwarded signals.
    pub signal_scope: SignalScope,
    /// `exitCodes`: the app's exit code (128+n for a signal) on the left becomes the one on the right.
    pub exit_codes: SmallMap<u8, u8>,
    /// `pdeathSignal`: what the kernel sends the app should bookend die before it.
    pub pdeath_signal: Option<Signal>,
    /// `second_signal`: the second signal, for an app that only idle connections hold.
    pub second_signal: Option<SecondSignal>,
    /// `notify`: it says that it has started, with sd_notify(3).
    pub notify: bool,
    /// `stopIsSuccess`: a death by the very signal we sent is exit code 0.
    pub stop_is_success: bool,
    /// `process`: the app of another container, for a sidecar.
    pub process: Option<ProcessSelector>,
}

/// A resource limit (setrlimit(2)); `u64::MAX`: unlimited. What is `None` stays, as far as the other allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceLimit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// As far as the app may raise it.
    pub hard: Option<u64>,
}

/// The resources that can be limited, as docker's `--ulimit` and limits.conf(5) name them.
pub const RLIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Where the app's command was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommandFrom {
    /// After `--`: passed on byte for byte, as every init does; Kubernetes has expanded it already.
    #[default]
    CommandLine,
    /// `app.command`: `$(VAR)` is expanded, as in a Pod spec's `command`.
    Configuration,
}

/// Who gets a forwarded signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignalScope {
    /// The main process only.
    #[default]
    Process,
    /// The main process' group.
    ProcessGroup,
}

/// `[http]`: the pod-facing listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// `listen`: the address to bind; a kubelet calls the pod's IP, never localhost.
    pub listen: SocketAddr,
    /// `tls`; `None`: a TLS hello is sent away.
    pub tls: Option<TlsSettings>,
    /// `tokenFile`: what hooks have to show.
    pub token_file: Option<PathBuf>,
    /// `allowFrom`: from where hooks may come; `None`: from anywhere.
    pub allow_from: Option<Vec<Network>>,
    /// `postStartMaxSeconds`.
    pub post_start_max: Duration,
    /// `readyzDuringStop`.
    pub readyz_during_stop: ReadyzDuringStop,
    /// `page`: whether there is a page for people at `/`.
    pub page: bool,
}

impl HttpSettings {
    /// `postStartMaxSeconds`, where nothing else is said.
    pub const POST_START_MAX: Duration = Duration::from_secs(300);
}

/// `http.tls`, `http.selfSigned`: where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSettings {
    /// `certFile` and `keyFile`.
    Files {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// `http.selfSigned`.
    SelfSigned,
}

/// What `/readyz` says from the beginning of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadyzDuringStop {
    /// Whether the app can serve: endpoints that terminate but serve are Kubernetes' last resort.
    #[default]
    Serving,
    /// 503.
    Failing,
}

/// The three probes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeSet {
    /// `startupProbe`.
    pub startup: Option<ProbeSettings>,
    /// `readinessProbe`.
    pub readiness: Option<ProbeSettings>,
    /// `livenessProbe`.
    pub liveness: Option<ProbeSettings>,
    /// `livenessProbe.action = "Stop"`.
    pub stop_on_liveness: bool,
}

impl ProbeSet {
    /// One of them.
    pub fn get(&self, kind: ProbeKind) -> Option<&ProbeSettings> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// What a try does: exec, httpGet or tcpSocket, with its `timeoutSeconds`.
    pub handler: Handler,
    /// Its numbers.
    pub rule: ProbeRule,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// `format`.
    pub format: LogFormat,
    /// `level`; `None`: info with a configuration, warn without one (as silent as tini).
    pub level: Option<LogLevel>,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// What was worked around.
    Warn,
    /// What an operator would retell.
    Info,
    /// How it was done.
    Debug,
}
