//! The first steps of the container and of the sidecar, which both take before their loop runs.

use std::io;

use tokio::runtime::{Builder, Runtime};

use super::listeners::ListenError;
use crate::process::inherited::Inherited;
use crate::process::leftovers;
use crate::process::reaper::{ReapBound, Reaper};
use crate::process::{become_subreaper, is_first_process};
use bookend_config::settings::Settings;
use bookend_lifecycle::signal::Signal;

/// Why a loop did not begin. After the app is spawned, nothing is fatal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The port is in use, or the address is not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No descriptors, no memory.
    #[error("cannot make the socket for the app's notifications (app.notify)")]
    Notify(#[source] io::Error),
    /// A seccomp profile.
    #[error("cannot block signals: rt_sigprocmask(2) is refused")]
    Mask,
    /// A seccomp profile.
    #[error("cannot set {0}: prctl(2) is refused")]
    Refused(&'static str, #[source] io::Error),
    /// Neither the command line nor the configuration names a command.
    #[error("there is no command to run: give one after `--`, or set app.command in the configuration")]
    NoCommand,
    /// No descriptors, no memory. Only a sidecar ends with it: a container goes on, and only forwards signals and reaps.
    #[error("cannot build the runtime")]
    Runtime(#[source] io::Error),
    /// No descriptors, no memory. Only a sidecar ends with it: a container goes on, and only forwards signals and reaps.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// A signal that is not blocked would be lost, or end us.
pub(super) fn check(inherited: &Inherited) -> Result<(), StartError> {
    if inherited.blocks_signals { Ok(()) } else { Err(StartError::Mask) }
}

/// The runtime of the loop: one thread.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().event_interval(TASKS_AT_ONCE).build()
}

/// Applies `pdeathSignal` and `subreaper`: which ends of other processes the kernel reports to us. Being a subreaper may be
/// refused with a warning if the configuration does not ask for it.
pub(super) fn set_up_parentage(
    settings: &Settings,
    inherited: &Inherited,
    warnings: &mut Vec<String>,
) -> Result<(), StartError> {
    if let Some(signal) = settings.pdeath_signal {
        inherited.ask_for_parent_death(signal).map_err(|error| StartError::Refused("pdeathSignal", error))?;
    }
    if settings.subreaper.unwrap_or(!is_first_process())
        && let Err(error) = become_subreaper()
    {
        if settings.subreaper.is_some() {
            return Err(StartError::Refused("subreaper", error));
        }
        warnings.push(format!(
            "cannot become a subreaper: {error}: orphans go to another process, and a stop does not end them"
        ));
    }
    Ok(())
}

/// Kills the remaining children: they would outlive us. As PID 1 we need not: the kernel kills our PID namespace.
pub(super) fn kill_remaining_children(reaper: &Reaper) {
    if !is_first_process() && reaper.reap(ReapBound::ROUND).others {
        leftovers::signal_all(Signal::KILL, &[]);
    }
}

/// The number of tasks that run before the runtime looks for signals again: a client can make one task work for
/// milliseconds, with a TLS handshake.
const TASKS_AT_ONCE: u32 = 2;
