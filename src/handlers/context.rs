//! The container, as the loop and the handlers reach it: the reaper, the app and the progress of a drain.

use std::io;
use std::sync::Arc;

use super::drain::DrainStatus;
use super::output_budget::OutputBudgets;
use crate::process::Pid;
use crate::process::inherited::Inherited;
use crate::process::pidfd::PidFd;
use crate::process::reaper::{Reaper, SignalTarget};
use bookend_lifecycle::Hook;
use bookend_lifecycle::signal::Signal;

/// Shared by the handlers of one app. The loop reaps and signals the app through it, too.
#[derive(Debug, Clone)]
pub(crate) struct HandlerContext {
    pub(crate) reaper: Reaper,
    pub(crate) inherited: Arc<Inherited>,
    pub(crate) app: AppHandle,
    /// The progress of the current or the last drain.
    pub(crate) drain: DrainStatus,
    /// How much of the handlers' output is still logged.
    pub(crate) output: OutputBudgets,
}

/// The app, as handlers reach it.
#[derive(Debug, Clone)]
pub(crate) enum AppHandle {
    /// Our own child; signals go to it or to its group (`app.signalScope`).
    Child(SignalTarget),
    /// The process of another container, while it is known.
    OtherContainer(Option<Arc<PidFd>>),
}

impl HandlerContext {
    pub(crate) fn app_pid(&self) -> Option<Pid> {
        match &self.app {
            AppHandle::Child(_) => self.reaper.app(),
            AppHandle::OtherContainer(pidfd) => pidfd.as_ref().map(|pidfd| pidfd.pid()),
        }
    }

    /// Sends the app a signal. `NotFound`: it has ended, or its process is not known.
    pub(crate) fn signal_app(&self, signal: Signal) -> io::Result<()> {
        match &self.app {
            AppHandle::Child(target) => self.reaper.signal_app(signal, *target),
            AppHandle::OtherContainer(pidfd) => pidfd.as_ref().ok_or(io::ErrorKind::NotFound)?.signal(signal),
        }
    }
}

/// Why a handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// As a handler of this hook.
    Hook(Hook),
    /// As a probe. Its output is kept but not logged, because it runs every few seconds.
    Probe,
}
