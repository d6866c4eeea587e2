//! The kernel edge: this module starts, signals and reaps processes. It decides nothing about the app's life.
//!
//! | module          | subject                                                             |
//! | --------------- | ------------------------------------------------------------------- |
//! | `sys`           | system calls that nix cannot make                                   |
//! | `inherited`     | what we were started with: mask, dispositions, working directory    |
//! | `spawn`         | clone and exec, with nothing of ours left in the child              |
//! | `placement`     | the session, process group and terminal of a child                  |
//! | `setup`         | what a child changes of itself: user, directory, limits             |
//! | `spawn_error`   | why a program could not be started, in words                        |
//! | `stdio`         | descriptors for a child's stdin, stdout and stderr                  |
//! | `user`          | users and groups of /etc/passwd and /etc/group                      |
//! | `activation`    | the one variable that must name the child: `LISTEN_PID`             |
//! | `terminal`      | the foreground, and job control                                     |
//! | `reaper`        | waitpid for the loop, and the table of pids that are still ours     |
//! | `signals`       | receiving signals                                                   |
//! | `musl`          | the two signals that musl unblocks by itself                        |
//! | `procfs`        | the processes below us, as /proc shows them                         |
//! | `pidfd`         | a process that is not our child                                     |
//! | `leftovers`     | the processes that remain when the app has ended                    |
//! | `notify_socket` | the socket of sd_notify(3)                                          |
//! | `zombies`       | zombies that only their own, living parent can reap                 |
//! | `cgroup`        | the container's memory cgroup: OOM kills                            |
//! | `file_watch`    | inotify: changes of files                                           |
//! | `pause`         | the init of a pod's pause container                                 |
//! | `last_resort`   | the init that remains when everything else has failed               |
//!
//! It knows no settings: callers translate them into its own types, and for `last_resort` into the plan of the life.

mod activation;
pub(crate) mod cgroup;
#[cfg(feature = "reload")]
pub(crate) mod file_watch;
pub(crate) mod inherited;
pub(crate) mod last_resort;
pub(crate) mod leftovers;
mod musl;
pub(crate) mod notify_socket;
pub(crate) mod pause;
pub(crate) mod pidfd;
pub(crate) mod placement;
pub(crate) mod procfs;
pub(crate) mod reaper;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod spawn_error;
pub(crate) mod stdio;
mod sys;
pub(crate) mod terminal;
pub(crate) mod user;
pub(crate) mod zombies;

pub use sys::arguments;
pub(crate) use sys::{
    become_subreaper, executed_path, gets_orphans, is_first_process, set_umask, since_boot, terminal_width,
    with_signals_blocked, write_without_blocking,
};

/// A process id. The id of our child names that child until the reaper has reaped it.
pub(crate) type Pid = nix::unistd::Pid;
