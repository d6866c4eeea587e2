//! Signals in: the one module that receives them, and hands out [`Signal`]s.
//!
//! | signals                                        | carried by        | why                                     |
//! | ---------------------------------------------- | ----------------- | --------------------------------------- |
//! | SIGCHLD, stop signals, mapped ones             | signal-hook-tokio | those that mean something to us         |
//! | all others, and all real-time ones             | one signalfd      | registering sixty costs a millisecond; real-time signals are queued, not flagged |
//!
//! All are blocked from the first instruction, so that none is lost before this exists: registered ones
//! are unblocked when their handler stands, the others stay blocked and are read from the signalfd.
//! If a registration fails (descriptors, memory), its signal comes through the signalfd as well.
//!
//! Whoever sends signals faster than they can be passed on does not keep the loop from all else: after some of them
//! it is once the turn of the timers, the handlers and the clients.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;

use futures_core::Stream;
use nix::sys::signal::{SIGCHLD, SigSet, SigmaskHow};
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
    /// How many have been handed out since it was the others' turn.
    burst: u32,
}

impl Signals {
    /// Takes over all signals; `meaningful` are those the configuration gives a meaning to.
    ///
    /// Must be called inside the runtime, with all signals blocked.
    pub(crate) fn take(meaningful: &[Signal], inherited: &mut Inherited) -> io::Result<Signals> {
        let mut wanted = vec![Signal::CHLD];
        for signal in meaningful.iter().filter(|signal| may_be_registered(**signal)) {
            if !wanted.contains(signal) {
                wanted.push(*signal);
            }
        }
        let handled: Vec<Signal> = wanted.iter().copied().chain(musl::taken_signals()).collect();
        inherited.remember(&handled);
        // Before the first registration, in which musl unblocks its own.
        musl::keep_from_default_effect();
        let registered = Registered::new(wanted.iter().map(|signal| signal.number())).ok();
        let carried = if registered.is_some() { wanted } else { Vec::new() };
        let rest = carried.iter().fold(SignalSet::ALL, |set, signal| set.without(*signal));
        let signalfd = sys::watch_readable(sys::signalfd(rest)?)?;
        // From here on every signal reaches the loop; none has its default effect.
        sys::set_mask(rest);
        Ok(Signals { registered, signalfd, burst: 0 })
    }

    /// The next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        if self.burst == MAX_BURST {
            // First: who is dropped while it waits has had that turn.
            self.burst = 0;
            yield_now().await;
        }
        let Signals { registered, signalfd, burst } = self;
        let signal = tokio::select! {
            signal = next_registered(registered) => signal,
            signal = next_from_signalfd(signalfd) => signal,
        };
        *burst += 1;
        signal
    }
}

/// While it is there, the ends of children wake nobody; when it goes, those that were held are told, as one.
#[derive(Debug)]
pub(crate) struct SigchldGuard(());

impl SigchldGuard {
    /// `None`: they are blocked anyway, and read from the signalfd.
    pub(crate) fn hold() -> Option<SigchldGuard> {
        let before = ends().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()?;
        // Made only if it is wanted: one that is thrown away lets them through.
        (!before.contains(SIGCHLD)).then(|| SigchldGuard(()))
    }
}

impl Drop for SigchldGuard {
    fn drop(&mut self) {
        // It fails for a `how` that does not exist, and for nothing else (sigprocmask(2)).
        let _ = ends().thread_unblock();
    }
}

fn ends() -> SigSet {
    SigSet::from(SIGCHLD)
}

/// signal-hook refuses the faults (a handler that returns from one loops for ever), and the C library its own.
fn may_be_registered(signal: Signal) -> bool {
    !signal.is_uncatchable()
        && !signal_hook::consts::FORBIDDEN.contains(&signal.number())
        // Real-time signals are queued, and a flag in a handler would make one of many; 32-34 are musl's own.
        && signal.number() < 32
        // Who has sent it tells our own write to a closed pipe from a message for the app.
        && signal != Signal::PIPE
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
            // The stream ends only when its handle is closed, which nobody does.
            None => *registered = None,
        }
    }
}

async fn next_from_signalfd(fd: &AsyncFd<OwnedFd>) -> Signal {
    loop {
        let Ok(mut ready) = fd.readable().await else { std::future::pending().await };
        match ready.try_io(|fd| sys::read_signalfd(fd.get_ref().as_fd())) {
            // Our own write to a closed pipe is no message for the app (kernel: SIGPIPE from ourselves).
            Ok(Ok((signal, sender))) if signal == Signal::PIPE && sender == std::process::id() => {}
            Ok(Ok((signal, _))) => return signal,
            // A record that cannot be read is gone; the next one is waited for.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Handed out in a fraction of a millisecond.
const MAX_BURST: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn are_blocked() -> bool {
        SigSet::thread_get_mask().unwrap().contains(SIGCHLD)
    }

    #[test]
    fn ends_are_held_as_long_as_somebody_holds_them() {
        ends().thread_unblock().unwrap();
        let held = SigchldGuard::hold();
        assert!(held.is_some() && are_blocked());
        drop(held);
        assert!(!are_blocked());
    }

    #[test]
    fn ends_that_the_signalfd_reads_stay_blocked() {
        ends().thread_block().unwrap();
        assert!(SigchldGuard::hold().is_none());
        assert!(are_blocked());
    }
}
