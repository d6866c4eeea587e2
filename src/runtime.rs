//! The loop: an input becomes an event, the machine decides, and the actions are performed.
//!
//! ```text
//!          input                     event                  actions
//! run_loop::wait ──► Supervisor::on_… ──► Machine::apply ──► Supervisor::perform ──► a process, a handler, an answer
//! ```
//!
//! | input              | what happens                                                                            |
//! | ------------------ | --------------------------------------------------------------------------------------- |
//! | SIGTERM            | `on_signal` queues the event; the machine begins the stop: preStop handlers, then the stop signal for the app |
//! | a hook call        | `Dispatcher::hook_called` queues the event; the machine runs the hook's handlers, then answers the caller |
//! | SIGCHLD            | `ContainerLoop::reap` takes the app's status and queues its end; the machine ends the remaining processes, runs postStop and exits |
//! | a handler's report | `Dispatcher::handler_ended` records the run and queues the event; the machine starts the next handler |
//!
//! | file            | has                                                                                   |
//! | --------------- | ------------------------------------------------------------------------------------- |
//! | `run_loop`      | the loop, and the trait of the two types that it drives (`Supervisor`)                |
//! | `container`     | the container's process: one unit, whose app is our child (`ContainerLoop`)           |
//! | `sidecar`       | `bookend sidecar`: a unit for each container whose hooks it answers (`SidecarLoop`)   |
//! | `unit`          | one app: its machine, handlers, timers, counters and handler context                  |
//! | `dispatcher`    | the part that both loops share: queue of events, handler runs, callers of hooks       |
//! | `listeners`     | the port and the socket of the endpoint                                               |
//! | `reporter`      | what happens, reported to the log, the timeline and the event stream; the stop report |
//! | `followers`     | the exit waits until the clients of `/events` have the report                         |
//! | `life_before`   | the content of the state file, as a message to the loop                               |
//! | `memory_watch`  | the kills of the OOM killer                                                           |
//! | `process_scans` | looks for zombies that are not ours, on another thread                                |
//! | `reaping`       | how often ended children are collected                                                |
//! | `reload`        | `[[reload]]`: the app reads changed files again                                       |
//! | `trace`         | the trace of a start and of a stop, sent to an OpenTelemetry collector                |
//! | `start`         | the first steps of the container and of the sidecar, and why a start can fail         |
//! | `plan`          | from the settings to what a machine needs to know                                     |

pub(crate) mod container;
mod dispatcher;
mod followers;
mod life_before;
mod listeners;
mod memory_watch;
mod plan;
mod process_scans;
mod reaping;
#[cfg(feature = "reload")]
mod reload;
mod reporter;
mod run_loop;
#[cfg(feature = "sidecar")]
pub(crate) mod sidecar;
mod start;
#[cfg(feature = "otel")]
mod trace;
mod unit;
