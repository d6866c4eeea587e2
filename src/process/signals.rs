//! Receiving signals: the one module that does it, and hands out [`Signal`]s.
//!
//! | signals    | received through         | why                                                               |
//! | ---------- | ------------------------ | ----------------------------------------------------------------- |
//! | SIGCHLD    | a signalfd of its own    | it comes most often. While it is not read, more of them cost nothing |
//! | all others | one signalfd             | it names the sender, queues real-time signals, and needs no handlers |
//! | both       | signal-hook-tokio        | only if the kernel or a seccomp profile refuses signalfd(2)        |
//!
//! All are blocked from the first instruction, and stay blocked. So none is lost before this exists, and no handler runs: in a
//! flood of SIGCHLD, a handler would run again before the loop's next instruction. One signalfd for all would report SIGCHLD
//! before every real-time signal.
//!
//! A flood of signals does not keep the loop from its other work: after a number of signals, the loop serves the timers,
//! the handlers and the clients.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Once;
use std::time::Duration;

use futures_core::Stream;
use nix::sys::socket::{MsgFlags, recv, send};
use signal_hook_tokio::Signals as Registered;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::inherited::Inherited;
use super::musl;
use super::sys::{self, SignalSet};
use bookend_lifecycle::signal::Signal;

/// All signals for us and the app, SIGCHLD included.
pub(crate) struct Signals {
    source: Source,
    /// How many have been handed out since the loop's other work had its turn.
    burst: u32,
}

enum Source {
    Signalfds { sigchld: AsyncFd<OwnedFd>, others: AsyncFd<OwnedFd> },
    Handlers(Registered),
}

impl Signals {
    /// Takes over all signals.
    ///
    /// Must be called inside the runtime, with all signals blocked.
    pub(crate) fn take(inherited: &mut Inherited) -> io::Result<Signals> {
        inherited.remember(SignalSet::from_iter([Signal::CHLD]));
        prepare_for_threads(inherited);
        let source = signalfds().or_else(|error| {
            let handlers = handlers(inherited)?;
            tracing::warn!(%error, "the kernel or a seccomp profile refuses signalfd(2): signals are received through handlers");
            Ok::<_, io::Error>(handlers)
        })?;
        Ok(Signals { source, burst: 0 })
    }

    /// The next signal, and the pid of its sender: 0 for a process outside of our PID namespace. `holds_sigchld`: a SIGCHLD
    /// stays pending, because the next look at the children is not due yet. Cancel safe.
    pub(crate) async fn next(&mut self, holds_sigchld: bool) -> (Signal, u32) {
        if self.burst == MAX_BURST {
            // Reset first: if this future is dropped while it yields, the others have had their turn.
            self.burst = 0;
            yield_now().await;
        }
        let signal = match &mut self.source {
            Source::Signalfds { sigchld, others } => tokio::select! {
                signal = next_from_signalfd(others, others_set()) => signal,
                signal = next_from_signalfd(sigchld, sigchld_set()), if !holds_sigchld => signal,
            },
            Source::Handlers(registered) => (next_registered(registered).await, 0),
        };
        self.burst += 1;
        signal
    }
}

/// Called before the first thread and the first registration: musl unblocks its own signals then.
fn prepare_for_threads(inherited: &mut Inherited) {
    inherited.remember(SignalSet::from_iter(musl::changed_signals()));
    musl::keep_from_default_effect();
}

fn signalfds() -> io::Result<Source> {
    let watch = |set| sys::watch_readable(sys::signalfd(set)?);
    Ok(Source::Signalfds { sigchld: watch(sigchld_set())?, others: watch(others_set())? })
}

fn sigchld_set() -> SignalSet {
    SignalSet::from_iter([Signal::CHLD])
}

fn others_set() -> SignalSet {
    SignalSet::ALL.without(Signal::CHLD)
}

/// Gives each signal a handler that can have one, and unblocks it. The others stay blocked: the C library's own, those that
/// only a fault of ours causes, and SIGPIPE, whose sender, often ourselves, a handler does not name.
fn handlers(inherited: &mut Inherited) -> io::Result<Source> {
    handlers_can_report()?;
    let is_blocked = |number: &i32| matches!(number, 13 | 32..=34) || signal_hook::consts::FORBIDDEN.contains(number);
    let (blocked, handled): (Vec<i32>, Vec<i32>) = (1..=64).partition(is_blocked);
    inherited.remember(SignalSet::ALL);
    let registered = Registered::new(handled)?;
    sys::set_mask(blocked.into_iter().filter_map(Signal::new).collect());
    Ok(Source::Handlers(registered))
}

/// Whether the handlers can report through their socket: a seccomp profile may refuse send(2) or recv(2), although it allows the
/// socket itself.
fn handlers_can_report() -> io::Result<()> {
    // The same calls as signal-hook's own: SOCK_STREAM, MSG_DONTWAIT.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    send(theirs.as_raw_fd(), b"X", MsgFlags::MSG_DONTWAIT)?;
    recv(ours.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}

async fn next_registered(registered: &mut Registered) -> Signal {
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut *registered).poll_next(cx)).await;
        match next {
            Some(number) => {
                if let Some(signal) = Signal::new(number) {
                    return signal;
                }
            }
            // The stream ends only when its handle is closed, which never happens.
            None => std::future::pending().await,
        }
    }
}

/// `set`: its signals.
async fn next_from_signalfd(fd: &AsyncFd<OwnedFd>, set: SignalSet) -> (Signal, u32) {
    loop {
        let Ok(mut ready) = fd.readable().await else { std::future::pending().await };
        match ready.try_io(|fd| sys::read_signalfd(fd.get_ref().as_fd())) {
            // Our own write to a closed pipe causes this SIGPIPE: it is not for the app.
            Ok(Ok((signal, sender))) if signal == Signal::PIPE && sender == std::process::id() => {}
            Ok(Ok(received)) => return received,
            // read(2) is refused. It stays so: the signals are looked for, in another way.
            Ok(Err(error)) => {
                static REPORTED: Once = Once::new();
                REPORTED.call_once(|| tracing::warn!(%error, "a signalfd cannot be read: signals are polled"));
                // As above: a SIGPIPE may be our own.
                if let Some(signal) = sys::take_pending(set).filter(|signal| *signal != Signal::PIPE) {
                    return (signal, 0);
                }
                sleep(POLL).await;
            }
            // There is none.
            Err(_) => {}
        }
    }
}

/// Between two looks for signals that cannot be read.
const POLL: Duration = Duration::from_millis(10);
/// As many as are handed out in a fraction of a millisecond.
const MAX_BURST: u32 = 32;
