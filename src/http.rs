//! The endpoint: bookend's HTTP server, on the pod-facing port and on the unix socket of the command line. It asks the
//! loop for the state and passes requests on to it; it never decides, and a slow or hostile client never delays a
//! signal, a reap or a hook.
//!
//! | path                                          | listener | answer                                           |
//! | --------------------------------------------- | -------- | ------------------------------------------------ |
//! | GET /lifecycle/postStart, /lifecycle/preStop  | both     | when the handlers are done: 200 or 500 (to a kubelet: a broken connection) |
//! | GET /lifecycle/NAME/...                       | both     | the same for a container of a sidecar's `containers` |
//! | GET /livez, /readyz, /startupz, /lbz          | both     | at once: 200 or 503; `?verbose`, `?exclude=`      |
//! | GET /status                                   | both     | at once: JSON                                    |
//! | GET /                                         | port     | the page, with `http.page`                       |
//! | GET /metrics                                  | both     | at once: Prometheus metrics                      |
//! | GET /events                                   | socket   | events as they happen, as server-sent events     |
//! | POST /stop, /signal/{name}                    | socket   | 202                                              |
//! | POST /reload, /reload/{name}                  | socket   | when the reloads are over: 200 or 500            |
//!
//! One request for each connection: a kubelet sends a GET again when a *reused* connection breaks, and a hook must not
//! run twice for that.
//!
//! `server` accepts connections, `connection` is one of them, `routes` answers its request, `request` is the way to the
//! loop. Each imports only what stands further down:
//!
//! ```text
//! server -> routes -> page, health, metrics, response -> events
//!    |        |
//!    +------> connection -> browser, listener -> connection_table, handshakes, rules -> token, tls
//!                                       |
//!                                       +------> request -> status, events -> delivery
//! ```

mod accept_backoff;
mod browser;
mod connection;
mod connection_table;
mod delivery;
mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz_harness;
#[cfg(feature = "tls")]
mod handshakes;
mod health;
mod listener;
mod metrics;
#[cfg(feature = "page")]
mod page;
mod refusal;
mod request;
mod response;
mod routes;
mod rules;
mod server;
mod socket;
mod status;
#[cfg(feature = "tls")]
mod tls;
mod token;
mod write_timeout;

pub(crate) use delivery::{Delivery, DeliveryGuard};
pub(crate) use events::{LifecycleEvent, Subscribers};
#[cfg(feature = "reload")]
pub(crate) use request::ReloadAnswer;
pub(crate) use request::{Detail, Endpoint, HookCall, HookResponse, HookSender, Request};
pub(crate) use rules::Rules;
pub(crate) use server::{serve_port, serve_socket};
pub(crate) use socket::{ControlSocket, Lock, SocketError};
#[cfg(feature = "reload")]
pub(crate) use status::ReloadSnapshot;
pub(crate) use status::{
    AppSnapshot, ContainerSnapshot, DrainSnapshot, LossSnapshot, NotifySnapshot, PreviousLife, ProbeSnapshot,
    RunningHandlerSnapshot, StatusSnapshot, ZombieParent,
};
pub(crate) use write_timeout::Duplex;
