//! `bookend doctor`: what in this image or pod would lose requests at a stop, and which line to change.
//!
//! ```text
//!   gather (files, /proc, `nginx -T`) ──► Facts ──► checks, each a pure function ──► Finding ──► Report ──► print
//! ```
//!
//! A finding means that requests or the stop's own work are lost, and is exit code 1. A note is worth knowing and does
//! not change the exit code. A fact that could not be examined is reported: without it, the verdict is not "healthy".

mod checks;
mod facts;
mod finding;
pub(crate) mod gather;
mod print;
mod report;

pub(crate) use report::{Diagnosis, examine};
