//! Handlers: what the four hooks consist of, and the probes. One file for each kind; this one starts them, bounds their
//! time and lets them be aborted. A handler reports once, and never decides what its result means.

mod connect;
mod detached;
mod drain;
pub(crate) mod env;
mod env_pipe;
mod exec;
pub(crate) mod http_get;
mod output;
pub(crate) mod program;
mod signal;
pub(crate) mod tcp_socket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

pub(crate) use self::drain::DrainStatus;
use crate::error::describe;
use crate::handlers::program::{Environment, Variables};
use crate::process::Pid;
use crate::process::inherited::Inherited;
use crate::process::pidfd::PidFd;
use crate::process::reaper::{Reaper, SignalTarget};
use bookend_config::settings::{Handler, HandlerKind};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{HandlerResult, Hook};

/// What the handlers of this container share.
#[derive(Debug, Clone)]
pub(crate) struct HandlerContext {
    pub(crate) reaper: Reaper,
    pub(crate) inherited: Arc<Inherited>,
    pub(crate) app: AppHandle,
    /// What the last drain has seen.
    pub(crate) drain: DrainStatus,
}

/// The app, as handlers reach it.
#[derive(Debug, Clone)]
pub(crate) enum AppHandle {
    /// A child of ours; who of it gets signals (`app.signalScope`).
    Child(SignalTarget),
    /// Another container's, while its process is known.
    OtherContainer(Option<Arc<PidFd>>),
}

impl HandlerContext {
    pub(crate) fn app_pid(&self) -> Option<Pid> {
        match &self.app {
            AppHandle::Child(_) => self.reaper.app(),
            AppHandle::OtherContainer(pidfd) => pidfd.as_ref().map(|pidfd| pidfd.pid()),
        }
    }

    /// Sends the app a signal. `NotFound`: it has ended, or nobody knows where it is.
    pub(crate) fn signal_app(&self, signal: Signal) -> io::Result<()> {
        match &self.app {
            AppHandle::Child(target) => self.reaper.signal_app(signal, *target),
            AppHandle::OtherContainer(pidfd) => pidfd.as_ref().ok_or(io::ErrorKind::NotFound)?.signal(signal),
        }
    }
}

/// How a run went, for the machine and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandlerReport {
    pub(crate) result: HandlerResult,
    /// `exit code 3`, `timed out after 2.000 s`, ...
    pub(crate) detail: String,
    /// The last lines of its output.
    pub(crate) output: Vec<String>,
    /// What a preStart handler has set in the app's environment.
    pub(crate) set: Variables,
}

impl HandlerReport {
    fn new(result: HandlerResult, detail: impl Into<String>) -> HandlerReport {
        HandlerReport { result, detail: detail.into(), output: Vec::new(), set: Vec::new() }
    }
}

/// A run in flight.
#[derive(Debug)]
pub(crate) struct RunningHandler {
    abort: oneshot::Sender<()>,
    /// An exec handler's process group.
    group: Option<(Reaper, Pid)>,
}

impl RunningHandler {
    /// Ends the run; it reports nothing any more.
    pub(crate) fn abort(self) {
        if let Some((reaper, pid)) = self.group {
            // At once: its task may not get another turn before we exit.
            exec::terminate(&reaper, pid);
        }
        // It may be over already: then there is nothing to abort.
        let _ = self.abort.send(());
    }
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A handler of this hook.
    Hook(Hook),
    /// A probe: its output is kept and not logged, as it would be every few seconds.
    Probe,
}

/// Starts a handler. `env` is what it finds, beside an `env` of its own. The report arrives at the receiver,
/// within the timeout; an aborted run closes it without one.
pub(crate) fn start(
    handler: &Handler,
    purpose: Purpose,
    timeout: Option<Duration>,
    env: Environment,
    context: &HandlerContext,
) -> (RunningHandler, oneshot::Receiver<HandlerReport>) {
    let (abort, aborted) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let mut group = None;
    match &handler.kind {
        HandlerKind::Exec(program) => match exec::Exec::start(&handler.name, purpose, program, env, context) {
            Ok(exec) => {
                group = Some((context.reaper.clone(), exec.pid()));
                drop(tokio::spawn(exec.run(timeout, aborted, sender)));
            }
            Err(error) => {
                let _ = sender.send(HandlerReport::new(HandlerResult::Failed, describe(&error)));
            }
        },
        HandlerKind::HttpGet(get) => {
            drop(tokio::spawn(bounded(http_get::run(get.clone(), env), timeout, aborted, sender)));
        }
        HandlerKind::TcpSocket(socket) => {
            drop(tokio::spawn(bounded(tcp_socket::run(socket.clone(), env), timeout, aborted, sender)));
        }
        HandlerKind::Signal(signal) => {
            let _ = sender.send(signal::send(*signal, context));
        }
        HandlerKind::Sleep { duration } => {
            drop(tokio::spawn(bounded(pause(*duration), timeout, aborted, sender)));
        }
        HandlerKind::Drain(drain) => {
            // It knows its time, and at its end says what it saw.
            let work = drain::run(drain.clone(), timeout, context.app_pid(), Arc::clone(&context.drain));
            drop(tokio::spawn(bounded(work, None, aborted, sender)));
        }
    }
    (RunningHandler { abort, group }, receiver)
}

/// A run that could not even be begun.
pub(crate) fn failed(error: &dyn std::error::Error) -> (RunningHandler, oneshot::Receiver<HandlerReport>) {
    let (abort, _) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(HandlerReport::new(HandlerResult::Failed, describe(error)));
    (RunningHandler { abort, group: None }, receiver)
}

/// A pause ends by itself, or with the stop's budget: both are what was asked for, as far as it goes.
async fn pause(duration: Duration) -> HandlerReport {
    // A timer rings at the next millisecond at the earliest.
    if !duration.is_zero() {
        sleep(duration).await;
    }
    HandlerReport::new(HandlerResult::Succeeded, format!("slept {:.3} s", Seconds(duration)))
}

/// Runs what has no process to clean up: it ends with its result, its time or its abort.
async fn bounded(
    work: impl Future<Output = HandlerReport>,
    timeout: Option<Duration>,
    aborted: oneshot::Receiver<()>,
    sender: oneshot::Sender<HandlerReport>,
) {
    let report = tokio::select! {
        report = work => report,
        report = time_over(timeout) => report,
        () = requested(aborted) => return,
    };
    // Nobody waits for it any more: the process is about to exit.
    let _ = sender.send(report);
}

/// The report of a run whose time is over; never, without a timeout.
async fn time_over(timeout: Option<Duration>) -> HandlerReport {
    match timeout {
        Some(timeout) => {
            sleep(timeout).await;
            HandlerReport::new(HandlerResult::TimedOut, format!("timed out after {:.3} s", Seconds(timeout)))
        }
        None => std::future::pending().await,
    }
}

/// Resolves when the run is to be aborted; never, if that was not said.
async fn requested(aborted: oneshot::Receiver<()>) {
    if aborted.await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_sleep_of_no_time_is_over_at_once_and_sets_no_timer() {
        // Where there is no runtime, a timer would panic.
        let polled = pin!(pause(Duration::ZERO)).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(HandlerReport::new(HandlerResult::Succeeded, "slept 0.000 s")));
    }
}
