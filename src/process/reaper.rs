//! The one reaper. It alone takes the status of children, and hands each to the code that waits for that pid. It is
//! also the one place that knows which pids are still ours: a pid that has not been reaped cannot be given to another
//! process, so signals to the app and to handlers go out through this table. `leftovers` signals the processes that are in no
//! table.
//!
//! A round of [`Reaper::reap`] is bounded, whatever others do:
//!
//! 1. The app and the watched children, each by its pid. The kernel finds one pid without walking the list of children
//!    (since Linux 5.13), so their ends are seen at a cost that does not depend on the number of orphans.
//!    Stops and continuations are asked for the app alone.
//! 2. Orphans, at most so many and for at most so long ([`ReapBound`]). For each the kernel walks the list of living
//!    children. The rest is reported, and the loop comes back for it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use litemap::LiteMap;

use tokio::sync::oneshot;

use super::Pid;
use super::spawn::{ExecProgress, ExecStatus};
use super::sys::{self, ChildNews};
use crate::error::describe;
use bookend_lifecycle::signal::Signal;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// exit(2) with this code.
    Exited(u8),
    /// Killed by this signal.
    Signalled(Signal),
}

impl Ended {
    /// Decodes a wait status (wait(2)). `None`: stopped or continued, not ended.
    pub(crate) fn from_wait_status(status: i32) -> Option<Ended> {
        if libc::WIFEXITED(status) {
            return u8::try_from(libc::WEXITSTATUS(status)).ok().map(Ended::Exited);
        }
        libc::WIFSIGNALED(status).then(|| Signal::new(libc::WTERMSIG(status))).flatten().map(Ended::Signalled)
    }
}

/// Which processes get a signal that is meant for the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalTarget {
    /// The process alone.
    Process,
    /// The process group that it led when it was started, and the process itself wherever it is now.
    Group,
}

/// Whether the end of an orphan is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OrphanLog {
    /// It is only counted.
    #[default]
    Silent,
    /// Each is a warning, as with `tini -w`.
    Warn,
}

/// How much one round may reap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReapBound {
    /// At most this many orphans.
    pub(crate) orphans: u32,
    /// No further orphan after this time.
    pub(crate) time: Duration,
}

impl ReapBound {
    /// The work that the loop can afford between two checks of its signals and timers.
    pub(crate) const ROUND: ReapBound = ReapBound { orphans: 256, time: Duration::from_millis(1) };
}

/// The result of one round of reaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReapRound {
    /// How the app ended, if it did.
    pub(crate) app: Option<Ended>,
    /// The signal that stopped the app, if it was stopped and has neither gone on nor ended since.
    pub(crate) app_stopped: Option<Signal>,
    /// A child of any kind was ended by SIGKILL.
    pub(crate) killed: bool,
    /// How many watched children ended.
    pub(crate) watched: u32,
    /// How many orphans were reaped.
    pub(crate) orphans: u64,
    /// Children are left, alive or not yet reaped.
    pub(crate) others: bool,
    /// The bound was reached: more children may have ended.
    pub(crate) more: bool,
}

/// The table of the children that are waited for. Cheap to clone; all clones share one table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reaper {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    app: Option<Pid>,
    app_is_stopped: bool,
    /// Whether the app has executed its program, while that is not known.
    app_exec: Option<ExecStatus>,
    watched: LiteMap<Pid, oneshot::Sender<Ended>>,
    /// Groups whose remaining members get a signal the moment their leader has ended.
    exit_signals: LiteMap<Pid, Signal>,
    orphans: u64,
    orphan_log: OrphanLog,
}

impl Reaper {
    /// A reaper without children.
    pub(crate) fn new(orphan_log: OrphanLog) -> Reaper {
        Reaper { table: Arc::new(Mutex::new(Table { orphan_log, ..Table::default() })) }
    }

    /// Watches the main process; `reap` reports its end. `exit_signal` goes to the rest of its group at that moment.
    /// `exec`, if it is not yet known whether the app executes its program: a failure is logged at its end.
    pub(crate) fn watch_app(&self, pid: Pid, exec: Option<ExecStatus>, exit_signal: Option<Signal>) {
        let mut table = self.table();
        table.app = Some(pid);
        table.app_exec = exec;
        table.exit_signals.extend(exit_signal.map(|signal| (pid, signal)));
    }

