//! The state as it is now, for whoever asks: of the sidecar, and of each app it knows.

use super::Sidecar;
use super::set::Set;
use crate::http::{AppStatusView, ContainerView, DrainView, Show, Status};
use crate::report::journal::describe_trigger;
use bookend_lifecycle::PhaseName;
use bookend_lifecycle::seconds::Seconds;

impl Sidecar {
    /// Where the pod is, as far as it is told here: a stop of any app is one.
    pub(super) fn phase(&self) -> PhaseName {
        let is_over = |set: &Set| matches!(set.machine.phase(), PhaseName::Finishing | PhaseName::Exited);
        match self.stop {
            Some(_) if self.sets.iter().all(is_over) => PhaseName::Finishing,
            Some(_) => PhaseName::Stopping,
            None if self.sets.iter().any(|set| set.trigger().is_some()) => PhaseName::Stopping,
            None => PhaseName::Running,
        }
    }

    pub(super) fn snapshot(&mut self, show: Show) -> Status {
        let story = if show == Show::Everything { self.story() } else { Status::default() };
        // Called or not: an app's container must not wait for what only it will bring.
        let started = !self.sets.iter().any(|set| set.machine.is_starting());
        let phase = self.phase();
        let trigger = self.stop.or_else(|| self.sets.iter().find_map(Set::trigger));
        let end = self.sets.iter().filter_map(|set| set.machine.deadline()).min();
        let left = end.map(|end| Seconds(end.saturating_sub(self.desk.now())));
        Status {
            version: env!("CARGO_PKG_VERSION"),
            phase: phase.name(),
            uptime_seconds: Seconds(self.desk.now()),
            post_start_over: started,
            started,
            ready: started && phase == PhaseName::Running,
            serving: started && phase != PhaseName::Finishing,
            app: AppStatusView { pid: self.sets.first().and_then(pid), ended: None },
            containers: Some(self.sets.iter().filter_map(|set| Some((set.name.clone()?, self.view(set)))).collect()),
            stopped_by: trigger.map(describe_trigger),
            stop_began_seconds: self.desk.journal.origin().map(Seconds),
            termination_grace_period_seconds: self.settings.termination_grace_period.map(Seconds),
            grace_left_seconds: left,
            orphans_reaped: self.reaper.orphans(),
            ..story
        }
    }

    fn view(&self, set: &Set) -> ContainerView {
        ContainerView {
            phase: set.machine.phase().name(),
            sees_app: set.sees_app(),
            pid: pid(set),
            stopped_by: set.trigger().map(describe_trigger),
            grace_left_seconds: set.machine.deadline().map(|end| Seconds(end.saturating_sub(self.desk.now()))),
            drain: set.surroundings.drain.borrow().map(DrainView::of),
            tally: set.tally.clone(),
        }
    }

    fn story(&mut self) -> Status {
        let drain = self.sets.first().and_then(|set| *set.surroundings.drain.borrow()).map(DrainView::of);
        let tally = self.sets.first().map(|set| set.tally.clone()).unwrap_or_default();
        Status { tally, ..self.desk.story(drain) }
    }
}

fn pid(set: &Set) -> Option<i32> {
    set.held.as_ref().map(|held| held.pid().as_raw())
}
