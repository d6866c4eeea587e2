//! One app with its machine. The container's loop has one unit, a sidecar's has one for each container.

use std::path::Path;

use litemap::LiteMap;

use crate::handlers::HandlerContext;
use crate::handlers::env::{AppEnd, HandlerEnv};
use crate::handlers::program::{self, PendingEnvironment, Variables};
use crate::process::Pid;
use crate::process::reaper::Ended;
use crate::report::counters::Counters;
use crate::runtime::plan::handler_list;
use bookend_config::settings::{AppSettings, Handler, LifecycleSettings};
use bookend_lifecycle::{AppStatus, Hook, Machine, Note, Time, Timer, Trigger};

/// The index of a unit in its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitId(pub(super) usize);

impl UnitId {
    /// The app at the top level of the configuration: the only unit of a container's loop, the first of a sidecar's.
    pub(super) const FIRST: UnitId = UnitId(0);
}

pub(super) struct Unit<M> {
    /// The container's name in the path of its hooks; `None` for the app at the top level of the configuration.
    pub(super) name: Option<String>,
    pub(super) machine: M,
    pub(super) lifecycle: LifecycleSettings,
    pub(super) app: App,
    pub(super) variables: ContainerVariables,
    pub(super) timers: LiteMap<Timer, Time>,
    pub(super) counters: Counters,
    /// The kernel's OOM killer ended the app.
    pub(super) oom: bool,
    /// Shared by the handlers of this unit.
    pub(super) context: HandlerContext,
}

/// The app of a unit, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum App {
    /// Not started yet. In a sidecar: not found.
    NotStarted,
    Running {
        pid: Pid,
        since: Time,
    },
    /// Only an app of our own: the app of another container may be started again.
    Ended {
        status: AppStatus,
        /// `None` if it could not be started.
        since: Option<Time>,
        until: Time,
    },
}

/// The variables of the container, in addition to those that bookend was started with.
#[derive(Debug, Default)]
pub(super) struct ContainerVariables {
    /// Set by preStart handlers, or by bookend for the app.
    pub(super) set: Variables,
    /// Given to the app when it started.
    pub(super) given: Option<Variables>,
}

impl<M: Machine> Unit<M> {
    pub(super) fn new(
        name: Option<String>,
        machine: M,
        lifecycle: LifecycleSettings,
        context: HandlerContext,
    ) -> Unit<M> {
        Unit {
            name,
            machine,
            lifecycle,
            app: App::NotStarted,
            variables: ContainerVariables::default(),
            timers: LiteMap::new(),
            counters: Counters::default(),
            oom: false,
            context,
        }
    }

    pub(super) fn handler(&self, hook: Hook, index: usize) -> Option<&Handler> {
        handler_list(&self.lifecycle, hook).get(index)
    }

    /// The environment of a handler, or of a probe, which belongs to no hook.
    pub(super) fn handler_env(
        &self,
        settings: &AppSettings,
        hook: Option<Hook>,
        name: &str,
        socket: Option<&Path>,
        now: Time,
    ) -> PendingEnvironment {
        let env = HandlerEnv {
            hook,
            name,
            container: self.name.as_deref(),
            phase: self.machine.phase(),
            trigger: self.trigger(),
            app: self.context.app_pid(),
            socket,
            left: self.grace_left(now),
            reason: self.machine.reason(),
            oom: self.oom,
            end: self.app.end(self.machine.stop_trigger().map(|(_, began)| began)),
        };
        self.variables.pending(settings, env.variables())
    }

    /// The trigger of the current stop.
    pub(super) fn trigger(&self) -> Option<Trigger> {
        self.machine.stop_trigger().map(|(trigger, _)| trigger)
    }

    /// The time of a note: a stop begins for the report when it begins for the machine, however late the loop tells it.
    pub(super) fn time_of(&self, note: Note, now: Time) -> Time {
        match (note, self.machine.stop_trigger()) {
            (Note::StopBegan(_), Some((_, began))) => began,
            _ => now,
        }
    }

    /// The rest of the grace period in the current stop.
    pub(super) fn grace_left(&self, now: Time) -> Option<Time> {
        self.machine.deadline().map(|end| end.saturating_sub(now))
    }

    pub(super) fn next_timer(&self) -> Option<Time> {
        self.timers.values().min().copied()
    }

    /// Removes the timer that is due first, if one is due.
    pub(super) fn take_due_timer(&mut self, now: Time) -> Option<Timer> {
        let (timer, at) = self.timers.iter().min_by_key(|(_, at)| **at)?;
        let timer = (*at <= now).then_some(*timer)?;
        self.timers.remove(&timer);
        Some(timer)
    }
}

impl App {
    pub(super) fn pid(&self) -> Option<Pid> {
        match self {
            App::Running { pid, .. } => Some(*pid),
            App::NotStarted | App::Ended { .. } => None,
        }
    }

    pub(super) fn running_since(&self) -> Option<Time> {
        match self {
            App::Running { since, .. } => Some(*since),
            App::NotStarted | App::Ended { .. } => None,
        }
    }

    pub(super) fn status(&self) -> Option<AppStatus> {
        match self {
            App::Ended { status, .. } => Some(*status),
            App::NotStarted | App::Running { .. } => None,
        }
    }

    pub(super) fn has_ended(&mut self, status: AppStatus, now: Time) {
        *self = App::Ended { status, since: self.running_since(), until: now };
    }

    fn end(&self, stop_began: Option<Time>) -> Option<AppEnd> {
        let App::Ended { status, since, until } = *self else { return None };
        let time_from = |time: Time| until.saturating_sub(time);
        Some(AppEnd { status, ran: since.map(time_from), stop: stop_began.map(time_from) })
    }
}

impl From<Ended> for AppStatus {
    fn from(ended: Ended) -> AppStatus {
        match ended {
            Ended::Exited(code) => AppStatus::Exited(code),
            Ended::Signalled(signal) => AppStatus::Signalled(signal),
        }
    }
}

impl ContainerVariables {
    /// Adds variables that a preStart handler has set.
    pub(super) fn extend(&mut self, variables: Variables) {
        for (name, value) in variables {
            program::set(&mut self.set, name, value);
        }
    }

    /// The environment of a handler that has these variables of its own.
    fn pending(&self, settings: &AppSettings, own: Variables) -> PendingEnvironment {
        match &self.given {
            Some(given) => PendingEnvironment::new(Vec::new(), given.clone(), own),
            None => PendingEnvironment::new(settings.program.env.clone(), self.set.clone(), own),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_ended_app_reports_its_run_time_and_the_stop_time() {
        let at = Duration::from_secs;
        let mut app = App::Running { pid: Pid::from_raw(7), since: at(10) };
        app.has_ended(AppStatus::Exited(3), at(25));
        let end = AppEnd { status: AppStatus::Exited(3), ran: Some(at(15)), stop: Some(at(5)) };
        assert_eq!(app.end(Some(at(20))), Some(end));
        assert_eq!((app.pid(), app.status()), (None, Some(AppStatus::Exited(3))));
    }

    #[test]
    fn an_app_that_never_started_has_no_run_time() {
        let mut app = App::NotStarted;
        app.has_ended(AppStatus::NotStarted { code: 127 }, Duration::from_secs(1));
        assert_eq!(app.end(None).map(|end| (end.ran, end.stop)), Some((None, None)));
    }
}
