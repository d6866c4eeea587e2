//! The state as it is now, for whoever asks: of the sidecar, and of each app it knows.

use super::SidecarLoop;
use super::unit::ContainerUnit;
use crate::http::{AppStatusView, ContainerView, Detail, DrainView, StatusView};
use crate::report::journal::describe_trigger;
use bookend_lifecycle::PhaseName;
use bookend_lifecycle::seconds::Seconds;

impl SidecarLoop {
    /// Where the pod is, as far as it is told here: a stop of any app is one.
    pub(super) fn phase(&self) -> PhaseName {
        let is_over = |unit: &ContainerUnit| matches!(unit.machine.phase(), PhaseName::Finishing | PhaseName::Exited);
        match self.stop {
            Some(_) if self.units.iter().all(is_over) => PhaseName::Finishing,
            Some(_) => PhaseName::Stopping,
            None if self.units.iter().any(|unit| unit.trigger().is_some()) => PhaseName::Stopping,
            None => PhaseName::Running,
        }
    }

    pub(super) fn snapshot(&mut self, show: Detail) -> StatusView {
        let story = if show == Detail::Everything { self.story() } else { StatusView::default() };
        // Called or not: an app's container must not wait for what only it will bring.
        let started = !self.units.iter().any(|unit| unit.machine.is_starting());
        let phase = self.phase();
        let trigger = self.stop.or_else(|| self.units.iter().find_map(ContainerUnit::trigger));
        let end = self.units.iter().filter_map(|unit| unit.machine.deadline()).min();
        let left = end.map(|end| Seconds(end.saturating_sub(self.dispatcher.now())));
        StatusView {
            version: env!("CARGO_PKG_VERSION"),
            phase: phase.name(),
            uptime_seconds: Seconds(self.dispatcher.now()),
            post_start_over: started,
            started,
            ready: started && phase == PhaseName::Running,
            serving: started && phase != PhaseName::Finishing,
            app: AppStatusView { pid: self.units.first().and_then(pid), ended: None },
            containers: Some(
                self.units.iter().filter_map(|unit| Some((unit.name.clone()?, self.view(unit)))).collect(),
            ),
            stopped_by: trigger.map(describe_trigger),
            stop_began_seconds: self.dispatcher.journal.origin().map(Seconds),
            termination_grace_period_seconds: self.settings.termination_grace_period.map(Seconds),
            grace_left_seconds: left,
            orphans_reaped: self.reaper.orphans(),
            ..story
        }
    }

    fn view(&self, unit: &ContainerUnit) -> ContainerView {
        ContainerView {
            phase: unit.machine.phase().name(),
            sees_app: unit.sees_app(),
            pid: pid(unit),
            stopped_by: unit.trigger().map(describe_trigger),
            grace_left_seconds: unit.machine.deadline().map(|end| Seconds(end.saturating_sub(self.dispatcher.now()))),
            drain: unit.context.drain.borrow().map(DrainView::of),
            counters: unit.counters.clone(),
        }
    }

    fn story(&mut self) -> StatusView {
        let drain = self.units.first().and_then(|unit| *unit.context.drain.borrow()).map(DrainView::of);
        let counters = self.units.first().map(|unit| unit.counters.clone()).unwrap_or_default();
        StatusView { counters, ..self.dispatcher.story(drain) }
    }
}

fn pid(unit: &ContainerUnit) -> Option<i32> {
    unit.pidfd.as_ref().map(|pidfd| pidfd.pid().as_raw())
}
