//! The one reaper. It alone calls waitpid, takes every status there is, and hands each to whoever waits
//! for that pid. It is also the one place that knows which pids are still ours: a pid that has not been
//! reaped cannot be given to another process, so signals go out through this table and nowhere else.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Pid;
use super::sys::{self, Waited};
use crate::compat::policy::Reaped;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;

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

/// Who a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The process alone.
    Process,
    /// Its process group, which it leads.
    Group,
}

/// What one round of reaping found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Round {
    /// The app's end, if it was among them.
    pub(crate) app: Option<Ended>,
    /// What stopped the app, if it was stopped and has not ended since.
    pub(crate) app_stopped: Option<Signal>,
    /// How many ended that nobody waited for.
    pub(crate) orphans: u64,
    /// Whether children are left.
    pub(crate) others: bool,
}

/// The table of children somebody waits for. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reaper {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    app: Option<Pid>,
    handlers: SmallMap<Pid, oneshot::Sender<Ended>>,
    /// Groups whose remaining members get a signal the moment their leader has ended.
    farewells: SmallMap<Pid, Signal>,
    orphans: u64,
    reaped: Reaped,
}

impl Reaper {
    /// One that tells of orphans as the policy says.
    pub(crate) fn new(reaped: Reaped) -> Reaper {
        Reaper { table: Arc::new(Mutex::new(Table { reaped, ..Table::default() })) }
    }

    /// The main process: its end is reported by `reap`. The farewell is for the rest of the group that it leads.
    pub(crate) fn watch_app(&self, pid: Pid, exit_signal: Option<Signal>) {
        let mut table = self.table();
        table.app = Some(pid);
        table.farewells.extend(exit_signal.map(|signal| (pid, signal)));
    }

    /// Any other child of ours: its end arrives at the receiver.
    ///
    /// Called right after the spawn and before the next `reap`, so that no status is missed.
    pub(crate) fn watch(&self, pid: Pid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        self.table().handlers.insert(pid, sender);
        receiver
    }

    /// The app's pid while it is alive (or a zombie not yet reaped).
    pub(crate) fn app(&self) -> Option<Pid> {
        self.table().app
    }

    /// How many children ended that nobody waited for.
    pub(crate) fn orphans(&self) -> u64 {
        self.table().orphans
    }

    /// Sends the app a signal. `NotFound`: it has ended.
    pub(crate) fn signal_app(&self, signal: Signal, target: Target) -> io::Result<()> {
        let pid = self.table().app.ok_or(io::ErrorKind::NotFound)?;
        send(pid, signal, target)
    }

    /// Sends a watched child's group a signal. `NotFound`: its leader has ended.
    pub(crate) fn signal_group(&self, pid: Pid, signal: Signal) -> io::Result<()> {
        if !self.table().handlers.contains_key(&pid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        send(pid, signal, Target::Group)
    }

    /// From now on, when this group's leader ends, the rest of the group is killed.
    pub(crate) fn kill_on_exit(&self, pid: Pid) {
        let mut table = self.table();
        if table.handlers.contains_key(&pid) {
            table.farewells.insert(pid, Signal::KILL);
        }
    }

    /// Takes every status there is. SIGCHLD coalesces, so one signal may stand for any number of ends.
    pub(crate) fn reap(&self) -> Round {
        let mut table = self.table();
        let mut round = Round::default();
        loop {
            match table.wait() {
                Waited::Changed(pid, status) => {
                    let Some(ended) = Ended::from_wait_status(status) else {
                        if table.app == Some(pid) {
                            round.app_stopped = stopped_by(status);
                        }
                        continue;
                    };
                    if table.app == Some(pid) {
                        table.app = None;
                        round.app = Some(ended);
                        round.app_stopped = None;
                    } else if let Some(waiter) = table.handlers.remove(&pid) {
                        // A waiter that has gone away wanted to know no longer.
                        let _ = waiter.send(ended);
                    } else {
                        round.orphans += 1;
                        table.orphans += 1;
                        if table.reaped == Reaped::HandlerEnv {
                            tracing::warn!("Reaped zombie process with pid={pid}");
                        }
                    }
                }
                Waited::Nothing => return Round { others: true, ..round },
                Waited::NoChildren => return round,
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes the news of one child. A leader that has ended, but is not yet reaped, still holds its group's number: the
    /// last moment at which a signal to the group cannot meet strangers. So where farewells are to be said, no end is
    /// taken that has not been looked at.
    fn wait(&mut self) -> Waited {
        if self.farewells.is_empty() {
            return sys::wait_changed(None);
        }
        loop {
            let next = sys::peek_changed();
            let Waited::Changed(pid, status) = next else { return next };
            if Ended::from_wait_status(status).is_some() {
                if let Some(signal) = self.farewells.remove(&pid) {
                    // An empty group is what we hope for.
                    let _ = send(pid, signal, Target::Group);
                }
                return sys::wait_changed(Some(pid));
            }
            let stopped = sys::wait_stopped(pid);
            if let Waited::Changed(..) = stopped {
                return stopped;
            }
            // It has ended since: that is to be looked at.
        }
    }
}

/// How this one child has ended, if it has. For a tool, which is no init: it takes nobody else's status.
#[cfg(feature = "doctor")]
pub(crate) fn end_of(pid: Pid) -> Option<Ended> {
    match sys::wait_changed(Some(pid)) {
        Waited::Changed(_, status) => Ended::from_wait_status(status),
        Waited::Nothing | Waited::NoChildren => None,
    }
}

/// What stopped a child; `None`: it was continued.
fn stopped_by(status: i32) -> Option<Signal> {
    libc::WIFSTOPPED(status).then(|| Signal::new(libc::WSTOPSIG(status))).flatten()
}

fn send(pid: Pid, signal: Signal, target: Target) -> io::Result<()> {
    match target {
        Target::Process => sys::send(pid, signal),
        Target::Group => sys::send(Pid::from_raw(-pid.as_raw()), signal),
    }
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
