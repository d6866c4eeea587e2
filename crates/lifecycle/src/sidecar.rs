//! The life of an app in another container, as far as its hooks and its process show it. A sidecar has one machine for each
//! set of hooks. The machine starts no app and never sends SIGKILL, because both are the kubelet's.
//!
//! The diagram of its phases and its promises are on the front page of the crate (`lib.rs`).
//!
//! If the process cannot be seen, only the postStart hook reports a new life: a kubelet calls it once for each start of the
//! container, and does not retry it. So a call after the handlers are over means that the container was started again,
//! unless the process is known to be the same.
//!
//! A process that is found while a life ends belongs to the next life. Its stop waits until postStop of the life before is
//! over. If it ends meanwhile, postStop runs once more.
//!
//! One file: every pair of phase and event stands here.

mod app_stop;
mod call;
mod ending;
mod own_stop;
mod presence;
mod stops;
#[cfg(test)]
mod tests;

use crate::action::{Action, Note};
use crate::context::{Context, ListStep};
use crate::event::{Event, Timer};
use crate::hook::{CallerId, HandlerResult, Hook, Outcome, RunId};
use crate::life::{AppStatus, PhaseName, Reason, Trigger};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::time::Time;
use app_stop::AppStop;
use call::{LifeState, PostStartCall, PreStopCall};
use ending::Ending;
use own_stop::OwnStop;
use presence::AppPresence;
use stops::Stops;

/// One life after another of an app in another container. See the front page of the crate for its phases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SidecarLifecycle {
    cx: Context,
    phase: SidecarPhase,
    app: AppPresence,
    stops: Stops,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SidecarPhase {
    Living {
        /// postStop has to run for this life. While nothing is known, there may be a life.
        owes_post_stop: bool,
    },
    /// The life is over.
    Ending(Ending),
    /// Our own stop is done. Answers are on their way to callers.
    Answers,
    Exited,
}

impl Machine for SidecarLifecycle {
    fn apply(&mut self, now: Time, event: Event) -> Vec<Action> {
        match event {
            Event::HookCalled { hook, caller } => self.hook_called(now, hook, caller),
            Event::CallerDone(caller) => self.caller_done(caller),
            // It is too late for any other event to change anything.
            _ if self.phase == SidecarPhase::Exited => {}
            Event::HandlerEnded { run, result } => self.handler_ended(now, run, result),
            Event::AppStarted => self.app_found(),
            Event::AppEnded { .. } => self.app_ended(now),
            Event::AppUnseen => {
                if self.app == AppPresence::Gone {
                    self.app = AppPresence::Unseen;
                }
            }
            Event::SignalSent(signal) => {
                if self.stops.app.is_some_and(AppStop::awaits_app) {
                    self.cx.tell(Note::StopSignalSent(signal));
                }
            }
            Event::SignalRefused(_) => {
                if let Some(stop) = self.stops.app.as_mut().filter(|stop| stop.awaits_app()) {
                    stop.answer(&mut self.cx, now);
                }
            }
            // Signals other than stop signals are for no process here.
            Event::Signal(signal) if self.cx.plan.stop_signals.contains(&signal) => match self.stops.own {
                None => self.begin_own_stop(now, Trigger::Signal(signal)),
                Some(_) => self.escalate(now),
            },
            Event::StopRequested if self.stops.own.is_none() => self.begin_own_stop(now, Trigger::Request),
            Event::TimerFired(timer) => self.timer_fired(now, timer),
            // A stop goes on already, or the event concerns only an app of our own.
            Event::Signal(_)
            | Event::StopRequested
            | Event::Begin
            | Event::BeginUnseen
            | Event::AppNotStarted { .. }
            | Event::Remaining(_)
            | Event::LeftoversRefused
            | Event::SignalFromPreStop(_)
            | Event::ConnectionsIdle
            | Event::LivenessFailed => {}
        }
        self.settle(now);
        self.cx.take_actions()
    }

    fn phase(&self) -> PhaseName {
        let has_started = self.cx.outcome(Hook::PostStart) == Some(Outcome::Succeeded);
        match self.phase {
            SidecarPhase::Exited => PhaseName::Exited,
            SidecarPhase::Ending(_) | SidecarPhase::Answers => PhaseName::Finishing,
            SidecarPhase::Living { .. } if self.stops.trigger().is_some() => PhaseName::Stopping,
            SidecarPhase::Living { .. } if self.app == AppPresence::There || has_started => PhaseName::Running,
            SidecarPhase::Living { .. } => PhaseName::Starting,
        }
    }

