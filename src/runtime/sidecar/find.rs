//! Finds the app's main process in a PID namespace that the containers of a pod share. What it is called is the
//! user's to say; which of several that are called so is the main one follows from who started whom:
//!
//! - never bookend itself, who started it or what it started, a guest of its own container, the pod's pause, a kernel
//!   thread, a zombie;
//! - of a process and its descendants the top-most one: a server's master, not its workers;
//! - an orphan, whose parent is the pause, was not started by a container runtime: it counts only where a pid file
//!   names it;
//! - what came later into a container from outside (`kubectl exec`) is a guest there, with all that it starts.
//!
//! Several that are left are an error that lists them. Deciding is pure; `facts` reads /proc.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{self, Around, Executable, Process};
use crate::process::Pid;
use crate::process::pidfd::PidFd;
use bookend_config::settings::ProcessSelector as Wanted;
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::small_map::SmallMap;

/// Why nobody is held, where that is not simply because nobody is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error("cannot read /proc")]
    Proc(#[source] io::Error),
    #[error(
        "/proc has {processes} processes, too many to look for the app's: is this a node's PID namespace (hostPID)?"
    )]
    TooMany { processes: usize },
    #[error(
        "other users' processes are hidden: /proc is mounted with hidepid; give the container the app's user (runAsUser), or /proc without it"
    )]
    Hidden,
    #[error(
        "no process of another container is to be seen: the app's PID namespace is not shared (shareProcessNamespace: true; elsewhere both join that of a `bookend pause`)"
    )]
    NotShared,
    #[error(
        "may not see what {} runs: give the container the app's user (runAsUser) or CAP_SYS_PTRACE, or name the process by commandLine or container", List(.0)
    )]
    Refused(Vec<Process>),
    #[error("{} processes may be the app's main process; say more of it (executable, commandLine, container): {}", .0.len(), List(.0))]
    Ambiguous(Vec<Process>),
    #[error("cannot read the pid file {path:?}")]
    PidFile { path: PathBuf, source: io::Error },
    #[error("the pid file {path:?} is stale: process {pid} was started after it was written")]
    Stale { path: PathBuf, pid: i32 },
    #[error(
        "cannot hold process {pid}: pidfd_open(2) was refused (it needs Linux 5.3 and a seccomp profile that allows it, as RuntimeDefault does); it is not signalled by its number alone"
    )]
    NoPidfd { pid: i32, source: io::Error },
}

/// Found and held; `Ok(None)`: there is none yet. Called inside the runtime.
pub(crate) fn find(wanted: &Wanted) -> Result<Option<PidFd>, FindError> {
    for _ in 0..LOOKS {
        let around = Around::look(wanted)?;
        let found = match choose(wanted, &around) {
            // Whoever is to choose among them wants to know all of them.
            Err(FindError::Ambiguous(all)) => return Err(FindError::Ambiguous(in_full(&all))),
            Err(FindError::Refused(all)) => return Err(FindError::Refused(in_full(&all))),
            found => found?,
        };
        let Some(found) = found else { return Ok(None) };
        let pid = found.member.pid;
        let pidfd = match PidFd::open(Pid::from_raw(pid)) {
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => continue,
            Err(source) => return Err(FindError::NoPidfd { pid, source }),
        };
        // Its number may have been given to another process before we held it, never afterwards.
        let again = facts::again(pid, wanted);
        let is_same = |again: &Process| again.member.started == found.member.started && !again.member.is_zombie;
        let is_still_called =
            |again: &Process| judge(wanted, &around, again, Family::of(&around).home(found)) == Verdict::Matches;
        if again.is_some_and(|again| is_same(&again) && is_still_called(&again)) {
            return Ok(Some(pidfd));
        }
    }
    // It comes and goes faster than we can look.
    Ok(None)
}

fn in_full(processes: &[Process]) -> Vec<Process> {
    processes.iter().map(facts::in_full).collect()
}

/// What becomes of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Matches,
    Another,
    /// Everything that we may see of it matches.
    Refused,
}

