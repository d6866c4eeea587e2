//! The vocabulary: every key there is, once. Reading, "did you mean", the environment's names,
//! `bookend check`, the schema and the README's reference are all made from this table.
//!
//! A table of data instead of serde's derive: a derived `Deserialize` stops at the first mistake, knows no
//! spans of keys, and costs code for every struct; this costs a few bytes of data a key.

mod http;

use super::key::{Key, Shape};
use super::kind::{EXIT_CODE, PORT, Scalar};
use super::profiles;
use super::settings::RLIMITS;

/// The top level of a configuration.
pub(super) static ROOT: &[Key] = &[
    Key::new(
        "terminationGracePeriodSeconds",
        Shape::One(Scalar::Seconds),
        "",
        "budget of a stop in seconds, from its first trigger to the last exit; unset: bookend never kills by itself",
    ),
    Key::new(
        "terminationMessagePath",
        Shape::One(Scalar::Path),
        "\"/dev/termination-log\"",
        "file for the last summary (at most 4096 bytes), written only if it exists and the app left it empty",
    ),
    Key::new(
        "subreaper",
        Shape::One(Scalar::Bool),
        "",
        "whether orphans below come to bookend although it is not PID 1; unset: only if it is not PID 1",
    ),
    Key::new(
        "socket",
        Shape::One(Scalar::Socket),
        "\"/run/bookend.sock\"",
        "unix socket for `bookend status`, hook, stop, signal and events, for root and our own user only; \"None\": no socket",
    ),
    Key::new(
        "pdeathSignal",
        Shape::One(Scalar::Stopping),
        "",
        "signal bookend gets from the kernel when the process that started it dies",
    ),
    Key::new(
        "ports",
        Shape::Map { names: Scalar::PortName, values: PORT },
        "{}",
        "names for ports, as a Pod's container has them; httpGet and tcpSocket may say the name",
    ),
    Key::new("app", Shape::Table(APP), "", "the main process"),
    Key::new("http", Shape::Table(http::HTTP), "", "the pod-facing listener; without this table there is none"),
    Key::new("lifecycle", Shape::Table(LIFECYCLE), "", "the handlers before and after the app"),
    Key::new(
        "containers",
        Shape::Named { names: Scalar::ContainerName, keys: CONTAINER },
        "{}",
        "for `bookend sidecar`: the apps of other containers by name, each with hooks at /lifecycle/NAME/... (docs/sidecar.md)",
    ),
    Key::new("startupProbe", Shape::Table(&STARTUP_PROBE), "", "whether the app has started; the others wait for it"),
    Key::new("readinessProbe", Shape::Table(&READINESS_PROBE), "", "whether the app can serve; /readyz says so"),
    Key::new("livenessProbe", Shape::Table(&LIVENESS_PROBE), "", "whether the app is alive; /livez says so"),
    Key::new("log", Shape::Table(LOG), "", "the log on stderr"),
];

static APP: &[Key] = &[
    Key::new(
        "profile",
        Shape::One(Scalar::Choice(profiles::NAMES)),
        "",
        "what is known of this server (docs/profiles.md), weaker than anything said: stop signal, hurry, a drain",
    ),
    Key::new(
        "command",
        Shape::List(Scalar::Text),
        "",
        "program and arguments, without a shell; what stands after -- on the command line replaces it",
    ),
    ENV,
    WORKING_DIR,
    USER,
    Key::new("umask", Shape::One(Scalar::Umask), "", "its file mode mask in octal; unset: as bookend was started"),
    Key::new(
        "rlimits",
        Shape::Map { names: Scalar::Choice(RLIMITS), values: Scalar::Limit },
        "{}",
        "its resource limits as docker's --ulimit names them: { nofile = 1024, core = { soft = 0, hard = \"unlimited\" } }",
    ),
    Key::new(
        "oomScoreAdj",
        Shape::One(Scalar::Integer { what: "an oom_score_adj", min: -1000, max: 1000 }),
        "",
        "whom the kernel kills first when memory runs out, -1000 (never) to 1000; unset: as bookend",
    ),
    STOP_SIGNAL,
    STOP_SIGNALS,
    Key::new("hurry", Shape::Table(SECOND_SIGNAL), "", "a second signal for an app that only idle connections hold"),
    Key::new(
        "signals",
        Shape::Map { names: Scalar::Received, values: Scalar::SignalOrIgnore },
        "{}",
        "rewrite a received signal into another or \"ignore\" it; all others are forwarded as they are",
    ),
    Key::new(
        "signalScope",
        Shape::One(Scalar::Choice(&["Process", "ProcessGroup"])),
        "\"Process\"",
        "who gets forwarded signals: the main process or its group",
    ),
    Key::new(
        "exitCodes",
        Shape::Map { names: EXIT_CODE, values: EXIT_CODE },
        "{}",
        "the app's exit code (128+n for a death by signal n) becomes another",
    ),
    Key::new(
        "pdeathSignal",
        Shape::One(Scalar::Stopping),
        "",
        "signal the app gets from the kernel should bookend die before it",
    ),
    Key::new(
        "notify",
        Shape::One(Scalar::Bool),
        "false",
        "whether the app says that it has started, with sd_notify(3): it gets NOTIFY_SOCKET, and READY=1 counts as startup",
    ),
    Key::new(
        "stopIsSuccess",
        Shape::One(Scalar::Bool),
        "false",
        "whether a death by the very signal bookend sent for a stop is exit code 0",
    ),
    PROCESS,
];

