//! Traffic through a stop: what the clients of a server lose when it is stopped.
//!
//! - [`plan`] and [`traffic`]: an open-loop load of every kind of traffic, through the whole stop ([`plan::Plan`]).
//! - [`load`]: the load of bookend's own tests and benches: a few kinds of it, on 127.0.0.1 ([`load::Load`]).
//! - [`http2`]: HTTP/2 and gRPC requests in flight on one connection ([`http2::Http2`]), in clear text or over TLS:
//!
//! ```no_run
//! use bookend_rehearse::http2::{Http2, Request, StreamResult};
//! use std::time::Duration;
//!
//! # let pid = 1;
//! let client = Http2 {
//!     ping_every: Some(Duration::from_secs(1)),
//!     ..Http2::new(8080, vec![Request::get("/slow"), Request::get("/slow"), Request::grpc_health()])
//! };
//! let in_flight = client.start(pid); // in the network namespace of `pid`; `start_here` stays in this one
//! in_flight.wait_until_sent(); // the server has all requests, and the stop may begin
//! let outcome = in_flight.finish(); // waits until each request has its result, at most `Http2::patience`
//! assert!(outcome.results.iter().all(|result| *result == StreamResult::Answered));
//! ```
//!
//! A request whose result is [`Unprocessed`](http2::StreamResult::Unprocessed) was refused by GOAWAY (or REFUSED_STREAM) before the server began with it, so
//! every client repeats it. All others that are not `Answered` are lost.
#![expect(
    clippy::disallowed_methods,
    reason = "this is a client for tests and people, not PID 1: its threads may sleep"
)]

pub mod connect;
pub mod counts;
mod http1;
pub mod http2;
pub mod load;
pub mod namespace;
pub mod plan;
pub mod traffic;
