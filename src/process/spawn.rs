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
use super::inherited::Inherited;
use super::sys::{self, SIGSET_BYTES, SignalSet};
use super::user::Identity;

/// What to run, and how.
#[derive(Debug)]
pub(crate) struct Spawn<'a> {
    /// Program and arguments; the program is looked up in `PATH` as execvp(3) does.
    pub(crate) command: &'a [OsString],
    /// Its environment.
    pub(crate) env: Env<'a>,
    /// Descriptors for the child: (ours, its number). Everything else of ours is close-on-exec.
    pub(crate) fds: &'a [(BorrowedFd<'a>, RawFd)],
    /// Give the child's process group the terminal that is our stdin, if there is one.
    pub(crate) terminal: Terminal,
    /// What the child changes of itself.
    pub(crate) setup: &'a Setup,
}

/// What a child changes of itself before it executes its program; the default changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// The configuration's table, for errors: `app`, `exec`.
    pub(crate) table: &'static str,
    /// `user`.
    pub(crate) identity: Option<Identity>,
    /// `workingDir`.
    pub(crate) working_dir: Option<CString>,
}

/// A step of a child's set-up that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Step {
    Exec = 0,
    User,
    WorkingDir,
}

/// The environment of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Env<'a> {
    /// What we were started with, to the byte.
    Inherited,
    /// All of it, and nothing else.
    Own(&'a [(OsString, OsString)]),
}

/// Whether the child gets the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Its process group becomes the foreground group of our stdin, if that is a terminal.
    Take,
    /// It stays as it is.
    Leave,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The kernel gave us no process: EAGAIN (pids limit), ENOMEM.
    #[error("cannot create a process for {program:?}")]
    Clone {
        /// The program that was to run.
        program: OsString,
        /// EAGAIN or ENOMEM.
        #[source]
        source: io::Error,
    },
    /// The program could not be executed.
    #[error("cannot execute {program:?}")]
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

impl Spawn<'_> {
    /// Starts the child in a process group of its own. It has exec'ed when this returns.
    pub(crate) fn start(&self, inherited: &Inherited) -> Result<Pid, SpawnError> {
        let program = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let argv = self.command.iter().map(|arg| c_string(arg)).collect::<Result<Vec<_>, _>>()?;
        let own_env = match self.env {
            Env::Inherited => None,
            Env::Own(env) => Some(env.iter().map(|(key, value)| variable(key, value)).collect::<Result<Vec<_>, _>>()?),
        };
        let candidates = self.candidates(program)?;

        let argv_pointers = pointers(&argv);
        let own_env_pointers = own_env.as_deref().map(pointers);
        let envp = own_env_pointers.as_ref().map_or_else(sys::environ, |pointers| pointers.as_ptr().cast());
        // A closure may not capture a bare pointer across the clone; this one outlives the child's exec.
        let envp = AtomicPtr::new(envp.cast_mut());
        let (failure, failed_at) = (AtomicI32::new(0), AtomicI32::new(0));
        let dumpable = self.setup.identity.is_some().then(sys::dumpable);
        let mut stack = vec![0u8; STACK];
        let before = sys::set_mask(SignalSet::ALL);
        let child = Box::new(|| {
            let (step, error) = exec_in_child(self, inherited, &candidates, &argv_pointers, &envp);
            failed_at.store(step as i32, Ordering::SeqCst);
            failure.store(error, Ordering::SeqCst);
            127
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
                Err(match Step::of(failed_at.load(Ordering::SeqCst)) {
                    Step::Exec => SpawnError::Exec { program: program(), source },
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

impl Step {
    const ALL: [Step; 3] = [Step::Exec, Step::User, Step::WorkingDir];

    fn of(number: i32) -> Step {
        Step::ALL.into_iter().find(|step| *step as i32 == number).unwrap_or(Step::Exec)
    }
}

impl Setup {
    /// The error of a step, with the key that asked for it.
    fn error(&self, step: Step, source: io::Error) -> SpawnError {
        let (key, what) = match step {
            Step::Exec => ("command", "cannot be executed".to_owned()),
            Step::User => {
                ("user", self.identity.as_ref().map_or_else(String::new, |who| format!("cannot become {who}")))
            }
            Step::WorkingDir => {
                let dir = self.working_dir.as_deref().map(|dir| dir.to_string_lossy().into_owned());
                ("workingDir", format!("cannot enter {}", dir.unwrap_or_default()))
            }
        };
        SpawnError::SetUp { key: format!("{}.{key}", self.table), what, source }
    }
}

/// Becomes another user, for good. The raw calls: those of the C library speak to all threads of the process,
/// and our memory is our parent's. Groups first, since an ordinary user may not change them.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn become_user(who: &Identity) -> Result<(), i32> {
    // SAFETY: plain numbers, and a live array of as many gids as said.
    unsafe {
        let ours = libc::syscall(libc::SYS_geteuid) == libc::c_long::from(who.uid)
            && libc::syscall(libc::SYS_getegid) == libc::c_long::from(who.gid);
        if ours && who.uid != 0 {
            // Already so, by the runtime: without privileges nothing else could be done.
            return Ok(());
        }
        let (uid, gid) = (who.uid, who.gid);
        if libc::syscall(libc::SYS_setgroups, who.groups.len(), who.groups.as_ptr()) < 0
            || libc::syscall(libc::SYS_setresgid, gid, gid, gid) < 0
            || libc::syscall(libc::SYS_setresuid, uid, uid, uid) < 0
        {
            return Err(errno());
        }
    }
    Ok(())
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
) -> (Step, i32) {
    // SAFETY: plain numbers, live descriptors and NUL-terminated arrays of NUL-terminated strings that
    // outlive the child's use of them, since our own thread is suspended until exec.
    unsafe {
        libc::setpgid(0, 0);
        if spawn.terminal == Terminal::Take {
            // No terminal (ENOTTY), not ours (EPERM), gone (EIO, ENXIO): no error. SIGTTOU is blocked.
            libc::tcsetpgrp(0, libc::getpid());
        }
        if inherited.sigchld_ignored {
            sys::set_disposition(crate::signal::Signal::CHLD, true);
        }
        for &(signal, ignored) in &inherited.ignored {
            sys::set_disposition(signal, ignored);
        }
        if let Some(dir) = &inherited.working_dir {
            libc::fchdir(dir.as_raw_fd());
        }
        for (ours, number) in spawn.fds {
            if ours.as_raw_fd() == *number {
                libc::fcntl(*number, libc::F_SETFD, 0);
            } else if libc::dup2(ours.as_raw_fd(), *number) < 0 {
                return (Step::Exec, errno());
            }
        }
        // The order is that of what each needs: the directory is entered as the user who is to work there.
        if let Some(who) = &spawn.setup.identity
            && let Err(error) = become_user(who)
        {
            return (Step::User, error);
        }
        if let Some(dir) = &spawn.setup.working_dir
            && libc::chdir(dir.as_ptr()) < 0
        {
            return (Step::WorkingDir, errno());
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
                other => return (Step::Exec, other),
            }
        }
        (Step::Exec, error)
    }
}

fn errno() -> i32 {
    nix::errno::Errno::last_raw()
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