/// What of it means something in a sidecar, which has no app of its own.
pub(super) static SIDECAR_APP: &[Key] = &[ENV, STOP_SIGNAL, STOP_SIGNALS, PROCESS];

const STOP_SIGNAL: Key = Key::new(
    "stopSignal",
    Shape::One(Scalar::Stopping),
    "",
    "signal the app gets for a stop; unset: the stop signal that was received, else SIGTERM",
);
const STOP_SIGNALS: Key = Key::new(
    "stopSignals",
    Shape::List(Scalar::Received),
    "[\"SIGTERM\", \"SIGINT\", \"SIGQUIT\"]",
    "signals that begin a stop",
);

static SECOND_SIGNAL: &[Key] = &[
    Key::required(
        "signal",
        Shape::One(Scalar::StoppingOrIgnore),
        "sent once after the stop signal, when connections are left and nobody waits for anything on any of them, or \"ignore\"",
    ),
    Key::new("afterSeconds", Shape::One(Scalar::Seconds), "1", "for so long without a break, in seconds"),
];

static LIFECYCLE: &[Key] = &[
    // Before the lists: below the header of one it would be a key of that.
    LIFECYCLE_STOP_SIGNAL,
    Key::new("preStart", Shape::Tables(&PRE_START), "", "before the app is started; a failure means it never is"),
    POST_START_LIST,
    PRE_STOP_LIST,
    POST_STOP_LIST,
];

const POST_START_LIST: Key =
    Key::new("postStart", Shape::Tables(&BESIDE_APP), "", "beside the app, as soon as it is started");
const PRE_STOP_LIST: Key =
    Key::new("preStop", Shape::Tables(&BESIDE_APP), "", "before the stop signal, at most once a stop");
const POST_STOP_LIST: Key =
    Key::new("postStop", Shape::Tables(&POST_STOP), "", "after the app has ended, for whatever reason");
const LIFECYCLE_STOP_SIGNAL: Key = Key::new(
    "stopSignal",
    Shape::One(Scalar::Stopping),
    "",
    "as a Pod spec's lifecycle has it: the same as app.stopSignal, which is stronger",
);

/// Another container starts its app by itself: there is no preStart.
static CONTAINER_LIFECYCLE: &[Key] = &[LIFECYCLE_STOP_SIGNAL, POST_START_LIST, PRE_STOP_LIST, POST_STOP_LIST];

static CONTAINER: &[Key] = &[
    Key::new("lifecycle", Shape::Table(CONTAINER_LIFECYCLE), "", "the handlers before and after its app"),
    Key::new(
        "stopSignal",
        Shape::One(Scalar::Stopping),
        "",
        "signal its app gets from the sidecar after the preStop handlers, where its process is known; unset: none",
    ),
    PROCESS,
];

const PROCESS: Key = Key::new(
    "process",
    Shape::Table(PROCESS_KEYS),
    "",
    "for `bookend sidecar` in a shared PID namespace: which process the app is; all that is said must hold",
);

pub(super) static PROCESS_KEYS: &[Key] = &[
    Key::new(
        "executable",
        Shape::One(Scalar::Program),
        "",
        "its program: the absolute path in the app's own image, links resolved, or the file's name alone",
    ),
    Key::new("commandLine", Shape::One(Scalar::Name), "", "a part of its program and arguments, joined by blanks"),
    Key::new("pidFile", Shape::One(Scalar::Path), "", "file that holds its pid, on a volume that the sidecar sees"),
    Key::new(
        "container",
        Shape::One(Scalar::Name),
        "",
        "the container it runs in: the name in the Pod, or the runtime's id (at least 12 digits)",
    ),
];

