//! Job control, as a shell user expects it: Ctrl-Z, `fg` and `bg` act on the app, and bookend follows.

use tracing::debug;

use crate::compat::policy::Suspend;
use crate::process::is_first_process;
use crate::process::reaper::{Reaper, SignalTarget};
use crate::process::terminal::{self, AppStopped, Foreground};
use bookend_lifecycle::signal::Signal;

/// A signal has stopped the app. `is_signalled`: it has got its stop signal, and must act upon it now.
pub(super) fn app_stopped(suspend: Suspend, reaper: &Reaper, by: Signal, is_signalled: bool) {
    debug!(%by, "the app was stopped");
    if suspend == Suspend::OnSignal {
        return;
    }
    let foreground = terminal::foreground();
    // While another group has the terminal, an app that asks for it would be stopped again at once.
    let stays = !is_signalled || foreground != Foreground::NoTerminal && by != Signal::STOP;
    match terminal::app_stopped(by, foreground, is_first_process()) {
        AppStopped::Leave if stays => {}
        AppStopped::Suspend if terminal::suspend_group() => continue_app(reaper),
        // No shell waits for us, as for PID 1. But SIGSTOP comes from a person, who will continue the app.
        AppStopped::Suspend if by == Signal::STOP && stays => {}
        AppStopped::Leave | AppStopped::Suspend | AppStopped::Continue => {
            if matches!(by, Signal::TTIN | Signal::TTOU)
                && let Some(app) = reaper.app()
            {
                terminal::hand_over_on_request(app);
            }
            continue_app(reaper);
        }
    }
}

/// The app has got its stop signal. If it is stopped, no process may be left that would continue it: a shell in whose
/// background it read the terminal, a person who has gone.
pub(super) fn continue_stopped(suspend: Suspend, reaper: &Reaper) {
    if suspend == Suspend::WithTheApp && reaper.app_is_stopped() {
        continue_app(reaper);
    }
}

/// A signal has come; it is about to be forwarded.
pub(super) fn before_forwarding(reaper: &Reaper, signal: Signal) {
    if signal == Signal::CONT {
        hand_terminal_over(reaper);
    }
}

/// The signal has been forwarded, rewritten or dropped, as the settings demand.
pub(super) fn after_forwarding(suspend: Suspend, signal: Signal) {
    let is_job_control = matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU);
    if is_job_control && suspend == Suspend::OnSignal {
        terminal::suspend_ourselves();
    }
}

/// Continues the whole job, in the foreground if that is where we are.
fn continue_app(reaper: &Reaper) {
    debug!("the app is continued");
    hand_terminal_over(reaper);
    // The app may have ended in between.
    let _ = reaper.signal_app(Signal::CONT, SignalTarget::Group);
}

fn hand_terminal_over(reaper: &Reaper) {
    if let Some(app) = reaper.app() {
        terminal::hand_over(app);
    }
}
