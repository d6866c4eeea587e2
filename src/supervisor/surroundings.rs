//! What a handler sees of the container: its place in the settings, and its environment.

use super::Supervisor;
use crate::config::settings::{Handler, Lifecycle};
use crate::journal::trigger_word;
use crate::lifecycle::{AppStatus, Hook};
use crate::program::{Environment, ProgramError, container_variables};

pub(super) fn handler_list(lifecycle: &Lifecycle, hook: Hook) -> &[Handler] {
    match hook {
        Hook::PreStart => &lifecycle.pre_start,
        Hook::PostStart => &lifecycle.post_start,
        Hook::PreStop => &lifecycle.pre_stop,
        Hook::PostStop => &lifecycle.post_stop,
    }
}

pub(super) fn find_handler(lifecycle: &Lifecycle, hook: Hook, index: usize) -> Option<&Handler> {
    handler_list(lifecycle, hook).get(index)
}

/// What a handler finds: the container's environment, which is the app's, and what it may want to know besides.
pub(super) fn handler_env(supervisor: &Supervisor, hook: Hook, name: &str) -> Result<Environment, ProgramError> {
    let variables = match &supervisor.variables {
        Some(variables) => variables.clone(),
        None => container_variables(&supervisor.settings.app, &supervisor.set)?,
    };
    let mut env = Environment::with(variables);
    let mut say = |key: &str, value: String| env.set(key, value);
    let stop = supervisor.lifecycle.stop_trigger();
    say("BOOKEND_HOOK", hook.name().to_owned());
    say("BOOKEND_HANDLER", name.to_owned());
    say("BOOKEND_TRIGGER", trigger_word(hook, stop.map(|(trigger, _)| trigger)));
    if let Some(pid) = supervisor.reaper().app() {
        say("BOOKEND_APP_PID", pid.to_string());
    }
    if let Some(socket) = &supervisor.socket {
        say("BOOKEND_SOCKET", socket.path().display().to_string());
    }
    if let Some(deadline) = supervisor.lifecycle.deadline() {
        let left = deadline.saturating_sub(supervisor.now());
        say("BOOKEND_SECONDS_LEFT", left.as_secs().to_string());
    }
    if let Some(status) = supervisor.app_ended {
        let reason = match status {
            _ if stop.is_some() => "Stopped",
            AppStatus::Exited(0) => "Completed",
            _ => "Failed",
        };
        say("BOOKEND_REASON", reason.to_owned());
        match status {
            AppStatus::Exited(code) | AppStatus::NotStarted { code } => say("BOOKEND_EXIT_CODE", code.to_string()),
            AppStatus::Signalled(signal) => {
                say("BOOKEND_EXIT_CODE", signal.exit_code().to_string());
                say("BOOKEND_SIGNAL", signal.to_string());
            }
        }
    }
    Ok(env)
}