/// `home`: whose container it is in.
fn judge(wanted: &Wanted, around: &Around, process: &Process, home: &Process) -> Verdict {
    let is_called = |container: &String| home.container.is_called(container);
    let says = |part: &String| process.command_line.contains(part.as_str());
    let is_named = |_: &PathBuf| around.pid_file.is_some_and(|file| file.pid == process.member.pid);
    let all_match = wanted.container.as_ref().is_none_or(is_called)
        && wanted.command_line.as_ref().is_none_or(says)
        && wanted.pid_file.as_ref().is_none_or(is_named);
    if !all_match {
        return Verdict::Another;
    }
    match (&wanted.executable, &process.executable) {
        (None, _) => Verdict::Matches,
        (Some(_), Executable::Refused) => Verdict::Refused,
        (Some(wanted), Executable::At(path)) if is_executable(wanted, path) => Verdict::Matches,
        (Some(_), _) => Verdict::Another,
    }
}

fn is_executable(wanted: &Path, path: &Path) -> bool {
    if wanted.is_absolute() { wanted == path } else { path.file_name() == Some(wanted.as_os_str()) }
}

/// The main process among all that are there.
fn choose<'a>(wanted: &Wanted, around: &'a Around) -> Result<Option<&'a Process>, FindError> {
    let family = Family::of(around);
    let others: Vec<&Process> = around.processes.iter().filter(|process| family.is_anothers(process)).collect();
    let judged = |process: &&Process| (process.member.pid, judge(wanted, around, process, family.home(process)));
    let verdicts: SmallMap<i32, Verdict> = others.iter().map(judged).collect();
    let is = |process: &Process, verdict| verdicts.get(&process.member.pid) == Some(&verdict);
    let is_main = |process: &&&Process| {
        is(process, Verdict::Matches)
            && !family.above(process).any(|parent| is(parent, Verdict::Matches))
            && (wanted.pid_file.is_some() || !family.is_orphan(process))
            && !family.is_guest(process)
    };
    let main: Vec<&Process> = others.iter().filter(is_main).copied().collect();
    match main[..] {
        [] => {
            let refused = others.iter().filter(|process| is(process, Verdict::Refused));
            nobody(around, others.is_empty(), refused.copied().cloned().collect())
        }
        [one] => match (around.pid_file, &wanted.pid_file) {
            (Some(file), Some(path)) if started(one) > file.written + SLACK => {
                Err(FindError::Stale { path: path.clone(), pid: one.member.pid })
            }
            _ => Ok(Some(one)),
        },
        _ => Err(FindError::Ambiguous(main.into_iter().cloned().collect())),
    }
}

/// Why there is none, if that is more than that it has not been started.
fn nobody<'a>(around: &Around, alone: bool, refused: Vec<Process>) -> Result<Option<&'a Process>, FindError> {
    if !refused.is_empty() {
        return Err(FindError::Refused(refused));
    }
    // There is one in every PID namespace, for as long as that lives.
    if !around.processes.iter().any(|process| process.member.pid == 1) {
        return Err(FindError::Hidden);
    }
    if around.own == 1 && alone {
        return Err(FindError::NotShared);
    }
    Ok(None)
}

fn started(process: &Process) -> Duration {
    Duration::from_millis(process.member.started.saturating_mul(TICK_MILLIS))
}

/// Who started whom.
struct Family<'a> {
    around: &'a Around,
    by_pid: SmallMap<i32, &'a Process>,
    own: Option<&'a Process>,
    /// Those who came from outside, the oldest first: into each container the first is its main process.
    entered: SmallMap<(u64, i32), &'a Process>,
}

