//! `exec`: runs a program, without a shell, in a process group of its own. After its timeout the group gets SIGTERM and, a
//! second later or when its leader has ended, SIGKILL; the report does not wait for that.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::bounded::{abort_requested, timed_out};
use super::context::{HandlerContext, Purpose};
use super::env_pipe::EnvPipe;
use super::output::Relay;
use super::program::Prepared;
use super::report::HandlerReport;
use crate::error::describe;
use crate::process::Pid;
use crate::process::placement::ProcessPlacement;
use crate::process::reaper::{Ended, Reaper, unless_ended};
use crate::process::spawn::{ActivationSockets, ChildEnv, ExecProgress, ExecStatus, Spawn, StartedChild};
use crate::process::spawn_error::SpawnError;
use crate::process::stdio::{empty_input, pipe};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{HandlerResult, Hook};

/// Why an exec handler was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecStartError {
    /// Descriptors or memory ran out.
    #[error("cannot make a pipe for the handler's output")]
    Pipe(#[from] io::Error),
    /// The program cannot be spawned.
    #[error(transparent)]
    Program(#[from] SpawnError),
}

/// A program that was started. Whether it could be executed is known at its end, or never.
pub(super) struct Exec {
    name: String,
    pid: Pid,
    exec: ExecStatus,
    ended: oneshot::Receiver<Ended>,
    relay: Relay,
    /// Only for a preStart handler.
    env_pipe: Option<EnvPipe>,
    reaper: Reaper,
}

impl Exec {
    /// Spawns the program without waiting for its execution. Must be called on the loop's thread, so that the reaper watches
    /// its pid before the next round.
    pub(super) fn start(
        name: &str,
        purpose: Purpose,
        prepared: Prepared,
        context: &HandlerContext,
    ) -> Result<Exec, ExecStartError> {
        let (read, write) = pipe()?;
        let stdin = empty_input()?;
        let setting = (purpose == Purpose::Hook(Hook::PreStart)).then(pipe).transpose()?;
        let (setting_read, setting_write) = setting.unzip();
        let mut fds = vec![(stdin.as_fd(), 0), (write.as_fd(), 1), (write.as_fd(), 2)];
        // This is the last one: number 3 may be one of our descriptors that the others still need.
        fds.extend(setting_write.as_ref().map(|write| (write.as_fd(), 3)));
        let spawn = Spawn {
            command: &prepared.command,
            env: prepared.env.as_deref().map_or(ChildEnv::Inherited, ChildEnv::Only),
            fds: &fds,
            placement: ProcessPlacement::BackgroundGroup,
            parent_death: None,
            sockets: ActivationSockets::NotForChild,
            setup: prepared.setup,
        };
        // This stands before the spawn: if the pipe cannot be read, the start is reported as failed, and the program
        // must not run.
        let relay = Relay::start(name, purpose, read, &context.output).map_err(ExecStartError::Pipe)?;
        let env_pipe = setting_read.map(EnvPipe::start).transpose().map_err(ExecStartError::Pipe)?;
        let StartedChild { pid, exec } = spawn.start(&context.inherited)?;
        let ended = context.reaper.watch(pid);
        // Our copies of the write ends are closed here, so that the pipes end with the handler.
        Ok(Exec { name: name.to_owned(), pid, exec, ended, relay, env_pipe, reaper: context.reaper.clone() })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the program's end, its timeout or an abort, whichever comes first.
    pub(super) async fn run(
        mut self,
        time: Option<Duration>,
        aborted: oneshot::Receiver<()>,
        sender: oneshot::Sender<HandlerReport>,
    ) {
        let mut report = tokio::select! {
            ended = &mut self.ended => match self.exec.look() {
                ExecProgress::Failed(error) => {
                    HandlerReport::new(HandlerResult::Failed, describe(&error))
                }
                ExecProgress::Executed | ExecProgress::Pending => report_of(ended),
            },
            mut report = timed_out(time) => {
                if matches!(self.exec.look(), ExecProgress::Pending) {
                    report.detail += ": its program could not be executed in that time";
                }
                if let Err(error) = terminate(&self.reaper, self.pid) {
                    report.detail += &format!(", and cannot be ended: {error}");
                }
                let report = HandlerReport { output: self.relay.last_lines(), ..report };
                let _ = sender.send(report);
                return self.kill_after().await;
            }
            () = abort_requested(aborted) => return self.kill_after().await,
        };
        report.output = self.relay.finish().await;
        if let Some(env_pipe) = self.env_pipe.filter(|_| report.result == HandlerResult::Succeeded) {
            match env_pipe.finish().await {
                Ok(variables) => report.set = variables,
                Err(why) => {
                    report = HandlerReport { output: report.output, ..HandlerReport::new(HandlerResult::Failed, why) }
                }
            }
        }
        // The receiver is gone only if the process is about to exit.
        let _ = sender.send(report);
    }

    /// SIGKILL to the group, if SIGTERM does not end the program.
    async fn kill_after(mut self) {
        if timeout(KILL_AFTER, &mut self.ended).await.is_ok() {
            return;
        }
        let error = self.reaper.signal_group(self.pid, Signal::KILL).err().map(tracing::field::display);
        if timeout(KILL_TAKES, &mut self.ended).await.is_err() {
            tracing::warn!(handler = self.name, pid = self.pid.as_raw(), error, "a handler still runs after SIGKILL");
        }
    }
}

/// Sends SIGTERM to the group now, and SIGKILL to the rest of it when its leader has ended.
pub(super) fn terminate(reaper: &Reaper, pid: Pid) -> io::Result<()> {
    reaper.kill_on_exit(pid);
    // The leader may have just ended: then there is no group to signal.
    reaper.signal_group(pid, Signal::TERM).or_else(unless_ended)
}

fn report_of(ended: Result<Ended, oneshot::error::RecvError>) -> HandlerReport {
    match ended {
        Ok(Ended::Exited(0)) => HandlerReport::new(HandlerResult::Succeeded, "exit code 0"),
        Ok(Ended::Exited(code)) => HandlerReport::new(HandlerResult::Failed, format!("exit code {code}")),
        Ok(Ended::Signalled(signal)) => HandlerReport::new(HandlerResult::Failed, format!("killed by {signal}")),
        // This does not happen: the reaper's table lives as long as the loop.
        Err(_) => HandlerReport::new(HandlerResult::Failed, "the exit status was lost"),
    }
}

/// The time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(1);
/// How long SIGKILL may take.
const KILL_TAKES: Duration = Duration::from_millis(500);
