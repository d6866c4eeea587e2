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
mod output_budget;
pub(crate) mod program;
mod report;
mod signal;
mod sleep;
pub(crate) mod tcp_socket;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::bounded::{abort_requested, bounded, timed_out};
pub(crate) use self::context::{AppHandle, HandlerContext, Purpose};
pub(crate) use self::drain::DrainStatus;
pub(crate) use self::output_budget::OutputBudgets;
use self::program::{Environment, PendingEnvironment, Prepared, ProgramError, prepare_exec};
pub(crate) use self::report::HandlerReport;
use crate::detached::spawn_blocking_detached;
use crate::error::describe;
use crate::process::Pid;
use crate::process::procfs;
use crate::process::reaper::Reaper;
use bookend_config::settings::{Handler, HandlerKind, HttpGet, TcpSocket, ValueSource};
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::drain::Drain;
use bookend_lifecycle::signal::Signal;

/// A handler run that may be aborted.
#[derive(Debug)]
pub(crate) struct RunningHandler {
    abort: oneshot::Sender<()>,
    reaper: Reaper,
    leader: Leader,
}

/// The leader of an exec handler's process group, once its program was started.
type Leader = Arc<OnceLock<Pid>>;

impl RunningHandler {
    /// Whether this process is the program of an exec handler, a member of its process group, or below it. A process that
    /// its parent has reaped is not recognised.
    pub(crate) fn includes(&self, pid: i32) -> bool {
        let Some(leader) = self.leader.get() else { return false };
        let group = nix::unistd::getpgid(Some(Pid::from_raw(pid)));
        leader.as_raw() == pid
            || group == Ok(*leader)
            || procfs::descends_closely_from(pid, leader.as_raw()) == Some(true)
    }

    /// Whether the program of an exec handler has been started and has not ended.
    pub(crate) fn has_program(&self) -> bool {
        self.leader.get().is_some_and(|leader| self.reaper.is_watched(*leader))
    }

    /// Ends the run; no report of it follows.
    pub(crate) fn abort(self) {
        if let Some(leader) = self.leader.get() {
            // This happens at once, because the task may not run again before we exit.
            if let Err(error) = exec::terminate(&self.reaper, *leader) {
                tracing::warn!(pid = leader.as_raw(), %error, "cannot end an aborted handler");
            }
        }
        // The run may have ended already; then there is nothing to abort.
        let _ = self.abort.send(());
    }
}

#[cfg(feature = "reload")]
impl RunningHandler {
    /// Ends the run without a moment for its program; no report of it follows.
    pub(crate) fn kill(self) {
        if let Some(leader) = self.leader.get() {
            // It may have just ended.
            let _ = self.reaper.signal_group(*leader, Signal::KILL);
        }
        self.abort();
    }
}

/// A handler, with everything that it needs from files.
enum PreparedHandler {
    Exec(Box<Prepared>),
    HttpGet(HttpGet, Environment),
    TcpSocket(TcpSocket, Environment),
    Signal(Signal),
    Sleep(Duration),
    Drain(Drain),
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
    let leader = Leader::default();
    let reads_files = matches!(&handler.kind, HandlerKind::Exec(program) if program::reads_files(program));
    let (abort, receiver) = if reads_files || env.reads_files() {
        start_after_reading(handler, purpose, timeout, env, context, &leader)
    } else {
        start_prepared(&handler.name, purpose, timeout, prepare(&handler.kind, env), context, &leader)
    };
    (RunningHandler { abort, reaper: context.reaper.clone(), leader }, receiver)
}

/// The two ends of a run: what aborts it, and its report.
type Run = (oneshot::Sender<()>, oneshot::Receiver<HandlerReport>);

