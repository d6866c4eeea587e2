//! One set of hooks with its machine, and what is known of its app.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::handlers::env::HandlerEnv;
use crate::handlers::program::{Environment, ProgramError, container_variables};
use crate::handlers::{App, HandlerContext};
use crate::process::pidfd::PidFd;
use crate::report::counters::Counters;
use crate::runtime::plan;
use bookend_config::settings::{ContainerSettings, Handler, ProcessSelector, Settings};
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{Hook, PhaseName, SidecarLifecycle, Time, Timer, Trigger};

/// Its place among the sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnitId(pub(super) usize);

pub(super) struct ContainerUnit {
    /// Its name in the path of its hooks; the one of the top level has none.
    pub(super) name: Option<String>,
    container: ContainerSettings,
    pub(super) machine: SidecarLifecycle,
    pub(super) context: HandlerContext,
    pub(super) timers: SmallMap<Timer, Time>,
    pub(super) counters: Counters,
    pub(super) pidfd: Option<Arc<PidFd>>,
    looks: Looks,
    /// When it is looked for again.
    pub(super) look_at: Option<Time>,
    /// Why it could not be told the last time: said once.
    pub(super) not_found: Option<String>,
    pub(super) has_exited: bool,
}

impl ContainerUnit {
    /// The set of the top level, and those of `containers`.
    pub(super) fn all(settings: &Settings, context: &HandlerContext) -> Vec<ContainerUnit> {
        let all = settings.of_sidecar().into_iter().zip(0..);
        all.map(|((name, container), place)| ContainerUnit::new(settings, name, container, place, context)).collect()
    }

    fn new(
        settings: &Settings,
        name: Option<String>,
        container: ContainerSettings,
        place: u64,
        context: &HandlerContext,
    ) -> ContainerUnit {
        ContainerUnit {
            name,
            // Each machine counts its runs from a place of its own: none is like another's.
            machine: SidecarLifecycle::new(plan::of_container(settings, &container), place << 32),
            context: HandlerContext { app: App::OtherContainer(None), ..context.clone() },
            timers: SmallMap::new(),
            counters: Counters::default(),
            container,
            pidfd: None,
            looks: Looks::default(),
            look_at: None,
            not_found: None,
            has_exited: false,
        }
    }

    pub(super) fn handler(&self, hook: Hook, index: usize) -> Option<&Handler> {
        plan::handler_list(&self.container.lifecycle, hook).get(index)
    }

    /// What a handler finds in its environment: ours, which `app.env` adds to, and what it may want to know besides.
    pub(super) fn handler_env(
        &self,
        settings: &Settings,
        hook: Hook,
        name: &str,
        socket: Option<&Path>,
        now: Time,
    ) -> Result<Environment, ProgramError> {
        let told = HandlerEnv {
            hook: Some(hook),
            name,
            phase: self.machine.phase(),
            trigger: self.trigger(),
            app: self.pidfd.as_ref().map(|pidfd| pidfd.pid()),
            socket,
            left: self.machine.deadline().map(|end| end.saturating_sub(now)),
        };
        let mut env = told.beside(container_variables(&settings.app, &[])?);
        if let Some(container) = &self.name {
            env.set("BOOKEND_CONTAINER", container);
        }
        if hook == Hook::PostStop {
            env.set("BOOKEND_REASON", self.machine.reason().name());
        }
        Ok(env)
    }

    /// Whether its process is looked for.
    pub(super) fn sees_app(&self) -> bool {
        self.container.process.is_some()
    }

    /// What began the stop that is going on.
    pub(super) fn trigger(&self) -> Option<Trigger> {
        self.machine.stop_trigger().map(|(trigger, _)| trigger)
    }

    /// Whether no life of the app is ending.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.machine.phase(), PhaseName::Starting | PhaseName::Running)
    }

    pub(super) fn hold(&mut self, pidfd: Arc<PidFd>) {
        self.context.app = App::OtherContainer(Some(Arc::clone(&pidfd)));
        self.pidfd = Some(pidfd);
        self.look_at = None;
        self.not_found = None;
    }

    /// It has ended; the next one is looked for.
    pub(super) fn release(&mut self, now: Time) {
        self.context.app = App::OtherContainer(None);
        self.pidfd = None;
        self.look_at = Some(now + LOOK_AGAIN);
    }

    /// How it is known, where it is to be looked for now. What has to wait is made up for.
    pub(super) fn looks_for(&mut self, now: Time) -> Option<&ProcessSelector> {
        let wanted = self.container.process.as_ref().filter(|_| self.pidfd.is_none())?;
        match self.looks.take(now) {
            Ok(()) => {
                self.look_at = Some(now + LOOK_AGAIN);
                Some(wanted)
            }
            Err(free) => {
                self.look_at = Some(free);
                None
            }
        }
    }
}

/// Hooks come in any number: they do not make us look without end. Those of a pod's life never wait.
#[derive(Debug, Default)]
struct Looks {
    /// Until when the looks so far would have taken, had they come at their pace.
    paid: Time,
}

impl Looks {
    /// Takes one; or when there is one to take.
    fn take(&mut self, now: Time) -> Result<(), Time> {
        let free = self.paid.saturating_sub(LOOKS_PACE * LOOKS_AT_ONCE);
        if free > now {
            return Err(free);
        }
        self.paid = self.paid.max(now) + LOOKS_PACE;
        Ok(())
    }
}

/// A look takes milliseconds of CPU, and a hook that is called looks at once.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// So many looks come as they are called for, and more of them ten times a second.
const LOOKS_AT_ONCE: u32 = 10;
const LOOKS_PACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_in_any_number_make_us_look_ten_times_a_second_and_a_few_not_wait() {
        let mut looks = Looks::default();
        let at = Duration::from_millis;
        assert_eq!((0..11).filter(|_| looks.take(at(5000)).is_ok()).count(), 11);
        let free = looks.take(at(5000)).unwrap_err();
        assert_eq!(free, at(5100), "what has to wait is told for how long");
        assert!(looks.take(at(5099)).is_err() && looks.take(free).is_ok());
        let stormed = (0..10_000).filter(|millis| looks.take(at(6000 + millis)).is_ok()).count();
        assert!((100..=120).contains(&stormed), "{stormed} in ten seconds");
        assert!(looks.take(at(60_000)).is_ok());
    }
}