impl<'a> Family<'a> {
    fn of(around: &'a Around) -> Family<'a> {
        let by_pid: SmallMap<i32, &Process> = around.processes.iter().map(|one| (one.member.pid, one)).collect();
        let entered = around.processes.iter().filter(|one| one.member.parent == 0);
        let entered = entered.map(|one| ((one.member.started, one.member.pid), one)).collect();
        Family { own: by_pid.get(&around.own).copied(), around, by_pid, entered }
    }

    /// Its parent, and that one's, up to who came from outside. Read one by one, they may form a ring.
    fn above(&self, process: &'a Process) -> impl Iterator<Item = &'a Process> {
        let parent = |process: &&'a Process| self.by_pid.get(&process.member.parent).copied();
        std::iter::successors(parent(&process), parent).take(MOST_GENERATIONS)
    }

    /// Whether it may be the app's at all.
    fn is_anothers(&self, process: &'a Process) -> bool {
        let own = self.around.own;
        let is_below_us = || process.member.parent == own || self.above(process).any(|one| one.member.parent == own);
        let is_above_us =
            || self.own.is_some_and(|own| self.above(own).any(|one| one.member.pid == process.member.pid));
        let is_pause = process.member.pid == 1 && self.around.first_is_pause;
        !(process.member.is_kernel_thread
            || process.member.is_zombie
            || is_pause
            || process.member.pid == own
            || is_below_us()
            || is_above_us()
            || self.is_guest_of_ours(process))
    }

    /// Who came into our own container from outside: `kubectl exec` to the sidecar.
    fn is_guest_of_ours(&self, process: &'a Process) -> bool {
        let root = self.root(process);
        let shares = |own| root.container.is_same(&self.home(own).container) || root.is_in_our_cgroup;
        root.member.parent == 0 && root.member.pid != 1 && self.own.is_some_and(shares)
    }

    /// The pause reaps it because its parent has ended.
    fn is_orphan(&self, process: &Process) -> bool {
        self.around.first_is_pause && process.member.parent == 1
    }

    /// Whether another process came into its container before the one that it descends from.
    fn is_guest(&self, process: &'a Process) -> bool {
        let root = self.root(process);
        let first = self.entered.values().find(|one| one.container.is_same(&root.container));
        root.member.parent == 0 && first.is_some_and(|first| first.member.pid != root.member.pid)
    }

    /// Itself or the next above it whose container is known.
    fn home(&self, process: &'a Process) -> &'a Process {
        let is_read = |one: &&Process| matches!(one.member.parent, 0 | 1);
        std::iter::once(process).chain(self.above(process)).find(is_read).unwrap_or(process)
    }

    fn root(&self, process: &'a Process) -> &'a Process {
        self.above(process).last().unwrap_or(process)
    }
}

/// `12 "nginx: master process nginx" (/usr/sbin/nginx, container web)`; so many, and then how many more. Names and paths
/// are those of other containers: Debug and `printable` keep them on one line.
struct List<'a>(&'a [Process]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, process) in self.0.iter().take(MOST_SHOWN).enumerate() {
            let said: String = process.command_line.chars().take(MOST_CHARACTERS).collect();
            let said = if said.is_empty() { process.member.name.clone() } else { said };
            let container = process.container.shown().map(|name| format!("container {name}"));
            let executable = match &process.executable {
                Executable::At(path) => Some(printable(&path.display().to_string())),
                Executable::None | Executable::Refused => None,
            };
            let more: Vec<String> = executable.into_iter().chain(container).collect();
            write!(f, "{}{} {said:?}", if index == 0 { "" } else { ", " }, process.member.pid)?;
            if !more.is_empty() {
                write!(f, " ({})", more.join(", "))?;
            }
        }
        match self.0.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// A process that ends between the look and the hold is looked for again so often.
const LOOKS: usize = 3;
/// USER_HZ of every architecture we build for: proc_pid_stat(5) counts in hundredths.
const TICK_MILLIS: u64 = 10;
/// A pid file is written after its process was started, but for the grain of both clocks.
const SLACK: Duration = Duration::from_secs(1);
/// A chain of parents is not longer than this.
const MOST_GENERATIONS: usize = 1_000;
/// An error names so many, each with so much of its command line.
const MOST_SHOWN: usize = 8;
const MOST_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests;
