//! What a handler sees of the container: its place in the settings, and its environment.

use super::Supervisor;
use crate::config::settings::{Handler, Lifecycle};
use crate::journal::trigger_word;
use crate::lifecycle::{AppStatus, Hook, Time};
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
/// `None`: a probe, which no hook has begun.
pub(super) fn handler_env(
    supervisor: &Supervisor,
    hook: Option<Hook>,
    name: &str,
) -> Result<Environment, ProgramError> {
    let variables = match &supervisor.variables {
        Some(variables) => variables.clone(),
        None => container_variables(&supervisor.settings.app, &supervisor.set)?,
    };
    let mut env = Environment::with(variables);
    let mut say = |key: &str, value: String| env.set(key, value);
    let stop = supervisor.lifecycle.stop_trigger();
    if let Some(hook) = hook {
        say("BOOKEND_HOOK", hook.name().to_owned());
        say("BOOKEND_TRIGGER", trigger_word(hook, stop.map(|(trigger, _)| trigger)));
    }
    say("BOOKEND_HANDLER", name.to_owned());
    say("BOOKEND_PHASE", supervisor.lifecycle.phase().name().to_owned());
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
        if let Some(reason) = supervisor.lifecycle.reason() {
            say("BOOKEND_REASON", reason.name().to_owned());
        }
        let until = supervisor.app_until.unwrap_or_else(|| supervisor.now());
        let since = |began: Time| format!("{:.3}", until.saturating_sub(began).as_secs_f64());
        if let Some(began) = supervisor.app_since {
            say("BOOKEND_APP_SECONDS", since(began));
        }
        if let Some((_, began)) = stop {
            say("BOOKEND_STOP_SECONDS", since(began));
        }
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
