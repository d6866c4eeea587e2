//! `app.profile = "auto"`: the running app decides which server it is, each time that a stop may begin.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tracing::info;

use crate::compat::policy::Convention;
use crate::files::read_beginning;
use crate::process::{Pid, procfs, with_signals_blocked};
use crate::runtime::plan;
use crate::runtime::unit::Unit;
use bookend_config::AutoProfile;
use bookend_config::profiles::{AppProcess, of_process};
use bookend_config::settings::Settings;
use bookend_lifecycle::{ContainerLifecycle, Event, Hook, Machine, PhaseName};

/// Reports the choice that the command made.
pub(super) fn report_start(auto: Option<&AutoProfile>) {
    if let Some(auto) = auto {
        info!(profile = auto.chosen(), "app.profile \"auto\": chosen by the command");
    }
}

/// Whether this event may be the trigger of a stop.
pub(super) fn may_begin_stop(event: Event) -> bool {
    match event {
        Event::Signal(_) | Event::StopRequested | Event::LivenessFailed => true,
        Event::HookCalled { hook, .. } => hook == Hook::PreStop,
        // A postStart handler that failed.
        Event::HandlerEnded { .. } => true,
        _ => false,
    }
}

/// Chooses by the app as it runs now.
pub(super) fn choose(
    auto: &mut AutoProfile,
    settings: &mut Settings,
    unit: &mut Unit<ContainerLifecycle>,
    convention: Convention,
) {
    let Some(pid) = unit.app.pid().filter(|_| unit.machine.phase() == PhaseName::Running) else { return };
    let Some(name) = profile_of(pid).filter(|name| *name != auto.chosen()) else { return };
    let before = auto.chosen();
    let chosen = auto.choose(name);
    if unit.machine.replace_plan(plan::of_app(&chosen, convention)) {
        info!(profile = name, before, "app.profile \"auto\": chosen by the running app");
        settings.adopt(chosen);
        unit.lifecycle = std::mem::take(&mut settings.lifecycle);
    }
}

/// `None`: the process does not show it, so the choice by the command stays.
fn profile_of(pid: Pid) -> Option<&'static str> {
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

/// To read the arguments of a process that hangs may hang as well (proc_pid_cmdline(5) reads its memory): a thread reads
/// them, which is not waited for any longer than 20 ms.
fn command_line(pid: i32) -> Option<Vec<String>> {
    let read = move || read_beginning(Path::new(&format!("/proc/{pid}/cmdline")), 4096);
    let thread = with_signals_blocked(|| thread::Builder::new().stack_size(64 * 1024).spawn(read)).ok()?;
    for _ in 0..20 {
        if thread.is_finished() {
            let bytes = thread.join().ok()?.ok()?;
            let text = String::from_utf8_lossy(&bytes);
            return Some(text.trim_end_matches('\0').split('\0').map(str::to_owned).collect());
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}
