//! Spawns the app.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::compat::policy::Policy;
use crate::detached::{DetachedError, spawn_blocking_detached};
use crate::handlers::HandlerContext;
use crate::handlers::program::{PreparedApp, ProgramError, Variables, container_variables, prepare_app};
use crate::process::inherited::Inherited;
use crate::process::placement::ProcessPlacement;
use crate::process::spawn::{ActivationSockets, ChildEnv, ExecProgress, Spawn, StartedChild};
use crate::process::{Pid, last_resort, terminal};
use crate::runtime::dispatcher::TaskMessage;
use crate::tasks;
use bookend_config::settings::AppSettings;

/// Prepares an app that needs files, on another thread: a volume may hang. `TaskMessage::AppPrepared` follows.
pub(super) fn prepare_detached(settings: AppSettings, set: Variables, to_loop: mpsc::Sender<TaskMessage>) {
    tasks::spawn(async move {
        let work = spawn_blocking_detached("the app's files".to_owned(), move || prepare(&settings, &set));
        let prepared = timeout(FILES_WAIT, work).await.unwrap_or(Err(DetachedError::Lost));
        let prepared = prepared.unwrap_or_else(|error| Err(error.into()));
        let _ = to_loop.send(TaskMessage::AppPrepared(Box::new(prepared))).await;
    });
}

/// `set` has the variables that preStart handlers have set.
pub(super) fn prepare(settings: &AppSettings, set: &[(OsString, OsString)]) -> PreparedApp {
    let variables = container_variables(settings, set)?;
    Ok((prepare_app(settings, &variables)?, variables))
}

/// Spawns the app and lets the reaper watch it. Returns the pid, and the variables that the app was given.
pub(super) fn spawn(
    settings: &AppSettings,
    policy: Policy,
    prepared: PreparedApp,
    context: &HandlerContext,
) -> Result<(Pid, Variables), ProgramError> {
    let (app, variables) = prepared?;
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

/// The files that the app needs must have been read in this time; slower storage is treated as hung. A stop does not wait for them.
const FILES_WAIT: Duration = Duration::from_secs(2);

/// How long we wait for the app to execute its program: usually it takes less than a millisecond. If a lease or a file
/// system holds it for longer, it counts as started, and signals and hooks have their turn. A later failure is its end.
const EXEC_WAIT: Duration = Duration::from_millis(100);
