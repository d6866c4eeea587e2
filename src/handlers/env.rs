//! What a handler is told of what goes on, in its environment.

use std::path::Path;

use crate::handlers::program::{Environment, Variables};
use crate::process::Pid;
use crate::report::journal::trigger_word;
use bookend_lifecycle::{Hook, PhaseName, Time, Trigger};

/// As things stand when it begins.
pub(crate) struct HandlerEnv<'a> {
    /// `None`: a probe, which no hook has begun.
    pub(crate) hook: Option<Hook>,
    pub(crate) name: &'a str,
    pub(crate) phase: PhaseName,
    /// What began the stop that is going on.
    pub(crate) trigger: Option<Trigger>,
    pub(crate) app: Option<Pid>,
    pub(crate) socket: Option<&'a Path>,
    /// What is left of the grace period.
    pub(crate) left: Option<Time>,
}

impl HandlerEnv<'_> {
    /// The container's environment, and all this.
    pub(crate) fn beside(self, variables: Variables) -> Environment {
        let mut env = Environment::with(variables);
        let mut say = |key: &str, value: String| env.set(key, value);
        if let Some(hook) = self.hook {
            say("BOOKEND_HOOK", hook.name().to_owned());
            say("BOOKEND_TRIGGER", trigger_word(hook, self.trigger));
        }
        say("BOOKEND_HANDLER", self.name.to_owned());
        say("BOOKEND_PHASE", self.phase.name().to_owned());
        if let Some(pid) = self.app {
            say("BOOKEND_APP_PID", pid.to_string());
        }
        if let Some(socket) = self.socket {
            say("BOOKEND_SOCKET", socket.display().to_string());
        }
        if let Some(left) = self.left {
            say("BOOKEND_SECONDS_LEFT", left.as_secs().to_string());
        }
        env
    }
}