    fn has_started(&self) -> bool {
        !self.cx.is_in_flight(Hook::PostStart)
    }

    fn stop_trigger(&self) -> Option<(Trigger, Time)> {
        self.stops.trigger()
    }

    fn deadline(&self) -> Option<Time> {
        self.stops.began().and_then(|began| self.cx.budget.end(began))
    }

    fn reason(&self) -> Option<Reason> {
        Some(self.stops.reason())
    }

    fn late_outcome(&self, hook: Hook) -> Outcome {
        self.cx.late_outcome(hook)
    }
}

impl SidecarLifecycle {
    /// Nothing is known yet. Runs are numbered from `runs + 1`, so that several machines can share one loop.
    pub fn new(plan: Plan, runs: u64) -> SidecarLifecycle {
        SidecarLifecycle {
            cx: Context::new(plan, runs),
            phase: SidecarPhase::Living { owes_post_stop: true },
            app: AppPresence::Unseen,
            stops: Stops::default(),
        }
    }

    fn is_living(&self) -> bool {
        matches!(self.phase, SidecarPhase::Living { .. })
    }

    /// The callers of preStop of the next life, if its process has been found already.
    fn next_life(&mut self) -> Option<&mut Vec<CallerId>> {
        if let SidecarPhase::Ending(ending) = &mut self.phase { ending.next() } else { None }
    }

    /// Goes on when the last event has ended a life, or has ended what our own stop waits for.
    fn settle(&mut self, now: Time) {
        loop {
            match &self.phase {
                SidecarPhase::Living { .. } if self.is_done_waiting() => self.end_life(now),
                SidecarPhase::Ending(ending) if ending.is_over() => self.life_over(now),
                _ => return,
            }
        }
    }

    // ---- Hooks ----------------------------------------------------------------------------------

    fn hook_called(&mut self, now: Time, hook: Hook, caller: CallerId) {
        match hook {
            _ if self.phase == SidecarPhase::Exited => self.cx.answer(caller, hook, self.late_outcome(hook)),
            Hook::PostStart => self.post_start_called(now, caller),
            Hook::PreStop => self.pre_stop_called(now, caller),
            // These hooks cannot be called.
            Hook::PreStart | Hook::PostStop => self.cx.answer(caller, hook, Outcome::Aborted),
        }
    }

    fn post_start_called(&mut self, now: Time, caller: CallerId) {
        let call = call::post_start(&self.cx, self.life_state());
        if let PostStartCall::Answer(outcome) = call {
            return self.cx.answer(caller, Hook::PostStart, outcome);
        }
        self.cx.wait(caller, Hook::PostStart);
        match call {
            PostStartCall::BeginLife => self.begin_life(now),
            PostStartCall::EndLifeBefore => {
                self.cx.abort(Hook::PreStop, Outcome::Aborted);
                self.end_life(now);
            }
            PostStartCall::Answer(_) | PostStartCall::Wait => {}
        }
    }

    fn pre_stop_called(&mut self, now: Time, caller: CallerId) {
        let life = self.life_state();
        if let Some(callers) = self.next_life().filter(|_| life.app == AppPresence::There) {
            // The stop of the next life begins when the life before is over.
            return callers.push(caller);
        }
        match call::pre_stop(&self.cx, life) {
            PreStopCall::Answer(outcome) => self.cx.answer(caller, Hook::PreStop, outcome),
            PreStopCall::Wait => self.cx.wait(caller, Hook::PreStop),
            PreStopCall::BeginStop => {
                self.cx.wait(caller, Hook::PreStop);
                self.begin_stop(now, Trigger::Hook);
            }
        }
    }

    fn life_state(&self) -> LifeState {
        LifeState {
            is_living: self.is_living(),
            app: self.app,
            has_stop: self.stops.app.is_some(),
            awaits_app: self.stops.app.is_some_and(AppStop::awaits_app),
            has_own_stop: self.stops.own.is_some(),
        }
    }

    fn caller_done(&mut self, caller: CallerId) {
        self.cx.caller_done(caller);
        if let Some(callers) = self.next_life() {
            callers.retain(|waiting| *waiting != caller);
        }
        if self.phase == SidecarPhase::Answers && !self.cx.is_answering() {
            self.exit();
        }
    }

