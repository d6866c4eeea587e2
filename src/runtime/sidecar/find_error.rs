//! Why the app's process is not found, apart from not being there yet: what is wrong, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::observed::{Executable, ObserveError, ObservedProcess};
use bookend_lifecycle::printable::printable;

#[derive(Debug, thiserror::Error)]
pub(super) enum FindError {
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error(
        "other users' processes are hidden: /proc is mounted with hidepid; run the sidecar as the app's user (runAsUser), or mount /proc without hidepid"
    )]
    Hidden,
    #[error(
        "no process of another container is visible: the pod does not share its PID namespace (set shareProcessNamespace: true; without Kubernetes, let both containers join that of a `bookend pause`)"
    )]
    NotShared,
    #[error(
        "cannot read the executable of {}: run the sidecar as the app's user (runAsUser) or with CAP_SYS_PTRACE, or select the process by commandLine or container", ProcessList(.0)
    )]
    Refused(Vec<ObservedProcess>),
    #[error("{} processes may be the app's main process; select one of them (executable, commandLine, container): {}", .0.len(), ProcessList(.0))]
    Ambiguous(Vec<ObservedProcess>),
    #[error("the pid file {path:?} is stale: process {pid} was started after the file was written")]
    Stale { path: PathBuf, pid: i32 },
    #[error(
        "cannot open a pidfd of process {pid}: pidfd_open(2) was refused (it needs Linux 5.3 and a seccomp profile that allows it, as RuntimeDefault does); bookend does not send signals to a pid alone"
    )]
    NoPidfd { pid: i32, source: io::Error },
}

/// `12 "nginx: master process nginx" (/usr/sbin/nginx, container web), 30 ..., and 3 more`. Names and paths are those of
/// other containers: Debug and `printable` keep them on one line.
pub(super) struct ProcessList<'a>(pub(super) &'a [ObservedProcess]);

impl fmt::Display for ProcessList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, process) in self.0.iter().take(MAX_SHOWN).enumerate() {
            let command_line: String = process.command_line.chars().take(MAX_CHARACTERS).collect();
            let name = if command_line.is_empty() { process.member.name.clone() } else { command_line };
            let container = process.container.shown().map(|name| format!("container {name}"));
            let executable = match &process.executable {
                Executable::At(path) => Some(printable(&path.display().to_string())),
                Executable::None | Executable::Refused => None,
            };
            let more: Vec<String> = executable.into_iter().chain(container).collect();
            write!(f, "{}{} {name:?}", if index == 0 { "" } else { ", " }, process.member.pid)?;
            if !more.is_empty() {
                write!(f, " ({})", more.join(", "))?;
            }
        }
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// An error shows this many processes, each with this much of its command line.
const MAX_SHOWN: usize = 8;
const MAX_CHARACTERS: usize = 80;
