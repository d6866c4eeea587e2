//! Job control, as a shell user expects it: Ctrl-Z, `fg` and `bg` mean the app, and bookend goes along.

use tracing::debug;

use super::ContainerLoop;
use crate::compat::policy::Suspend;
use crate::process::is_first_process;
use crate::process::reaper::Target;
use crate::process::terminal::{self, AppStopped};
use bookend_lifecycle::signal::Signal;

impl ContainerLoop {
    /// The app was stopped.
    pub(super) fn on_app_stopped(&self, by: Signal) {
        debug!(%by, "the app was stopped");
        if self.policy.suspend == Suspend::OnSignal {
            return;
        }
        match terminal::app_stopped(by, terminal::foreground(), is_first_process()) {
            AppStopped::Leave => {}
            AppStopped::Suspend if terminal::suspend_group() => self.continue_app(),
            // No shell waits for us, as for PID 1; but SIGSTOP comes from a person, who will continue it.
            AppStopped::Suspend if by == Signal::STOP => {}
            AppStopped::Suspend | AppStopped::Continue => self.continue_app(),
        }
    }

    /// A signal has come, and is about to be forwarded.
    pub(super) fn before_forwarding(&self, signal: Signal) {
        if signal == Signal::CONT {
            self.hand_terminal_over();
        }
    }

    /// It has been forwarded, or not, as the settings say.
    pub(super) fn after_forwarding(&self, signal: Signal) {
        let is_job_control = matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU);
        if is_job_control && self.policy.suspend == Suspend::OnSignal {
            terminal::suspend_ourselves();
        }
    }

    /// The whole job goes on, in the foreground if that is where we are.
    fn continue_app(&self) {
        debug!("the app goes on");
        self.hand_terminal_over();
        // It may have ended in between.
        let _ = self.reaper().signal_app(Signal::CONT, Target::Group);
    }

    fn hand_terminal_over(&self) {
        if let Some(app) = self.reaper().app() {
            terminal::hand_over(app);
        }
    }
}
