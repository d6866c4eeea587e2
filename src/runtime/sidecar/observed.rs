//! Reads the processes of the pod from /proc, once for each search.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use litemap::LiteMap;

use super::container_identity::{self, ContainerIdentity};
use crate::files::{open_regular, read_beginning, read_to_limit};
use crate::process::procfs::{self, Member};
use crate::process::since_boot;
use bookend_config::settings::ProcessSelector;

/// Why the processes cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObserveError {
    #[error("cannot read /proc")]
    Proc(#[source] io::Error),
    #[error(
        "/proc has {processes} processes, too many to search: is this the PID namespace of the node (hostPID)? Share the pod's instead (shareProcessNamespace: true)"
    )]
    TooMany { processes: usize },
    #[error("cannot read the pid file {path:?}")]
    PidFile { path: PathBuf, source: io::Error },
}

/// A process, as far as a search needs to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObservedProcess {
    pub(super) member: Member,
    pub(super) executable: Executable,
    /// The arguments, joined by spaces; empty if the selector does not need them.
    pub(super) command_line: String,
    /// Only of processes from outside the PID namespace and of children of PID 1. Other processes belong to the container
    /// of their parent.
    pub(super) container: ContainerIdentity,
    /// The process is in our own cgroup namespace, and so in our container.
    pub(super) is_in_our_cgroup: bool,
}

/// The executable of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Executable {
    /// The selector does not need it, or the process has none (a kernel thread), or is gone.
    #[default]
    None,
    /// We may not read it, because the process belongs to another user: ptrace(2), PTRACE_MODE_READ.
    Refused,
    At(PathBuf),
}

/// The pid in a pid file, and when the file was written, in time since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) written: Duration,
}

/// All processes that we see, read at about the same time.
#[derive(Debug, Clone, Default)]
pub(super) struct PodProcesses {
    /// Our own pid.
    pub(super) own: i32,
    pub(super) processes: Vec<ObservedProcess>,
    /// PID 1 is the pod's pause container.
    pub(super) first_is_pause: bool,
    pub(super) pid_file: Option<PidFile>,
}

impl PodProcesses {
    /// Reads only what the selector needs: to read /proc/N/cmdline of a process that hangs may hang as well.
    pub(super) fn read(selector: &ProcessSelector) -> Result<PodProcesses, ObserveError> {
        let pids: Vec<i32> = procfs::pids().map_err(ObserveError::Proc)?.collect();
        if pids.len() > MAX_PROCESSES {
            return Err(ObserveError::TooMany { processes: pids.len() });
        }
        // First the parents of all, as close in time as possible: they must fit together.
        let members: Vec<Member> = pids.into_iter().filter_map(procfs::member).collect();
        let mut reader = ProcReader::new();
        Ok(PodProcesses {
            own: procfs::own_pid(),
            processes: members.into_iter().map(|member| reader.process(member, selector)).collect(),
            first_is_pause: is_pause(&command_line(1)),
            pid_file: selector.pid_file.as_deref().map(read_pid_file).transpose()?.flatten(),
        })
    }
}

/// Reads one process again; `None` if it is gone.
pub(super) fn again(pid: i32, selector: &ProcessSelector) -> Option<ObservedProcess> {
    procfs::member(pid).map(|member| ProcReader::new().process(member, selector))
}

/// Adds everything about a process that an error message shows.
pub(super) fn in_full(process: &ObservedProcess) -> ObservedProcess {
    let pid = process.member.pid;
    let (container, _) = ProcReader::new().container(pid);
    ObservedProcess {
        executable: executable(pid),
        command_line: command_line(pid).join(" "),
        container,
        ..process.clone()
    }
}

struct ProcReader {
    /// Our own cgroup, if we have a cgroup namespace. Without one, `/` identifies no container.
    own_cgroup: Option<String>,
    /// The mounts of each container are read once.
    containers: LiteMap<(String, Option<PathBuf>), ContainerIdentity>,
}

impl ProcReader {
    fn new() -> ProcReader {
        let is_namespace = container_identity::is_outside(&limited("/proc/1/cgroup"));
        let own_cgroup = is_namespace.then(|| limited("/proc/self/cgroup"));
        ProcReader { own_cgroup, containers: LiteMap::new() }
    }

    fn process(&mut self, member: Member, selector: &ProcessSelector) -> ObservedProcess {
        let pid = member.pid;
        let (container, is_in_our_cgroup) = match member.parent {
            0 | 1 => self.container(pid),
            _ => Default::default(),
        };
        ObservedProcess {
            executable: selector.executable.as_ref().map_or(Executable::None, |_| executable(pid)),
            command_line: selector.command_line.as_ref().map_or(String::new(), |_| command_line(pid).join(" ")),
            container,
            is_in_our_cgroup,
            member,
        }
    }

    fn container(&mut self, pid: i32) -> (ContainerIdentity, bool) {
        let cgroup = limited(format!("/proc/{pid}/cgroup"));
        let is_in_our_cgroup = self.own_cgroup.as_ref() == Some(&cgroup);
        let mounts = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let key = (cgroup, mounts);
        if let Some(container) = self.containers.get(&key) {
            return (container.clone(), is_in_our_cgroup);
        }
        let container = ContainerIdentity::read(&key.0, &limited(format!("/proc/{pid}/mountinfo")), key.1.clone());
        self.containers.insert(key, container.clone());
        (container, is_in_our_cgroup)
    }
}

fn executable(pid: i32) -> Executable {
    match fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(path) => Executable::At(without_deleted(path)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Executable::Refused,
        Err(_) => Executable::None,
    }
}

/// The kernel adds ` (deleted)` to a file that has been replaced since, as by an upgrade in place: proc_pid_exe(5).
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(text) => text.into(),
        None => path,
    }
}

fn command_line(pid: i32) -> Vec<String> {
    let text = limited(format!("/proc/{pid}/cmdline"));
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

/// Recognises the pause process of Kubernetes, `bookend pause`, and Podman's `catatonit -P`.
fn is_pause(command_line: &[String]) -> bool {
    let name = command_line.first().and_then(|program| program.rsplit('/').next());
    match name {
        Some("pause") => true,
        Some("catatonit") => command_line.iter().any(|word| word == "-P"),
        _ => command_line.get(1).is_some_and(|word| word == "pause"),
    }
}

/// `Ok(None)` if it is not written yet.
fn read_pid_file(path: &Path) -> Result<Option<PidFile>, ObserveError> {
    let failed = |source| ObserveError::PidFile { path: path.to_owned(), source };
    let (file, metadata) = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let text = read_to_limit(file, MAX_PID_FILE_BYTES).map_err(failed)?;
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() {
        // The file has just been created, and its content is about to be written.
        return Ok(None);
    }
    let first = text.lines().next().unwrap_or_default().trim();
    let pid = first.parse().ok().filter(|pid| *pid > 0);
    let pid =
        pid.ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, format!("{first:?} is not a pid"))))?;
    let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    Ok(Some(PidFile { pid, written: since_boot().saturating_sub(age.unwrap_or_default()) }))
}

/// The beginning of a file of /proc; empty if it cannot be read.
fn limited(path: impl AsRef<Path>) -> String {
    let text = read_beginning(path.as_ref(), MAX_FILE_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// A pod has tens of processes, and the usual limit for one is some thousands. To read more would block the loop for too
/// long.
const MAX_PROCESSES: usize = 16_384;
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Some servers write more lines after the pid; PostgreSQL writes eight.
const MAX_PID_FILE_BYTES: u64 = 4096;
