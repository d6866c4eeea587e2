//! The pod-facing endpoint. It reads a snapshot of the state and sends requests to the loop; it never
//! decides, and a slow or hostile client never delays a signal, a reap or a hook.
//!
//! | path                                          | answer                                                  |
//! | --------------------------------------------- | ------------------------------------------------------- |
//! | GET /lifecycle/postStart, /lifecycle/preStop  | when the handlers are done: 200, or 500 (a kubelet: a broken connection) |
//! | GET /livez, /readyz, /startupz, /lbz          | at once: 200 or 503                                     |
//! | GET /status                                   | at once: JSON                                           |
//!
//! One request a connection: a kubelet re-sends the GET when a *reused* connection breaks, and a hook must
//! not run twice for that.

mod routes;
mod server;
mod status;

pub(crate) use server::{Answer, Call, Doors, serve};
pub(crate) use status::{AppStatusView, Seconds, Status};
