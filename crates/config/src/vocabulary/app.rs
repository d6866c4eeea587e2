//! The keys of `[app]`.

use super::program::{ENV, USER, WORKING_DIR};
use crate::key::{Key, Shape};
use crate::profiles;
use crate::scalar::{EXIT_CODE, Scalar};
use crate::settings::{RLIMITS, SignalScope};

pub(super) static APP: &[Key] = &[
    Key::new(
        "profile",
        Shape::One(Scalar::Choice(profiles::NAMES)),
        "",
        "defaults for a known server (docs/profiles.md): stop signals, second signal, drain; \"auto\" chooses one by the program; every other source is stronger",
    ),
    Key::new(
        "command",
        Shape::List(Scalar::Text),
        "",
        "program and arguments, run without a shell; the command after -- on the command line replaces it",
    ),
    ENV,
    WORKING_DIR,
    USER,
    Key::new(
        "umask",
        Shape::One(Scalar::Umask),
        "",
        "file mode mask in octal; unset: the one that bookend was started with",
    ),
    Key::new(
        "rlimits",
        Shape::Map { names: Scalar::Choice(RLIMITS), values: Scalar::Limit },
        "{}",
        "resource limits, named as in docker's --ulimit: { nofile = 1024, core = { soft = 0, hard = \"unlimited\" } }",
    ),
    Key::new(
        "oomScoreAdj",
        Shape::One(Scalar::Integer { what: "an oom_score_adj", min: -1000, max: 1000 }),
        "",
        "oom_score_adj, from -1000 (never killed when memory runs out) to 1000 (killed first); unset: the one of bookend",
    ),
    STOP_SIGNAL,
    STOP_SIGNALS,
    Key::new(
        "secondSignal",
        Shape::Table(SECOND_SIGNAL),
        "",
        "a second signal for an app that only idle connections keep running after the stop signal",
    ),
    Key::new(
        "signals",
        Shape::Map { names: Scalar::Received, values: Scalar::SignalOrIgnore },
        "{}",
        "rewrites a received signal into another one, or drops it (\"ignore\"); all others are forwarded unchanged",
    ),
    Key::new(
        "signalScope",
        Shape::One(Scalar::Choice(SignalScope::WORDS)),
        "\"Process\"",
        "receiver of forwarded signals: the main process, or its process group",
    ),
    Key::new(
        "exitCodes",
        Shape::Map { names: EXIT_CODE, values: EXIT_CODE },
        "{}",
        "replaces an exit code of the app (128+n after a death by signal n) by another one",
    ),
    Key::new(
        "pdeathSignal",
        Shape::One(Scalar::Stopping),
        "",
        "signal that the kernel sends to the app if bookend dies first",
    ),
    Key::new(
        "notify",
        Shape::One(Scalar::Bool),
        "false",
        "whether the app reports its start with sd_notify(3): it gets NOTIFY_SOCKET, and READY=1 counts as started",
    ),
    Key::new(
        "stopIsSuccess",
        Shape::One(Scalar::Bool),
        "false",
        "whether the exit code is 0 if the stop signal that bookend sent ends the app",
    ),
    Key::new(
        "holdOnFailureSeconds",
        Shape::One(Scalar::Seconds),
        "",
        "how long the container stays for a look at it when the app has failed by itself and postStop is over; a stop ends it",
    ),
    PROCESS,
];

/// The keys that `bookend sidecar` accepts, which has no app of its own.
pub(crate) static SIDECAR_APP: &[Key] = &[ENV, STOP_SIGNAL, STOP_SIGNALS, PROCESS];

const STOP_SIGNAL: Key = Key::new(
    "stopSignal",
    Shape::One(Scalar::Stopping),
    "",
    "signal that stops the app; unset: the stop signal that bookend received, else SIGTERM",
);
const STOP_SIGNALS: Key = Key::new(
    "stopSignals",
    Shape::List(Scalar::Received),
    "[\"SIGTERM\", \"SIGINT\", \"SIGQUIT\"]",
    "signals that begin a stop when bookend receives them",
);

static SECOND_SIGNAL: &[Key] = &[
    Key::required(
        "signal",
        Shape::One(Scalar::StoppingOrIgnore),
        "signal that is sent once after the stop signal: when connections are left and all of them are idle, or shortly before SIGKILL; \"ignore\": never",
    ),
    Key::new(
        "afterSeconds",
        Shape::One(Scalar::Seconds),
        "1",
        "how long a connection must have been open without one received byte, in seconds; on any other no byte may have moved for that long and for 60 s",
    ),
];

pub(super) const PROCESS: Key = Key::new(
    "process",
    Shape::Table(PROCESS_KEYS),
    "",
    "for `bookend sidecar` in a shared PID namespace: identifies the app's process; all conditions must hold",
);

/// The conditions that identify a process.
pub(crate) static PROCESS_KEYS: &[Key] = &[
    Key::new(
        "executable",
        Shape::One(Scalar::Program),
        "",
        "its program: the absolute path in the app's own image with links resolved, or the file name alone",
    ),
    Key::new(
        "commandLine",
        Shape::One(Scalar::Name),
        "",
        "a part of its program and arguments, joined by single spaces",
    ),
    Key::new("pidFile", Shape::One(Scalar::Path), "", "file with its pid, on a volume that the sidecar can read"),
    Key::new(
        "container",
        Shape::One(Scalar::Name),
        "",
        "its container: the name in the Pod, or the runtime's id (at least 12 digits)",
    ),
];
