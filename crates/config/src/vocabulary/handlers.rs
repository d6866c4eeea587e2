//! The keys of `[lifecycle]`, of its handlers, and of each kind of handler.
//!
//! | list              | kinds                                                              |
//! | ----------------- | ------------------------------------------------------------------ |
//! | preStart, postStop | exec, httpGet, tcpSocket, sleep: there is no app to signal         |
//! | postStart         | and signal                                                         |
//! | preStop           | and signal, drain                                                  |
//! | probes            | exec, httpGet, tcpSocket                                           |
//!
//! A drain outside of preStop is accepted with a warning: it only waits there.

use super::program::{ENV, USER, WORKING_DIR};
use crate::key::{Key, Shape, keys};
use crate::scalar::{PORT, Scalar};
use crate::settings::{FailurePolicy, HandlerName, Method, PortState, Scheme};
use bookend_lifecycle::On;
use bookend_lifecycle::drain::Until;

pub(super) static LIFECYCLE: &[Key] = &[
    // This key comes before the lists: below the header of a list it would be a key of that list.
    STOP_SIGNAL,
    Key::new(
        "preStart",
        Shape::Tables(PRE_START),
        "",
        "handlers that run before the app is started; if one fails, the app is not started",
    ),
    POST_START_LIST,
    PRE_STOP_LIST,
    POST_STOP_LIST,
];

/// Another container starts its app by itself: there is no preStart.
pub(super) static CONTAINER_LIFECYCLE: &[Key] = &[STOP_SIGNAL, POST_START_LIST, PRE_STOP_LIST, POST_STOP_LIST];

const STOP_SIGNAL: Key = Key::new(
    "stopSignal",
    Shape::One(Scalar::Stopping),
    "",
    "the same as app.stopSignal, where a Pod spec has it; app.stopSignal is stronger",
);
const POST_START_LIST: Key =
    Key::new("postStart", Shape::Tables(POST_START), "", "handlers that run beside the app, as soon as it is started");
const PRE_STOP_LIST: Key =
    Key::new("preStop", Shape::Tables(PRE_STOP), "", "handlers that run before the stop signal, at most once per stop");
const POST_STOP_LIST: Key = Key::new(
    "postStop",
    Shape::Tables(POST_STOP),
    "",
    "handlers that run after the app has ended, for whatever reason",
);

static PRE_START: &[Key] = keys![&[NAME], kinds!(HandlerList::PreStart), EFFORT];
static POST_START: &[Key] = keys![&[NAME], kinds!(HandlerList::PostStart), EFFORT];
static PRE_STOP: &[Key] = keys![&[NAME], kinds!(HandlerList::PreStop), EFFORT];
static POST_STOP: &[Key] = keys![&[NAME], kinds!(HandlerList::PostStop), EFFORT, &[ON]];

/// A list of handlers, or the one of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandlerList {
    PreStart,
    PostStart,
    PreStop,
    PostStop,
    Probe,
}

/// The key of a kind of handler in a list. `None`: it is not accepted there.
const fn kind(name: HandlerName, list: HandlerList) -> Option<Key> {
    use HandlerList::{PostStart, PreStop, Probe};
    let is_probe = matches!(list, Probe);
    let (keys, about) = match name {
        HandlerName::Exec if is_probe => (EXEC, "succeeds with exit code 0"),
        HandlerName::Exec => (EXEC, "run a program"),
        HandlerName::HttpGet if is_probe => (HTTP_GET, "succeeds with status 200-399, or with successStatus"),
        HandlerName::HttpGet => (HTTP_GET, "make an HTTP request"),
        HandlerName::TcpSocket if is_probe => (TCP_PROBE, "succeeds if a connection can be opened"),
        HandlerName::TcpSocket => (TCP_SOCKET, "open a connection and close it, or wait until a port is closed"),
        HandlerName::Sleep | HandlerName::Drain | HandlerName::Signal if is_probe => return None,
        HandlerName::Sleep => (SLEEP, "wait"),
        HandlerName::Drain => (DRAIN, "keep the app serving until no new connections come"),
        // The app is running then.
        HandlerName::Signal if matches!(list, PostStart | PreStop) => (SIGNAL, "send the app a signal, and go on"),
        HandlerName::Signal => return None,
    };
    let key = Key::one_of(if is_probe { "probe" } else { "handler" }, name.name(), Shape::Table(keys), about);
    match name {
        HandlerName::Drain if !matches!(list, PreStop) => {
            Some(key.useless("a drain only waits here; it keeps the app serving only in preStop"))
        }
        _ => Some(key),
    }
}

