//! What we were started with. Read once, before anything is changed; every child gets it back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;

use super::sys::{self, SignalSet};
use crate::signal::Signal;

/// The mask, dispositions and working directory of the first instruction.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The signal mask the children run with.
    pub(crate) mask: SignalSet,
    /// SIGCHLD was ignored: the kernel would have thrown our children's statuses away.
    pub(crate) sigchld_ignored: bool,
    /// Which of the signals that get a handler later were ignored.
    pub(crate) ignored: Vec<(Signal, bool)>,
    /// Keep the numbers of a closed stdin, stdout or stderr from being given to something of ours.
    _placeholders: Vec<OwnedFd>,
    /// Where relative paths of the image begin; `None` if it cannot be opened.
    pub(crate) working_dir: Option<OwnedFd>,
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
        Inherited { mask, sigchld_ignored, ignored: Vec::new(), _placeholders: placeholders(), working_dir: None }
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
        self.working_dir = open(".", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .ok()
            // It must never be one of the descriptors a child's stdio is put on.
            .and_then(|fd| sys::duplicate_above(fd.as_fd()).ok());
        if self.working_dir.is_some() {
            // A root that cannot be entered is no reason not to run.
            let _ = nix::unistd::chdir("/");
        }
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
