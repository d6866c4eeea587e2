//! bookend: the first and the last process of a container.
//!
//! Decide in pure code, act at the edges. One thread, one loop, one owner of the state.
//!
//! | room         | for                                                     | knows                        |
//! | ------------ | ------------------------------------------------------- | ---------------------------- |
//! | `cli`        | the door: what was said on the command line             | everything below             |
//! | `config`     | what the user said -> what the program needs; pure      | words of all that are pure   |
//! | `import`     | a manifest -> a configuration; pure, a feature          | `config`                     |
//! | `signal`     | signals as words and numbers; pure                      | nothing                      |
//! | `budget`     | how a stop's time is shared out; pure                   | nothing                      |
//! | `drain`      | when it is quiet enough for the stop signal; pure       | `net`'s words                |
//! | `net`        | what the kernel knows of connections                    | nothing that decides         |
//! | `doctor`     | what would drop requests: facts -> findings             | `config`, `net`              |
//! | `lifecycle`  | the state machine; pure                                 | `signal`, `budget`           |
//! | `probe`      | what the app's probes add up to; pure                   | nothing                      |
//! | `notify`     | what the app says with sd_notify; pure                  | nothing                      |
//! | `supervisor` | the loop: sources -> Event -> apply -> perform          | both sides                   |
//! | `desk`       | what both loops have: runs, callers, doors, the story   | `handler`, `http`, `journal` |
//! | `sidecar`    | the loop of a sidecar: many machines in place of one    | both sides                   |
//! | `plan`       | settings -> what a machine needs to know of them; pure  | `config`, `lifecycle` words  |
//! | `journal`    | what happened: records, timeline, summary; pure         | `lifecycle`                  |
//! | `program`    | command, environment and user of what is started        | `config` words, `process`    |
//! | `counters`      | what happened, as numbers for the metrics; pure         | `lifecycle`                  |
//! | `process`    | the kernel edge: spawn, reap, signals                   | nothing that decides         |
//! | `handler`    | one file for each kind of handler                       | `process`                    |
//! | `files`      | small files that others write                           | nothing                      |
//! | `seconds`    | a time as text and as JSON; pure                         | nothing                      |
//! | `small_map`  | a map of few entries                                    | nothing                      |
//! | `tls`        | certificates and whom to trust                          | nothing                      |
//! | `http`       | the endpoint; reads a snapshot, sends requests          | `journal`, `lifecycle` words |
//! | `fuzz`       | what strangers write, as functions of bytes; tests only | every reader                 |
//! | `compat`     | other inits' words -> settings and policy; thin         | `config`, `policy`           |
//! | `policy`     | what another init does differently; pure                | `signal`                     |

// An init for Linux: the crate is empty elsewhere, and main.rs has the one error that tells so.
#![cfg(target_os = "linux")]

mod cli;
mod compat;
#[cfg(feature = "doctor")]
mod doctor;
mod error;
mod exit;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handlers;
mod http;
#[cfg(feature = "import")]
pub mod import;
mod net;
mod process;
mod report;
mod runtime;
#[cfg(feature = "tls")]
mod tls;

pub use cli::main;
pub use process::arguments;
