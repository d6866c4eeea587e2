//! The clock of this crate: a number that the caller passes in.

use std::time::Duration;

/// Time since bookend began. Nothing in this crate reads a clock.
pub type Time = Duration;