/// The kinds that are accepted in a list, as a part of its table.
macro_rules! kinds {
    ($list:expr) => {{
        const KINDS: [crate::key::Key; crate::vocabulary::handlers::count($list)] =
            crate::vocabulary::handlers::kinds_of($list);
        &KINDS
    }};
}

pub(super) use kinds;

/// How many kinds are accepted in a list.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it and rejects a wrong index")]
pub(super) const fn count(list: HandlerList) -> usize {
    let (mut count, mut index) = (0, 0);
    while index < HandlerName::ALL.len() {
        if kind(HandlerName::ALL[index], list).is_some() {
            count += 1;
        }
        index += 1;
    }
    count
}

/// Their keys.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it and rejects a wrong index")]
pub(super) const fn kinds_of<const N: usize>(list: HandlerList) -> [Key; N] {
    let mut kinds = [NAME; N];
    let (mut count, mut index) = (0, 0);
    while index < HandlerName::ALL.len() {
        if let Some(key) = kind(HandlerName::ALL[index], list) {
            kinds[count] = key;
            count += 1;
        }
        index += 1;
    }
    kinds
}

const NAME: Key = Key::new(
    "name",
    Shape::One(Scalar::Name),
    "",
    "name in logs and records; unset: list and position, as in preStop[0]",
);

const EFFORT: &[Key] = &[
    Key::new(
        "timeoutSeconds",
        Shape::One(Scalar::Timeout),
        "",
        "time limit in seconds; unset: what the budget of a stop leaves",
    ),
    Key::new(
        "retries",
        Shape::One(Scalar::Integer { what: "a number of retries", min: 0, max: 1000 }),
        "0",
        "how often a failed handler is tried again",
    ),
    Key::new(
        "backoffSeconds",
        Shape::One(Scalar::Seconds),
        "1",
        "pause before the first retry in seconds; doubles with each retry, up to 60",
    ),
    Key::new(
        "failurePolicy",
        Shape::One(Scalar::Choice(FailurePolicy::WORDS)),
        "\"Fail\"",
        "consequence of a failure: Fail (preStart: the app is not started; postStart: it is stopped; preStop: the rest is skipped) or Ignore (it is logged)",
    ),
];

const ON: Key = Key::new(
    "on",
    Shape::List(Scalar::Choice(On::WORDS)),
    "[\"Completed\", \"Failed\", \"Stopped\"]",
    "the ends it runs for: Completed (the app ended by itself with exit code 0), Failed (by itself otherwise), Stopped, Unseen (bookend was killed: they run at the next start, before preStart; needs stateFile)",
);

pub(super) static EXEC: &[Key] = &[
    Key::required("command", Shape::List(Scalar::Text), "program and arguments, run without a shell"),
    ENV,
    WORKING_DIR,
    USER,
];

/// The default host: handlers share the app's network, whatever address it has there.
pub(crate) const LOCALHOST: &str = "localhost";
const PORT_TO_CALL: Key = Key::required("port", Shape::One(Scalar::Port), "port number, or a name of the table ports");
const HOST: Key = Key::new(
    "host",
    Shape::One(Scalar::Name),
    "\"localhost\"",
    "name or address; $(VAR) is expanded; the default reaches the app, whose network handlers share (a kubelet's default is the pod's IP)",
);

