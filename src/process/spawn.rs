//! Spawning: one child with nothing of ours in it. clone(2) with CLONE_VM|CLONE_VFORK, as posix_spawn(3)
//! does it: no page table is copied, and we go on only when the child has exec'ed or failed, so that a
//! signal can never reach a half-made child, and its error reaches us through shared memory.

#![expect(unsafe_code, reason = "clone(2), and raw system calls between clone and exec")]

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use nix::sched::CloneFlags;

use super::Pid;
use super::activation::{self, ListenPid};
use super::inherited::{Inherited, WorkingDir};
use super::not_executed::look_at;
use super::setup::{Setup, Step, errno};
use super::sys::{self, SIGSET_BYTES, SignalSet};
use crate::exit;
use bookend_lifecycle::signal::Signal;

/// What to run, and how.
#[derive(Debug)]
pub(crate) struct Spawn<'a> {
    /// Program and arguments; the program is looked up in `PATH` as execvp(3) does.
    pub(crate) command: &'a [OsString],
    /// Its environment.
    pub(crate) env: Env<'a>,
    /// Descriptors for the child: (ours, its number). Everything else of ours is close-on-exec.
    pub(crate) fds: &'a [(BorrowedFd<'a>, RawFd)],
    /// Where the child lives, and whether it gets the terminal that is our stdin, if there is one.
    pub(crate) home: Home,
    /// What the kernel sends the child should we die before it: PR_SET_PDEATHSIG.
    pub(crate) parent_death: Option<Signal>,
    /// Whether a `LISTEN_PID` that names us is to name the child (sd_listen_fds(3)).
    pub(crate) sockets: Sockets,
    /// What the child changes of itself.
    pub(crate) setup: &'a Setup,
}

/// The environment of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Env<'a> {
    /// What we were started with, to the byte.
    Inherited,
    /// All of it, and nothing else.
    Own(&'a [(OsString, OsString)]),
}

/// Where the child lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// It leads a process group of its own; the terminal stays as it is.
    Group,
    /// It leads a process group of its own, which gets the foreground of our stdin, if that is a terminal and ours
    /// to give: a background job steals nothing.
    Foreground,
    /// It leads a session of its own, whose controlling terminal our stdin becomes, if that is a free one.
    Session,
    /// Our own process group.
    Ours,
}

/// Whose the sockets are that systemd's socket activation passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// They were meant for us as the child's stand-in: they are the child's.
    Its,
    /// Not this child's.
    NotIts,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The kernel gave us no process: EAGAIN (pids limit), ENOMEM.
    #[error("cannot create a process for {program:?}{}", which_limit(source.raw_os_error()))]
    Clone {
        /// The program that was to run.
        program: OsString,
        /// EAGAIN or ENOMEM.
        #[source]
        source: io::Error,
    },
    /// The program could not be executed.
    #[error("cannot execute {program:?}{}", look_at(program, source.raw_os_error()))]
    Exec {
        /// The program as it was named.
        program: OsString,
        /// ENOENT, EACCES, ENOEXEC, ...
        #[source]
        source: io::Error,
    },
    /// The child could not be made what the configuration says.
    #[error("{key}: {what}")]
    SetUp {
        /// `app.user`, ...
        key: String,
        /// What could not be done.
        what: String,
        /// EPERM, ENOENT, ...
        #[source]
        source: io::Error,
    },
    /// An argument or a variable has a NUL byte in it, which no program could be given.
    #[error("cannot pass {0:?} to a program: it contains a NUL byte")]
    Nul(OsString),
}

/// "Resource temporarily unavailable" is true of no resource that a reader could name.
fn which_limit(errno: Option<i32>) -> &'static str {
    match errno {
        Some(libc::EAGAIN) => " (the container's pids limit, or ulimit -u, is reached)",
        _ => "",
    }
}

