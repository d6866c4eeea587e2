//! Spawns the app.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use crate::compat::policy::Policy;
use crate::detached::run_bounded;
use crate::handlers::HandlerContext;
use crate::handlers::program::{self, Prepared, ProgramError, Variables, container_variables, prepare_app};
use crate::process::inherited::Inherited;
use crate::process::placement::ProcessPlacement;
use crate::process::spawn::{ActivationSockets, ChildEnv, ExecProgress, Spawn, StartedChild};
use crate::process::{Pid, last_resort, terminal};
use bookend_config::settings::AppSettings;

/// Spawns the app and lets the reaper watch it. `set` has the variables that preStart handlers have set. Returns the pid,
/// and the variables that the app was given in addition to those that bookend was started with.
pub(super) fn spawn(
    settings: &AppSettings,
    policy: Policy,
    set: &[(OsString, OsString)],
    context: &HandlerContext,
) -> Result<(Pid, Variables), ProgramError> {
    let (app, variables) = match program::reads_files(&settings.program) {
        true => {
            let (settings, set) = (settings.clone(), set.to_vec());
            run_bounded(FILES_WAIT, move || prepare(&settings, &set))??
        }
        false => prepare(settings, set)?,
    };
    if policy.placement == ProcessPlacement::Session {
        terminal::give_up();
    }
    let spawn = Spawn {
        command: &app.command,
        env: app.env.as_deref().map_or(ChildEnv::Inherited, ChildEnv::Only),
        fds: &[],
        placement: policy.placement,
        parent_death: settings.pdeath_signal,
        sockets: ActivationSockets::ForChild,
        setup: Arc::clone(&app.setup),
    };
    let StartedChild { pid, exec } = spawn.start_promptly(&context.inherited)?;
    let exec = match exec.wait(EXEC_WAIT) {
        ExecProgress::Executed => None,
        ExecProgress::Pending => Some(exec),
        ExecProgress::Failed(error) => {
            // It is about to end, and its exit code tells nothing more.
            drop(context.reaper.watch(pid));
            return Err(error.into());
        }
    };
    context.reaper.watch_app(pid, exec, policy.exit_signal);
    last_resort::stay_for(Some(pid));
    Inherited::close_inherited_descriptors();
    Ok((pid, variables))
}

fn prepare(settings: &AppSettings, set: &[(OsString, OsString)]) -> Result<(Prepared, Variables), ProgramError> {
    let variables = container_variables(settings, set)?;
    Ok((prepare_app(settings, &variables)?, variables))
}

/// The loop waits this long for the files that the app needs; slower storage is treated as hung. The app does not exist yet, so
/// the wait delays no signal to it.
const FILES_WAIT: Duration = Duration::from_secs(2);

/// How long we wait for the app to execute its program: usually it takes less than a millisecond. If a lease or a file
/// system holds it for longer, it counts as started, and signals and hooks have their turn. A later failure is its end.
const EXEC_WAIT: Duration = Duration::from_millis(100);
