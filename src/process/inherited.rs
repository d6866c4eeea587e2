//! What we were started with. Read once, before anything is changed; every child gets it back.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;

use super::Pid;
use super::sys::{self, SignalSet};
use bookend_lifecycle::signal::Signal;

/// The mask, dispositions and working directory of the first instruction.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The signal mask the children run with.
    pub(crate) mask: SignalSet,
    /// Our own pid, which a child compares its parent with.
    pub(crate) pid: Pid,
    /// Our parent then: whether it has died since is seen by another number.
    pub(crate) parent: Pid,
    /// SIGCHLD was ignored: the kernel would have thrown our children's statuses away.
    pub(crate) sigchld_ignored: bool,
    /// Which of the signals that get a handler later were ignored.
    pub(crate) ignored: Vec<(Signal, bool)>,
    /// Keep the numbers of a closed stdin, stdout or stderr from being given to something of ours.
    _placeholders: Vec<OwnedFd>,
    /// Where children start.
    pub(crate) working_dir: WorkingDir,
}

impl Inherited {
    /// Blocks every signal, and remembers what was before.
    ///
    /// From here on no signal has its default effect on us: it waits until somebody takes it.
    pub(crate) fn take() -> Inherited {
        let mask = sys::set_mask(SignalSet::ALL);
        let sigchld_ignored = sys::is_ignored(Signal::CHLD);
        if sigchld_ignored {
            sys::set_disposition(Signal::CHLD, false);
        }
        Inherited {
            mask,
            pid: nix::unistd::getpid(),
            parent: nix::unistd::getppid(),
            sigchld_ignored,
            ignored: Vec::new(),
            _placeholders: placeholders(),
            working_dir: WorkingDir::Ours,
        }
    }

    /// Remembers the dispositions of signals that are about to get a handler of ours.
    pub(crate) fn remember(&mut self, signals: &[Signal]) {
        self.ignored = signals
            .iter()
            .map(|&signal| {
                let ignored = if signal == Signal::CHLD { self.sigchld_ignored } else { sys::is_ignored(signal) };
                (signal, ignored)
            })
            .collect();
    }

    /// Leaves the working directory, which may be a volume somebody wants to unmount; children still start there.
    pub(crate) fn leave_working_dir(&mut self) {
        let here = open(".", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        // It must never be one of the descriptors a child's stdio is put on.
        let held = here.ok().and_then(|fd| sys::duplicate_above(fd.as_fd()).ok());
        if let Some(held) = held {
            // A root that cannot be entered is no reason not to run.
            let _ = nix::unistd::chdir("/");
            self.working_dir = WorkingDir::Open(held);
        }
    }

    /// Lets go of it when the app has started there: an open directory pins a volume as much as a working directory
    /// does. One that has no name (deleted, outside of our root) stays open: no other child could start there.
    pub(crate) fn let_go_of_working_dir(&mut self) {
        let WorkingDir::Open(held) = &self.working_dir else { return };
        let path = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let same = |path: &PathBuf| {
            let (there, here) = (nix::sys::stat::stat(path).ok()?, nix::sys::stat::fstat(held).ok()?);
            Some((there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
        };
        if let Ok(path) = path
            && same(&path) == Some(true)
            && let Ok(path) = CString::new(path.into_os_string().into_vec())
        {
            self.working_dir = WorkingDir::Named(path);
        }
    }

    /// Closes what we were started with from descriptor 3 up, once the app has it: a pipe that we held, too, would
    /// never come to its end. Ours are close-on-exec, and what came through an exec is not: so they are told apart.
    pub(crate) fn close_strays() {
        let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
            return (3..MOST_WITHOUT_PROC).for_each(sys::close_if_inherited);
        };
        let open: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        open.into_iter().filter(|fd| *fd > 2).for_each(sys::close_if_inherited);
    }

    /// Asks for a signal should our parent die. If it has died already, since we were started, the signal comes now.
    pub(crate) fn ask_for_parent_death(&self, signal: Signal) -> io::Result<()> {
        sys::set_parent_death_signal(signal)?;
        if nix::unistd::getppid() != self.parent { sys::send(self.pid, signal) } else { Ok(()) }
    }

    /// A stop signal that came before we could do anything with it. It is taken: it will not come again.
    pub(crate) fn take_pending_among(&self, signals: &[Signal]) -> Option<Signal> {
        let pending = sys::pending();
        signals.iter().copied().find(|&signal| pending.contains(signal) && sys::take_pending(signal))
    }

    /// Gives the mask back: for what is no init, and is to be stopped like any program.
    pub(crate) fn restore_mask(&self) {
        sys::set_mask(self.mask);
    }
}

/// Where children start.
#[derive(Debug)]
pub(crate) enum WorkingDir {
    /// We are still there ourselves.
    Ours,
    /// An open directory.
    Open(OwnedFd),
    /// Its path.
    Named(CString),
}

/// One descriptor for each of 0, 1 and 2 that is closed: a listener there would be written to by whoever prints.
/// Neither readable nor writable, close-on-exec (the child finds closed what we found closed), and `/` is
/// always there to be opened, when /dev/null is not.
fn placeholders() -> Vec<OwnedFd> {
    let is_closed = |fd: &BorrowedFd<'_>| fcntl(fd, FcntlArg::F_GETFD).is_err();
    [std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()]
        .iter()
        .filter(|fd| is_closed(fd))
        // The lowest free number is the one that was just looked at.
        .filter_map(|_| open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok())
        .collect()
}

/// As far as is looked where /proc does not say.
const MOST_WITHOUT_PROC: i32 = 1024;