    /// Watches any other child of ours; its end arrives at the receiver.
    ///
    /// Must be called right after the spawn and before the next `reap`, so that no status is missed.
    pub(crate) fn watch(&self, pid: Pid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        self.table().watched.insert(pid, sender);
        receiver
    }

    /// Whether this child is watched and has not been reaped.
    pub(crate) fn is_watched(&self, pid: Pid) -> bool {
        self.table().watched.contains_key(&pid)
    }

    /// The app's pid while it is alive or a zombie that is not yet reaped.
    pub(crate) fn app(&self) -> Option<Pid> {
        self.table().app
    }

    /// Whether job control has stopped the app, as far as is known.
    pub(crate) fn app_is_stopped(&self) -> bool {
        self.table().app_is_stopped
    }

    /// How many orphans have been reaped.
    pub(crate) fn orphans(&self) -> u64 {
        self.table().orphans
    }

    /// Sends the app a signal. `NotFound`: it has ended.
    pub(crate) fn signal_app(&self, signal: Signal, target: SignalTarget) -> io::Result<()> {
        let pid = self.table().app.ok_or(io::ErrorKind::NotFound)?;
        match target {
            SignalTarget::Process => sys::send(pid, signal),
            SignalTarget::Group => send_to_group(pid, signal),
        }
    }

