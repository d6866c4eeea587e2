//! Which server a running process is, for `app.profile = "auto"`.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::files::read_beginning;
use crate::process::{Pid, procfs, with_signals_blocked};
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
/// them, and the loop waits 20 ms for it at most.
fn command_line(pid: i32) -> Option<Vec<String>> {
    let (send, receive) = mpsc::sync_channel(1);
    let read = move || send.send(read_beginning(Path::new(&format!("/proc/{pid}/cmdline")), 4096).ok());
    with_signals_blocked(|| thread::Builder::new().stack_size(64 * 1024).spawn(read)).ok()?;
    let bytes = receive.recv_timeout(Duration::from_millis(20)).ok()??;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\0').split('\0').map(str::to_owned).collect())
}
