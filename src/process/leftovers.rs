//! The processes that remain when the app has ended. As PID 1 of a PID namespace these are all others, and one kill(-1)
//! reaches them. Anywhere else (`shareProcessNamespace`, hostPID, a shell) kill(-1) would reach processes that are not
//! ours: there only our own descendants are signalled, each through a pidfd.

use std::os::fd::AsFd;

use super::Pid;
use super::procfs;
use super::sys;
use bookend_lifecycle::signal::Signal;

/// Sends every other process of this container, or every descendant, a signal.
pub(crate) fn signal_all(signal: Signal) {
    if sys::is_first_process() {
        // ESRCH: no process is left, as intended.
        let _ = sys::send(Pid::from_raw(-1), signal);
        return;
    }
    for member in procfs::below_us() {
        signal_descendant(member.pid, signal);
    }
}

/// Pids and names, `12 (sleep), 13 (sh)`, up to a limit, and how many more there are. Empty: no process, or no /proc.
pub(crate) fn names() -> String {
    let alive: Vec<_> = procfs::below_us().into_iter().filter(|member| !member.is_zombie).collect();
    let shown: Vec<_> =
        alive.iter().take(MOST_NAMES).map(|member| format!("{} ({})", member.pid, member.name)).collect();
    match alive.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

/// Whether one of them may not be signalled by us: it runs as another user, and we lack CAP_KILL.
pub(crate) fn some_are_refused() -> bool {
    procfs::below_us().iter().any(|member| {
        let allowed = nix::sys::signal::kill(Pid::from_raw(member.pid), None);
        !member.is_zombie && allowed == Err(nix::errno::Errno::EPERM)
    })
}

/// The number may have been given to another process since /proc was read; a pidfd keeps naming the same one.
fn signal_descendant(pid: i32, signal: Signal) {
    let Ok(held) = sys::pidfd_open(Pid::from_raw(pid)) else {
        // The kernel or a seccomp profile refuses pidfds. A child of ours keeps its number until we reap it.
        if procfs::member(pid).is_some_and(|member| member.parent == procfs::own_pid()) {
            let _ = sys::send(Pid::from_raw(pid), signal);
        }
        return;
    };
    if procfs::is_below_us(pid) == Some(true) {
        // An error means that it has ended in between.
        let _ = sys::pidfd_send(held.as_fd(), signal);
    }
}

/// The number of processes that one log line names.
const MOST_NAMES: usize = 10;
