//! The keys of `[[reload]]`.

use super::handlers::{EXEC, HTTP_GET, SIGNAL};
use crate::key::{Key, Shape, keys};
use crate::scalar::Scalar;

pub(super) const RELOAD_LIST: Key = Key::new(
    "reload",
    Shape::Tables(RELOAD),
    "",
    "files whose changes the app reads again, and how it is asked to; needs a bookend with the feature `reload` (docs/reload.md)",
);

static RELOAD: &[Key] = keys![
    &[
        Key::required(
            "name",
            Shape::One(Scalar::ContainerName),
            "name for `bookend reload`, in the log and in the metrics",
        ),
        Key::new(
            "watch",
            Shape::List(Scalar::Path),
            "",
            "files and directories; one that is missing may appear later; unset: only `bookend reload` reloads",
        ),
        Key::new(
            "onLimitsChange",
            Shape::One(Scalar::Bool),
            "false",
            "instead of watch: reload when the container's own limits have changed in place (memory.max, cpu.max)",
        ),
        Key::new(
            "settleSeconds",
            Shape::One(Scalar::Seconds),
            "1",
            "how long the files must stay as they are before they are looked at, in seconds",
        ),
        Key::new(
            "splaySeconds",
            Shape::One(Scalar::Seconds),
            "0",
            "upper end of a random delay in seconds, which is drawn once, so that a fleet does not reload at once",
        ),
        Key::new(
            "pollSeconds",
            Shape::One(Scalar::Timeout),
            "",
            "how often the files are looked at in addition, for volumes whose changes inotify does not report; unset: 10 seconds, and only without inotify or with onLimitsChange",
        ),
        Key::new(
            "timeoutSeconds",
            Shape::One(Scalar::Timeout),
            "10",
            "time limit of the check, and of the action, in seconds",
        ),
        Key::new(
            "check",
            Shape::Table(CHECK),
            "",
            "runs before the action; if it fails, the app keeps what it has, and that is reported",
        ),
        Key::new(
            "container",
            Shape::One(Scalar::ContainerName),
            "",
            "for `bookend sidecar`: the app of this container of the table containers; unset: the app of the top level",
        ),
    ],
    ACTIONS
];

static CHECK: &[Key] = &[
    Key::one_of("check", "exec", Shape::Table(EXEC), "succeeds with exit code 0"),
    Key::one_of("check", "httpGet", Shape::Table(HTTP_GET), "succeeds with status 200-399, or with successStatus"),
];

/// Exactly one of them, here or in the profile.
const ACTIONS: &[Key] = &[
    Key::new("exec", Shape::Table(EXEC), "", "the action: run a program"),
    Key::new("httpGet", Shape::Table(HTTP_GET), "", "the action: make an HTTP request"),
    Key::new(
        "signal",
        Shape::Table(SIGNAL),
        "",
        "the action: send the app a signal; one that it does not handle is not sent",
    ),
];
