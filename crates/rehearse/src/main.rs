//! `bookend-rehearse`: a rollout of an image, rehearsed. It starts the image's server under one strategy after the other, sends traffic,
//! stops it while clients still arrive, and reports what each strategy lost.
//!
//! ```text
//! args ─► strategies ─► rehearsal (one life each) ─► results ─► print: table, JSON, Markdown
//!                          │                           └──────► advice: more lives, until nothing is lost
//!                          ├─ place: engine (containers) or local (children of this process)
//!                          └─ remote: the load, in this process or in the container's network namespace
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "this is a tool for tests and people: it starts programs, waits for them and sleeps"
)]

mod tool {
    pub(crate) mod advice;
    pub(crate) mod args;
    pub(crate) mod bookend;
    pub(crate) mod bounded;
    pub(crate) mod engine;
    pub(crate) mod interrupt;
    pub(crate) mod local;
    pub(crate) mod one_run;
    pub(crate) mod place;
    pub(crate) mod print;
    pub(crate) mod rehearsal;
    pub(crate) mod remote;
    pub(crate) mod results;
    pub(crate) mod strategy;
}

use std::process::ExitCode;

use tool::args::Args;
use tool::{interrupt, rehearsal, remote};

fn main() -> ExitCode {
    // The same binary is the load generator inside a container.
    if std::env::args().nth(1).as_deref() == Some(remote::WORD) {
        return remote::serve();
    }
    let args = match Args::read() {
        Ok(args) => args,
        Err(code) => return code,
    };
    interrupt::listen();
    match rehearsal::all(&args) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("bookend-rehearse: {problem}");
            ExitCode::from(interrupt::code().unwrap_or(NOT_REHEARSED))
        }
    }
}

/// The rehearsal could not be made: usage, engine, a server that does not answer.
const NOT_REHEARSED: u8 = 125;