    fn handler_ended(&mut self, now: Time, run: RunId, result: HandlerResult) {
        let Some(hook) = self.cx.hook_of(run) else { return };
        // Once the app has ended, there is nothing to prepare for the handlers after this one.
        let last = hook == Hook::PreStop && !self.is_living();
        let step = self.cx.ended(now, hook, result, last);
        self.list_stepped(now, hook, step);
    }

    fn list_stepped(&mut self, now: Time, hook: Hook, step: ListStep) {
        let ListStep::Over(outcome) = step else { return };
        match hook {
            Hook::PreStop => self.pre_stop_over(now),
            Hook::PostStop => {
                if let SidecarPhase::Ending(ending) = &mut self.phase {
                    ending.post_stop_over();
                }
            }
            // The kubelet acts upon a failed postStart hook.
            Hook::PostStart | Hook::PreStart => self.cx.answer_all(hook, outcome),
        }
    }

    // ---- A life ---------------------------------------------------------------------------------

    fn app_found(&mut self) {
        self.app = AppPresence::There;
        match &mut self.phase {
            SidecarPhase::Living { owes_post_stop } => *owes_post_stop = true,
            SidecarPhase::Ending(ending) if self.stops.own.is_none() => ending.next_found(),
            // During our own stop no next life begins, except for one that has been found already.
            SidecarPhase::Ending(_) | SidecarPhase::Answers | SidecarPhase::Exited => {}
        }
    }

    fn app_ended(&mut self, now: Time) {
        if self.app != AppPresence::There {
            // The end of a process that was never found.
            return;
        }
        self.app = AppPresence::Gone;
        self.cx.tell(Note::AppEnded(AppStatus::Unknown));
        for caller in self.next_life().map(std::mem::take).unwrap_or_default() {
            // Nothing is left to prepare.
            self.cx.answer(caller, Hook::PreStop, Outcome::Succeeded);
        }
        if self.is_living() {
            self.end_life(now);
        }
    }

    fn begin_life(&mut self, now: Time) {
        if self.app == AppPresence::Gone {
            // The process that has ended belonged to another life.
            self.app = AppPresence::Unseen;
        }
        self.phase = SidecarPhase::Living { owes_post_stop: true };
        let step = self.cx.run(now, Hook::PostStart, None, None);
        self.list_stepped(now, Hook::PostStart, step);
    }

    fn begin_stop(&mut self, now: Time, trigger: Trigger) {
        // The grace period may have begun with our own stop.
        let began = self.stops.own.map_or(now, |own| own.began);
        self.stops.app = Some(AppStop::begin(&mut self.cx, trigger, began));
        self.phase = SidecarPhase::Living { owes_post_stop: true };
        let deadline = self.cx.budget.pre_stop_deadline(began);
        let step = self.cx.run(now, Hook::PreStop, deadline, None);
        self.list_stepped(now, Hook::PreStop, step);
    }

    /// The preStop handlers are over or abandoned.
    fn pre_stop_over(&mut self, now: Time) {
        if let SidecarPhase::Ending(ending) = &mut self.phase {
            ending.pre_stop_over(&mut self.cx, now, &self.stops);
        } else if let Some(stop) = &mut self.stops.app {
            stop.pre_stop_over(&mut self.cx, now, self.app == AppPresence::There);
        }
    }

    /// The time of a stop is over: the next preStop hook means another stop.
    fn rearm(&mut self) {
        if self.stops.own.is_some() || !self.stops.app.is_some_and(AppStop::is_answered) {
            return;
        }
        self.stops.app = None;
        self.cx.reset(Hook::PreStop);
        // If the process is not seen, it was probably stopped, and there is nothing to report.
        if self.app == AppPresence::There {
            self.cx.tell(Note::Rearmed);
        }
    }

    fn end_life(&mut self, now: Time) {
        let SidecarPhase::Living { owes_post_stop } = self.phase else { return };
        self.phase = SidecarPhase::Ending(Ending::begin(&mut self.cx, now, &self.stops, owes_post_stop));
    }

