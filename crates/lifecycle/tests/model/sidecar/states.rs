//! Checks of every state of a sidecar's machine.

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, AppStatus, CallerId, Event, Hook, Machine, Outcome, PhaseName, Timer};

use super::World;
use super::memory::{Next, Seen};
use super::settings::Setting;
use crate::check::Bounded;
use crate::promises::Promise;
use crate::settings::HandlerNature;

impl World {
    /// Checks what holds in every state.
    pub(super) fn rest(&mut self, setting: &Setting) -> u64 {
        self.observe_view(setting);
        self.observe_lists(setting);
        self.observe_callers();
        if self.edge.exited {
            self.observe_silence();
            return 0;
        }
        self.observe_end(setting);
        0
    }

    /// The values of `/status` and the health paths.
    fn observe_view(&mut self, setting: &Setting) {
        let (machine, memory) = (&self.machine, &self.memory);
        let started = memory.lists.outcome(Hook::PostStart) == Some(Outcome::Succeeded);
        let phase = match memory.origin() {
            _ if self.edge.exited => PhaseName::Exited,
            _ if memory.life.is_over => PhaseName::Finishing,
            Some(_) => PhaseName::Stopping,
            None if memory.seen == Seen::There || started => PhaseName::Running,
            None => PhaseName::Starting,
        };
        let holds = machine.phase() == phase
            && machine.stop_trigger() == memory.origin()
            && machine.deadline() == memory.end_of_grace(&setting.plan)
            && machine.reason() == Some(memory.reason())
            && machine.has_started() != memory.in_flight(Hook::PostStart);
        self.must(holds, Promise::ShownAsItIs);
    }

    /// A list that has begun runs, or waits for a retry; a running handler belongs to a list that has begun.
    fn observe_lists(&mut self, setting: &Setting) {
        for hook in [Hook::PostStart, Hook::PreStop, Hook::PostStop] {
            let runs = self.edge.is_running(hook);
            let retries = self.edge.timers.contains_key(&Timer::Retry(hook));
            let in_flight = self.memory.in_flight(hook);
            self.must(if in_flight { runs || retries } else { !runs }, Promise::InOrder);
        }
        let memory = &self.memory;
        // The life is over: handlers in flight finish, postStop runs, and nothing happens between the two.
        let goes_on = memory.in_flight(Hook::PreStop) || memory.in_flight(Hook::PostStop);
        let rests = memory.life.is_over && !goes_on && !memory.is_finished(&setting.plan);
        let stop = memory.life.stop.as_ref().filter(|_| memory.end.is_none() && !memory.life.is_over);
        let over = stop.and_then(|stop| stop.answered).map(|at| at + World::patience(setting));
        let is_latched = over.is_some_and(|over| self.edge.now > over);
        self.must(!rests, Promise::PostStopOnceALife);
        self.must(!is_latched, Promise::PreStopOnce);
    }

    /// Every wait has a reason.
    fn observe_callers(&mut self) {
        let memory = &self.memory;
        let stop = memory.life.stop.as_ref().filter(|_| !memory.life.is_over);
        let app_ends = self.held && stop.is_some_and(|stop| stop.signalled && !stop.left_alone);
        let holds = self.edge.waiting.iter().all(|(caller, hook)| match hook {
            Hook::PostStart => memory.in_flight(*hook) || memory.early.contains_key(caller),
            _ if memory.early.contains_key(caller) => memory.next == Next::There,
            _ => memory.in_flight(*hook) || app_ends,
        });
        self.must(holds, Promise::HooksAnswered);
    }

    /// After Exit the only action is a true answer to a late caller.
    fn observe_silence(&mut self) {
        let mut machine = self.machine.clone();
        let late = [
            Event::Signal(Signal::TERM),
            Event::StopRequested,
            Event::AppStarted,
            Event::AppEnded { status: AppStatus::Unknown },
            Event::TimerFired(Timer::Kill),
            Event::TimerFired(Timer::LateHook),
        ];
        let silent = late.into_iter().all(|event| machine.apply(self.edge.now, event).is_empty());
        self.must(silent && machine == self.machine, Promise::PostStopLast);
        for hook in [Hook::PostStart, Hook::PreStop] {
            let nothing = if hook == Hook::PreStop { Outcome::Succeeded } else { Outcome::Aborted };
            let outcome = self.memory.lists.outcome(hook).unwrap_or(nothing);
            let caller = CallerId(u64::MAX);
            let answer = machine.apply(self.edge.now, Event::HookCalled { hook, caller });
            self.must(answer == [Action::Answer { caller, hook, outcome }], Promise::HooksAnswered);
        }
    }

    /// Our own stop goes on as soon as nothing is waited for, and no optional event (hooks, signals,
    /// ticks) is needed for its end.
    fn observe_end(&mut self, setting: &Setting) {
        let Some(end) = &self.memory.end else { return };
        let is_due = !self.memory.life.is_over && !self.is_waited_for(setting);
        // A hook that may be on its way is waited for one second.
        let waits_long = !self.memory.life.is_over && end.waits_for_hook && self.edge.now > end.hook_until;
        self.must(!is_due && !waits_long, Promise::ReachesExit);
        let mut moves = Vec::new();
        self.moves(setting, &mut moves);
        moves.retain(|next| next.is_bound_to_come());
        let hangs = setting.handlers == HandlerNature::Hang && !self.edge.runs.is_empty();
        let stays = self.held && self.memory.seen == Seen::There;
        let may_rest = setting.plan.grace.is_none() && (hangs || stays);
        self.must(!moves.is_empty() || may_rest, Promise::ReachesExit);
    }
}
