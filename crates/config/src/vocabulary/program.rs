//! The keys that every program has: the app, exec handlers, exec probes.

use crate::key::{Key, Shape};
use crate::scalar::Scalar;

pub(super) const ENV: Key = Key::new(
    "env",
    Shape::Map { names: Scalar::Variable, values: Scalar::Source },
    "{}",
    "environment variables, added to those that bookend was started with; $(VAR) is expanded; { valueFrom.file = \"/path\" } reads the value from a file",
);
pub(super) const WORKING_DIR: Key = Key::new(
    "workingDir",
    Shape::One(Scalar::Path),
    "",
    "working directory; unset: the one that bookend was started in",
);
pub(super) const USER: Key = Key::new(
    "user",
    Shape::One(Scalar::User),
    "",
    "user to run as: \"name\", \"uid\", \"uid:gid\" or \"name:group\"; unset: the user of bookend",
);