impl Spawn<'_> {
    /// Starts the child in a process group of its own. It has exec'ed when this returns.
    pub(crate) fn start(&self, inherited: &Inherited) -> Result<Pid, SpawnError> {
        let program = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let argv = self.command.iter().map(|arg| c_string(arg)).collect::<Result<Vec<_>, _>>()?;
        let activated = self.sockets == Sockets::Its && activation::names_us();
        let own_env = match self.env {
            Env::Inherited if !activated => None,
            Env::Inherited => Some(std::env::vars_os().map(|(key, value)| variable(&key, &value)).collect()),
            Env::Own(env) => Some(env.iter().map(|(key, value)| variable(key, value)).collect()),
        };
        let own_env: Option<Vec<CString>> = own_env.transpose()?;
        let listen_pid = ListenPid::new();
        let candidates = self.candidates(program)?;

        let argv_pointers = pointers(&argv);
        let mut own_env_pointers = own_env.as_deref().map(pointers);
        if let (true, Some(env), Some(pointers)) = (activated, &own_env, &mut own_env_pointers) {
            activation::correct(env, pointers, &listen_pid);
        }
        let envp = own_env_pointers.as_ref().map_or_else(sys::environ, |pointers| pointers.as_ptr().cast());
        // A closure may not capture a bare pointer across the clone; this one outlives the child's exec.
        let envp = AtomicPtr::new(envp.cast_mut());
        let (failure, failed_at) = (AtomicI32::new(0), AtomicI32::new(0));
        let dumpable = self.setup.identity.is_some().then(sys::dumpable);
        let mut stack = vec![0u8; STACK];
        let before = sys::set_mask(SignalSet::ALL);
        let child = Box::new(|| {
            let (step, error) = exec_in_child(self, inherited, &candidates, &argv_pointers, &envp, &listen_pid);
            failed_at.store(step, Ordering::SeqCst);
            failure.store(error, Ordering::SeqCst);
            isize::from(exit_code(step, error))
        });
        let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        // SAFETY: the child runs on its own stack while we are suspended (CLONE_VFORK); until it execs or
        // exits it makes only system calls, allocates nothing and takes no lock. All signals are blocked
        // around it, so no handler of ours can run in it.
        let cloned = unsafe { nix::sched::clone(child, &mut stack, flags, Some(libc::SIGCHLD)) };
        sys::set_mask(before);
        if let Some(dumpable) = dumpable {
            // Another user in our memory made it undumpable (prctl(2)), and /proc/self unreadable with it.
            sys::set_dumpable(dumpable);
        }

        let program = || program.to_owned();
        let pid = cloned.map_err(|errno| SpawnError::Clone { program: program(), source: errno.into() })?;
        match failure.load(Ordering::SeqCst) {
            0 => Ok(pid),
            errno => {
                let source = io::Error::from_raw_os_error(errno);
                Err(match failed_at.load(Ordering::SeqCst) {
                    step if step == Step::Exec as i32 => SpawnError::Exec { program: program(), source },
                    step => self.setup.error(step, source),
                })
            }
        }
    }

    /// The paths to try, in order: the program itself if it has a slash, else each directory of `PATH`.
    fn candidates(&self, program: &OsStr) -> Result<Vec<CString>, SpawnError> {
        if program.as_bytes().contains(&b'/') {
            return Ok(vec![c_string(program)?]);
        }
        if program.is_empty() {
            // execvp(3): ENOENT.
            return Ok(Vec::new());
        }
        let path = match self.env {
            Env::Inherited => std::env::var_os("PATH"),
            Env::Own(env) => env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone()),
        };
        path.as_deref()
            .unwrap_or(OsStr::new(DEFAULT_PATH))
            .as_bytes()
            .split(|byte| *byte == b':')
            .map(|dir| {
                let dir = if dir.is_empty() { b".".as_slice() } else { dir };
                c_string(OsStr::from_bytes(&[dir, b"/", program.as_bytes()].concat()))
            })
            .collect()
    }
}

/// The child's own exit code where it could not be executed. Nobody sees it where we know the reason; under qemu-user,
/// which makes a fork(2) of the clone, the reason stays in the child's memory, and this is all there is.
fn exit_code(step: i32, error: i32) -> u8 {
    match error {
        _ if step != Step::Exec as i32 => exit::BOOKEND_FAILED,
        libc::ENOENT | libc::ENOTDIR => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    }
}

