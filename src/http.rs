//! The endpoint: the pod-facing port, and the unix socket of the command line. It asks the loop how things stand
//! and brings it requests; it never decides, and a slow or hostile client never delays a signal, a reap or a hook.
//!
//! | path                                          | door  | answer                                          |
//! | --------------------------------------------- | ----- | ----------------------------------------------- |
//! | GET /lifecycle/postStart, /lifecycle/preStop  | both  | when the handlers are done: 200, or 500 (a kubelet: a broken connection) |
//! | GET /lifecycle/NAME/...                       | both  | the same for a container of a sidecar's `containers` |
//! | GET /livez, /readyz, /startupz, /lbz          | both  | at once: 200 or 503; `?verbose`, `?exclude=`     |
//! | GET /status                                   | both  | at once: JSON                                   |
//! | GET /                                         | port  | the page, with `http.page`                      |
//! | GET /metrics                                  | both  | at once: numbers                                |
//! | GET /events                                   | socket | what happens, as server-sent events            |
//! | POST /stop, /signal/{name}                    | socket | 202                                            |
//!
//! One request a connection: a kubelet re-sends the GET when a *reused* connection breaks, and a hook must
//! not run twice for that.

mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz_harness;
mod health;
mod limits;
mod metrics;
#[cfg(feature = "page")]
mod page;
mod routes;
mod rules;
mod server;
mod socket;
mod status;
mod timed;
#[cfg(feature = "tls")]
mod tls;
mod token;

pub(crate) use events::{LifecycleEvent, Subscribers};
pub(crate) use rules::Rules;
pub(crate) use server::{Detail, Endpoint, HookCall, HookResponse, Request, serve_port, serve_socket};
pub(crate) use socket::ControlSocket;
pub(crate) use status::{
    AppStatusView, ContainerView, DrainView, LossView, NotifyView, ProbeView, RunningHandlerView, StatusView,
    ZombieParent,
};
pub(crate) use timed::Duplex;
