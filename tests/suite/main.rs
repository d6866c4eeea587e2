//! bookend's promises, tested on the real binary: real signals, real children, real PID namespaces, a real nginx.
//! About one promise per file. Helpers wait for conditions with a deadline, never for a fixed time.
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them; they are not PID 1")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use bookend_test_support as support;

mod aarch64;
mod auto_profile;
mod bad_input;
mod checkpoint;
mod client;
mod clock;
mod command_line;
mod copy;
mod descriptors;
mod differential;
mod doctor;
mod documents;
mod drain;
mod drop_in;
mod env_pipe;
mod exit_codes;
mod faults;
mod flood;
mod foreign_roots;
mod handler_keys;
mod handler_signals;
mod handlers;
mod held_file;
mod hooks;
mod http_get;
mod hung_files;
mod killed;
mod kubelet;
mod language;
mod last_resort;
mod layers;
mod left_behind;
mod leftovers;
mod life_before;
mod log;
mod metrics;
mod more_servers;
mod multiplexed;
mod nginx;
mod no_trace;
mod notify;
mod odd_files;
mod orphans;
mod page;
mod pods;
mod probes;
mod program;
mod readme;
mod ready_made;
mod recorded_lives;
mod refused_calls;
mod refused_signals;
#[cfg(feature = "reload")]
mod reload;
mod rollout;
mod schema;
mod second_signal;
mod servers;
mod sidecar;
mod signals;
mod size;
mod socket;
mod sources;
mod spawning;
mod start_up;
mod stop;
mod storm;
mod structure;
mod terminal;
mod termination_message;
#[cfg(feature = "otel")]
mod trace;
mod wait;
mod watching;