pub(super) static HTTP_GET: &[Key] = &[
    HOST,
    PORT_TO_CALL,
    Key::new("path", Shape::One(Scalar::Text), "\"/\"", "path and query; $(VAR) is expanded and percent-encoded"),
    Key::new(
        "scheme",
        Shape::One(Scalar::Choice(Scheme::WORDS)),
        "\"HTTP\"",
        "HTTP or HTTPS; HTTPS verifies the certificate",
    ),
    Key::new(
        "method",
        Shape::One(Scalar::Choice(Method::WORDS)),
        "\"GET\"",
        "method of the request: GET, POST, PUT or DELETE",
    ),
    Key::new(
        "body",
        Shape::One(Scalar::Text),
        "",
        "body of the request; $(VAR) is expanded; its Content-Type is one of httpHeaders",
    ),
    Key::new(
        "httpHeaders",
        Shape::Tables(HEADER),
        "",
        "headers to send; Host, User-Agent and Accept replace the default ones",
    ),
    Key::new(
        "successStatus",
        Shape::List(Scalar::Status),
        "[\"200-399\"]",
        "status codes that count as a success: numbers or ranges",
    ),
    Key::new(
        "caFile",
        Shape::One(Scalar::Path),
        "",
        "PEM file with the authorities to trust; unset: SSL_CERT_FILE, else the bundle of the image",
    ),
    Key::new(
        "insecureSkipVerify",
        Shape::One(Scalar::Bool),
        "false",
        "whether every certificate is accepted, as a kubelet does",
    ),
];

static HEADER: &[Key] = &[
    Key::required("name", Shape::One(Scalar::HeaderName), "name of the header"),
    Key::one_of("value", "value", Shape::One(Scalar::Source), "value of the header; $(VAR) is expanded"),
    Key::one_of("value", "valueFrom", Shape::Table(VALUE_FROM), "source of the value"),
];

static VALUE_FROM: &[Key] = &[
    Key::required("file", Shape::One(Scalar::Path), "file that holds the value; read again for each request"),
    Key::new("prefix", Shape::One(Scalar::Text), "", "text before it, for a bare token: prefix = \"Bearer \""),
];

static TCP_PROBE: &[Key] = &[HOST, PORT_TO_CALL];
static TCP_SOCKET: &[Key] = &[
    HOST,
    PORT_TO_CALL,
    Key::new(
        "until",
        Shape::One(Scalar::Choice(PortState::WORDS)),
        "\"Open\"",
        "Open: one connection is opened; Closed: wait until no process listens on the port, as a proxy waits for the app beside it",
    ),
];

static SLEEP: &[Key] = &[Key::required("seconds", Shape::One(Scalar::Seconds), "how long to wait, in seconds")];

static DRAIN: &[Key] = &[
    Key::new("minSeconds", Shape::One(Scalar::Seconds), "3", "minimum time to keep serving, in seconds"),
    Key::new(
        "quietSeconds",
        Shape::One(Scalar::Seconds),
        "2",
        "after the minimum: until no new connection has come for this long, in seconds",
    ),
    Key::new("maxSeconds", Shape::One(Scalar::Seconds), "15", "maximum time, quiet or not, in seconds"),
    Key::new(
        "fallbackSeconds",
        Shape::One(Scalar::Seconds),
        "",
        "time to wait if connections cannot be counted (no /proc), and the minimum with hostNetwork, in seconds; unset: minSeconds + quietSeconds",
    ),
    Key::new(
        "toleratedConnections",
        Shape::One(Scalar::Integer { what: "a number of connections", min: 0, max: 10_000 }),
        "0",
        "number of new connections within quietSeconds that still counts as quiet, for probes from many places",
    ),
    Key::new(
        "onlyIfListening",
        Shape::One(Scalar::Bool),
        "false",
        "whether the drain is over at once if the app listens on no TCP port when it begins",
    ),
    Key::new(
        "udp",
        Shape::One(Scalar::Bool),
        "false",
        "whether a UDP datagram that arrives counts as a new connection, for QUIC (HTTP/3)",
    ),
    Key::new("ports", Shape::List(PORT), "", "ports of the app; unset: the ports that its processes listen on"),
    Key::new(
        "until",
        Shape::One(Scalar::Choice(Until::WORDS)),
        "\"Quiet\"",
        "for an app whose stop signal is not graceful: wait for its requests (NoBusyConnections) or for all its connections (NoConnections) as well",
    ),
    Key::new(
        "multiplexed",
        Shape::One(Scalar::Bool),
        "",
        "whether a connection may carry several requests at once (HTTP/2, gRPC), so that the last byte shows nothing; unset: on the ports 443, 8443 and 50051",
    ),
];

pub(super) static SIGNAL: &[Key] =
    &[Key::required("name", Shape::One(Scalar::Stopping), "the signal, by name or number")];