/// Where there is an app, it can get a signal; where it has ended, that can have been so or so.
static PRE_START: [Key; 10] = HANDLER;
static BESIDE_APP: [Key; 11] = with(HANDLER, SIGNAL);
static POST_STOP: [Key; 11] = with(HANDLER, ON);

const HANDLER: [Key; 10] = [
    Key::new("name", Shape::One(Scalar::Name), "", "name in logs and records; unset: list and position, preStop[0]"),
    Key::one_of("exec", EXEC, "run a program"),
    Key::one_of("httpGet", HTTP_GET, "make an HTTP request"),
    Key::one_of("tcpSocket", TCP_SOCKET, "open a connection and close it"),
    Key::one_of("sleep", SLEEP, "wait"),
    Key::one_of("drain", DRAIN, "keep the app serving until no new connections come"),
    Key::new(
        "timeoutSeconds",
        Shape::One(Scalar::Timeout),
        "",
        "limit in seconds; unset: what the budget of a stop leaves",
    ),
    Key::new(
        "retries",
        Shape::One(Scalar::Integer { what: "a number of retries", min: 0, max: 1000 }),
        "0",
        "how often it is tried again when it has failed",
    ),
    Key::new(
        "backoffSeconds",
        Shape::One(Scalar::Seconds),
        "1",
        "pause before the first retry; doubles with each, at most 60",
    ),
    Key::new(
        "failurePolicy",
        Shape::One(Scalar::Choice(&["Fail", "Ignore"])),
        "\"Fail\"",
        "what a failure means: Fail (preStart: no app; postStart: stop; preStop: skip the rest) or Ignore (log)",
    ),
];

/// The keys, and one more.
#[expect(clippy::indexing_slicing, reason = "the compiler does it, and would say")]
const fn with<const N: usize, const M: usize>(keys: [Key; N], more: Key) -> [Key; M] {
    let mut all = [more; M];
    let mut span = 0;
    while span < N {
        all[span] = keys[span];
        span += 1;
    }
    all
}

const ON: Key = Key::new(
    "on",
    Shape::List(Scalar::Choice(&["Completed", "Failed", "Stopped"])),
    "[\"Completed\", \"Failed\", \"Stopped\"]",
    "for which ends: Completed (by itself, exit code 0), Failed (by itself otherwise), Stopped",
);

/// The host where none is said: handlers share the app's network, whatever address it has there.
pub(super) const LOCALHOST: &str = "localhost";
const A_PORT: Key = Key::required("port", Shape::One(Scalar::Port), "number, or a name of the table ports");
const HOST: Key = Key::new(
    "host",
    Shape::One(Scalar::Name),
    "\"localhost\"",
    "name or address; $(VAR) is expanded; unset: the app, whose network handlers share (a kubelet says the pod's IP)",
);

static HTTP_GET: &[Key] = &[
    HOST,
    A_PORT,
    Key::new("path", Shape::One(Scalar::Text), "\"/\"", "path and query; $(VAR) is expanded, percent-encoded"),
    Key::new("scheme", Shape::One(Scalar::Choice(&["HTTP", "HTTPS"])), "\"HTTP\"", "HTTPS verifies the certificate"),
    Key::new("httpHeaders", Shape::Tables(HEADER), "", "headers to send; Host, User-Agent and Accept replace ours"),
    Key::new(
        "successStatus",
        Shape::List(Scalar::Status),
        "[\"200-399\"]",
        "statuses that are a success: a number or a range",
    ),
    Key::new(
        "caFile",
        Shape::One(Scalar::Path),
        "",
        "PEM file with the authorities to trust; unset: SSL_CERT_FILE, else the image's bundle",
    ),
    Key::new(
        "insecureSkipVerify",
        Shape::One(Scalar::Bool),
        "false",
        "whether any certificate will do, as it does for a kubelet",
    ),
];

static HEADER: &[Key] = &[
    Key::required("name", Shape::One(Scalar::HeaderName), "name of the header"),
    Key::either("value", "value", Shape::One(Scalar::Source), "its value; $(VAR) is expanded"),
    Key::either("value", "valueFrom", Shape::Table(VALUE_FROM), "where its value comes from"),
];

static VALUE_FROM: &[Key] =
    &[Key::required("file", Shape::One(Scalar::Path), "file that holds it, read anew for each request")];

static TCP_SOCKET: &[Key] = &[HOST, A_PORT];

