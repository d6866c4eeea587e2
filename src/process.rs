//! The kernel edge: everything that happens to processes happens here, and nothing is decided here.
//!
//! | room          | owns                                                               |
//! | ------------- | ------------------------------------------------------------------ |
//! | `sys`         | the raw system calls nix cannot make; all of its `unsafe`          |
//! | `inherited`   | what we were started with: mask, dispositions, working directory   |
//! | `spawn`       | clone and exec, with nothing of ours left in the child             |
//! | `stdio`       | what a child's stdin, stdout and stderr become                     |
//! | `not_executed` | why a program could not be executed, as a person would say it       |
//! | `setup`       | what a child changes of itself: user, directory, limits            |
//! | `user`        | who a name of /etc/passwd is                                        |
//! | `activation`  | the one variable that must name the child: `LISTEN_PID`            |
//! | `terminal`    | the foreground, and job control                                    |
//! | `reaper`      | waitpid, the only one, and the table of pids that are still ours   |
//! | `signals`     | signals in: one module, whatever carries them                      |
//! | `musl`        | the two signals that musl unblocks behind our back                 |
//! | `procfs`      | who there is below us, as /proc tells it                           |
//! | `pidfd`        | a process that is not our child, held by its pidfd                 |
//! | `leftovers`   | what is still there when the app has ended                         |
//! | `notify_socket` | what the app says with sd_notify(3)                             |
//! | `zombies`     | those that only their own, living parent can reap                  |
//! | `pause`       | the init of a pod's pause container: waits and reaps               |
//! | `last_resort` | the init that remains when everything else has failed              |

mod activation;
pub(crate) mod inherited;
pub(crate) mod last_resort;
pub(crate) mod leftovers;
mod musl;
mod not_executed;
pub(crate) mod notify_socket;
pub(crate) mod pause;
pub(crate) mod pidfd;
pub(crate) mod procfs;
pub(crate) mod reaper;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod stdio;
mod sys;
pub(crate) mod terminal;
pub(crate) mod user;
pub(crate) mod zombies;

pub use sys::arguments;
pub(crate) use sys::{
    become_subreaper, executed_path, gets_orphans, is_first_process, since_boot, terminal_width, with_signals_blocked,
    write_without_waiting,
};

/// A process id of ours: positive, and meaningful only as long as the reaper has not reaped it.
pub(crate) type Pid = nix::unistd::Pid;
