//! What a handler of the app's container finds in its environment.

use super::ContainerLoop;
use crate::handlers::env::HandlerEnv;
use crate::handlers::program::{Environment, ProgramError, container_variables};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{AppStatus, Hook, Time};

/// What a handler finds: the container's environment, which is the app's, and what it may want to know besides.
/// `None`: a probe, which no hook has begun.
pub(super) fn handler_env(
    supervisor: &ContainerLoop,
    hook: Option<Hook>,
    name: &str,
) -> Result<Environment, ProgramError> {
    let variables = match &supervisor.variables {
        Some(variables) => variables.clone(),
        None => container_variables(&supervisor.settings.app, &supervisor.set)?,
    };
    let stop = supervisor.lifecycle.stop_trigger();
    let told = HandlerEnv {
        hook,
        name,
        phase: supervisor.lifecycle.phase(),
        trigger: stop.map(|(trigger, _)| trigger),
        app: supervisor.reaper().app(),
        socket: supervisor.dispatcher.socket_path(),
        left: supervisor.lifecycle.deadline().map(|deadline| deadline.saturating_sub(supervisor.now())),
    };
    let mut env = told.beside(variables);
    let mut say = |key: &str, value: String| env.set(key, value);
    if let Some(status) = supervisor.app_ended {
        if let Some(reason) = supervisor.lifecycle.reason() {
            say("BOOKEND_REASON", reason.name().to_owned());
        }
        let until = supervisor.app_until.unwrap_or_else(|| supervisor.now());
        let since = |began: Time| format!("{:.3}", Seconds(until.saturating_sub(began)));
        if let Some(began) = supervisor.app_since {
            say("BOOKEND_APP_SECONDS", since(began));
        }
        if let Some((_, began)) = stop {
            say("BOOKEND_STOP_SECONDS", since(began));
        }
        match status {
            AppStatus::Exited(code) | AppStatus::NotStarted { code } => say("BOOKEND_EXIT_CODE", code.to_string()),
            // Never of a child of ours.
            AppStatus::Unknown => {}
            AppStatus::Signalled(signal) => {
                say("BOOKEND_EXIT_CODE", signal.exit_code().to_string());
                say("BOOKEND_SIGNAL", signal.to_string());
            }
        }
    }
    Ok(env)
}
