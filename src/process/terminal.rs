//! The terminal and job control: which process group has the foreground, and what a stopped app means for us.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::unistd::{getpgrp, getpid, getsid, tcgetpgrp, tcsetpgrp};

use super::Pid;
use super::sys::{self, SignalSet};
use bookend_lifecycle::signal::Signal;

/// Gives up our controlling terminal, for the session of a child that will take it.
///
/// If we lead our session the kernel sends its foreground group, and so us, SIGHUP and SIGCONT. We take them: the app
/// must not get them. All signals are blocked.
pub(crate) fn give_up() {
    let before = sys::pending();
    if sys::give_up_terminal().is_err() || getsid(None) != Ok(getpid()) {
        // There is no terminal, or we do not lead the session: no signal is sent.
        return;
    }
    for signal in [Signal::HUP, Signal::CONT] {
        // A signal that was pending before is for the app.
        if !before.contains(signal) {
            sys::take_pending(SignalSet::from_iter([signal]));
        }
    }
}

/// Called after a SIGCONT: a shell that brings our job to the foreground means the app. With a pipe on stdin the job may be
/// a pipeline whose other programs use the terminal, too: the app gets it when it asks for it.
pub(crate) fn hand_over(app: Pid) {
    hand_over_on(std::io::stdin().as_fd(), app);
}

/// Called when the app was stopped because it used the terminal from the background.
pub(crate) fn hand_over_on_request(app: Pid) {
    on_terminal(|terminal| hand_over_on(terminal, app));
}

fn hand_over_on(terminal: BorrowedFd<'_>, app: Pid) {
    if tcgetpgrp(terminal) == Ok(getpgrp()) && nix::unistd::getpgid(Some(app)) == Ok(app) {
        // An error means that the app has ended or the terminal is gone. SIGTTOU is blocked.
        let _ = tcsetpgrp(terminal, app);
    }
}

/// Works on the terminal on stdin, or else on our controlling terminal: `echo x | bookend -- ssh host` asks for a password
/// there. `None`: there is no terminal.
fn on_terminal<T>(work: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
    let stdin = std::io::stdin();
    if tcgetpgrp(stdin.as_fd()).is_ok() {
        return Some(work(stdin.as_fd()));
    }
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let terminal = File::options().read(true).write(true).custom_flags(flags).open("/dev/tty").ok()?;
    Some(work(terminal.as_fd()))
}

/// Called at the end: our group gets the foreground back if the group that has it is empty. Otherwise a script that goes
/// on in our group would find itself in the background of its own terminal.
///
/// If we lead our session, as in a container, the terminal is taken from the whole session when we end.
pub(crate) fn take_back() {
    if getsid(None) == Ok(getpid()) {
        return;
    }
    on_terminal(|terminal| {
        let Ok(foreground) = tcgetpgrp(terminal) else { return };
        if foreground != getpgrp() && nix::sys::signal::killpg(foreground, None).is_err() {
            let _ = tcsetpgrp(terminal, getpgrp());
        }
    });
}

/// The meaning of the app's stop for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppStopped {
    /// It was stopped on purpose, and will be continued by the process that stopped it.
    Leave,
    /// We stop as well: our shell shows its prompt, and continues us with `fg` or `bg`.
    Suspend,
    /// No process could continue it: Ctrl-Z in the terminal of a container, where no shell waits for us.
    Continue,
}

/// Which process group has the foreground of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreground {
    /// There is no terminal, or it is another session's.
    NoTerminal,
    /// Our own process group, which is not the app's.
    Us,
    /// The app, or a shell's other job.
    Another,
}

/// Decides what a stop of the app means.
pub(crate) fn app_stopped(by: Signal, foreground: Foreground, first_process: bool) -> AppStopped {
    match (by, foreground, first_process) {
        // `fg` for a job that was running: the shell gave the terminal to us, and we pass it on.
        (Signal::TTIN | Signal::TTOU, Foreground::Us, _) => AppStopped::Continue,
        (_, Foreground::Us | Foreground::Another, false) => AppStopped::Suspend,
        (Signal::TSTP, Foreground::Us | Foreground::Another, true) => AppStopped::Continue,
        // SIGSTOP comes from a debugger or a person, never from a key.
        _ => AppStopped::Leave,
    }
}

/// Asks the terminal.
pub(crate) fn foreground() -> Foreground {
    match on_terminal(|terminal| tcgetpgrp(terminal)) {
        Some(Ok(group)) if group == getpgrp() => Foreground::Us,
        Some(Ok(_)) => Foreground::Another,
        Some(Err(_)) | None => Foreground::NoTerminal,
    }
}

/// Stops our process group, and us with it, as Ctrl-Z stops the foreground group. `true`: we were stopped and have been
/// continued. `false`: the kernel did not stop us because no shell could continue us (an orphaned process group:
/// setpgid(2)).
pub(crate) fn suspend_group() -> bool {
    // The others of the group: a pipeline, a script that waits for us.
    let _ = sys::send(Pid::from_raw(0), Signal::TSTP);
    // It is pending for us as well, and has its default effect the moment it is unblocked.
    let blocked = sys::set_mask(SignalSet::ALL.without(Signal::TSTP));
    sys::set_mask(blocked);
    // We take the SIGCONT that woke us: the app gets its own when it has the terminal. An earlier one was removed by
    // SIGTSTP.
    sys::take_pending(SignalSet::from_iter([Signal::CONT])).is_some()
}

/// Stops us alone. For PID 1 it returns at once, since PID 1 cannot be stopped from within its namespace.
pub(crate) fn suspend_ourselves() {
    let _ = sys::send(getpid(), Signal::STOP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_z_suspends_a_job_but_continues_pid_1() {
        assert_eq!(app_stopped(Signal::TSTP, Foreground::Another, false), AppStopped::Suspend);
        assert_eq!(app_stopped(Signal::TSTP, Foreground::Another, true), AppStopped::Continue);
    }

    #[test]
    fn a_background_read_suspends_the_job_until_it_has_the_terminal() {
        assert_eq!(app_stopped(Signal::TTIN, Foreground::Another, false), AppStopped::Suspend);
        assert_eq!(app_stopped(Signal::TTIN, Foreground::Us, false), AppStopped::Continue);
    }

    #[test]
    fn a_deliberate_stop_of_the_app_is_left_alone() {
        assert_eq!(app_stopped(Signal::STOP, Foreground::Another, true), AppStopped::Leave);
        for first_process in [false, true] {
            assert_eq!(app_stopped(Signal::TSTP, Foreground::NoTerminal, first_process), AppStopped::Leave);
        }
    }
}
