//! Spawning: one child with nothing of ours left in it. clone(2), then only system calls, then execve(2). One file, so that all code
//! that runs between clone and execve stands together. A failure comes back through a pipe that execve(2) closes ([`ExecStatus`]).
//!
//! A lease on the program's file, a file system that hangs, a SIGSTOP at the wrong moment: each can keep a child from
//! executing its program. None of them may block bookend.
//!
//! | start            | the child's memory        | we                                                              |
//! | ---------------- | ------------------------- | --------------------------------------------------------------- |
//! | `start`          | a copy, as with fork(2)    | go on at once                                                   |
//! | `start_promptly` | ours                      | wait, usually less than 0.1 ms, and save the copy, some 0.05 ms |
//!
//! The second one is for the app. We wait until its child has executed its program. The child kills itself if that takes too
//! long ([`EXPIRY`]), and the app is started in the first way. We wait in poll(2), and not as vfork(2) does: a FUSE server that
//! has taken a request and hangs holds a child that not even SIGKILL ends, and must not hold us.
//!
//! All signals are blocked in the child until just before execve(2), and none of our handlers is left: a signal that we
//! send meanwhile acts as on the program.

#![expect(unsafe_code, reason = "clone(2), and raw system calls between it and execve(2)")]

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, setpgid};

use super::Pid;
use super::activation::{self, ListenPid};
use super::inherited::{Inherited, WorkingDir};
use super::placement::ProcessPlacement;
use super::setup::{ChildSetup, ChildStep};
use super::spawn_error::SpawnError;
use super::sys::{self, ChildNews, SIGSET_BYTES, SignalSet, errno};
use crate::exit;
use bookend_lifecycle::signal::Signal;

/// A program to run, and how.
#[derive(Debug)]
pub(crate) struct Spawn<'a> {
    /// Program and arguments; the program is looked up in `PATH` as execvp(3) does.
    pub(crate) command: &'a [OsString],
    /// Its environment.
    pub(crate) env: ChildEnv<'a>,
    /// Descriptors for the child: (ours, its number). Everything else of ours is close-on-exec.
    pub(crate) fds: &'a [(BorrowedFd<'a>, RawFd)],
    /// Its session, process group and terminal.
    pub(crate) placement: ProcessPlacement,
    /// The signal that the kernel sends the child if we die before it: PR_SET_PDEATHSIG.
    pub(crate) parent_death: Option<Signal>,
    /// Whether the sockets of systemd's socket activation are the child's.
    pub(crate) sockets: ActivationSockets,
    /// The changes that the child makes to itself.
    pub(crate) setup: Arc<ChildSetup>,
}

/// The environment of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChildEnv<'a> {
    /// The environment that we were started with, byte for byte.
    Inherited,
    /// These variables and no others.
    Only(&'a [(OsString, OsString)]),
}

/// The user of the sockets that systemd's socket activation passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActivationSockets {
    /// The child: a `LISTEN_PID` that names us is changed to name the child (sd_listen_fds(3)).
    ForChild,
    /// A process other than this child.
    NotForChild,
}

/// A child that may not have executed its program yet.
#[derive(Debug)]
pub(crate) struct StartedChild {
    pub(crate) pid: Pid,
    pub(crate) exec: ExecStatus,
}

/// Tells whether a child has executed its program: our end of a pipe that execve(2) closes.
#[derive(Debug)]
pub(crate) struct ExecStatus {
    /// `None`: no descriptor was left for it. The child's exit code then tells whether its program could be executed.
    pipe: Option<OwnedFd>,
    program: OsString,
    setup: Arc<ChildSetup>,
}

/// The progress of a child towards its program.
#[derive(Debug)]
pub(crate) enum ExecProgress {
    /// It executes its program, or was killed before it could.
    Executed,
    /// It has neither executed its program nor failed yet.
    Pending,
    /// It could not execute its program, and has ended or is about to end.
    Failed(SpawnError),
}

impl ExecStatus {
    /// Looks without waiting.
    pub(crate) fn look(&self) -> ExecProgress {
        let Some(pipe) = &self.pipe else { return ExecProgress::Executed };
        let mut report = [0; REPORT_BYTES];
        match nix::unistd::read(pipe, &mut report) {
            Ok(REPORT_BYTES) => {
                let [step, error] = decode(report);
                ExecProgress::Failed(self.error(step, io::Error::from_raw_os_error(error)))
            }
            Ok(_) => ExecProgress::Executed,
            // EAGAIN, EINTR
            Err(_) => ExecProgress::Pending,
        }
    }