    /// Sends a watched child and its group a signal. `NotFound`: it has ended.
    pub(crate) fn signal_group(&self, pid: Pid, signal: Signal) -> io::Result<()> {
        if !self.table().watched.contains_key(&pid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        send_to_group(pid, signal)
    }

    /// From now on, when this group's leader ends, the rest of the group is killed.
    pub(crate) fn kill_on_exit(&self, pid: Pid) {
        let mut table = self.table();
        if table.watched.contains_key(&pid) {
            table.exit_signals.insert(pid, Signal::KILL);
        }
    }

    /// One round, as the module describes it. SIGCHLD coalesces: one signal may stand for any number of ends.
    pub(crate) fn reap(&self, bound: ReapBound) -> ReapRound {
        let mut table = self.table();
        let mut round = ReapRound::default();
        table.look_at_app(&mut round);
        table.look_at_watched(&mut round);
        table.reap_orphans(bound, &mut round);
        round
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn look_at_app(&mut self, round: &mut ReapRound) {
        let Some(app) = self.app else { return };
        // The kernel keeps at most one stop and one continuation.
        for _ in 0..2 {
            let ChildNews::Changed(_, status) = sys::take_stop(app) else { break };
            round.app_stopped = stopped_by(status);
            self.app_is_stopped = round.app_stopped.is_some();
        }
        self.take_end(Some(app), round);
    }

    fn look_at_watched(&mut self, round: &mut ReapRound) {
        let watched: Vec<Pid> = self.watched.iter().map(|(pid, _)| *pid).collect();
        for pid in watched {
            self.take_end(Some(pid), round);
        }
    }

    fn reap_orphans(&mut self, bound: ReapBound, round: &mut ReapRound) {
        let began = Instant::now();
        for _ in 0..bound.orphans {
            match self.take_end(None, round) {
                ChildNews::Changed(..) => {}
                ChildNews::Nothing => {
                    round.others = true;
                    return;
                }
                ChildNews::NoChildren => return,
            }
            if began.elapsed() >= bound.time {
                break;
            }
        }
        round.others = true;
        round.more = true;
    }

    /// Takes the end of one child, of this one if given, and reports it to the task that waits for it.
    ///
    /// A leader that has ended but is not yet reaped still holds its group's number. This is the last moment at which
    /// a signal to the group cannot reach another one, so while there are exit signals each end is looked at first.
    fn take_end(&mut self, which: Option<Pid>, round: &mut ReapRound) -> ChildNews {
        let mut which = which;
        let is_concerned = |pid: Pid| self.exit_signals.contains_key(&pid);
        if which.map_or(!self.exit_signals.is_empty(), is_concerned) {
            let ended = sys::peek_end(which);
            let ChildNews::Changed(pid, _) = ended else { return ended };
            if let Some(signal) = self.exit_signals.remove(&pid) {
                // The group is usually empty; this is not an error.
                if let Err(error) = sys::send(group_of(pid), signal).or_else(unless_ended) {
                    tracing::warn!(pid = pid.as_raw(), %error, "cannot send {signal} to the group of a process that has ended");
                }
            }
            which = Some(pid);
        }
        let taken = sys::take_end(which);
        if let ChildNews::Changed(pid, status) = taken
            && let Some(ended) = Ended::from_wait_status(status)
        {
            self.record_end(pid, ended, round);
        }
        taken
    }

    fn record_end(&mut self, pid: Pid, ended: Ended, round: &mut ReapRound) {
        round.killed |= ended == Ended::Signalled(Signal::KILL);
        if self.app == Some(pid) {
            self.app = None;
            if let Some(ExecProgress::Failed(error)) = self.app_exec.take().map(|exec| exec.look()) {
                tracing::error!("{}", describe(&error));
            }
            round.app = Some(ended);
            round.app_stopped = None;
        } else if let Some(waiter) = self.watched.remove(&pid) {
            round.watched += 1;
            // The receiver may be gone: then the status is no longer needed.
            let _ = waiter.send(ended);
        } else {
            round.orphans += 1;
            self.orphans += 1;
            if self.orphan_log == OrphanLog::Warn {
                tracing::warn!("Reaped zombie process with pid={pid}");
            }
        }
    }
}

/// How this child has ended, if it has. For tools that are not an init: they take the status of their own child only.
#[cfg(feature = "doctor")]
pub(crate) fn end_of(pid: Pid) -> Option<Ended> {
    match sys::take_end(Some(pid)) {
        ChildNews::Changed(_, status) => Ended::from_wait_status(status),
        ChildNews::Nothing | ChildNews::NoChildren => None,
    }
}

/// The signal that stopped a child; `None`: it was continued.
fn stopped_by(status: i32) -> Option<Signal> {
    libc::WIFSTOPPED(status).then(|| Signal::new(libc::WSTOPSIG(status))).flatten()
}

/// A process that has ended needs no signal.
pub(crate) fn unless_ended(error: io::Error) -> io::Result<()> {
    let has_ended = error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH);
    if has_ended { Ok(()) } else { Err(error) }
}

/// The group that this child leads, as kill(2) takes it.
fn group_of(leader: Pid) -> Pid {
    Pid::from_raw(-leader.as_raw())
}

/// Signals the group that a child was started as the leader of, and the child itself if it is not in that group: it
/// may have joined another one, or (dumb-init's session) not have made its own yet.
fn send_to_group(pid: Pid, signal: Signal) -> io::Result<()> {
    let to_group = sys::send(group_of(pid), signal);
    if to_group.is_err() || nix::unistd::getpgid(Some(pid)) != Ok(pid) {
        return sys::send(pid, signal);
    }
    // kill(2) reports success if any member could be signalled. That does not tell whether the child itself could be.
    sys::ask(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_and_every_signal_is_decoded() {
        for code in 0..=255u8 {
            assert_eq!(Ended::from_wait_status(i32::from(code) << 8), Some(Ended::Exited(code)));
        }
        for signal in Signal::all() {
            // With and without the core dump bit.
            assert_eq!(Ended::from_wait_status(signal.number()), Some(Ended::Signalled(signal)));
            assert_eq!(Ended::from_wait_status(signal.number() | 0x80), Some(Ended::Signalled(signal)));
        }
    }

    #[test]
    fn stopped_and_continued_children_have_not_ended() {
        assert_eq!(Ended::from_wait_status(0x137f), None);
        assert_eq!(Ended::from_wait_status(0xffff), None);
        assert_eq!(stopped_by(0x137f), Some(Signal::STOP));
        assert_eq!(stopped_by(0xffff), None);
    }
}
