//! The system calls that nix cannot make for us, each as a safe function. nix's `Signal` has no real-time signals,
//! and both C libraries remove their own ones (32 to 34) from every signal set, so signals are plain numbers here and
//! signal sets are whole 64-bit masks. This module depends on nothing else of the process edge.
//!
//! | module         | calls                                                                |
//! | -------------- | -------------------------------------------------------------------- |
//! | `signals`      | masks, dispositions, signalfd, waiting for a signal, kill(2)          |
//! | `children`     | waitpid(2) and waitid(2), used by the reaper                          |
//! | `pidfd`        | processes that are not our children                                   |
//! | `descriptors`  | copies, closing, writing without blocking                             |
//! | `this_process` | arguments, environment, parent death signal, terminal, subreaper      |

mod children;
mod descriptors;
mod pidfd;
mod signals;
mod this_process;

pub(super) use self::children::{ChildNews, peek_end, take_end, take_stop};
pub(crate) use self::descriptors::write_without_blocking;
pub(super) use self::descriptors::{close_if_inherited, duplicate_from, watch_readable};
pub(super) use self::pidfd::{pidfd_open, pidfd_send};
pub(crate) use self::signals::with_signals_blocked;
pub(super) use self::signals::{
    SIGSET_BYTES, SignalSet, ask, is_ignored, pending, read_signalfd, send, set_disposition, set_mask, set_raw_handler,
    signalfd, take_pending, wait_for_signal,
};
pub use self::this_process::arguments;
pub(crate) use self::this_process::{
    become_subreaper, executed_path, gets_orphans, is_first_process, set_umask, since_boot, terminal_width,
};
pub(super) use self::this_process::{environ, give_up_terminal, set_parent_death_signal};

/// The errno of the last system call of this thread. Async-signal-safe.
pub(super) fn errno() -> i32 {
    nix::errno::Errno::last_raw()
}