/// Starts a handler when the files that it needs have been read, elsewhere than in the loop.
fn start_after_reading(
    handler: &Handler,
    purpose: Purpose,
    timeout: Option<Duration>,
    env: PendingEnvironment,
    context: &HandlerContext,
    leader: &Leader,
) -> Run {
    let (abort, mut aborted) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    let Handler { name, kind, .. } = handler.clone();
    let (context, leader) = (context.clone(), Arc::clone(leader));
    crate::tasks::spawn(async move {
        let began = Instant::now();
        let read = spawn_blocking_detached(files_of(&kind, &env), move || prepare(&kind, env));
        let prepared = tokio::select! {
            biased;
            () = abort_requested(&mut aborted) => return,
            read = read => read,
            mut report = timed_out(timeout) => {
                report.detail += ": a file that it needs could not be read in that time";
                return drop(sender.send(report));
            }
        };
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return drop(sender.send(failure(&error))),
        };
        let (abort, report) = start_prepared(&name, purpose, left, prepared, &context, &leader);
        tokio::select! {
            biased;
            // The process group has its signal already (`RunningHandler::abort`).
            () = abort_requested(&mut aborted) => drop(abort.send(())),
            report = report => drop(report.map(|report| sender.send(report))),
        }
    });
    (abort, receiver)
}

/// The paths of the files that a handler needs. Those of its user (/etc/passwd) are not among them: they are the same for all.
fn files_of(kind: &HandlerKind, env: &PendingEnvironment) -> String {
    let own = if let HandlerKind::Exec(program) = kind { program.env.as_slice() } else { &[] };
    let paths = env.app.iter().chain(own).filter_map(|(_, source)| match source {
        ValueSource::File(file) => Some(file.parts().0),
        ValueSource::Plain(_) => None,
    });
    paths.collect::<Vec<_>>().join("\n")
}

/// Reads the files that a handler needs.
fn prepare(kind: &HandlerKind, env: PendingEnvironment) -> Result<PreparedHandler, ProgramError> {
    let env = env.read()?;
    Ok(match kind {
        HandlerKind::Exec(program) => PreparedHandler::Exec(Box::new(prepare_exec(program, env)?)),
        HandlerKind::HttpGet(get) => PreparedHandler::HttpGet(get.clone(), env),
        HandlerKind::TcpSocket(socket) => PreparedHandler::TcpSocket(socket.clone(), env),
        HandlerKind::Signal(signal) => PreparedHandler::Signal(*signal),
        HandlerKind::Sleep { duration } => PreparedHandler::Sleep(*duration),
        HandlerKind::Drain(drain) => PreparedHandler::Drain(drain.clone()),
    })
}

fn start_prepared(
    name: &str,
    purpose: Purpose,
    timeout: Option<Duration>,
    prepared: Result<PreparedHandler, ProgramError>,
    context: &HandlerContext,
    leader: &Leader,
) -> Run {
    let (abort, aborted) = oneshot::channel();
    let (sender, receiver) = oneshot::channel();
    match prepared {
        Ok(PreparedHandler::Exec(program)) => match exec::Exec::start(name, purpose, *program, context) {
            Ok(exec) => {
                // It is set once: a run starts one program.
                let _ = leader.set(exec.pid());
                drop(crate::tasks::spawn(exec.run(timeout, aborted, sender)));
            }
            Err(error) => drop(sender.send(failure(&error))),
        },
        Ok(PreparedHandler::HttpGet(get, env)) => {
            drop(crate::tasks::spawn(bounded(http_get::run(get, env), timeout, aborted, sender)));
        }
        Ok(PreparedHandler::TcpSocket(socket, env)) => {
            drop(crate::tasks::spawn(bounded(tcp_socket::run(socket, env), timeout, aborted, sender)));
        }
        Ok(PreparedHandler::Signal(signal)) => drop(sender.send(signal::send(signal, context))),
        Ok(PreparedHandler::Sleep(duration)) => {
            drop(crate::tasks::spawn(bounded(sleep::run(duration), timeout, aborted, sender)));
        }
        Ok(PreparedHandler::Drain(drain)) => {
            // A drain ends by itself within the timeout, because its report then tells what it has seen.
            let work = drain::run(drain, timeout, context.app_pid(), Arc::clone(&context.drain));
            drop(crate::tasks::spawn(bounded(work, None, aborted, sender)));
        }
        Err(error) => drop(sender.send(failure(&error))),
    }
    (abort, receiver)
}

/// The report of a run that could not begin.
fn failure(error: &dyn std::error::Error) -> HandlerReport {
    HandlerReport::new(HandlerResult::Failed, describe(error))
}
