//! The processes that remain when the app has ended. As PID 1 of a PID namespace these are all others, and one kill(-1)
//! reaches them. Anywhere else (`shareProcessNamespace`, hostPID, a shell) kill(-1) would reach processes that are not
//! ours: there only our own descendants are signalled, each through a pidfd.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Pid;
use super::procfs;
use super::sys;
use bookend_lifecycle::signal::Signal;

/// Sends a signal to every other process of this container, or to every descendant, except those that are `spared`. [`seen`]
/// finds the refusals, among the processes that remain.
pub(crate) fn signal_all(signal: Signal, spared: &[i32]) {
    if one_call_reaches_all(spared) {
        // ESRCH: no process is left, as intended.
        let _ = sys::send(Pid::from_raw(-1), signal);
        return;
    }
    let mut done: HashSet<i32> = spared.iter().copied().collect();
    // The list is read before the first one ends. Children whose parent has ended meanwhile are found the second time.
    for _ in 0..2 {
        let pids: Vec<i32> = procfs::below_us(procfs::Most::ALL).map(|member| member.pid).collect();
        for pid in pids.into_iter().filter(|pid| done.insert(*pid)) {
            match sys::is_first_process() {
                // Even if another process has this number by now, it must end, too.
                true => drop(sys::send(Pid::from_raw(pid), signal)),
                false => drop(signal_descendant(pid, Some(signal))),
            }
        }
    }
}

/// Whether `signal_all` needs no list of processes, whose length is up to others.
pub(crate) fn one_call_reaches_all(spared: &[i32]) -> bool {
    // Without /proc no process can be spared.
    sys::is_first_process() && (spared.is_empty() || !procfs::shows_us())
}

/// Whether there is any other process of this container, alive or not reaped by its parent. As PID 1 that includes
/// sessions (`docker exec`), whose parents are outside. Elsewhere those are not ours.
pub(crate) fn are_any() -> bool {
    sys::is_first_process() && nix::sys::signal::kill(Pid::from_raw(-1), None) != Err(nix::errno::Errno::ESRCH)
}

/// Whether there is any other process of this container that is not among these, as far as can be seen in a moment.
pub(crate) fn are_any_but(these: &[i32]) -> bool {
    let has_time = time_to_look();
    let mut below = procfs::below_us(IN_HASTE).enumerate();
    below.any(|(seen, member)| !has_time(seen) || !member.is_zombie && !these.contains(&member.pid))
}

/// Those that the loop has time for.
fn some_below_us() -> impl Iterator<Item = procfs::Member> {
    let has_time = time_to_look();
    procfs::below_us(IN_HASTE).enumerate().take_while(move |(seen, _)| has_time(*seen)).map(|(_, member)| member)
}

/// Whether the loop has time for another process after so many.
fn time_to_look() -> impl Fn(usize) -> bool {
    let end = Instant::now() + MOST_TIME;
    move |seen| seen < SURELY_READ || seen < MOST_READ && Instant::now() < end
}

/// The remaining processes that the loop has time to look at, for a log line.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Pids and names, `12 (sleep), 13 (sh, refused)`, up to a limit, and how many more there are. Empty: no process, or no /proc.
    pub(crate) names: String,
    pub(crate) refused: Refused,
}

/// How many of them we may not signal: they run as another user and we lack CAP_KILL, or a seccomp profile forbids the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    None,
    Some,
    All,
}

/// Looks at each of them, up to a limit, and asks the kernel whether we may signal it. Those that are `spared` get no signal.
pub(crate) fn seen(spared: &[i32]) -> Seen {
    let alive = some_below_us().filter(|member| !member.is_zombie && !spared.contains(&member.pid));
    let alive: Vec<_> = alive.map(|member| (is_refused(member.pid), member)).collect();
    let refused = match alive.iter().filter(|(refused, _)| *refused).count() {
        0 if alive.is_empty() && are_unseen_refused() => Refused::All,
        0 => Refused::None,
        some if some < alive.len() => Refused::Some,
        _ => Refused::All,
    };
    let shown: Vec<_> = alive
        .iter()
        .take(MOST_NAMES)
        .map(|(is_refused, member)| {
            let mark = if *is_refused && refused == Refused::Some { ", refused" } else { "" };
            format!("{} ({}{mark})", member.pid, member.name)
        })
        .collect();
    let names = match alive.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    };
    Seen { names, refused }
}

/// Whether no signal reaches those that cannot be seen, because /proc is missing or hides them, as far as is known: as PID 1 one call
/// signals all, and fails only if the call itself is refused.
fn are_unseen_refused() -> bool {
    match sys::is_first_process() {
        true => sys::ask(Pid::from_raw(-1)).is_err_and(|error| error.raw_os_error() != Some(libc::ESRCH)),
        false => !are_seen(),
    }
}

/// Whether /proc shows our processes: without it only PID 1 can signal the remaining ones.
pub(crate) fn are_seen() -> bool {
    sys::is_first_process() || procfs::shows_us()
}

/// Whether a signal to this process is refused, in the way in which it would be sent.
fn is_refused(pid: i32) -> bool {
    let asked = match sys::is_first_process() {
        true => sys::ask(Pid::from_raw(pid)),
        false => signal_descendant(pid, None),
    };
    // ESRCH: it has just ended.
    asked.is_err_and(|error| error.raw_os_error() != Some(libc::ESRCH))
}

/// Signals a descendant, or only asks whether that is allowed. The number may have been given to another process since /proc was
/// read; a pidfd keeps naming the same one.
fn signal_descendant(pid: i32, signal: Option<Signal>) -> io::Result<()> {
    let sent = match sys::pidfd_open(Pid::from_raw(pid)) {
        Ok(held) if procfs::is_below_us(pid) == Some(true) => sys::pidfd_send(held.as_fd(), signal),
        Ok(_) => return Ok(()),
        Err(error) => Err(error),
    };
    // The kernel or a seccomp profile may refuse pidfds. A child of ours keeps its number until we reap it.
    let is_child = || procfs::member(pid).is_some_and(|member| member.parent == procfs::own_pid());
    match sent {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) && is_child() => match signal {
            Some(signal) => sys::send(Pid::from_raw(pid), signal),
            None => sys::ask(Pid::from_raw(pid)),
        },
        sent => sent,
    }
}

/// The number of processes that are read for a log line: one costs some 15 us, and the loop waits meanwhile.
const MOST_READ: usize = 200;
/// A process with hundreds of threads, each with a list of children, would cost more.
const IN_HASTE: procfs::Most = procfs::Most { children: MOST_READ, threads: 32 };
/// However long they take: a busy machine may take the processor away from us.
const SURELY_READ: usize = 20;
/// For all of them.
const MOST_TIME: Duration = Duration::from_millis(4);
/// The number of processes that one log line names.
const MOST_NAMES: usize = 10;
