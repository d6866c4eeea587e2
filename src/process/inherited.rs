//! The state that we were started with: signal mask, dispositions, working directory. Read once, before anything is changed;
//! every child gets it back.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;

use super::Pid;
use super::sys::{self, SignalSet};
use bookend_lifecycle::signal::Signal;

/// The state at the first instruction.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The signal mask the children run with.
    pub(crate) mask: SignalSet,
    /// Whether all signals are blocked: a seccomp profile may refuse it.
    pub(crate) blocks_signals: bool,
    /// Our own pid: a child compares it with its parent's.
    pub(crate) pid: Pid,
    /// Our parent at the start: if it dies, we get another one.
    pub(crate) parent: Pid,
    /// SIGCHLD was ignored: the kernel would have discarded the statuses of our children.
    pub(crate) sigchld_ignored: bool,
    /// The signals that get a handler of ours later, and whether they were ignored.
    pub(crate) ignored: Vec<(Signal, bool)>,
    /// Keep the numbers of a closed stdin, stdout or stderr from being given to a descriptor of ours.
    _placeholders: Vec<OwnedFd>,
    /// The directory in which children start.
    pub(crate) working_dir: WorkingDir,
    /// Its path, until it is used. `None`: it has none.
    working_path: Option<CString>,
}

impl Inherited {
    /// Blocks every signal, and remembers the state before.
    ///
    /// From here on no signal has its default effect on us: it is pending until we take it.
    pub(crate) fn take() -> Inherited {
        let mask = sys::set_mask(SignalSet::ALL);
        let sigchld_ignored = sys::is_ignored(Signal::CHLD);
        if sigchld_ignored {
            sys::set_disposition(Signal::CHLD, false);
        }
        Inherited {
            mask,
            blocks_signals: sys::set_mask(SignalSet::ALL) != SignalSet::default(),
            pid: nix::unistd::getpid(),
            parent: nix::unistd::getppid(),
            sigchld_ignored,
            ignored: Vec::new(),
            _placeholders: placeholders(),
            working_dir: WorkingDir::Ours,
            working_path: None,
        }
    }

    /// Remembers the dispositions of signals that are about to get a handler of ours.
    pub(crate) fn remember(&mut self, signals: SignalSet) {
        let is_ignored = |signal| if signal == Signal::CHLD { self.sigchld_ignored } else { sys::is_ignored(signal) };
        for signal in Signal::all().filter(|signal| signals.contains(*signal)) {
            // One that is remembered already may have a handler of ours by now.
            if !self.ignored.iter().any(|(known, _)| *known == signal) {
                self.ignored.push((signal, is_ignored(signal)));
            }
        }
    }

    /// Leaves the working directory, which may be on a volume that is to be unmounted; children still start there.
    pub(crate) fn leave_working_dir(&mut self) {
        // From the kernel alone: a look at the path would wait for a volume that hangs.
        self.working_path =
            std::env::current_dir().ok().and_then(|path| CString::new(path.into_os_string().into_vec()).ok());
        let here = open(".", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        // Its number must not be one that a child's stdin, stdout or stderr is put on.
        let held = here.ok().and_then(|fd| sys::duplicate_from(3, fd).ok());
        if let Some(held) = held {
            // If we cannot enter the root directory, we still run.
            let _ = nix::unistd::chdir("/");
            self.working_dir = WorkingDir::Open(held);
        }
    }

    /// Closes the working directory once the app has started there: an open directory pins a volume as a working
    /// directory does. A directory without a path (deleted, or outside of our root) stays open: no other child could
    /// start there.
    pub(crate) fn release_working_dir(&mut self) {
        if let (WorkingDir::Open(_), Some(path)) = (&self.working_dir, self.working_path.take()) {
            self.working_dir = WorkingDir::Named(path);
        }
    }

    /// Closes the descriptors from 3 up that we were started with, once the app has them: a pipe that we hold as well
    /// never reaches its end. Our own are close-on-exec; those that came through an exec are not.
    pub(crate) fn close_inherited_descriptors() {
        let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
            return (3..LAST_WITHOUT_PROC).for_each(sys::close_if_inherited);
        };
        let open: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        open.into_iter().filter(|fd| *fd > 2).for_each(sys::close_if_inherited);
    }

    /// Asks for a signal at the death of our parent. If it has died since we were started, the signal comes now.
    pub(crate) fn ask_for_parent_death(&self, signal: Signal) -> io::Result<()> {
        sys::set_parent_death_signal(signal)?;
        if nix::unistd::getppid() != self.parent { sys::send(self.pid, signal) } else { Ok(()) }
    }

    /// Takes one of these signals that arrived before now. It will not be delivered again.
    pub(crate) fn take_pending_among(&self, signals: &[Signal]) -> Option<Signal> {
        sys::take_pending(signals.iter().copied().collect())
    }

    /// Restores the mask: for subcommands that are not an init, and that signals end as they end any program.
    pub(crate) fn restore_mask(&self) {
        sys::set_mask(self.mask);
    }
}

/// The directory in which children start.
#[derive(Debug)]
pub(crate) enum WorkingDir {
    /// Our own, which we have not left.
    Ours,
    /// An open directory.
    Open(OwnedFd),
    /// Its path.
    Named(CString),
}

/// One descriptor for each of 0, 1 and 2 that is closed: a listener with such a number would be written to by any
/// code that prints. They are neither readable nor writable, and close-on-exec: the child finds closed what we found
/// closed. `/` can always be opened, even if there is no /dev/null.
fn placeholders() -> Vec<OwnedFd> {
    let is_closed = |fd: &BorrowedFd<'_>| fcntl(fd, FcntlArg::F_GETFD).is_err();
    [std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()]
        .iter()
        .filter(|fd| is_closed(fd))
        // The lowest free number is the one that has just been found closed.
        .filter_map(|_| open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok())
        .collect()
}

/// The number of descriptors that are tried if there is no /proc.
const LAST_WITHOUT_PROC: i32 = 1024;
