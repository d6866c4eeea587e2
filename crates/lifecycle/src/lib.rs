//! Everything that bookend decides, and nothing that it does.
//!
//! A machine takes an [`Event`] with its time and returns [`Action`]s. The edge (the main crate) performs the actions and
//! reports what happens as events. This crate has no I/O: no tokio, no nix, no clock, no log. So every history can be
//! replayed, and a model checker walks through all of them in a bounded world.
//!
//! # A container
//!
//! [`ContainerLifecycle`] is the life of a container whose app is our child:
//!
//! ```text
//!          preStart succeeded
//! Starting ──────────────────► Running, started when postStart has succeeded
//!    │                           │  │           ▲
//!    │ preStart failed:          │  │ a stop    │ no stop signal has followed the hook
//!    │ exit 125                  │  ▼           │
//!    │ stop signal:              │  Stopping: PreStop ► AwaitSignal ► Signalled ► Killed
//!    │ exit 128+n                │  │
//!    ▼                           ▼  ▼ the app ends
//! Finishing: Linger ► Leftovers ► PostStop ► Answers ► Held
//!    │
//!    ▼
//! Exited(code)
//! ```
//!
//! A stop begins with a stop signal, a preStop hook, a request, a failed liveness probe or a failed postStart. Only the stop of a
//! hook waits in AwaitSignal. In Signalled the second signal goes out. The container is held only if the app has failed by itself
//! and `holdOnFailureSeconds` is set.
//!
//! Its promises:
//! 1. preStop handlers run at most once per stop, whatever arrives in whatever order.
//! 2. The stop signal goes out only when preStop is over or abandoned.
//! 3. SIGKILL goes to the app only at the deadline, and never without a grace period.
//! 4. postStop handlers run only when no app runs, or when the app cannot be ended. Nothing at all happens after Exit.
//! 5. Every history in which the app ends, and handlers and callers answer, reaches Exit.
//! 6. A hook that waits is answered before Exit.
//! 7. The container is never ready while it is stopping.
//! 8. No signal goes to an app that is not there.
//! 9. The second signal goes out at most once, after the stop signal: when no request is in flight on the connections that are
//!    left, or shortly before SIGKILL. SIGKILL never comes without it, if it is configured and there is a stop signal.
//!
//! # An app in another container
//!
//! [`SidecarLifecycle`] is the life of an app in another container, as far as its hooks and its process show it. A sidecar has
//! one machine for each set of hooks. The machine starts no app and never sends SIGKILL, because both are the kubelet's:
//!
//! ```text
//!          postStart hook · process found            preStop hook
//!  Living ───────────────────────────────► Living ─────────────────► Living, stopping: PreStop ► AppEnds ► Answered
//!     ▲ next life                            │ process ended · postStart hook of the next life · our own stop  │
//!     │                                      ▼                                                                 │
//!     └───────────────────────────────── Ending: Linger ► PostStop ◄───────────────────────────────────────────┘
//!                                            │ our own stop
//!                                            ▼
//!                                        Answers ► Exited
//! ```
//!
//! Its promises:
//! 1. preStop handlers run at most once per stop. After a grace period, or in the next life, it is another stop.
//! 2. The stop signal goes out only to a process that is there, and only when preStop is over or abandoned.
//! 3. postStop handlers run once per life, when it is over, and before postStart of the next life.
//! 4. Every caller is answered, also one that comes when everything is over.
//! 5. Every history with our own stop, in which handlers and callers answer, reaches Exit. With a grace period it does so
//!    even if the app never ends and no hook arrives.
//! 6. Our own stop does not cut short a hook that is in flight, as long as there is time.
//!
//! Properties of random histories (`tests/histories.rs` below each machine) and the model (`tests/model`) check every promise;
//! docs/proof.md says what is proved, and what is assumed.
//!
//! # Modules
//!
//! | module      | contains                                                               |
//! | ----------- | ---------------------------------------------------------------------- |
//! | `machine`   | the trait of both machines                                             |
//! | `container` | [`ContainerLifecycle`]; below it the phases of a stop and the exit code |
//! | `sidecar`   | [`SidecarLifecycle`]; below it the app's stop and our own              |
//! | `event`     | everything that can happen to a machine                                |
//! | `action`    | everything that a machine can ask for                                  |
//! | `plan`      | the configuration of one life                                          |
//! | `hook`      | the four hooks, and the results of their handlers                      |
//! | `life`      | phases, triggers of a stop, how and why an app ended                   |
//! | `context`   | what both machines are built on: handler lists, callers, timers        |
//! | `list`      | one run through the handlers of a hook: order, retries, policy         |
//! | `callers`   | the callers that wait for a hook                                       |
//! | `budget`    | how the grace period is divided                                        |
//! | `drain`     | when a server is quiet enough for its stop signal                      |
//! | `connection` | which connections are idle, and which may carry a request             |
//! | `probe`     | what the results of the app's probes add up to                         |
//! | `reload`    | when changed files are applied                                         |
//! | `notify`    | what the app reports with sd_notify(3)                                 |
//! | `oom`       | whether the kernel's OOM killer was at work                           |
//! | `past`      | how far the life before this one came                                 |
//! | `signal`    | signals as names and numbers                                           |
//! | `time`      | the clock: a number that the caller passes in                          |
//! | `sorted`    | small maps and sets as sorted lists                                    |
//! | `seconds`   | a duration as text and as JSON                                         |
//! | `printable` | text of others, made safe for terminals and logs                       |

mod action;
pub mod budget;
mod callers;
pub mod connection;
mod container;
mod context;
pub mod drain;
mod event;
mod hook;
mod life;
mod list;
mod machine;
pub mod notify;
pub mod oom;
pub mod past;
mod plan;
pub mod printable;
pub mod probe;
pub mod reload;
pub mod seconds;
mod sidecar;
pub mod signal;
pub mod sorted;
#[cfg(test)]
mod testing;
mod time;

pub use action::{Action, Note, SecondSignalReason};
pub use container::ContainerLifecycle;
pub use event::{Event, Timer};
pub use hook::{CallerId, HandlerResult, Hook, Outcome, RunId};
pub use life::{AppStatus, PhaseName, Reason, Remaining, Trigger};
pub use machine::Machine;
pub use plan::{HandlerPlan, On, Plan, SecondSignal};
pub use sidecar::SidecarLifecycle;
pub use time::Time;
