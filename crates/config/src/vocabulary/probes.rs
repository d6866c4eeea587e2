//! The keys of the three probes.

use super::handlers::{HandlerList, kinds};
use crate::key::{Key, Shape, keys};
use crate::scalar::Scalar;

pub(super) static STARTUP: &[Key] = keys![KINDS, NUMBERS];
pub(super) static READINESS: &[Key] = keys![KINDS, NUMBERS];
pub(super) static LIVENESS: &[Key] = keys![KINDS, NUMBERS, &[ACTION]];

const KINDS: &[Key] = kinds!(HandlerList::Probe);

const NUMBERS: &[Key] = &[
    Key::new(
        "initialDelaySeconds",
        Shape::One(Scalar::Seconds),
        "0",
        "time from the start of the app to the first attempt, in seconds",
    ),
    Key::new(
        "periodSeconds",
        Shape::One(Scalar::Seconds),
        "10",
        "time from one attempt to the next in seconds, at least 0.1; 0 means 10",
    ),
    Key::new("timeoutSeconds", Shape::One(Scalar::Seconds), "1", "time limit of one attempt in seconds; 0 means 1"),
    Key::new(
        "failureThreshold",
        Shape::One(THRESHOLD),
        "3",
        "consecutive failures after which the probe has failed; 0 means 3",
    ),
    Key::new(
        "successThreshold",
        Shape::One(THRESHOLD),
        "1",
        "consecutive successes after which the probe has succeeded; 0 means 1; only a readinessProbe accepts more than 1",
    ),
];

const THRESHOLD: Scalar = Scalar::Integer { what: "a threshold", min: 0, max: 1_000_000 };

const ACTION: Key = Key::new(
    "action",
    Shape::One(Scalar::Choice(&["Report", "Stop"])),
    "\"Report\"",
    "consequence of a failure: Report (/livez reports it) or Stop (and the whole stop sequence runs)",
);
