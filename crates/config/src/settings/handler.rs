//! Handlers and their kinds. To add a kind, add it to [`HandlerName`]: the compiler then leads to its key (`vocabulary`), to
//! its assembly, to [`HandlerKind`] and from there to the code that runs it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::program::{Program, ValueSource};
use crate::words::words;
use bookend_lifecycle::On;
use bookend_lifecycle::drain::Drain;
use bookend_lifecycle::signal::Signal;

/// One handler of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// `name`; by default list and position, `preStop[0]`.
    pub name: String,
    /// Its work.
    pub kind: HandlerKind,
    /// `timeoutSeconds`; `None`: only the stage's budget limits it.
    pub timeout: Option<Duration>,
    /// `retries`: how often it is tried again.
    pub retries: u32,
    /// `backoffSeconds`: the pause before the first retry; doubles with each.
    pub backoff: Duration,
    /// `failurePolicy`.
    pub failure_policy: FailurePolicy,
    /// `on`: the ends that a postStop handler runs for.
    pub on: On,
}

words! {
    /// The kinds of handlers by their names.
    pub enum HandlerName {
        /// Runs a program.
        Exec = "exec",
        /// Makes an HTTP request.
        HttpGet = "httpGet",
        /// Opens a connection.
        TcpSocket = "tcpSocket",
        /// Waits.
        Sleep = "sleep",
        /// Waits until no new connections come.
        Drain = "drain",
        /// Sends the app a signal.
        Signal = "signal",
    }
}

impl HandlerName {
    /// Whether it is the client of a server.
    pub fn is_client(self) -> bool {
        match self {
            HandlerName::HttpGet | HandlerName::TcpSocket => true,
            HandlerName::Exec | HandlerName::Sleep | HandlerName::Drain | HandlerName::Signal => false,
        }
    }
}

words! {
    /// `failurePolicy`: the consequence of a failed handler.
    #[derive(Default, Hash)]
    pub enum FailurePolicy {
        /// The stage has failed; the consequence depends on the hook.
        #[default]
        Fail = "Fail",
        /// It is logged; the list goes on.
        Ignore = "Ignore",
    }
}

/// The work of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerKind {
    /// `exec`: runs a program, without a shell.
    Exec(Program),
    /// `httpGet`: makes an HTTP request.
    HttpGet(HttpGet),
    /// `tcpSocket`: opens a connection and closes it.
    TcpSocket(TcpSocket),
    /// `sleep`: waits.
    Sleep {
        /// `seconds`.
        duration: Duration,
    },
    /// `drain`: keeps the app serving until no new connections come.
    Drain(Drain),
    /// `signal`: sends the app a signal.
    Signal(Signal),
}

impl HandlerKind {
    /// Its name.
    pub fn name(&self) -> HandlerName {
        match self {
            HandlerKind::Exec(_) => HandlerName::Exec,
            HandlerKind::HttpGet(_) => HandlerName::HttpGet,
            HandlerKind::TcpSocket(_) => HandlerName::TcpSocket,
            HandlerKind::Sleep { .. } => HandlerName::Sleep,
            HandlerKind::Drain(_) => HandlerName::Drain,
            HandlerKind::Signal(_) => HandlerName::Signal,
        }
    }

    /// The longest it takes by itself, without `timeoutSeconds`; `None`: that depends on others.
    pub fn longest(&self) -> Option<Duration> {
        match self {
            HandlerKind::Sleep { duration } => Some(*duration),
            HandlerKind::Drain(drain) => Some(drain.longest()),
            // The handler waits only until the signal is sent.
            HandlerKind::Signal(_) => Some(Duration::ZERO),
            HandlerKind::Exec(_) | HandlerKind::HttpGet(_) | HandlerKind::TcpSocket(_) => None,
        }
    }

    /// Whether it does nothing but wait: then there is no point in it once the app has ended.
    pub fn only_waits(&self) -> bool {
        match self {
            HandlerKind::Sleep { .. } | HandlerKind::Drain(_) => true,
            HandlerKind::Exec(_) | HandlerKind::HttpGet(_) | HandlerKind::TcpSocket(_) | HandlerKind::Signal(_) => {
                false
            }
        }
    }
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
    /// `method`.
    pub method: Method,
    /// `body`; empty: none.
    pub body: String,
    /// `httpHeaders`, in the order of the configuration.
    pub headers: Vec<Header>,
    /// `successStatus`.
    pub success_status: Vec<RangeInclusive<u16>>,
    /// `caFile`; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// `insecureSkipVerify`.
    pub insecure_skip_verify: bool,
}

words! {
    /// `method`.
    #[derive(Default)]
    pub enum Method {
        /// The kubelet's.
        #[default]
        Get = "GET",
        /// For a command, like envoy's `/healthcheck/fail`.
        Post = "POST",
        /// For a state.
        Put = "PUT",
        /// For an entry, like a registry's.
        Delete = "DELETE",
    }
}

words! {
    /// `scheme`.
    #[derive(Default)]
    pub enum Scheme {
        /// Without encryption.
        #[default]
        Http = "HTTP",
        /// TLS.
        Https = "HTTPS",
    }
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
    /// `until`.
    pub until: PortState,
}

words! {
    /// `until`: what is waited for.
    #[derive(Default)]
    pub enum PortState {
        /// The handler does not wait: it opens one connection.
        #[default]
        Open = "Open",
        /// No process listens on it any more.
        Closed = "Closed",
    }
}
