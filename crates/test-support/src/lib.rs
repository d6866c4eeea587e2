//! Helpers that the integration tests, the soak and the benches share: a container's life with bookend as PID 1 of a fresh PID namespace,
//! clients of its endpoint, folders and ports of a test's own, and a clean-up that leaves no process behind.
//!
//! Helpers wait for a condition with a deadline ([`wait_until`]), never for a fixed time. They panic if the deadline passes.
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them; they are not PID 1")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::missing_panics_doc, reason = "every helper fails its test by panicking")]

mod clean_up;
mod client;
mod folder;
mod init;
mod nginx;
mod requirements;
mod wait;

pub use client::{code, code_of, get, get_as, get_with, took};
pub use folder::{Folder, copy_program, free_port};
pub use init::{
    Finished, Init, bookend, child_of, debug_build, in_network_of, output_of, output_with_input, pipe_without_reader,
    run, signal,
};
pub use nginx::nginx_conf;
pub use requirements::{has, is_root, not_run};
pub use wait::{PATIENCE, wait_for_socket, wait_until};

/// An app that prints the number of each signal it receives. It blocks all signals, since it may have been started with all of them
/// blocked, and takes them one by one, the lowest number first (signal(7)). Perl's handlers lose signals that arrive together.
pub const PRINTS_SIGNALS: [&str; 4] = [
    "python3",
    "-IS",
    "-c",
    r#"
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.write(1, b"up")
while True:
    os.write(1, b"<%d>" % signal.sigwaitinfo(signal.valid_signals()).si_signo)
"#,
];
