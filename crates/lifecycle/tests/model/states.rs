//! Checks of every state.

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Event, Hook, Machine, Outcome, PhaseName, Remaining, Timer};

use crate::check::Bounded;
use crate::lists::{NextStep, is_empty};
use crate::promises::Promise;
use crate::settings::{SECOND, Setting};
use crate::world::{App, World};

impl World {
    /// Checks what holds in every state.
    pub(crate) fn rest(&mut self, setting: &Setting) -> u64 {
        self.observe_view(setting);
        self.observe_stop(setting);
        if self.edge.exited {
            let mut machine = self.machine.clone();
            let late = [
                Event::Signal(Signal::TERM),
                Event::StopRequested,
                Event::Remaining(Remaining::Nothing),
                Event::TimerFired(Timer::Kill),
            ];
            let silent = late.into_iter().all(|event| machine.apply(self.edge.now, event).is_empty());
            self.must(silent && machine == self.machine, Promise::PostStopLast);
        }
        let mut moves = Vec::new();
        self.moves(setting, &mut moves);
        // An end may not depend on optional events (hooks, signals, ticks).
        moves.retain(|next| next.is_bound_to_come());
        self.must(!moves.is_empty() || self.may_rest(setting) || self.broken.is_some(), Promise::ReachesExit);
        0
    }

    fn observe_stop(&mut self, setting: &Setting) {
        let Some(stop) = self.memory.stop.clone().filter(|_| self.app == App::Alive) else { return };
        let idle = !self.edge.is_running(Hook::PreStop) && !self.edge.timers.contains_key(&Timer::Retry(Hook::PreStop));
        // A stop signal is not delayed without a reason.
        let held = stop.wanted.is_empty() || stop.signalled.is_some() || self.memory.killed || !idle;
        self.must(held, Promise::SignalAfterPreStop);
        // The handlers have begun with the stop, unless there was no time for them.
        let begun = self.memory.lists.get(Hook::PreStop).is_some_and(NextStep::has_begun);
        self.must(begun || is_empty(&setting.plan, Hook::PreStop), Promise::PreStopOnce);
        if let (Some(grace), false) = (setting.plan.grace, stop.wanted.is_empty()) {
            let signalled = stop.signalled.map_or(stop.began, |(_, last)| last);
            let not_after = (stop.began + grace).max(signalled + SECOND);
            self.must(self.memory.killed || self.edge.now <= not_after, Promise::KillAtDeadline);
        }
    }

    /// The values of `/status` and the health paths.
    fn observe_view(&mut self, setting: &Setting) {
        let (machine, memory) = (&self.machine, &self.memory);
        let started = memory.app_starts > 0
            && (memory.lists.outcome(Hook::PostStart) == Some(Outcome::Succeeded)
                || is_empty(&setting.plan, Hook::PostStart));
        let alive = self.app == App::Alive;
        let reported_outcome = memory.sent.is_some() || memory.killed;
        let phase = match (self.app, &memory.stop) {
            _ if self.edge.exited => PhaseName::Exited,
            _ if memory.held && !memory.hold_over => PhaseName::Held,
            (App::Alive, Some(_)) => PhaseName::Stopping,
            (App::Alive, None) => PhaseName::Running,
            (App::Gone, _) => PhaseName::Finishing,
            (App::NotYet, _) if memory.ended.is_some() => PhaseName::Finishing,
            (App::NotYet, _) => PhaseName::Starting,
        };
        let shown_stop = memory.stop.as_ref().filter(|_| !self.edge.exited);
        let deadline = shown_stop.and_then(|stop| setting.plan.grace.map(|grace| stop.began + grace));
        let holds = machine.is_ready() == (alive && memory.stop.is_none() && started)
            && machine.is_serving() == (alive && !reported_outcome && started)
            && machine.has_started() == started
            && machine.phase() == phase
            && machine.stop_trigger() == shown_stop.map(|stop| (stop.trigger, stop.began))
            && machine.deadline() == deadline;
        self.must(holds, Promise::ShownAsItIs);
    }
}
