//! The child between clone(2) and execve(2). All code that runs there stands here and in `process::setup`: only
//! async-signal-safe calls, and no allocation (signal-safety(7)).
//!
//! All signals are blocked until just before execve(2), and none of our handlers is left: a signal that we send meanwhile
//! acts as on the program.

#![expect(unsafe_code, reason = "raw system calls between clone(2) and execve(2)")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::exec_status::encode;
use super::image::{Image, SHELL};
use crate::exit;
use crate::process::inherited::{Inherited, WorkingDir};
use crate::process::placement::ProcessPlacement;
use crate::process::setup::{ChildSetup, ChildStep};
use crate::process::sys::{self, SIGSET_BYTES, errno};
use bookend_lifecycle::signal::Signal;

/// Everything that a child needs until it executes its program.
pub(super) struct Child<'a> {
    pub(super) image: &'a Image,
    pub(super) inherited: &'a Inherited,
    pub(super) fds: &'a [(BorrowedFd<'a>, RawFd)],
    pub(super) placement: ProcessPlacement,
    pub(super) parent_death: Option<Signal>,
    pub(super) setup: &'a ChildSetup,
    /// The number of the child's end of the pipe, or -1. In the child it is open also when we have closed ours.
    pub(super) report: RawFd,
    /// Whether the kernel kills it if it has not executed its program after [`EXPIRY`].
    pub(super) expires: bool,
}

