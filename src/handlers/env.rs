//! The `BOOKEND_...` variables that a handler or a probe finds in its environment.
//!
//! | variable                                     | present                                         |
//! | -------------------------------------------- | ----------------------------------------------- |
//! | `BOOKEND_HANDLER`, `BOOKEND_PHASE`           | always                                          |
//! | `BOOKEND_HOOK`, `BOOKEND_TRIGGER`            | in a handler of a hook; not in a probe          |
//! | `BOOKEND_CONTAINER`                          | in a sidecar, for a container with a name       |
//! | `BOOKEND_APP_PID`                            | while the app is there                          |
//! | `BOOKEND_SOCKET`                             | with a socket for the command line              |
//! | `BOOKEND_SECONDS_LEFT`                       | during a stop with a grace period               |
//! | `BOOKEND_REASON`                             | in postStop                                     |
//! | `BOOKEND_EXIT_CODE`, `BOOKEND_SIGNAL`        | when an app of our own has ended                |
//! | `BOOKEND_OOM` (`1`)                          | when the kernel's OOM killer ended the app      |
//! | `BOOKEND_APP_SECONDS`, `BOOKEND_STOP_SECONDS` | when it has ended: how long it and the stop took |

use std::path::Path;
use std::time::Duration;

use crate::handlers::program::Variables;
use crate::process::Pid;
use crate::report::journal::trigger_word;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{AppStatus, Hook, PhaseName, Reason, Trigger};

/// The state that a handler gets in its environment, as it is when the handler starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandlerEnv<'a> {
    /// `None` for a probe, which belongs to no hook.
    pub(crate) hook: Option<Hook>,
    pub(crate) name: &'a str,
    /// The container that the hook is for; `None` for the app at the top level of the configuration.
    pub(crate) container: Option<&'a str>,
    pub(crate) phase: PhaseName,
    /// The trigger of the current stop.
    pub(crate) trigger: Option<Trigger>,
    pub(crate) app: Option<Pid>,
    pub(crate) socket: Option<&'a Path>,
    /// The rest of the grace period.
    pub(crate) left: Option<Duration>,
    /// Why the app is gone, for postStop.
    pub(crate) reason: Option<Reason>,
    pub(crate) end: Option<AppEnd>,
    /// The kernel's OOM killer ended the app.
    pub(crate) oom: bool,
}

/// How an app of our own ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppEnd {
    pub(crate) status: AppStatus,
    /// How long it ran; `None` if it never started.
    pub(crate) ran: Option<Duration>,
    /// From the beginning of the stop to the app's end; `None` without a stop.
    pub(crate) stop: Option<Duration>,
}

impl HandlerEnv<'_> {
    /// These variables.
    pub(crate) fn variables(self) -> Variables {
        let mut variables = Variables::new();
        let mut set = |key: &str, value: String| variables.push((key.into(), value.into()));
        if let Some(hook) = self.hook {
            set("BOOKEND_HOOK", hook.name().to_owned());
            set("BOOKEND_TRIGGER", trigger_word(hook, self.trigger));
        }
        set("BOOKEND_HANDLER", self.name.to_owned());
        set("BOOKEND_PHASE", self.phase.name().to_owned());
        if let Some(container) = self.container {
            set("BOOKEND_CONTAINER", container.to_owned());
        }
        if let Some(pid) = self.app {
            set("BOOKEND_APP_PID", pid.to_string());
        }
        if let Some(socket) = self.socket {
            set("BOOKEND_SOCKET", socket.display().to_string());
        }
        if let Some(left) = self.left {
            set("BOOKEND_SECONDS_LEFT", left.as_secs().to_string());
        }
        if let Some(reason) = self.reason.filter(|_| self.hook == Some(Hook::PostStop)) {
            set("BOOKEND_REASON", reason.name().to_owned());
        }
        if self.oom {
            set("BOOKEND_OOM", "1".to_owned());
        }
        if let Some(end) = self.end {
            if let Some(ran) = end.ran {
                set("BOOKEND_APP_SECONDS", format!("{:.3}", Seconds(ran)));
            }
            if let Some(stop) = end.stop {
                set("BOOKEND_STOP_SECONDS", format!("{:.3}", Seconds(stop)));
            }
            match end.status {
                AppStatus::Exited(code) | AppStatus::NotStarted { code } => set("BOOKEND_EXIT_CODE", code.to_string()),
                AppStatus::Signalled(signal) => {
                    set("BOOKEND_EXIT_CODE", signal.exit_code().to_string());
                    set("BOOKEND_SIGNAL", signal.to_string());
                }
                // The code that SIGKILL would have caused.
                AppStatus::StillRunning => set("BOOKEND_EXIT_CODE", Signal::KILL.exit_code().to_string()),
                // This is the app of another container: only its own parent knows how it ended.
                AppStatus::Unknown => {}
            }
        }
        variables
    }
}
