//! The vocabulary: every key, written once. Reading, "did you mean", the environment's names, `bookend check`, the schema
//! and the reference are all made from this table.
//!
//! A table of data instead of serde's derive: a derived `Deserialize` stops at the first mistake, knows no spans of
//! keys, and costs code for every struct; this costs a few bytes of data a key.

mod app;
mod handlers;
mod http;
mod probes;
mod program;
#[cfg(feature = "reload")]
mod reload;

use crate::key::{Key, Shape};
use crate::scalar::{PORT, Scalar};
use crate::settings::{LogFormat, LogLevel};

pub(crate) use app::{PROCESS_KEYS, SIDECAR_APP};
pub(crate) use handlers::LOCALHOST;

/// The top level of a configuration.
pub(crate) static ROOT: &[Key] = &[
    Key::new(
        "terminationGracePeriodSeconds",
        Shape::One(Scalar::Seconds),
        "",
        "time budget of a stop in seconds, from its first trigger to the exit; unset: bookend never kills the app by itself",
    ),
    Key::new(
        "leftoversSeconds",
        Shape::One(Scalar::Seconds),
        "",
        "how long processes that the app leaves behind may run after SIGTERM; unset: during a stop the rest of its budget, otherwise 2 seconds",
    ),
    Key::new(
        "terminationMessagePath",
        Shape::One(Scalar::Path),
        "\"/dev/termination-log\"",
        "file for the final summary; written only if it exists and the app left it empty",
    ),
    Key::new(
        "terminationMessageBytes",
        Shape::One(Scalar::Integer { what: "a number of bytes", min: 1024, max: 4096 }),
        "1024",
        "length of the summary at most: a kubelet keeps 12288 bytes of all containers of a Pod, and cuts each to an equal share",
    ),
    Key::new(
        "stateFile",
        Shape::One(Scalar::Path),
        "",
        "file on a volume that outlives the container (an emptyDir): the next start reports an end without a report, and runs postStop handlers with on = [\"Unseen\"]",
    ),
    Key::new(
        "subreaper",
        Shape::One(Scalar::Bool),
        "",
        "whether bookend is a subreaper, which adopts orphaned descendants; unset: only if it is not PID 1",
    ),
    Key::new(
        "socket",
        Shape::One(Scalar::Socket),
        "\"/run/bookend.sock\"",
        "unix socket for `bookend status`, `hook`, `stop`, `signal` and `events`, which root and bookend's own user may use; \"None\": no socket",
    ),
    Key::new(
        "pdeathSignal",
        Shape::One(Scalar::Stopping),
        "",
        "signal that the kernel sends to bookend when the process that started it dies",
    ),
    Key::new(
        "ports",
        Shape::Map { names: Scalar::PortName, values: PORT },
        "{}",
        "names for port numbers, as in a container of a Pod; httpGet and tcpSocket can refer to them",
    ),
    Key::new("app", Shape::Table(app::APP), "", "the main process"),
    Key::new(
        "http",
        Shape::Table(http::HTTP),
        "",
        "the pod-facing HTTP listener; without this table there is no listener",
    ),
    Key::new("lifecycle", Shape::Table(handlers::LIFECYCLE), "", "the handlers that run before and after the app"),
    Key::new(
        "containers",
        Shape::Named { names: Scalar::ContainerName, keys: CONTAINER },
        "{}",
        "for `bookend sidecar`: the apps of other containers by name; each has hooks at /lifecycle/NAME/... (docs/sidecar.md)",
    ),
    Key::new(
        "startupProbe",
        Shape::Table(probes::STARTUP),
        "",
        "checks whether the app has started; the other probes wait for it",
    ),
    Key::new(
        "readinessProbe",
        Shape::Table(probes::READINESS),
        "",
        "checks whether the app can serve; /readyz reports it",
    ),
    Key::new("livenessProbe", Shape::Table(probes::LIVENESS), "", "checks whether the app is alive; /livez reports it"),
    Key::new("log", Shape::Table(LOG), "", "the log on stderr"),
    #[cfg(feature = "reload")]
    reload::RELOAD_LIST,
    #[cfg(feature = "otel")]
    Key::new(
        "otel",
        Shape::Table(OTEL),
        "",
        "traces for OpenTelemetry, in builds with the feature otel (docs/monitoring.md)",
    ),
];

/// Whether the lists of tables right in this table are printed with headers, and their entries have names: those of handlers,
/// and `reload`.
pub(crate) fn has_named_lists(table: &str) -> bool {
    table == "lifecycle" || table.ends_with(".lifecycle") || (cfg!(feature = "reload") && table.is_empty())
}

static CONTAINER: &[Key] = &[
    Key::new("lifecycle", Shape::Table(handlers::CONTAINER_LIFECYCLE), "", "the handlers of its app"),
    Key::new(
        "stopSignal",
        Shape::One(Scalar::Stopping),
        "",
        "signal that the sidecar sends to its app after the preStop handlers, if the process is known; unset: no signal",
    ),
    app::PROCESS,
];

#[cfg(feature = "otel")]
static OTEL: &[Key] = &[Key::new(
    "enabled",
    Shape::One(Scalar::Bool),
    "false",
    "sends a trace of the start and one of the stop by OTLP (HTTP, JSON) to the collector that the variables OTEL_... name",
)];

static LOG: &[Key] = &[
    Key::new(
        "format",
        Shape::One(Scalar::Choice(LogFormat::WORDS)),
        "\"Text\"",
        "Text for people, Json for one JSON object per line",
    ),
    Key::new(
        "level",
        Shape::One(Scalar::Choice(LogLevel::WORDS)),
        "",
        "how much is logged; unset: Info with a configuration, Warn without one",
    ),
];
