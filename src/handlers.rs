//! Handlers: the steps of the four hooks, and the probes. Each kind has a file of its own; this file starts a handler,
//! bounds its time and aborts it. A handler reports once, and never decides what its result means.

mod bounded;
mod connect;
mod context;
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
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::bounded::{abort_requested, bounded, timed_out};
pub(crate) use self::context::{AppHandle, HandlerContext, Purpose};
pub(crate) use self::drain::DrainStatus;
use self::program::{Environment, PendingEnvironment, Prepared, ProgramError, prepare_exec};
pub(crate) use self::report::HandlerReport;
use crate::detached::spawn_blocking_detached;
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
            // This happens at once, because the task may not run again before we exit.
            exec::terminate(&reaper, pid);
        }
        // The run may have ended already; then there is nothing to abort.
        let _ = self.abort.send(());
    }
}

/// Everything that a handler needs from files.
enum PreparedHandler {
    Exec(Box<Prepared>),
    Other(Environment),
}

/// Starts a handler. `env` is its environment without its own `env` key. The report arrives at the receiver within the
/// timeout; an aborted run closes the receiver without one.
pub(crate) fn start(
    handler: &Handler,
    purpose: Purpose,
    timeout: Option<Duration>,
    env: PendingEnvironment,
    context: &HandlerContext,
) -> (RunningHandler, oneshot::Receiver<HandlerReport>) {
    let reads_files = matches!(&handler.kind, HandlerKind::Exec(program) if program::reads_files(program));
    if !reads_files && !env.reads_files() {
        return start_prepared(handler, purpose, timeout, prepare(&handler.kind, env), context);
    }
    let (abort, mut aborted) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let (handler, context) = (handler.clone(), context.clone());
    crate::tasks::spawn(async move {
        let began = Instant::now();
        let kind = handler.kind.clone();
        let prepared = tokio::select! {
            biased;
            () = abort_requested(&mut aborted) => return,
            read = spawn_blocking_detached(move || prepare(&kind, env)) => read,
            mut report = timed_out(timeout) => {
                report.detail += ": a file that it needs could not be read in that time";
                return drop(sender.send(report));
            }
        };
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        let (running, report) = match prepared {
            Ok(prepared) => start_prepared(&handler, purpose, left, prepared, &context),
            Err(error) => failed(&error),
        };
        tokio::select! {
            biased;
            () = abort_requested(&mut aborted) => running.abort(),
            report = report => drop(report.map(|report| sender.send(report))),
        }
    });
    (RunningHandler { abort, group: None }, receiver)
}

/// Reads the files that a handler needs.
fn prepare(kind: &HandlerKind, env: PendingEnvironment) -> Result<PreparedHandler, ProgramError> {
    let env = env.read()?;
    match kind {
        HandlerKind::Exec(program) => Ok(PreparedHandler::Exec(Box::new(prepare_exec(program, env)?))),
        _ => Ok(PreparedHandler::Other(env)),
    }
}

fn start_prepared(
    handler: &Handler,
    purpose: Purpose,
    timeout: Option<Duration>,
    prepared: Result<PreparedHandler, ProgramError>,
    context: &HandlerContext,
) -> (RunningHandler, oneshot::Receiver<HandlerReport>) {
    let (program, env) = match prepared {
        Ok(PreparedHandler::Exec(program)) => (Some(program), Environment::default()),
        Ok(PreparedHandler::Other(env)) => (None, env),
        Err(error) => return failed(&error),
    };
    let (abort, aborted) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let mut group = None;
    match &handler.kind {
        HandlerKind::Exec(_) => {
            match program.map(|program| exec::Exec::start(&handler.name, purpose, *program, context)) {
                // Does not happen: `prepare` makes a program for this kind.
                None => {}
                Some(Ok(exec)) => {
                    group = Some((context.reaper.clone(), exec.pid()));
                    drop(crate::tasks::spawn(exec.run(timeout, aborted, sender)));
                }
                Some(Err(error)) => {
                    let _ = sender.send(HandlerReport::new(HandlerResult::Failed, describe(&error)));
                }
            }
        }
        HandlerKind::HttpGet(get) => {
            drop(crate::tasks::spawn(bounded(http_get::run(get.clone(), env), timeout, aborted, sender)));
        }
        HandlerKind::TcpSocket(socket) => {
            drop(crate::tasks::spawn(bounded(tcp_socket::run(socket.clone(), env), timeout, aborted, sender)));
        }
        HandlerKind::Signal(signal) => {
            let _ = sender.send(signal::send(*signal, context));
        }
        HandlerKind::Sleep { duration } => {
            drop(crate::tasks::spawn(bounded(sleep::run(*duration), timeout, aborted, sender)));
        }
        HandlerKind::Drain(drain) => {
            // A drain ends by itself within the timeout, because its report then tells what it has seen.
            let work = drain::run(drain.clone(), timeout, context.app_pid(), Arc::clone(&context.drain));
            drop(crate::tasks::spawn(bounded(work, None, aborted, sender)));
        }
    }
    (RunningHandler { abort, group }, receiver)
}

/// The report of a run that could not begin.
pub(crate) fn failed(error: &dyn std::error::Error) -> (RunningHandler, oneshot::Receiver<HandlerReport>) {
    let (abort, _) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(HandlerReport::new(HandlerResult::Failed, describe(error)));
    (RunningHandler { abort, group: None }, receiver)
}
