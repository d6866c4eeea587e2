//! One app of a sidecar: its unit, and the search for its process in another container.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::handlers::{AppHandle, HandlerContext, OutputBudgets};
use crate::http::{HookCall, HookSender};
use crate::process::pidfd::PidFd;
use crate::runtime::dispatcher::SearchResult;
use crate::runtime::plan;
use crate::runtime::unit::{App, Unit};
use bookend_config::settings::{ContainerSettings, ProcessSelector, Settings};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Event, Machine, PhaseName, SidecarLifecycle, Time};

pub(super) struct SidecarApp {
    pub(super) unit: Unit<SidecarLifecycle>,
    pub(super) has_exited: bool,
    /// `None`: its process is not looked for.
    selector: Option<ProcessSelector>,
    rate: SearchRate,
    /// When the process is looked for again; `None` while it is known.
    search_at: Option<Time>,
    /// The reason why the last search failed. It is logged once.
    search_error: Option<String>,
    /// A thread searches.
    pub(super) is_searching: bool,
    /// Calls of hooks that wait for the search; no more than there are connections.
    pub(super) calls: Vec<(HookCall, HookSender)>,
    /// The stop signals that came meanwhile.
    pub(super) events: Vec<Event>,
}

impl SidecarApp {
    /// The app at the top level of the configuration, and those of `containers`.
    pub(super) fn all(settings: &Settings, context: &HandlerContext) -> Vec<SidecarApp> {
        let all = settings.of_sidecar().into_iter().zip(0..);
        all.map(|((name, container), index)| SidecarApp::new(settings, name, container, index, context)).collect()
    }

    fn new(
        settings: &Settings,
        name: Option<String>,
        container: ContainerSettings,
        index: u64,
        context: &HandlerContext,
    ) -> SidecarApp {
        // Each machine numbers its runs from a start of its own, so that no two machines use the same number.
        let machine = SidecarLifecycle::new(plan::of_container(settings, &container), index << 32);
        // Handlers of two apps may have the same name.
        let output = OutputBudgets::new();
        let context = HandlerContext { app: AppHandle::OtherContainer(None), output, ..context.clone() };
        SidecarApp {
            unit: Unit::new(name, machine, container.lifecycle, context),
            has_exited: false,
            selector: container.process,
            rate: SearchRate::default(),
            search_at: None,
            search_error: None,
            is_searching: false,
            calls: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Whether its process is looked for.
    pub(super) fn is_searched(&self) -> bool {
        self.selector.is_some()
    }

    pub(super) fn search_at(&self) -> Option<Time> {
        self.search_at
    }

    /// Whether no stop of the app goes on.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.unit.machine.phase(), PhaseName::Starting | PhaseName::Running)
    }

    /// The selector of the process, if it is wanted and not known, and no search goes on.
    pub(super) fn begin_search(&mut self, now: Time) -> Option<ProcessSelector> {
        let is_wanted = self.unit.app == App::NotStarted && !self.is_searching;
        let selector = self.selector.clone().filter(|_| is_wanted)?;
        if let Err(free) = self.rate.take(now) {
            self.search_at = Some(free);
            return None;
        }
        self.search_at = None;
        self.is_searching = true;
        Some(selector)
    }

    /// Takes the result of a search. Returns the event, and the process if it was found.
    pub(super) fn search_ended(&mut self, now: Time, result: SearchResult) -> Option<(Event, Option<Arc<PidFd>>)> {
        self.is_searching = false;
        self.search_at = Some(now + SEARCH_INTERVAL);
        let container = self.unit.name.as_deref();
        match result {
            Ok(Some(pidfd)) => {
                info!(container, pid = pidfd.pid().as_raw(), "the app's process is found");
                let pidfd = Arc::new(pidfd);
                self.unit.app = App::Running { pid: pidfd.pid(), since: now };
                self.unit.context.app = AppHandle::OtherContainer(Some(Arc::clone(&pidfd)));
                (self.search_at, self.search_error) = (None, None);
                Some((Event::AppStarted, Some(pidfd)))
            }
            // Not started yet.
            Ok(None) => None,
            Err(error) => {
                if self.search_error.as_ref() == Some(&error) {
                    return None;
                }
                warn!(container, "cannot find the app's process: {error}");
                self.search_error = Some(error);
                Some((Event::AppUnseen, None))
            }
        }
    }

    /// The process has ended; the app's next life is looked for.
    pub(super) fn process_ended(&mut self, now: Time) {
        self.unit.app = App::NotStarted;
        self.unit.context.app = AppHandle::OtherContainer(None);
        self.search_at = Some(now + SEARCH_INTERVAL);
    }

    /// Sends the app a signal, if its process is known. Returns the kernel's answer as an event.
    pub(super) fn signal(&mut self, signal: Signal) -> Option<Event> {
        let pid = self.unit.app.pid()?.as_raw();
        match self.unit.context.signal_app(signal) {
            Ok(()) => {
                self.unit.counters.signalled(signal);
                debug!(%signal, pid, "signal sent to the app");
                Some(Event::SignalSent(signal))
            }
            // It has ended; that is reported next.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let container = self.unit.name.as_deref();
                warn!(container, %error, "cannot send {signal} to the app: the kubelet will stop it");
                Some(Event::SignalRefused(signal))
            }
        }
    }
}

/// Limits the searches: any number of hook calls may ask for one. Those of a pod's usual life never wait.
#[derive(Debug, Default)]
struct SearchRate {
    /// The time until which the searches so far would have lasted, had each waited for its turn.
    used_until: Time,
}

impl SearchRate {
    /// Takes a search, or returns when the next one is allowed.
    fn take(&mut self, now: Time) -> Result<(), Time> {
        let free = self.used_until.saturating_sub(SEARCH_PAUSE * SEARCH_BURST);
        if free > now {
            return Err(free);
        }
        self.used_until = self.used_until.max(now) + SEARCH_PAUSE;
        Ok(())
    }
}

/// A search takes milliseconds of CPU, and a hook call searches at once.
const SEARCH_INTERVAL: Duration = Duration::from_secs(2);
/// This many searches are allowed at once, and more of them ten times a second.
const SEARCH_BURST: u32 = 10;
const SEARCH_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_come_in_bursts_of_ten_and_ten_times_a_second() {
        let mut rate = SearchRate::default();
        let at = Duration::from_millis;
        assert_eq!((0..11).filter(|_| rate.take(at(5000)).is_ok()).count(), 11);
        let free = rate.take(at(5000)).unwrap_err();
        assert_eq!(free, at(5100), "a refused search learns when the next one is allowed");
        assert!(rate.take(at(5099)).is_err() && rate.take(free).is_ok());
        let stormed = (0..10_000).filter(|millis| rate.take(at(6000 + millis)).is_ok()).count();
        assert!((100..=120).contains(&stormed), "{stormed} in ten seconds");
        assert!(rate.take(at(60_000)).is_ok());
    }
}
