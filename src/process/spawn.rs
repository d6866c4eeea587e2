//! Spawning: one child with nothing of ours left in it. clone(2), then only system calls, then execve(2).
//!
//! | file          | has                                                     |
//! | ------------- | ------------------------------------------------------- |
//! | `image`       | paths, arguments and environment, made before the clone |
//! | `in_child`    | all code that runs between clone(2) and execve(2)       |
//! | `exec_status` | the pipe through which a child reports a failure        |
//!
//! A lease on the program's file, a file system that hangs, a SIGSTOP at the wrong moment: each can keep a child from
//! executing its program. None of them may block bookend.
//!
//! | start            | the child's memory      | we                                                             |
//! | ---------------- | ----------------------- | -------------------------------------------------------------- |
//! | `start`          | a copy, as with fork(2) | go on at once                                                  |
//! | `start_promptly` | ours                    | wait, usually less than 0.1 ms, and save the copy, some 0.1 ms |
//!
//! The second one is for the app. We wait until its child has executed its program. The child kills itself if that takes too
//! long ([`EXPIRY`]), and the app is started in the first way. We wait in poll(2), and not as vfork(2) does: a FUSE server that
//! has taken a request and hangs holds a child that not even SIGKILL ends, and must not hold us.

#![expect(unsafe_code, reason = "clone(2), and poll(2) without errno beside a child that shares our memory")]

mod exec_status;
mod image;
mod in_child;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::setpgid;

use self::exec_status::report_pipe;
pub(crate) use self::exec_status::{ExecProgress, ExecStatus};
use self::image::Image;
pub(crate) use self::image::{ActivationSockets, ChildEnv};
use self::in_child::{Child, EXPIRY, child_main};
use super::Pid;
use super::inherited::Inherited;
use super::placement::ProcessPlacement;
use super::setup::ChildSetup;
use super::spawn_error::SpawnError;
use super::sys::{self, ChildNews, SignalSet};
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

/// A child that may not have executed its program yet.
#[derive(Debug)]
pub(crate) struct StartedChild {
    pub(crate) pid: Pid,
    pub(crate) exec: ExecStatus,
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
        let image = Image::prepare(self.command, self.env, self.sockets)?;
        let program = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        // Without a descriptor for it the child starts all the same, and its exit code tells what failed.
        let pipe = report_pipe();
        let (pipe, report) = pipe.map_or((None, None), |(ours, childs)| (Some(ours), Some(childs)));
        let memory = if pipe.is_some() { memory } else { ChildMemory::Copied };

        let number = report.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let child = Child {
            image: &image,
            inherited,
            fds: self.fds,
            placement: self.placement,
            parent_death: self.parent_death,
            setup: &self.setup,
            report: number,
            expires: memory == ChildMemory::Shared,
        };
        let before = sys::set_mask(SignalSet::ALL);
        let mut stack = ChildStack::new();
        // Before the child sets its timer.
        let began = Instant::now();
        let cloned = clone(&child, memory, &mut stack);
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
}

/// The memory of a child until it executes its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChildMemory {
    /// A copy of ours.
    Copied,
    /// Ours; we do nothing but wait meanwhile.
    Shared,
}

/// u128: the alignment that every calling convention asks of a stack.
struct ChildStack(Vec<u128>);

impl ChildStack {
    fn new() -> ChildStack {
        ChildStack(vec![0; STACK / size_of::<u128>()])
    }
}

/// Makes the child. All signals are blocked.
fn clone(child: &Child<'_>, memory: ChildMemory, stack: &mut ChildStack) -> io::Result<Pid> {
    let flags = match memory {
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
    if unsafe { libc::poll(&raw mut fd, 1, LONGEST_WAIT) } < 0 {
        // It is refused. Without a wait the child would be killed, possibly after it has executed its program, and started again.
        let time = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(LONGEST_WAIT) * 1_000_000 };
        // SAFETY: as above; the time is live, and without a set of signals the mask stays as it is.
        unsafe { libc::ppoll(&raw mut fd, 1, &raw const time, ptr::null()) };
    }
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

/// How long we wait for a child that shares our memory, in milliseconds: longer than [`EXPIRY`].
const LONGEST_WAIT: libc::c_int = 120;
/// The child needs a few hundred bytes; untouched pages of the rest cost nothing.
const STACK: usize = 32 * 1024;
