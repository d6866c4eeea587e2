//! What is still there when the app has ended. As PID 1 of a PID namespace that is everybody, and one
//! kill(-1) reaches them all. Anywhere else (`shareProcessNamespace`, hostPID, a shell) kill(-1) would kill
//! strangers: there only our own descendants are touched, each held by a pidfd while it is looked at.

use std::os::fd::AsFd;

use super::Pid;
use super::procfs;
use super::sys;
use bookend_lifecycle::signal::Signal;

/// Sends every other process of this container, or every descendant, a signal.
pub(crate) fn signal_all(signal: Signal) {
    if sys::is_first_process() {
        // ESRCH: nobody is left, which is what is wanted.
        let _ = sys::send(Pid::from_raw(-1), signal);
        return;
    }
    for member in procfs::below_us() {
        signal_descendant(member.pid, signal);
    }
}

/// Who they are: `12 (sleep), 13 (sh)`; so many, and then how many more. Empty: nobody, or no /proc.
pub(crate) fn names() -> String {
    let alive: Vec<_> = procfs::below_us().into_iter().filter(|member| !member.is_zombie).collect();
    let shown: Vec<_> =
        alive.iter().take(MOST_NAMES).map(|member| format!("{} ({})", member.pid, member.name)).collect();
    match alive.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

/// The number may have been given to a stranger since the look at /proc; the pidfd cannot.
fn signal_descendant(pid: i32, signal: Signal) {
    let Ok(held) = sys::pidfd_open(Pid::from_raw(pid)) else {
        // The kernel or a seccomp profile refuses pidfds. A child of ours keeps its number until we reap it.
        if procfs::member(pid).is_some_and(|member| member.parent == procfs::own_pid()) {
            let _ = sys::send(Pid::from_raw(pid), signal);
        }
        return;
    };
    if procfs::is_below_us(pid) == Some(true) {
        // It may have ended in between: then there is nothing to signal.
        let _ = sys::pidfd_send(held.as_fd(), signal);
    }
}

/// A line of the log names so many.
const MOST_NAMES: usize = 10;