/// The last thing the child does as a copy of us. Returns only if it fails, with the step and the errno.
///
/// Runs between clone and exec in our memory: system calls only (signal-safety(7)).
fn exec_in_child(
    spawn: &Spawn<'_>,
    inherited: &Inherited,
    candidates: &[CString],
    argv: &[AtomicPtr<libc::c_char>],
    envp: &AtomicPtr<*const libc::c_char>,
    listen_pid: &ListenPid,
) -> (i32, i32) {
    // SAFETY: plain numbers, live descriptors and NUL-terminated arrays of NUL-terminated strings that
    // outlive the child's use of them, since our own thread is suspended until exec.
    unsafe {
        // No terminal (ENOTTY), not ours (EPERM), gone (EIO, ENXIO): no error. SIGTTOU is blocked.
        match spawn.home {
            Home::Group => drop(libc::setpgid(0, 0)),
            Home::Foreground => {
                let is_ours = libc::tcgetpgrp(0) == libc::getpgrp();
                libc::setpgid(0, 0);
                if is_ours {
                    libc::tcsetpgrp(0, libc::getpid());
                }
            }
            Home::Session => {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
            }
            Home::Ours => {}
        }
        listen_pid.fill(libc::getpid());
        if inherited.sigchld_ignored {
            sys::set_disposition(Signal::CHLD, true);
        }
        for &(signal, ignored) in &inherited.ignored {
            sys::set_disposition(signal, ignored);
        }
        match &inherited.working_dir {
            WorkingDir::Ours => {}
            WorkingDir::Open(dir) => drop(libc::fchdir(dir.as_raw_fd())),
            WorkingDir::Named(path) => drop(libc::chdir(path.as_ptr())),
        }
        for (ours, number) in spawn.fds {
            if ours.as_raw_fd() == *number {
                libc::fcntl(*number, libc::F_SETFD, 0);
            } else if libc::dup2(ours.as_raw_fd(), *number) < 0 {
                return (Step::Exec as i32, errno());
            }
        }
        if let Err((step, error)) = spawn.setup.apply() {
            return (step, error);
        }
        // After everything that changes credentials, which would clear it (prctl(2)).
        if let Some(signal) = spawn.parent_death {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0);
            if libc::getppid() != inherited.pid.as_raw() {
                // We died in between: the kernel had nobody to tell yet.
                libc::kill(libc::getpid(), signal.number());
            }
        }
        let none = std::ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, inherited.mask.as_ptr(), none, SIGSET_BYTES);
        let mut error = libc::ENOENT;
        for candidate in candidates {
            libc::execve(candidate.as_ptr(), argv.as_ptr().cast(), envp.load(Ordering::SeqCst));
            match errno() {
                // Not here; perhaps in the next directory (execvp(3)).
                libc::ENOENT | libc::ENOTDIR => {}
                // Remembered, but a later directory may have one that can be executed.
                libc::EACCES => error = libc::EACCES,
                other => return (Step::Exec as i32, other),
            }
        }
        (Step::Exec as i32, error)
    }
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError::Nul(text.to_owned()))
}

fn variable(key: &OsStr, value: &OsStr) -> Result<CString, SpawnError> {
    // The value stays out of the error: it may be a secret.
    CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).map_err(|_| SpawnError::Nul(key.to_owned()))
}

/// A NULL-terminated array as execve(2) takes it. `AtomicPtr` has the layout of a pointer, and may be
/// captured by the child's closure.
fn pointers(strings: &[CString]) -> Vec<AtomicPtr<libc::c_char>> {
    let ends = std::iter::once(AtomicPtr::new(std::ptr::null_mut()));
    strings.iter().map(|string| AtomicPtr::new(string.as_ptr().cast_mut())).chain(ends).collect()
}

/// The child needs a few hundred bytes; untouched pages of the rest cost nothing.
const STACK: usize = 32 * 1024;
/// Where programs are looked for without a `PATH`: what containerd and docker set, too.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn a_null_pointer_ends_what_execve_reads() {
        let strings = [c"sh", c"-c", c""].map(CString::from);
        let argv = pointers(&strings);
        // As it is given to execve(2).
        let mut entry = argv.as_ptr().cast::<*const libc::c_char>();
        let mut seen = Vec::new();
        // SAFETY: a null pointer ends it; until then the strings are NUL-terminated, and live.
        unsafe {
            while !(*entry).is_null() {
                seen.push(CStr::from_ptr(*entry).to_owned());
                entry = entry.add(1);
            }
        }
        assert_eq!(seen, strings);
    }
}
