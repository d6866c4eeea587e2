//! bookend: the first and the last process of a container.
//!
//! Decide in pure code, act at the edges. One thread, one loop, one owner of the state. The decisions are in the crate
//! `bookend-lifecycle`, the configuration is in `bookend-config`. ARCHITECTURE.md shows one stop's way through the modules.
//!
//! | module     | contents                                                     | imports                                  |
//! | ---------- | ------------------------------------------------------------ | ---------------------------------------- |
//! | `cli`      | the command line: one file per subcommand                    | every module below                       |
//! | `doctor`   | settings that lose requests: facts become findings           | `report` (a path), `net` and below       |
//! | `compat`   | the options of other inits become settings and a policy      | `handlers` (an error), `process`, `exit` |
//! | `runtime`  | the loop: inputs become events, actions are performed        | `compat`, `handlers`, `http` and below   |
//! | `handlers` | one file per handler kind                                    | `http` (a stream type) and below         |
//! | `http`     | the endpoint: asks the loop for the state, passes requests   | `report`, `net`, `tls` and below         |
//! | `report`   | the log, the journal of runs and stops, counters             | `http` (the status), `process`, `detached` |
//! | `net`      | the connections of the network namespace                     | `process`, `detached`, `files`           |
//! | `tls`      | trusted certificates                                         | `files`                                  |
//! | `detached` | work that may block, on threads that nothing waits for       | `process`                                |
//! | `process`  | the kernel edge: spawn, reap, signals                        | `error`, `exit`, `files`                 |
//! | `tasks`    | starts tasks of the async runtime                            | none                                     |
//! | `files`    | bounded reads of small files                                 | none                                     |
//! | `error`    | errors as text                                               | none                                     |
//! | `exit`     | exit codes                                                   | none                                     |
//! | `fuzz`     | the parsers of untrusted input, as functions of bytes; tests | the parsers                              |

// An init for Linux: the crate is empty elsewhere, and main.rs has the one error that reports it.
#![cfg(target_os = "linux")]
// Only a build with all features shows what is unused.
#![cfg_attr(
    not(feature = "sidecar"),
    allow(dead_code, unused_imports, reason = "the compiler leaves out what only the sidecar uses")
)]

mod cli;
mod compat;
mod detached;
#[cfg(feature = "doctor")]
mod doctor;
mod error;
mod exit;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handlers;
mod http;
mod net;
mod process;
mod report;
mod runtime;
mod tasks;
#[cfg(feature = "tls")]
mod tls;

pub use cli::main;
pub use process::arguments;