const SIGNAL: Key = Key::one_of("signal", SIGNAL_KEYS, "send the app a signal, and go on");

static SIGNAL_KEYS: &[Key] = &[Key::required("name", Shape::One(Scalar::Stopping), "which, by name or number")];

static STARTUP_PROBE: [Key; 8] = PROBE;
static READINESS_PROBE: [Key; 8] = PROBE;
static LIVENESS_PROBE: [Key; 9] = with(PROBE, ACTION);

const PROBE: [Key; 8] = [
    Key::either("probe", "exec", Shape::Table(EXEC), "success is exit code 0"),
    Key::either("probe", "httpGet", Shape::Table(HTTP_GET), "success is status 200-399"),
    Key::either("probe", "tcpSocket", Shape::Table(TCP_SOCKET), "success is a connection"),
    Key::new("initialDelaySeconds", Shape::One(Scalar::Seconds), "0", "from the app's start to the first try"),
    Key::new("periodSeconds", Shape::One(Scalar::Seconds), "10", "from one try to the next, at least 0.1; 0 is 10"),
    Key::new("timeoutSeconds", Shape::One(Scalar::Seconds), "1", "limit of one try; 0 is 1"),
    Key::new("failureThreshold", Shape::One(THRESHOLD), "3", "failures in a row that make it failed; 0 is 3"),
    Key::new(
        "successThreshold",
        Shape::One(THRESHOLD),
        "1",
        "successes in a row that make it succeeded; 0 is 1, and only a readinessProbe may say more",
    ),
];

const THRESHOLD: Scalar = Scalar::Integer { what: "a threshold", min: 0, max: 1_000_000 };

const ACTION: Key = Key::new(
    "action",
    Shape::One(Scalar::Choice(&["Report", "Stop"])),
    "\"Report\"",
    "what a failure does: Report (/livez says so), or Stop (the whole stop sequence, too)",
);

static EXEC: &[Key] = &[
    Key::required("command", Shape::List(Scalar::Text), "program and arguments, without a shell"),
    ENV,
    WORKING_DIR,
    USER,
];

/// What app and exec share.
const ENV: Key = Key::new(
    "env",
    Shape::Map { names: Scalar::Variable, values: Scalar::Source },
    "{}",
    "its environment, beside what bookend was started with; $(VAR) is expanded; { valueFrom.file = \"/path\" }: from a file",
);
const WORKING_DIR: Key =
    Key::new("workingDir", Shape::One(Scalar::Path), "", "where it starts; unset: where bookend was started");
const USER: Key = Key::new(
    "user",
    Shape::One(Scalar::User),
    "",
    "who it runs as: \"name\", \"uid\", \"uid:gid\" or \"name:group\"; unset: as bookend does",
);

static SLEEP: &[Key] = &[Key::required("seconds", Shape::One(Scalar::Seconds), "how long, in seconds")];

static DRAIN: &[Key] = &[
    Key::new("minSeconds", Shape::One(Scalar::Seconds), "3", "keep serving at least so long, in seconds"),
    Key::new(
        "quietSeconds",
        Shape::One(Scalar::Seconds),
        "2",
        "then until no new connection came for so long, in seconds",
    ),
    Key::new("maxSeconds", Shape::One(Scalar::Seconds), "15", "no longer than this, quiet or not, in seconds"),
    Key::new(
        "fallbackSeconds",
        Shape::One(Scalar::Seconds),
        "",
        "how long where connections cannot be counted (hostNetwork, no /proc), in seconds; unset: minSeconds + quietSeconds",
    ),
    Key::new(
        "toleratedConnections",
        Shape::One(Scalar::Integer { what: "a number of connections", min: 0, max: 10_000 }),
        "0",
        "so many new connections within quietSeconds are still quiet: probes that come from many places",
    ),
    Key::new("ports", Shape::List(PORT), "", "ports of the app; unset: those its processes listen on"),
    Key::new(
        "until",
        Shape::One(Scalar::Choice(&["Quiet", "NoBusyConnections", "NoConnections"])),
        "\"Quiet\"",
        "what else must be over: for an app whose stop signal is not graceful, its requests",
    ),
];

static LOG: &[Key] = &[
    Key::new(
        "format",
        Shape::One(Scalar::Choice(&["Text", "Json"])),
        "\"Text\"",
        "Text for people, Json one object a line",
    ),
    Key::new(
        "level",
        Shape::One(Scalar::Choice(&["Error", "Warn", "Info", "Debug"])),
        "",
        "how much is logged; unset: Info with a configuration, Warn without one",
    ),
];
