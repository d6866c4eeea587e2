//! Which server a running process is, for `app.profile = "auto"`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::detached::{DetachedError, run_bounded};
use crate::files::read_beginning;
use crate::process::{Pid, procfs};
use bookend_config::profiles::{AppProcess, of_process};

/// `None`: the process does not show it, so the choice by the command stays.
pub(super) fn profile_of(pid: Pid) -> Option<&'static str> {
    let pid = pid.as_raw();
    let executable = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let mut process = AppProcess {
        executable: executable.map(|path| path.to_string_lossy().into_owned()),
        command_line: Vec::new(),
        name: procfs::member(pid)?.name,
    };
    of_process(&process).or_else(|| {
        process.command_line = command_line(pid)?;
        of_process(&process)
    })
}

/// Reading the arguments of a process that hangs may hang as well (proc_pid_cmdline(5) reads its memory). A thread reads
/// them, and the loop waits 10 ms for it, once: the next time it takes the choice that was made before.
fn command_line(pid: i32) -> Option<Vec<String>> {
    static HANGS: AtomicBool = AtomicBool::new(false);
    if HANGS.load(Ordering::Relaxed) {
        return None;
    }
    let read = move || read_beginning(Path::new(&format!("/proc/{pid}/cmdline")), 4096).ok();
    let read = run_bounded(Duration::from_millis(10), read);
    HANGS.store(matches!(read, Err(DetachedError::Lost)), Ordering::Relaxed);
    let bytes = read.ok()??;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\0').split('\0').map(str::to_owned).collect())
}
