//! Whose hooks there are, and what their handlers do.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{Program, ValueSource};
use bookend_lifecycle::On;
use bookend_lifecycle::drain::Drain;
use bookend_lifecycle::signal::Signal;

/// `[lifecycle]`: the four lists, each run in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifecycleSettings {
    /// Before the app is started.
    pub pre_start: Vec<Handler>,
    /// Beside the app, once it is started.
    pub post_start: Vec<Handler>,
    /// Before the stop signal.
    pub pre_stop: Vec<Handler>,
    /// After the app has ended, for whatever reason.
    pub post_stop: Vec<Handler>,
}

/// `[containers.NAME]`: an app in another container, for a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSettings {
    /// Its handlers; no preStart.
    pub lifecycle: LifecycleSettings,
    /// `stopSignal`: what its process gets after the preStop handlers; `None`: nothing.
    pub stop_signal: Option<Signal>,
    /// `process`: which one it is; `None`: nobody looks for it.
    pub process: Option<ProcessSelector>,
}

/// `process`: how the app's process is known in a shared PID namespace; all that is said must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessSelector {
    /// `executable`: the path as the app's own root has it, symbolic links resolved; without a slash the file's name
    /// alone.
    pub executable: Option<PathBuf>,
    /// `commandLine`: a part of the arguments, joined by single spaces.
    pub command_line: Option<String>,
    /// `pidFile`: a file of ours, in a volume, whose first line is the pid.
    pub pid_file: Option<PathBuf>,
    /// `container`: Kubernetes' name of it, or the runtime's id, of which twelve digits are enough.
    pub container: Option<String>,
}

/// One handler of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// `name`; where the file gives none: list and position, `preStop[0]`.
    pub name: String,
    /// What it does.
    pub kind: HandlerKind,
    /// `timeoutSeconds`; `None`: bounded by the stage's budget only.
    pub timeout: Option<Duration>,
    /// `retries`: how often it is tried again.
    pub retries: u32,
    /// `backoffSeconds`: the pause before the first retry; doubles with each.
    pub backoff: Duration,
    /// `failurePolicy`.
    pub failure_policy: FailurePolicy,
    /// `on`: the ends a postStop handler is for.
    pub on: On,
}

/// What a handler does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerKind {
    /// `exec`: a program, without a shell.
    Exec(Program),
    /// `httpGet`: an HTTP request.
    HttpGet(HttpGet),
    /// `tcpSocket`: a connection, closed at once.
    TcpSocket(TcpSocket),
    /// `sleep`: wait.
    Sleep {
        /// `seconds`.
        duration: Duration,
    },
    /// `drain`: keep the app serving until no new connections come.
    Drain(Drain),
    /// `signal`: one for the app.
    Signal(Signal),
}

/// `httpGet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet {
    /// `host`.
    pub host: String,
    /// `port`.
    pub port: u16,
    /// `path`, query included.
    pub path: String,
    /// `scheme`.
    pub scheme: Scheme,
    /// `httpHeaders`, in the order they were said.
    pub headers: Vec<Header>,
    /// `successStatus`.
    pub success_status: Vec<RangeInclusive<u16>>,
    /// `caFile`; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// `insecureSkipVerify`.
    pub insecure_skip_verify: bool,
}

/// `scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// TLS.
    Https,
}

/// One of `httpHeaders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `name`.
    pub name: String,
    /// `value` or `valueFrom`.
    pub value: ValueSource,
}

/// `tcpSocket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSocket {
    /// `host`.
    pub host: String,
    /// `port`.
    pub port: u16,
}

/// What a failed handler means for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum FailurePolicy {
    /// The stage has failed: what that means depends on the hook.
    #[default]
    Fail,
    /// It is logged; the list goes on.
    Ignore,
}
