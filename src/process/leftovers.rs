//! What is still there when the app has ended. As PID 1 of a PID namespace that is everybody, and one
//! kill(-1) reaches them all. Anywhere else (`shareProcessNamespace`, hostPID, a shell) kill(-1) would kill
//! strangers: there only our own descendants are touched, each held by a pidfd while it is looked at.

use std::collections::HashMap;
use std::os::fd::AsFd;

use super::Pid;
use super::sys;
use crate::signal::Signal;

/// Sends every other process of this container, or every descendant, a signal.
pub(crate) fn signal_all(signal: Signal) {
    if sys::is_first_process() {
        // ESRCH: nobody is left, which is what is wanted.
        let _ = sys::send(Pid::from_raw(-1), signal);
        return;
    }
    for pid in descendants(own_pid()) {
        signal_descendant(pid, signal);
    }
}

/// The number may have been given to a stranger since the look at /proc; the pidfd cannot.
fn signal_descendant(pid: i32, signal: Signal) {
    let Ok(held) = sys::pidfd_open(Pid::from_raw(pid)) else { return };
    if is_descendant(pid) {
        // It may have ended in between: then there is nothing to signal.
        let _ = sys::pidfd_send(held.as_fd(), signal);
    }
}

/// Whether this process is below us, by climbing from it.
fn is_descendant(pid: i32) -> bool {
    std::iter::successors(Some(pid), |&pid| parent_of(pid)).take(MOST_GENERATIONS).skip(1).any(|pid| pid == own_pid())
}

fn parent_of(pid: i32) -> Option<i32> {
    std::fs::read(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parent)
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// The pids below this one, by the parents that /proc names. Empty where there is no /proc.
fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        if let Some(below) = children.remove(&pid) {
            found.extend(&below);
            next.extend(below);
        }
    }
    found
}

/// The fourth field of proc_pid_stat(5); the second may hold spaces and brackets, so count from its end.
fn parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A chain of parents is not longer than this; one that changes while it is climbed must end, too.
const MOST_GENERATIONS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent(b"42 (a) S 7 42 42 0"), Some(7));
        assert_eq!(parent(b"42 (x) R (9 1) S 7 42"), Some(7));
        assert_eq!(parent(b"42 (cut"), None);
        assert_eq!(parent(b""), None);
    }
}
