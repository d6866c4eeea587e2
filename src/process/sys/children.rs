//! The ends of our children: waitid(2) and waitpid(2), never blocking. Only the reaper calls these, the code that replaces
//! it (`last_resort`, `pause`, tools that are not an init), and `spawn` for a child that the reaper does not know yet.
//!
//! waitid(2) with one pid costs the same however many children there are (since Linux 5.13). For all children the
//! kernel walks the list of them at every call.

#![expect(unsafe_code, reason = "waitpid(2) and waitid(2): nix decodes no death by a real-time signal")]

use std::mem::MaybeUninit;
use std::ptr;

use libc::c_int;
use nix::unistd::Pid;

/// A report of the kernel about children, with a status as wait(2) encodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::process) enum ChildNews {
    /// This child has changed its state in the way that was asked for.
    Changed(Pid, c_int),
    /// There are such children, but nothing to report.
    Nothing,
    /// There are no such children.
    NoChildren,
}

/// Takes the status of a child that has ended: of this one, or of any. Its pid is free from then on. A stopped status is
/// that of a child that we trace, and now do not any more.
pub(in crate::process) fn take_end(which: Option<Pid>) -> ChildNews {
    let which = which.map_or(-1, Pid::as_raw);
    let mut status = 0;
    loop {
        // __WALL: also children of clone(2) that have another exit signal than SIGCHLD.
        // SAFETY: `status` is a live c_int.
        let pid = unsafe { libc::waitpid(which, &raw mut status, libc::WNOHANG | libc::__WALL) };
        if pid > 0 && libc::WIFSTOPPED(status) {
            release_traced(pid, libc::WSTOPSIG(status));
        }
        return match (pid, nix::errno::Errno::last_raw()) {
            (0, _) => ChildNews::Nothing,
            (-1, libc::EINTR) => continue,
            (-1, libc::ECHILD) => ChildNews::NoChildren,
            // A seccomp profile that allows waitid(2) alone.
            (-1, _) => waitid((which > 0).then(|| Pid::from_raw(which)), libc::WEXITED),
            (pid, _) => ChildNews::Changed(Pid::from_raw(pid), status),
        };
    }
}

/// The same, but the child stays a zombie and keeps its pid: waitid(2) with WNOWAIT.
pub(in crate::process) fn peek_end(which: Option<Pid>) -> ChildNews {
    waitid(which, libc::WEXITED | libc::WNOWAIT)
}

/// Takes the report that this child was stopped or continued.
pub(in crate::process) fn take_stop(pid: Pid) -> ChildNews {
    waitid(Some(pid), libc::WSTOPPED | libc::WCONTINUED)
}

/// A child that has asked to be traced by its parent (PTRACE_TRACEME, as some programs do to keep debuggers away) waits for
/// us at each of its signals. Continues it, untraced, with this signal. If the kernel refuses, only SIGKILL ends it.
fn release_traced(pid: libc::pid_t, signal: c_int) {
    // SIGTRAP is the stop after execve(2), and not for the child.
    let signal = if signal == libc::SIGTRAP { 0 } else { signal };
    // SAFETY: PTRACE_DETACH takes a pid and a number, and touches no memory of ours.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, ptr::null_mut::<libc::c_void>(), libc::c_long::from(signal)) };
}

/// waitid(2), never blocking. If the flags do not ask for ends, a zombie counts as no child.
fn waitid(which: Option<Pid>, flags: c_int) -> ChildNews {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let (kind, id) = which.map_or((libc::P_ALL, 0), |pid| (libc::P_PID, pid.as_raw().cast_unsigned()));
    // SAFETY: `info` is live and zeroed, as waitid(2) asks of callers that use WNOHANG.
    let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags | libc::WNOHANG | libc::__WALL) };
    // SAFETY: all bytes of `info` are initialized: they are zero, or the kernel has written them. `si_pid` and
    // `si_status` read the members that waitid(2) fills in; both are integers, and 0 if there was nothing to report.
    let (pid, code, status) = unsafe {
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    match (result, pid) {
        (0, pid) if code == libc::CLD_TRAPPED => {
            if flags & libc::WNOWAIT != 0 {
                // Otherwise the next call would find only this child again.
                take_end(Some(Pid::from_raw(pid)));
            } else {
                release_traced(pid, status);
            }
            ChildNews::Nothing
        }
        (0, 0) => ChildNews::Nothing,
        (0, pid) => ChildNews::Changed(Pid::from_raw(pid), wait_status(code, status)),
        _ => ChildNews::NoChildren,
    }
}

/// Encodes what waitid(2) reports as waitpid(2) would report it.
fn wait_status(code: c_int, status: c_int) -> c_int {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        libc::CLD_STOPPED => status << 8 | 0x7f,
        libc::CLD_CONTINUED => 0xffff,
        // CLD_KILLED
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waitid_and_waitpid_report_the_same_status() {
        assert!(libc::WIFEXITED(wait_status(libc::CLD_EXITED, 7)));
        assert_eq!(libc::WEXITSTATUS(wait_status(libc::CLD_EXITED, 7)), 7);
        for code in [libc::CLD_KILLED, libc::CLD_DUMPED] {
            assert!(libc::WIFSIGNALED(wait_status(code, 64)));
            assert_eq!(libc::WTERMSIG(wait_status(code, 64)), 64);
        }
        assert!(libc::WIFSTOPPED(wait_status(libc::CLD_STOPPED, 20)));
        assert_eq!(libc::WSTOPSIG(wait_status(libc::CLD_STOPPED, 20)), 20);
        assert!(libc::WIFCONTINUED(wait_status(libc::CLD_CONTINUED, 18)));
    }
}