/// The child's first function. It executes the program, or reports the failure and ends.
pub(super) extern "C" fn child_main(child: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone` passes a pointer to a live `Child`, which nothing changes meanwhile.
    let child = unsafe { &*child.cast_const().cast::<Child<'_>>() };
    if child.expires {
        expire();
    }
    let (step, error) = exec(child);
    end_in_child(child.report, step, error)
}

/// Lets the kernel kill this process after [`EXPIRY`], unless it has executed its program: execve(2) deletes timers.
/// If the kernel refuses the timer, our parent kills it.
fn expire() {
    let mut timer: libc::c_int = 0;
    // SAFETY: a sigevent consists of integers and pointers, for which zeroes are valid.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = libc::SIGKILL;
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let time = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(EXPIRY.subsec_nanos().cast_signed()) };
    let time = libc::itimerspec { it_interval: never, it_value: time };
    // SAFETY: the raw calls, which are async-signal-safe. The event, the time and the timer's number, for the kernel an
    // int, are live and in the kernel's layout. The number is read only if the first call has written it.
    unsafe {
        if libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) == 0 {
            libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const time, ptr::null_mut::<libc::itimerspec>());
        }
    }
}

/// The last thing the child does as a copy of us. Returns only if it fails, with the step and the errno.
fn exec(child: &Child<'_>) -> (i32, i32) {
    let Child { image, inherited, .. } = *child;
    place(child.placement);
    if let Some(listen_pid) = &image.listen_pid {
        // SAFETY: getpid(2) takes nothing and cannot fail.
        listen_pid.fill(unsafe { libc::getpid() });
    }
    if inherited.sigchld_ignored {
        sys::set_disposition(Signal::CHLD, true);
    }
    for &(signal, ignored) in &inherited.ignored {
        sys::set_disposition(signal, ignored);
    }
    // The directory may be gone, or we may have no permission to enter it: then the child stays in `/`.
    match &inherited.working_dir {
        WorkingDir::Ours => {}
        // SAFETY: `dir` is an open descriptor.
        WorkingDir::Open(dir) => drop(unsafe { libc::fchdir(dir.as_raw_fd()) }),
        // SAFETY: `path` is a live NUL-terminated string.
        WorkingDir::Named(path) => drop(unsafe { libc::chdir(path.as_ptr()) }),
    }
    for (ours, number) in child.fds {
        // SAFETY: both calls take integers; `ours` is open. The numbers that `fds` name are overwritten on purpose.
        let result = unsafe {
            if ours.as_raw_fd() == *number {
                libc::fcntl(*number, libc::F_SETFD, 0)
            } else {
                libc::dup2(ours.as_raw_fd(), *number)
            }
        };
        if result < 0 {
            return (ChildStep::Exec as i32, errno());
        }
    }
    // SAFETY: we are between clone and exec.
    if let Err((step, error)) = unsafe { child.setup.apply() } {
        return (step, error);
    }
    // This follows all changes of credentials, because they would clear the parent death signal (prctl(2)).
    if let Some(signal) = child.parent_death {
        // SAFETY: all four calls take integers or nothing.
        unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0) < 0 {
                return (ChildStep::ParentDeath as i32, errno());
            }
            if libc::getppid() != inherited.pid.as_raw() {
                // Our parent died before the prctl(2): the kernel sends nothing any more.
                libc::kill(libc::getpid(), signal.number());
            }
        }
    }
    // SAFETY: `mask` is a live u64, null asks for no old mask, and the size is that of a u64.
    unsafe {
        let null = ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, inherited.mask.as_ptr(), null, SIGSET_BYTES);
    }
    (ChildStep::Exec as i32, exec_first(image))
}

/// Moves the child to its session, process group and terminal. It runs in spite of errors: there may be no
/// terminal (ENOTTY), it may be another session's (EPERM) or gone (EIO, ENXIO). SIGTTOU is blocked.
fn place(placement: ProcessPlacement) {
    // SAFETY: all of these calls take integers.
    unsafe {
        match placement {
            ProcessPlacement::BackgroundGroup => drop(libc::setpgid(0, 0)),
            ProcessPlacement::ForegroundGroup => {
                // Our parent may have moved us already, so the group that has the foreground is compared with its.
                let is_ours = libc::tcgetpgrp(0) == libc::getpgid(libc::getppid());
                libc::setpgid(0, 0);
                if is_ours {
                    libc::tcsetpgrp(0, libc::getpid());
                }
            }
            ProcessPlacement::Session => {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
            }
            ProcessPlacement::OurGroup => {}
        }
    }
}

/// Executes the first candidate that can be executed, as execvp(3) does. Returns the errno if no candidate can be.
fn exec_first(image: &Image) -> i32 {
    let envp = image.own_envp.as_ref().map_or_else(sys::environ, |envp| envp.as_ptr());
    let (mut error, mut is_forbidden) = (libc::ENOENT, false);
    for candidate in &image.candidates {
        // SAFETY: a NUL-terminated path and null-terminated arrays of NUL-terminated strings, which `image` owns.
        unsafe { libc::execve(candidate.as_ptr(), image.argv.as_ptr(), envp) };
        error = errno();
        if error == libc::ENOEXEC && !is_elf(candidate) {
            error = exec_script(image, candidate, envp);
        }
        match error {
            // Not in this directory; perhaps in the next one.
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            // Remembered, but a later directory may have a program that can be executed.
            libc::EACCES => is_forbidden = true,
            _ => return error,
        }
    }
    if is_forbidden { libc::EACCES } else { error }
}

/// A text without `#!` is a script of /bin/sh. Returns only if that fails: with ENOEXEC in an image without a shell.
fn exec_script(image: &Image, script: &CStr, envp: *const *const libc::c_char) -> i32 {
    if let Some(place) = image.shell_argv.get(1) {
        place.set(script.as_ptr());
    }
    // SAFETY: a Cell has the layout of its pointer. The array is null-terminated; every string in it is live and
    // NUL-terminated, and so is the path.
    unsafe { libc::execve(SHELL.as_ptr(), image.shell_argv.as_ptr().cast(), envp) };
    if errno() == libc::ENOENT { libc::ENOEXEC } else { errno() }
}

/// Whether the file is a program for another machine, which a shell would misread as text.
fn is_elf(path: &CStr) -> bool {
    let mut magic = [0u8; 4];
    // SAFETY: a live NUL-terminated path and integers.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK) };
    if file < 0 {
        return false;
    }
    // SAFETY: `file` is open, and `magic` is live and has that many bytes.
    let read = unsafe { libc::read(file, magic.as_mut_ptr().cast(), magic.len()) };
    // SAFETY: `file` was opened above, and nothing else uses it.
    unsafe { libc::close(file) };
    read == 4 && magic == *b"\x7fELF"
}

/// Reports the failure to the parent and ends the child.
fn end_in_child(report: RawFd, step: i32, error: i32) -> ! {
    let bytes = encode([step, error]);
    // SAFETY: `report` is open, or -1, which write(2) refuses; `bytes` is live and has that many bytes. _exit(2) runs none of our destructors.
    unsafe {
        libc::write(report, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(i32::from(exit_code(step, error)));
    }
}

/// The child's own exit code if it could not be executed: what the parent reports if it cannot read the pipe.
fn exit_code(step: i32, error: i32) -> u8 {
    match error {
        _ if step != ChildStep::Exec as i32 => exit::BOOKEND_FAILED,
        libc::ENOENT | libc::ENOTDIR => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    }
}

/// How long a child that shares our memory has to execute its program.
pub(super) const EXPIRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::ffi::{CString, OsString};

    use super::*;
    use crate::process::spawn::{ActivationSockets, ChildEnv};

    #[test]
    fn a_null_pointer_ends_the_array_for_execve() {
        let command = ["sh", "-c", ""].map(OsString::from);
        let image = Image::prepare(&command, ChildEnv::Only(&[]), ActivationSockets::NotForChild).unwrap();
        let mut entry = image.argv.as_ptr();
        let mut seen = Vec::new();
        // SAFETY: a null pointer ends the array; until then the strings are live and NUL-terminated.
        unsafe {
            while !(*entry).is_null() {
                seen.push(CStr::from_ptr(*entry).to_owned());
                entry = entry.add(1);
            }
        }
        assert_eq!(seen, [c"sh", c"-c", c""].map(CString::from));
    }
}
