//! Traffic through a stop: what the clients of a server lose when it is stopped.
#![expect(
    clippy::disallowed_methods,
    reason = "this is a client for tests and people, not PID 1: its threads may sleep"
)]

pub mod load;
