//! What /proc shows of the processes around us: read when somebody looks, and held for no longer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::container::{self, Container};
use super::find::FindError;
use crate::files::{open_regular, read_beginning, read_to_limit};
use crate::process::procfs::{self, Member};
use crate::process::since_boot;
use bookend_config::settings::ProcessSelector as Wanted;
use bookend_lifecycle::small_map::SmallMap;

/// A process, as far as it matters to whoever looks for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(super) member: Member,
    pub(super) executable: Executable,
    /// The arguments with a space between them, where they are asked for.
    pub(super) command_line: String,
    /// Read for those alone who came from outside and for the children of PID 1: the others are where their parents are.
    pub(super) container: Container,
    /// It is in the cgroup namespace that is ours, which is our container's.
    pub(super) is_in_our_cgroup: bool,
}

/// What a process runs, where it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Executable {
    /// It has none, or is gone.
    #[default]
    None,
    /// It is another user's: ptrace(2), PTRACE_MODE_READ.
    Refused,
    At(PathBuf),
}

/// A pid file: whom it names, and when that was written, since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) written: Duration,
}

/// Everything at one look.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    pub(super) own: i32,
    pub(super) processes: Vec<Process>,
    /// PID 1 is a pod's pause container.
    pub(super) first_is_pause: bool,
    pub(super) pid_file: Option<PidFile>,
}

impl Around {
    /// Reads no more than the criteria ask for: /proc/N/cmdline of a process that hangs may hang its reader.
    pub(super) fn look(wanted: &Wanted) -> Result<Around, FindError> {
        let pids: Vec<i32> = procfs::pids().map_err(FindError::Proc)?.collect();
        if pids.len() > MOST_PROCESSES {
            return Err(FindError::TooMany { processes: pids.len() });
        }
        // All at one time, as far as that goes: who started whom is to be seen of them.
        let members: Vec<Member> = pids.into_iter().filter_map(procfs::member).collect();
        let mut reader = Reader::new();
        Ok(Around {
            own: procfs::own_pid(),
            processes: members.into_iter().map(|member| reader.process(member, wanted)).collect(),
            first_is_pause: is_pause(&command_line(1)),
            pid_file: wanted.pid_file.as_deref().map(read_pid_file).transpose()?.flatten(),
        })
    }
}

/// One process anew; `None`: it is gone.
pub(super) fn again(pid: i32, wanted: &Wanted) -> Option<Process> {
    procfs::member(pid).map(|member| Reader::new().process(member, wanted))
}

/// The same with everything that a person wants to know of it.
pub(super) fn in_full(process: &Process) -> Process {
    let pid = process.member.pid;
    let (container, _) = Reader::new().container(pid);
    Process { executable: executable(pid), command_line: command_line(pid).join(" "), container, ..process.clone() }
}

struct Reader {
    /// Ours, where it is seen to be a namespace's root: without one, `/` is nobody's in particular.
    own_cgroup: Option<String>,
    /// The mounts of a container are read once.
    names: SmallMap<(String, Option<PathBuf>), Container>,
}

impl Reader {
    fn new() -> Reader {
        let is_namespace = container::is_outside(&limited("/proc/1/cgroup"));
        let own_cgroup = is_namespace.then(|| limited("/proc/self/cgroup"));
        Reader { own_cgroup, names: SmallMap::new() }
    }

    fn process(&mut self, member: Member, wanted: &Wanted) -> Process {
        let pid = member.pid;
        let (container, is_in_our_cgroup) = match member.parent {
            0 | 1 => self.container(pid),
            _ => Default::default(),
        };
        Process {
            executable: wanted.executable.as_ref().map_or(Executable::None, |_| executable(pid)),
            command_line: wanted.command_line.as_ref().map_or(String::new(), |_| command_line(pid).join(" ")),
            container,
            is_in_our_cgroup,
            member,
        }
    }

    fn container(&mut self, pid: i32) -> (Container, bool) {
        let cgroup = limited(format!("/proc/{pid}/cgroup"));
        let is_in_our_cgroup = self.own_cgroup.as_ref() == Some(&cgroup);
        let mounts = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let key = (cgroup, mounts);
        if let Some(container) = self.names.get(&key) {
            return (container.clone(), is_in_our_cgroup);
        }
        let container = Container::read(&key.0, &limited(format!("/proc/{pid}/mountinfo")), key.1.clone());
        self.names.insert(key, container.clone());
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

/// The kernel's remark on a file that has been replaced since (an upgrade in place): proc_pid_exe(5).
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

/// Kubernetes' own, `bookend pause`, and Podman's `catatonit -P`.
fn is_pause(command_line: &[String]) -> bool {
    let name = command_line.first().and_then(|program| program.rsplit('/').next());
    match name {
        Some("pause") => true,
        Some("catatonit") => command_line.iter().any(|word| word == "-P"),
        _ => command_line.get(1).is_some_and(|word| word == "pause"),
    }
}

/// `Ok(None)`: not written yet.
fn read_pid_file(path: &Path) -> Result<Option<PidFile>, FindError> {
    let failed = |source| FindError::PidFile { path: path.to_owned(), source };
    let (file, metadata) = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let text = read_to_limit(file, MOST_PID_FILE_BYTES).map_err(failed)?;
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() {
        // It has been created, and its content is about to come.
        return Ok(None);
    }
    let first = text.lines().next().unwrap_or_default().trim();
    let pid = first.parse().ok().filter(|pid| *pid > 0);
    let pid =
        pid.ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, format!("{first:?} is not a pid"))))?;
    let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    Ok(Some(PidFile { pid, written: since_boot().saturating_sub(age.unwrap_or_default()) }))
}

/// A file of /proc, or nothing where it cannot be read.
fn limited(path: impl AsRef<Path>) -> String {
    let text = read_beginning(path.as_ref(), MOST_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// A pod has tens of them, and a node's limit for one is thousands: a look at more would hold up what else there is to do.
const MOST_PROCESSES: usize = 16_384;
const MOST_BYTES: u64 = 64 * 1024;
/// Some servers write more lines than the one with the pid: PostgreSQL eight of them.
const MOST_PID_FILE_BYTES: u64 = 4096;
