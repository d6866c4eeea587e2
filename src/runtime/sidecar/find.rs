//! Finds the app's main process in a PID namespace that the containers of a pod share. The configuration selects it
//! (`process`). If several processes match, the tree of parents decides which one is the main process:
//!
//! - never bookend itself, its ancestors or its children, a guest of its own container, the pod's pause process, a kernel
//!   thread or a zombie;
//! - of a process and its descendants, the top-most one: a server's master, not its workers;
//! - an orphan, whose parent is the pause process, was not started by a container runtime, and counts only if a pid file
//!   names it;
//! - a process that came into a container from outside later (`kubectl exec`) is a guest, with all its descendants.
//!
//! If several are left, the error lists them. The decision is pure; `observed` reads /proc.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::find_error::FindError;
use super::observed::{self, Executable, ObservedProcess, PodProcesses};
use super::process_tree::ProcessTree;
use crate::process::Pid;
use crate::process::pidfd::PidFd;
use bookend_config::settings::ProcessSelector;
use bookend_lifecycle::sorted::collect_map;

/// Finds the process and opens a pidfd of it; `Ok(None)` if it is not there yet. Must be called inside the runtime.
pub(super) fn find(selector: &ProcessSelector) -> Result<Option<PidFd>, FindError> {
    for _ in 0..ATTEMPTS {
        let pod = PodProcesses::read(selector)?;
        let found = match choose(selector, &pod) {
            // To choose among them, the reader needs to see everything about them.
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
        // The pid may have been given to another process before the pidfd was opened, but not afterwards.
        let again = observed::again(pid, selector);
        let is_same = |again: &ObservedProcess| again.member.started == found.member.started && !again.member.is_zombie;
        let container_root = ProcessTree::of(&pod).container_root(found);
        let still_matches = |again: &ObservedProcess| matches(selector, &pod, again, container_root) == Match::Full;
        if again.is_some_and(|again| is_same(&again) && still_matches(&again)) {
            return Ok(Some(pidfd));
        }
    }
    // The processes come and go faster than we can look.
    Ok(None)
}

fn in_full(processes: &[ObservedProcess]) -> Vec<ObservedProcess> {
    processes.iter().map(observed::in_full).collect()
}

/// Whether a process matches the selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Full,
    No,
    /// It matches as far as we may read it.
    Unknown,
}

/// `container_root` is the process from which the container of `process` is known.
fn matches(
    selector: &ProcessSelector,
    pod: &PodProcesses,
    process: &ObservedProcess,
    container_root: &ObservedProcess,
) -> Match {
    let is_in = |container: &String| container_root.container.is_named(container);
    let contains = |part: &String| process.command_line.contains(part.as_str());
    let is_in_pid_file = |_: &PathBuf| pod.pid_file.is_some_and(|file| file.pid == process.member.pid);
    let all_match = selector.container.as_ref().is_none_or(is_in)
        && selector.command_line.as_ref().is_none_or(contains)
        && selector.pid_file.as_ref().is_none_or(is_in_pid_file);
    if !all_match {
        return Match::No;
    }
    match (&selector.executable, &process.executable) {
        (None, _) => Match::Full,
        (Some(_), Executable::Refused) => Match::Unknown,
        (Some(wanted), Executable::At(path)) if is_executable(wanted, path) => Match::Full,
        (Some(_), Executable::At(_) | Executable::None) => Match::No,
    }
}

fn is_executable(wanted: &Path, path: &Path) -> bool {
    if wanted.is_absolute() { wanted == path } else { path.file_name() == Some(wanted.as_os_str()) }
}

/// The main process; `Ok(None)` if it is not there yet.
fn choose<'a>(selector: &ProcessSelector, pod: &'a PodProcesses) -> Result<Option<&'a ObservedProcess>, FindError> {
    let tree = ProcessTree::of(pod);
    let candidates: Vec<&ObservedProcess> = pod.processes.iter().filter(|process| tree.is_candidate(process)).collect();
    let matched = collect_map(
        candidates
            .iter()
            .map(|process| (process.member.pid, matches(selector, pod, process, tree.container_root(process)))),
    );
    let is = |process: &ObservedProcess, result| matched.get(&process.member.pid) == Some(&result);
    let is_main = |process: &&&ObservedProcess| {
        is(process, Match::Full)
            && !tree.ancestors(process).any(|ancestor| is(ancestor, Match::Full))
            && (selector.pid_file.is_some() || !tree.is_orphan(process))
            && !tree.entered_later(process)
    };
    let main: Vec<&ObservedProcess> = candidates.iter().filter(is_main).copied().collect();
    match main[..] {
        [] => {
            let refused = candidates.iter().filter(|process| is(process, Match::Unknown));
            why_missing(pod, candidates.is_empty(), refused.copied().cloned().collect()).map_or(Ok(None), Err)
        }
        [one] => match (pod.pid_file, &selector.pid_file) {
            (Some(file), Some(path)) if started(one) > file.written + CLOCK_TOLERANCE => {
                Err(FindError::Stale { path: path.clone(), pid: one.member.pid })
            }
            _ => Ok(Some(one)),
        },
        _ => Err(FindError::Ambiguous(main.into_iter().cloned().collect())),
    }
}

/// Why no process is found, unless it is just not started yet.
fn why_missing(pod: &PodProcesses, is_alone: bool, refused: Vec<ObservedProcess>) -> Option<FindError> {
    if !refused.is_empty() {
        return Some(FindError::Refused(refused));
    }
    // Every PID namespace has a PID 1 as long as it exists.
    if !pod.processes.iter().any(|process| process.member.pid == 1) {
        return Some(FindError::Hidden);
    }
    (pod.own == 1 && is_alone).then_some(FindError::NotShared)
}

fn started(process: &ObservedProcess) -> Duration {
    Duration::from_millis(process.member.started.saturating_mul(TICK_MILLIS))
}

/// How often a search is repeated because the process ended before its pidfd was opened.
const ATTEMPTS: usize = 3;
/// USER_HZ of every architecture we build for: proc_pid_stat(5) counts in hundredths of a second.
const TICK_MILLIS: u64 = 10;
/// A pid file is written after its process was started. The clocks that are compared may differ by this much.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