    /// postStop is over. Another life may have been found meanwhile.
    fn life_over(&mut self, now: Time) {
        if self.stops.own.is_some() {
            // A hook cannot begin a life any more.
            self.cx.answer_all(Hook::PostStart, Outcome::Aborted);
        }
        let next = self.next_life().map(std::mem::take);
        if self.stops.own.is_some() && next.is_none() {
            self.phase = SidecarPhase::Answers;
            if !self.cx.await_answers(now, self.stops.began()) {
                self.exit();
            }
            return;
        }
        self.phase = SidecarPhase::Living { owes_post_stop: next.is_some() };
        self.stops.app = None;
        Hook::ALL.into_iter().for_each(|hook| self.cx.reset(hook));
        if next.is_some() && self.app != AppPresence::There {
            // The next life is over, too.
            return self.end_life(now);
        }
        if self.cx.is_waited_for(Hook::PostStart) {
            self.begin_life(now);
        }
        if let Some(own) = self.stops.own {
            OwnStop::arm(&mut self.cx, now, own.began);
        }
        let callers = next.unwrap_or_default();
        if !callers.is_empty() {
            callers.into_iter().for_each(|caller| self.cx.wait(caller, Hook::PreStop));
            self.begin_stop(now, Trigger::Hook);
        }
    }

    fn exit(&mut self) {
        self.phase = SidecarPhase::Exited;
        self.cx.act(Action::Exit(0));
    }

    // ---- Our own stop ---------------------------------------------------------------------------

    fn begin_own_stop(&mut self, now: Time, trigger: Trigger) {
        self.stops.own = Some(OwnStop::new(trigger, now));
        match &mut self.phase {
            SidecarPhase::Living { .. } => OwnStop::arm(&mut self.cx, now, self.stops.began().unwrap_or(now)),
            SidecarPhase::Ending(ending) => ending.own_stop_began(&mut self.cx, now, &self.stops),
            SidecarPhase::Answers | SidecarPhase::Exited => {}
        }
    }

    /// Whether our own stop has nothing to wait for any more.
    fn is_done_waiting(&self) -> bool {
        let in_flight = self.cx.is_in_flight(Hook::PostStart) || self.cx.is_in_flight(Hook::PreStop);
        self.stops.own.is_some_and(|own| !in_flight && !own.waits(&self.cx, self.app))
    }

    /// A repeated stop signal moves the stop on by one step.
    fn escalate(&mut self, now: Time) {
        let is_preparing = !self.has_started() || self.stops.app.is_some_and(AppStop::is_preparing);
        match &mut self.phase {
            SidecarPhase::Living { .. } if is_preparing => self.abandon_hooks(now),
            SidecarPhase::Living { .. } => self.wait_no_longer(),
            SidecarPhase::Ending(ending) => ending.escalate(&mut self.cx, now, &self.stops),
            SidecarPhase::Answers | SidecarPhase::Exited => {}
        }
    }

    fn wait_no_longer(&mut self) {
        if let Some(own) = &mut self.stops.own {
            own.wait_no_longer();
        }
    }

    fn abandon_hooks(&mut self, now: Time) {
        for hook in [Hook::PostStart, Hook::PreStop] {
            if self.cx.is_in_flight(hook) {
                self.cx.escalate(hook);
            }
        }
        if self.stops.app.is_some_and(AppStop::is_preparing) {
            self.pre_stop_over(now);
        }
    }

    // ---- Time -----------------------------------------------------------------------------------

    fn timer_fired(&mut self, now: Time, timer: Timer) {
        match (timer, &mut self.phase) {
            (Timer::Retry(hook), _) => {
                let step = self.cx.retry(now, hook);
                self.list_stepped(now, hook, step);
            }
            // This limits what our own stop waits for, and a hook that waits for the app's end. Handler lists have a deadline
            // of their own.
            (Timer::Kill, SidecarPhase::Living { .. }) => {
                if self.stops.own.is_some() {
                    self.wait_no_longer();
                    self.abandon_hooks(now);
                }
                if let Some(stop) = &mut self.stops.app {
                    stop.app_stays(&mut self.cx, now);
                }
            }
            (Timer::LateHook, SidecarPhase::Living { .. }) => {
                let Some(own) = &mut self.stops.own else { return };
                own.hook_is_late();
                let trigger = own.trigger;
                if self.stops.app.is_none() {
                    self.cx.tell(Note::NoHookCame);
                }
                if self.app == AppPresence::There && self.stops.app.is_none() {
                    // Docker and Podman call no hooks and stop sidecars before the app. As for an app of
                    // our own, the signal does what a hook would have done.
                    self.begin_stop(now, trigger);
                }
            }
            (Timer::Rearm, SidecarPhase::Living { .. }) => self.rearm(),
            (timer, SidecarPhase::Ending(ending)) => ending.timer_fired(&mut self.cx, now, timer, &self.stops),
            (Timer::Answers, SidecarPhase::Answers) => {
                self.cx.tell(Note::AnswerNotTaken);
                self.exit();
            }
            // The timer of a phase that is over.
            _ => {}
        }
    }
}
