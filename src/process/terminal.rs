//! The terminal and job control: who has the foreground, and what a stopped app means for us.

use std::os::fd::AsFd;

use nix::unistd::{getpgrp, getpid, getsid, tcgetpgrp, tcsetpgrp};

use super::Pid;
use super::sys::{self, SignalSet};
use bookend_lifecycle::signal::Signal;

/// Gives up our controlling terminal, for the session of a child that will take it.
///
/// Where we lead our session the kernel sends its foreground group, and so us, SIGHUP and SIGCONT for that: they are
/// ours to take, and no news for the app. All signals are blocked.
pub(crate) fn give_up() {
    let before = sys::pending();
    if sys::give_up_terminal().is_err() || getsid(None) != Ok(getpid()) {
        // No terminal, or a session that is somebody else's: nobody is told anything.
        return;
    }
    for signal in [Signal::HUP, Signal::CONT] {
        // One that had come before is for the app.
        if !before.contains(signal) {
            sys::take_pending(signal);
        }
    }
}

/// After a SIGCONT: a shell that brings our job to the foreground means the app by it.
pub(crate) fn hand_over(app: Pid) {
    let stdin = std::io::stdin();
    if tcgetpgrp(stdin.as_fd()) == Ok(getpgrp()) && nix::unistd::getpgid(Some(app)) == Ok(app) {
        // It may have ended, or the terminal gone: then there is nothing to hand over. SIGTTOU is blocked.
        let _ = tcsetpgrp(stdin.as_fd(), app);
    }
}

/// At the end: the foreground comes back to our group, if nobody is left in the one that has it. Whoever goes on in our
/// group, a script, would otherwise find itself in the background of its own terminal.
pub(crate) fn take_back() {
    let stdin = std::io::stdin();
    let Ok(foreground) = tcgetpgrp(stdin.as_fd()) else { return };
    if foreground != getpgrp() && nix::sys::signal::killpg(foreground, None).is_err() {
        let _ = tcsetpgrp(stdin.as_fd(), getpgrp());
    }
}

/// What the app's stop means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppStopped {
    /// Somebody wanted it stopped; whoever it was will continue it.
    Leave,
    /// We stop as well: our shell gets its prompt back, and continues us with `fg` or `bg`.
    Suspend,
    /// Nobody could continue it: Ctrl-Z in the terminal of a container, where no shell waits for us.
    Continue,
}

/// Who has the foreground of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreground {
    /// There is no terminal, or it is not our session's.
    NoTerminal,
    /// Our own process group, which is not the app's.
    Us,
    /// The app, or a shell's other job.
    Another,
}

/// Decides it.
pub(crate) fn app_stopped(by: Signal, foreground: Foreground, first_process: bool) -> AppStopped {
    match (by, foreground, first_process) {
        // `fg` for a job that was running: the shell gave the terminal to us, who hand it on.
        (Signal::TTIN | Signal::TTOU, Foreground::Us, _) => AppStopped::Continue,
        (_, Foreground::Us | Foreground::Another, false) => AppStopped::Suspend,
        (Signal::TSTP, Foreground::Us | Foreground::Another, true) => AppStopped::Continue,
        // SIGSTOP comes from a debugger or a person, never from a key.
        _ => AppStopped::Leave,
    }
}

/// Looks who has it.
pub(crate) fn foreground() -> Foreground {
    match tcgetpgrp(std::io::stdin().as_fd()) {
        Ok(group) if group == getpgrp() => Foreground::Us,
        Ok(_) => Foreground::Another,
        Err(_) => Foreground::NoTerminal,
    }
}

/// Stops our process group as Ctrl-Z would have stopped it, had it been the foreground one, and us with it. `true`: we
/// were stopped, and somebody has continued us. `false`: no shell could (an orphaned process group: setpgid(2)).
pub(crate) fn suspend_group() -> bool {
    // The others of the group: a pipeline, a script that waits for us.
    let _ = sys::send(Pid::from_raw(0), Signal::TSTP);
    // It is pending for us as well, with its default effect: it happens the moment it is let through.
    let blocked = sys::set_mask(SignalSet::ALL.without(Signal::TSTP));
    sys::set_mask(blocked);
    // What woke us is ours to take: the app gets its own SIGCONT when it has the terminal. SIGTSTP had removed an
    // earlier one.
    sys::take_pending(Signal::CONT)
}

/// Stops us alone. PID 1 cannot be stopped from within: then it returns at once.
pub(crate) fn suspend_ourselves() {
    let _ = sys::send(getpid(), Signal::STOP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_suspends_the_job_and_a_container_has_no_job() {
        assert_eq!(app_stopped(Signal::TSTP, Foreground::Another, false), AppStopped::Suspend);
        assert_eq!(app_stopped(Signal::TSTP, Foreground::Another, true), AppStopped::Continue);
    }

    #[test]
    fn a_job_that_reads_in_the_background_is_suspended_and_one_that_was_brought_back_gets_the_terminal() {
        assert_eq!(app_stopped(Signal::TTIN, Foreground::Another, false), AppStopped::Suspend);
        assert_eq!(app_stopped(Signal::TTIN, Foreground::Us, false), AppStopped::Continue);
    }

    #[test]
    fn who_stops_the_app_on_purpose_is_left_alone() {
        assert_eq!(app_stopped(Signal::STOP, Foreground::Another, true), AppStopped::Leave);
        for first_process in [false, true] {
            assert_eq!(app_stopped(Signal::TSTP, Foreground::NoTerminal, first_process), AppStopped::Leave);
        }
    }
}
