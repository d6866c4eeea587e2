//! Handlers: the steps of the four hooks, and the probes. Each kind has a file of its own; this file starts a handler,
//! bounds its time and aborts it. A handler reports once, and never decides what its result means.

mod bounded;
mod connect;
mod context;
mod detached;
mod drain;
pub(crate) mod env;
mod env_pipe;
mod exec;
pub(crate) mod http_get;
mod output;
pub(crate) mod program;
mod report;
mod signal;
mod sleep;
pub(crate) mod tcp_socket;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use self::bounded::bounded;
pub(crate) use self::context::{AppHandle, HandlerContext, Purpose};
pub(crate) use self::drain::DrainStatus;
use self::program::Environment;
pub(crate) use self::report::HandlerReport;
use crate::error::describe;
use crate::process::Pid;
use crate::process::procfs;
use crate::process::reaper::Reaper;
use bookend_config::settings::{Handler, HandlerKind};
use bookend_lifecycle::HandlerResult;

/// A handler run that may be aborted.
#[derive(Debug)]
pub(crate) struct RunningHandler {
    abort: oneshot::Sender<()>,
    /// The process group of an exec handler.
    group: Option<(Reaper, Pid)>,
}

impl RunningHandler {
    /// Whether this process is the program of an exec handler, a member of its process group, or below it. A process that
    /// its parent has reaped is not recognised.
    pub(crate) fn includes(&self, pid: i32) -> bool {
        let Some((_, leader)) = &self.group else { return false };
        let group = nix::unistd::getpgid(Some(Pid::from_raw(pid)));
        leader.as_raw() == pid || group == Ok(*leader) || procfs::descends_from(pid, leader.as_raw()) == Some(true)
    }

    /// Ends the run; no report of it follows.
    pub(crate) fn abort(self) {
        if let Some((reaper, pid)) = self.group {
            // At once: its task may not run again before we exit.
            exec::terminate(&reaper, pid);
        }
        // The run may be over already: then nothing is left to abort.
        let _ = self.abort.send(());
    }
}

/// Starts a handler. `env` is its environment without its own `env` key. The report arrives at the receiver within the
/// timeout; an aborted run closes the receiver without one.
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
            drop(tokio::spawn(bounded(sleep::run(*duration), timeout, aborted, sender)));
        }
        HandlerKind::Drain(drain) => {
            // A drain ends by itself within the timeout, because its report then tells what it has seen.
            let work = drain::run(drain.clone(), timeout, context.app_pid(), Arc::clone(&context.drain));
            drop(tokio::spawn(bounded(work, None, aborted, sender)));
        }
    }
    (RunningHandler { abort, group }, receiver)
}

/// A run that could not begin.
pub(crate) fn failed(error: &dyn std::error::Error) -> (RunningHandler, oneshot::Receiver<HandlerReport>) {
    let (abort, _) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(HandlerReport::new(HandlerResult::Failed, describe(error)));
    (RunningHandler { abort, group: None }, receiver)
}
