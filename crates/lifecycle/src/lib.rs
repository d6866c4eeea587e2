//! Everything bookend decides, and nothing it does.
//!
//! What happens is an [`Event`], what is to be done is an [`Action`], and time is a number that the caller passes in.
//! This crate has no I/O: no tokio, no nix, no clock, no log.
//!
//! | module      | decides                                                          |
//! | ----------- | ---------------------------------------------------------------- |
//! | `container` | the life of a container whose app is our child                   |
//! | `sidecar`   | the life of an app in another container, seen from a sidecar     |
//! | `machine`   | what the two have in common                                      |
//! | `hooks`     | the handler lists of one machine, and the callers that wait      |
//! | `list`      | one run through the handlers of a hook: order, retries, policy   |
//! | `budget`    | how the grace period is divided                                  |
//! | `drain`     | when a server is quiet enough for its stop signal                |
//! | `probe`     | what the results of the app's probes add up to                   |
//! | `notify`    | what the app reports with sd_notify(3)                           |
//! | `signal`    | signals as names and numbers                                     |
//! | `seconds`   | a duration as text and as JSON                                   |
//! | `printable` | text of others, made safe for terminals and logs                 |

pub mod budget;
mod container;
pub mod drain;
mod hooks;
mod list;
mod machine;
pub mod notify;
pub mod printable;
pub mod probe;
pub mod seconds;
mod sidecar;
pub mod signal;
pub mod small_map;
mod time;
mod vocabulary;

pub use container::ContainerLifecycle;
pub use list::{HandlerPlan, HandlerResult, On, RunId};
pub use machine::Machine;
pub use sidecar::SidecarLifecycle;
pub use time::Time;
pub use vocabulary::{
    Action, AppStatus, CallerId, Event, Hook, Note, Outcome, PhaseName, Plan, Reason, SecondSignal, Timer, Trigger,
};
