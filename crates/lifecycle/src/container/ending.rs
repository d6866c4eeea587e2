//! The meaning of the app's end: the reason that postStop handlers see, and bookend's exit code.

use super::stopping::Stop;
use crate::life::{AppStatus, Reason, Trigger};
use crate::plan::Plan;
use crate::signal::Signal;

/// Why the app has ended. `stop` is the stop that had begun before, if any.
pub(super) fn reason(plan: &Plan, status: AppStatus, stop: Option<&Stop>) -> Reason {
    match (stop, status) {
        (Some(_), _) => Reason::Stopped,
        (None, AppStatus::NotStarted { .. }) => Reason::Failed,
        (None, _) if exit_code(plan, status, stop) == 0 => Reason::Completed,
        (None, _) => Reason::Failed,
    }
}

/// The app's own exit code; 128+n if signal n killed it; 125 if bookend itself failed.
pub(super) fn exit_code(plan: &Plan, status: AppStatus, stop: Option<&Stop>) -> u8 {
    if stop.is_some_and(|stop| stop.trigger == Trigger::PostStartFailed) {
        return 125;
    }
    let code = match status {
        AppStatus::Exited(code) => code,
        AppStatus::Signalled(signal) => {
            let was_sent = stop.is_some_and(|stop| stop.sent.contains(&signal));
            if plan.stop_is_success && was_sent {
                return 0;
            }
            signal.exit_code()
        }
        // The app was not our child, so there is no code to pass on.
        AppStatus::Unknown => return 0,
        // The code of an app that SIGKILL ended: the stop requested SIGKILL.
        AppStatus::StillRunning => return plan.exit_if_refused.unwrap_or(Signal::KILL.exit_code()),
        // The code is bookend's, not the app's: `exitCodes` does not apply.
        AppStatus::NotStarted { code } => return code,
    };
    plan.exit_codes.get(&code).copied().unwrap_or(code)
}
