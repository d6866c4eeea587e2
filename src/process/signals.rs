//! Receiving signals: the one module that does it, and hands out [`Signal`]s.
//!
//! | signals                                        | received through  | why                                     |
//! | ---------------------------------------------- | ----------------- | --------------------------------------- |
//! | SIGCHLD                                        | signal-hook-tokio | it comes most often, and may be held back ([`SigchldGuard`]) |
//! | all others                                     | one signalfd      | it names the sender, queues real-time signals, and registering sixty costs a millisecond |
//!
//! All are blocked from the first instruction, so that no signal is lost before this exists. SIGCHLD is unblocked once its
//! handler is installed; the others stay blocked and are read from the signalfd. If registering fails (descriptors,
//! memory), or if the kernel refuses the socket calls that signal-hook's handlers make (seccomp), SIGCHLD is read from
//! the signalfd, too.
//!
//! A flood of signals does not keep the loop from its other work: after a number of signals, the loop serves the timers,
//! the handlers and the clients.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;

use futures_core::Stream;
use nix::sys::signal::{SIGCHLD, SigSet, SigmaskHow};
use nix::sys::socket::{MsgFlags, recv, send};
use signal_hook_tokio::Signals as Registered;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;

use super::inherited::Inherited;
use super::musl;
use super::sys::{self, SignalSet};
use bookend_lifecycle::signal::Signal;

/// All signals for us and the app, SIGCHLD included.
pub(crate) struct Signals {
    registered: Option<Registered>,
    signalfd: AsyncFd<OwnedFd>,
    /// How many have been handed out since the loop's other work had its turn.
    burst: u32,
}

impl Signals {
    /// Takes over all signals.
    ///
    /// Must be called inside the runtime, with all signals blocked.
    pub(crate) fn take(inherited: &mut Inherited) -> io::Result<Signals> {
        let handled: Vec<Signal> = [Signal::CHLD].into_iter().chain(musl::taken_signals()).collect();
        inherited.remember(&handled);
        // Before the first registration, in which musl unblocks its own signals.
        musl::keep_from_default_effect();
        let registered = match handlers_can_report() {
            Ok(()) => Registered::new([Signal::CHLD.number()]).ok(),
            Err(error) => {
                tracing::warn!(%error, "the kernel or a seccomp profile refuses send(2) or recv(2): all signals are read from a signalfd");
                None
            }
        };
        let rest = if registered.is_some() { SignalSet::ALL.without(Signal::CHLD) } else { SignalSet::ALL };
        let signalfd = sys::watch_readable(sys::signalfd(rest)?)?;
        // From here on every signal reaches the loop; none has its default effect.
        sys::set_mask(rest);
        Ok(Signals { registered, signalfd, burst: 0 })
    }

    /// The next signal, and the pid of its sender: 0 for a process outside of our PID namespace. Cancel safe.
    pub(crate) async fn next(&mut self) -> (Signal, u32) {
        if self.burst == MAX_BURST {
            // Reset first: if this future is dropped while it yields, the others have had their turn.
            self.burst = 0;
            yield_now().await;
        }
        let Signals { registered, signalfd, burst } = self;
        let signal = tokio::select! {
            signal = next_registered(registered) => (signal, 0),
            signal = next_from_signalfd(signalfd) => signal,
        };
        *burst += 1;
        signal
    }
}

/// Holds SIGCHLD back: while it exists, the ends of children do not wake us; when it is dropped, they are reported as
/// one signal.
#[derive(Debug)]
pub(crate) struct SigchldGuard(());

impl SigchldGuard {
    /// Blocks SIGCHLD. `None`: it is blocked anyway, and read from the signalfd.
    pub(crate) fn hold() -> Option<SigchldGuard> {
        let before = sigchld().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()?;
        // Made only if SIGCHLD was unblocked: dropping a guard unblocks it.
        (!before.contains(SIGCHLD)).then(|| SigchldGuard(()))
    }
}

impl Drop for SigchldGuard {
    fn drop(&mut self) {
        // sigprocmask(2) fails only for a `how` that does not exist.
        let _ = sigchld().thread_unblock();
    }
}

fn sigchld() -> SigSet {
    SigSet::from(SIGCHLD)
}

/// Whether signal-hook's handlers can report through their socket: a seccomp profile may refuse send(2) or recv(2),
/// although it allows the socket itself. Without this check we could lose every registered signal.
fn handlers_can_report() -> io::Result<()> {
    // The same calls as signal-hook's own: SOCK_STREAM, MSG_DONTWAIT.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    send(theirs.as_raw_fd(), b"X", MsgFlags::MSG_DONTWAIT)?;
    recv(ours.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}

async fn next_registered(registered: &mut Option<Registered>) -> Signal {
    loop {
        let next = match registered {
            Some(signals) => std::future::poll_fn(|cx| Pin::new(&mut *signals).poll_next(cx)).await,
            None => std::future::pending().await,
        };
        match next {
            Some(number) => {
                if let Some(signal) = Signal::new(number) {
                    return signal;
                }
            }
            // The stream ends only when its handle is closed, which never happens.
            None => *registered = None,
        }
    }
}

async fn next_from_signalfd(fd: &AsyncFd<OwnedFd>) -> (Signal, u32) {
    loop {
        let Ok(mut ready) = fd.readable().await else { std::future::pending().await };
        match ready.try_io(|fd| sys::read_signalfd(fd.get_ref().as_fd())) {
            // Our own write to a closed pipe causes this SIGPIPE: it is not for the app.
            Ok(Ok((signal, sender))) if signal == Signal::PIPE && sender == std::process::id() => {}
            Ok(Ok(received)) => return received,
            // A record that cannot be read is lost; wait for the next one.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// As many as are handed out in a fraction of a millisecond.
const MAX_BURST: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn are_blocked() -> bool {
        SigSet::thread_get_mask().unwrap().contains(SIGCHLD)
    }

    #[test]
    fn sigchld_is_blocked_while_the_guard_exists() {
        sigchld().thread_unblock().unwrap();
        let held = SigchldGuard::hold();
        assert!(held.is_some() && are_blocked());
        drop(held);
        assert!(!are_blocked());
    }

    #[test]
    fn sigchld_stays_blocked_if_the_signalfd_reads_it() {
        sigchld().thread_block().unwrap();
        assert!(SigchldGuard::hold().is_none());
        assert!(are_blocked());
    }
}