    /// Waits for at most this long.
    pub(crate) fn wait(&self, most: Duration) -> ExecProgress {
        let Some(pipe) = &self.pipe else { return ExecProgress::Executed };
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        // Interrupted or timed out: `look` finds out.
        let _ = poll(&mut fds, PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX));
        self.look()
    }

    fn error(&self, step: i32, source: io::Error) -> SpawnError {
        match step {
            step if step == ChildStep::Exec as i32 => SpawnError::Exec { program: self.program.clone(), source },
            step => self.setup.error(step, source),
        }
    }
}

impl Spawn<'_> {
    /// Starts the child. It may not have executed its program yet when this returns.
    pub(crate) fn start(&self, inherited: &Inherited) -> Result<StartedChild, SpawnError> {
        self.launch(inherited, ChildMemory::Copied).map(|(child, _)| child)
    }

    /// Starts the child and waits until it has executed its program or failed, but not for much longer than [`EXPIRY`].
    /// Called while no other child shares our memory and no child is waited for.
    pub(crate) fn start_promptly(&self, inherited: &Inherited) -> Result<StartedChild, SpawnError> {
        // Another user in our memory would make it undumpable (prctl(2)), and /proc/self unreadable with it. An OOM score is
        // that of all processes that share memory.
        if self.setup.identity.is_some() || self.setup.oom_score_adj.is_some() {
            return self.start(inherited);
        }
        match self.launch(inherited, ChildMemory::Shared) {
            Ok((_, Leaving::TooLate)) => self.start(inherited),
            Ok((child, _)) => Ok(child),
            // An emulator that knows vfork(2) alone.
            Err(SpawnError::Clone { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => {
                self.start(inherited)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the child. One that shares our memory is waited for, and how it has left it is returned, too.
    fn launch(&self, inherited: &Inherited, memory: ChildMemory) -> Result<(StartedChild, Leaving), SpawnError> {
        let program = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let image = Image::prepare(self, program)?;
        // Without a descriptor for it the child starts all the same, and its exit code tells what failed.
        let pipe = report_pipe();
        let (pipe, report) = pipe.map_or((None, None), |(ours, childs)| (Some(ours), Some(childs)));
        let memory = if pipe.is_some() { memory } else { ChildMemory::Copied };

        let number = report.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let child = Child { spawn: self, inherited, image: &image, report: number, memory };
        let before = sys::set_mask(SignalSet::ALL);
        let mut stack = ChildStack::new();
        // Before the child sets its timer.
        let began = Instant::now();
        let cloned = clone(&child, &mut stack);
        // Nothing but this may come first: a child that shares our memory runs beside us.
        let leaving = match (&cloned, memory) {
            (Ok(pid), ChildMemory::Shared) => wait_for_leaving(*pid, began, pipe.as_ref(), report),
            _ => Leaving::Executed,
        };
        if leaving != Leaving::Executed {
            // The child may still use it.
            std::mem::forget(stack);
        }
        sys::set_mask(before);
        let pid = cloned.map_err(|source| SpawnError::Clone { program: program.to_owned(), source })?;
        if matches!(self.placement, ProcessPlacement::ForegroundGroup | ProcessPlacement::BackgroundGroup) {
            // The child does the same. Whichever process is first, a signal to the group reaches it from now on. EACCES: the
            // child has executed its program, and so has done it. ESRCH: it has ended, or was killed.
            let _ = setpgid(pid, pid);
        }
        let exec = ExecStatus { pipe, program: program.to_owned(), setup: Arc::clone(&self.setup) };
        Ok((StartedChild { pid, exec }, leaving))
    }

    /// The paths to try, in order: the program itself if it has a slash, else in each directory of `PATH`.
    fn candidates(&self, program: &OsStr) -> Result<Vec<CString>, SpawnError> {
        if program.as_bytes().contains(&b'/') {
            return Ok(vec![c_string(program)?]);
        }
        if program.is_empty() {
            // ENOENT, as with execvp(3).
            return Ok(Vec::new());
        }
        let path = match self.env {
            ChildEnv::Inherited => std::env::var_os("PATH"),
            ChildEnv::Only(env) => env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone()),
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

/// The memory of a child until it executes its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChildMemory {
    /// A copy of ours.
    Copied,
    /// Ours; we do nothing but wait meanwhile.
    Shared,
}

/// Everything that a child needs until it executes its program.
struct Child<'a> {
    spawn: &'a Spawn<'a>,
    inherited: &'a Inherited,
    image: &'a Image,
    /// The number of the child's end of the pipe, or -1. In the child it is open also when we have closed ours.
    report: RawFd,
    memory: ChildMemory,
}

/// u128: the alignment that every calling convention asks of a stack.
struct ChildStack(Vec<u128>);

impl ChildStack {
    fn new() -> ChildStack {
        ChildStack(vec![0; STACK / size_of::<u128>()])
    }
}

/// Makes the child. All signals are blocked.
fn clone(child: &Child<'_>, stack: &mut ChildStack) -> io::Result<Pid> {
    let flags = match child.memory {
        ChildMemory::Copied => libc::SIGCHLD,
        ChildMemory::Shared => libc::SIGCHLD | libc::CLONE_VM,
    };
    let top = stack.0.as_mut_ptr_range().end;
    // SAFETY: the child runs `child_main` on a stack of its own, which grows down from `top`, with a pointer to a live
    // `Child`. With a copy of our memory nothing that it does reaches us. With our own memory the caller does nothing but
    // wait until it has executed its program, has ended or is about to end, or has a SIGKILL that lets it run no further
    // instruction of its own ([`wait_for_leaving`]): so `Child` lives long enough. The caller frees the stack only in the
    // first of these cases. The child changes errno, the digits of LISTEN_PID and a script's path, and we read none of them
    // afterwards. Other threads may exist and hold locks: `child_main` calls only async-signal-safe functions, and allocates
    // nothing. No handler of ours can run in it: all signals are blocked, and it resets the handlers before it unblocks them.
    let pid = unsafe { libc::clone(child_main, top.cast(), flags, ptr::from_ref(child).cast_mut().cast()) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(Pid::from_raw(pid)) }
}

/// How a child has left our memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Executed,
    /// It has reported why it cannot, and ends.
    Failed,
    /// It was killed before it could. Something may still hold it in the kernel.
    TooLate,
}

/// Waits until a child that shares our memory has left it. Reads no errno: the child may change ours meanwhile.
fn wait_for_leaving(pid: Pid, began: Instant, pipe: Option<&OwnedFd>, report: Option<OwnedFd>) -> Leaving {
    // Otherwise the pipe would not reach its end.
    drop(report);
    let mut fd = libc::pollfd { fd: pipe.map_or(-1, AsRawFd::as_raw_fd), events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd, and the pipe is open; poll(2) leaves out a number of -1.
    unsafe { libc::poll(&raw mut fd, 1, LONGEST_WAIT) };
    if fd.revents & libc::POLLIN != 0 {
        return Leaving::Failed;
    }
    let has_left = fd.revents & libc::POLLHUP != 0;
    if has_left && (began.elapsed() < EXPIRY || !has_expired(pid)) {
        return Leaving::Executed;
    }
    if !has_left {
        // The kernel has refused the timer, or the child waits in a call that nothing interrupts.
        let _ = sys::send(pid, Signal::KILL);
        pause(Duration::from_millis(1));
    }
    Leaving::TooLate
}

/// The child's first function. It executes the program, or reports the failure and ends.
extern "C" fn child_main(child: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone` passes a pointer to a live `Child`, which nothing changes meanwhile.
    let child = unsafe { &*child.cast_const().cast::<Child<'_>>() };
    if child.memory == ChildMemory::Shared {
        expire();
    }
    let (step, error) = exec_in_child(child.spawn, child.inherited, child.image);
    end_in_child(child.report, step, error)
}

/// Lets the kernel kill this process after [`EXPIRY`], unless it has executed its program: execve(2) deletes timers.
/// If the kernel refuses the timer, [`wait_for_leaving`] kills it.
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

/// Whether the child was killed before it had executed its program, and takes its status then.
fn has_expired(pid: Pid) -> bool {
    // The child has left our memory, and soon becomes a zombie. A program that was executed in time is not a zombie.
    for _ in 0..20 {
        if let ChildNews::Changed(_, status) = sys::peek_end(Some(pid)) {
            let is_killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
            return is_killed && sys::take_end(Some(pid)) != ChildNews::Nothing;
        }
        pause(Duration::from_millis(1));
    }
    false
}

#[expect(clippy::disallowed_methods, reason = "at most twenty times, after a start that took too long")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Everything that execve(2) needs, made before the clone: the child must not allocate.
struct Image {
    candidates: Vec<CString>,
    /// Owns what `argv` and `shell_argv` point to.
    _args: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    /// `/bin/sh`, a place for the script's path, the arguments: for a script without `#!`.
    shell_argv: Vec<Cell<*const libc::c_char>>,
    /// Owns what `own_envp` points to.
    _own_env: Option<Vec<CString>>,
    own_envp: Option<Vec<*const libc::c_char>>,
    listen_pid: Option<ListenPid>,
}

impl Image {
    fn prepare(spawn: &Spawn<'_>, program: &OsStr) -> Result<Image, SpawnError> {
        let args = spawn.command.iter().map(|arg| c_string(arg)).collect::<Result<Vec<_>, _>>()?;
        let activated = spawn.sockets == ActivationSockets::ForChild && activation::names_us();
        let own_env = match spawn.env {
            ChildEnv::Inherited if !activated => None,
            ChildEnv::Inherited => Some(std::env::vars_os().map(|(key, value)| variable(&key, &value)).collect()),
            ChildEnv::Only(env) => Some(env.iter().map(|(key, value)| variable(key, value)).collect()),
        };
        let own_env: Option<Vec<CString>> = own_env.transpose()?;
        let mut own_envp = own_env.as_deref().map(pointers);
        let listen_pid = activated.then(ListenPid::new);
        if let (Some(listen_pid), Some(env), Some(envp)) = (&listen_pid, &own_env, &mut own_envp) {
            activation::correct(env, envp, listen_pid);
        }
        let argv = pointers(&args);
        let script_args = argv.iter().skip(1).copied().chain([ptr::null()]);
        let shell_argv = [SHELL.as_ptr(), ptr::null()].into_iter().chain(script_args).map(Cell::new).collect();
        let candidates = spawn.candidates(program)?;
        Ok(Image { candidates, _args: args, argv, shell_argv, _own_env: own_env, own_envp, listen_pid })
    }
}

/// The last thing the child does as a copy of us. Returns only if it fails, with the step and the errno.
///
/// Only async-signal-safe calls, and no allocation (signal-safety(7)).
fn exec_in_child(spawn: &Spawn<'_>, inherited: &Inherited, image: &Image) -> (i32, i32) {
    place(spawn.placement);
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
    for (ours, number) in spawn.fds {
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
    if let Err((step, error)) = unsafe { spawn.setup.apply() } {
        return (step, error);
    }
    // This follows all changes of credentials, because they would clear the parent death signal (prctl(2)).
    if let Some(signal) = spawn.parent_death {
        // SAFETY: all four calls take integers or nothing.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0);
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

/// A pipe for the failure of a child before its program runs: our end and the child's.
fn report_pipe() -> Option<(OwnedFd, OwnedFd)> {
    let (ours, childs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
    // Not one of the numbers that `fds` are put on.
    Some((ours, sys::duplicate_from(FIRST_FREE, childs).ok()?))
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

fn encode(numbers: [i32; 2]) -> [u8; REPORT_BYTES] {
    let mut bytes = [0; REPORT_BYTES];
    let (first, second) = bytes.split_at_mut(REPORT_BYTES / 2);
    first.copy_from_slice(&numbers[0].to_ne_bytes());
    second.copy_from_slice(&numbers[1].to_ne_bytes());
    bytes
}

fn decode(bytes: [u8; REPORT_BYTES]) -> [i32; 2] {
    let [a, b, c, d, e, f, g, h] = bytes;
    [i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h])]
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|_| SpawnError::Nul(text.to_owned()))
}

fn variable(key: &OsStr, value: &OsStr) -> Result<CString, SpawnError> {
    // The value stays out of the error: it may be a secret.
    CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).map_err(|_| SpawnError::Nul(key.to_owned()))
}

/// A null-terminated array as execve(2) takes it.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// How long a child that shares our memory has to execute its program.
const EXPIRY: Duration = Duration::from_millis(100);
/// How long we wait for it, in milliseconds: longer than [`EXPIRY`].
const LONGEST_WAIT: libc::c_int = 120;
/// The child needs a few hundred bytes; untouched pages of the rest cost nothing.
const STACK: usize = 32 * 1024;
/// The shell that runs a script without `#!`, as execvp(3) has it.
const SHELL: &CStr = c"/bin/sh";
/// The step and the errno.
const REPORT_BYTES: usize = 2 * size_of::<i32>();
/// The lowest number that no `fds` of ours uses: 0 to 2, and 3 for a preStart handler.
const FIRST_FREE: RawFd = 4;
/// The search path without a `PATH`: containerd and docker set the same.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_pointer_ends_the_array_for_execve() {
        let strings = [c"sh", c"-c", c""].map(CString::from);
        let argv = pointers(&strings);
        let mut entry = argv.as_ptr();
        let mut seen = Vec::new();
        // SAFETY: a null pointer ends the array; until then the strings are live and NUL-terminated.
        unsafe {
            while !(*entry).is_null() {
                seen.push(CStr::from_ptr(*entry).to_owned());
                entry = entry.add(1);
            }
        }
        assert_eq!(seen, strings);
    }

    #[test]
    fn the_report_of_a_failure_survives_the_pipe() {
        for numbers in [[0, libc::ENOENT], [ChildStep::Limit as i32 + 7, libc::EPERM], [-1, i32::MAX]] {
            assert_eq!(decode(encode(numbers)), numbers);
        }
    }
}
