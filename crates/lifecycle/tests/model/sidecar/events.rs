//! The observer of a sidecar's machine: the meaning of an event, and what must follow. It knows the configuration, the
//! events and the machine's actions, and nothing of its inside; it states its expectations a second time,
//! independently.

use std::time::Duration;

use bookend_lifecycle::{Action, CallerId, Event, Hook, Machine, Note, PhaseName, Timer, Trigger};

use super::World;
use super::memory::{End, Next, Seen};
use super::settings::Setting;
use crate::edge::Run;
use crate::landmarks::Landmark;
use crate::lists::is_empty;
use crate::promises::Promise;
use crate::settings::SECOND;

/// One event, and the situation when it came.
#[derive(Debug, Clone)]
pub(super) struct ReportedOutcome {
    pub(super) event: Event,
    /// It is a stop signal during our own stop.
    pub(super) is_step: bool,
    running: Vec<Run>,
    in_flight: Vec<Hook>,
}

impl World {
    pub(super) fn must(&mut self, holds: bool, promise: Promise) {
        if !holds && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }

    fn in_flight(&self) -> Vec<Hook> {
        let hooks = [Hook::PostStart, Hook::PreStop, Hook::PostStop];
        hooks.into_iter().filter(|hook| self.memory.in_flight(*hook)).collect()
    }

    /// Records the meaning of an event before the machine gets it.
    pub(super) fn before(&mut self, setting: &Setting, event: Event) -> (ReportedOutcome, u64) {
        let reported_outcome = ReportedOutcome {
            event,
            is_step: self.memory.end.is_some() && matches!(event, Event::Signal(_)),
            running: self.edge.runs.clone(),
            in_flight: self.in_flight(),
        };
        let landmarks = match event {
            Event::AppStarted => self.found(),
            Event::AppEnded { .. } => {
                self.memory.seen = Seen::Gone;
                if self.memory.next == Next::There {
                    self.memory.next = Next::Gone;
                }
                self.memory.life.is_over = true;
                self.memory.end.iter_mut().for_each(|end| end.owes_stop = false);
                0
            }
            Event::AppUnseen if self.memory.seen == Seen::Gone => {
                self.memory.seen = Seen::Unknown;
                0
            }
            Event::HookCalled { hook: Hook::PostStart, caller } => {
                self.post_start_called(setting, caller);
                0
            }
            Event::HookCalled { hook: Hook::PreStop, caller } => {
                self.pre_stop_called(caller);
                0
            }
            Event::CallerDone(caller) => {
                self.memory.early.remove(&caller);
                0
            }
            Event::Signal(signal) => self.stopped(Trigger::Signal(signal), &reported_outcome),
            Event::StopRequested => self.stopped(Trigger::Request, &reported_outcome),
            Event::TimerFired(timer) => self.timer_fired(setting, timer),
            Event::SignalRefused(_) => {
                if let Some(stop) = &mut self.memory.life.stop {
                    stop.left_alone = true;
                }
                Landmark::NotSignalled.bit()
            }
            _ => 0,
        };
        (reported_outcome, landmarks)
    }

    fn found(&mut self) -> u64 {
        let memory = &mut self.memory;
        // After our own stop has begun, the only next life is one that was found already.
        let is_next = memory.life.is_over && (memory.end.is_none() || memory.next != Next::None);
        let is_another = memory.seen == Seen::Gone;
        memory.seen = Seen::There;
        if is_next {
            memory.next = Next::There;
        } else if !memory.life.is_over {
            memory.life.known = true;
        }
        if is_next || is_another { Landmark::NextLifeFound.bit() } else { 0 }
    }

    fn post_start_called(&mut self, setting: &Setting, caller: CallerId) {
        let memory = &mut self.memory;
        if memory.in_flight(Hook::PostStart) || memory.end.is_some() {
            // The call joins a run in flight, or is refused.
        } else if memory.life.is_over {
            memory.early.insert(caller, Hook::PostStart);
        } else if memory.lists.get(Hook::PostStart).is_none() && memory.life.stop.is_none() {
            memory.begin_life(&setting.plan);
        } else if memory.seen != Seen::There {
            // The container was started again.
            memory.early.insert(caller, Hook::PostStart);
            memory.life.is_over = true;
        }
    }

    fn pre_stop_called(&mut self, caller: CallerId) {
        let memory = &mut self.memory;
        if memory.next == Next::There {
            // The call belongs to the next life.
            memory.early.insert(caller, Hook::PreStop);
        } else if !memory.life.is_over && memory.life.stop.is_none() && memory.seen != Seen::Gone {
            memory.life.stop_due = Some(Trigger::Hook);
        }
    }

    /// The first signal or request begins our own stop; each further signal moves it on.
    fn stopped(&mut self, trigger: Trigger, reported_outcome: &ReportedOutcome) -> u64 {
        let began = self.edge.now;
        let life = &self.memory.life;
        match &mut self.memory.end {
            // The machine waited only for a hook or a process.
            Some(end) if reported_outcome.is_step && reported_outcome.in_flight.is_empty() && !life.is_over => {
                end.waits_no_longer()
            }
            Some(_) => {}
            end => {
                *end = Some(End {
                    trigger,
                    began,
                    waits_for_hook: true,
                    hook_until: began + SECOND,
                    waits_for_app: true,
                    owes_stop: self.memory.seen == Seen::There && life.stop.is_none() && !life.is_over,
                });
            }
        }
        0
    }

    fn timer_fired(&mut self, setting: &Setting, timer: Timer) -> u64 {
        let is_late = self.is_late(setting);
        if timer == Timer::Rearm {
            return self.rearms(setting);
        }
        let life = &mut self.memory.life;
        let Some(end) = self.memory.end.as_mut().filter(|_| !life.is_over) else { return 0 };
        match timer {
            Timer::Kill if is_late => {
                // A grace period of zero leaves no time for the stop of the next life.
                let owes_stop = end.owes_stop && setting.plan.grace.is_some_and(|grace| !grace.is_zero());
                end.waits_no_longer();
                end.owes_stop = owes_stop;
            }
            Timer::LateHook => {
                end.waits_for_hook = false;
                // No hook is called here, and an app that is seen to live on must be stopped.
                let lives_on = self.memory.seen == Seen::There && life.stop.is_none();
                life.stop_due = lives_on.then_some(end.trigger);
            }
            _ => {}
        }
        0
    }

    /// Whether more than half of the grace period of the current stop is over.
    pub(super) fn is_late(&self, setting: &Setting) -> bool {
        let half = setting.plan.grace.unwrap_or_default() / 2;
        self.memory.end_of_grace(&setting.plan).is_some_and(|end| self.edge.now + half >= end)
    }

    pub(super) fn patience(setting: &Setting) -> Duration {
        setting.plan.grace.unwrap_or(30 * SECOND)
    }

    /// A stop that no caller continued is over.
    fn rearms(&mut self, setting: &Setting) -> u64 {
        let memory = &mut self.memory;
        let answered = memory.life.stop.as_ref().and_then(|stop| stop.answered);
        let is_due = answered.is_some_and(|at| self.edge.now >= at + World::patience(setting));
        if !is_due || memory.life.is_over || memory.end.is_some() {
            return 0;
        }
        memory.life.stop = None;
        memory.lists.forget(Hook::PreStop);
        Landmark::Rearmed.bit()
    }

    /// Checks what must have followed an event when its actions have been performed.
    pub(super) fn after(&mut self, setting: &Setting, reported_outcome: &ReportedOutcome, actions: &[Action]) -> u64 {
        if matches!(self.machine.phase(), PhaseName::Finishing | PhaseName::Exited) {
            self.ends_by_own_stop(setting);
        }
        let list_stepped = self.turn(setting);
        let began = actions.iter().any(|action| matches!(action, Action::Tell(Note::StopBegan(_))));
        let without_hook = reported_outcome.event == Event::TimerFired(Timer::LateHook);
        let promise = if without_hook { Promise::StopsWithoutHook } else { Promise::PreStopOnce };
        let still_due = self.memory.life.stop_due.take().is_some();
        self.must(!still_due, promise);
        if reported_outcome.is_step {
            let still = |run: &Run| self.edge.runs.iter().any(|running| running.id == run.id);
            let is_cut = |hook: &Hook| {
                actions.iter().any(|action| matches!(action, Action::Tell(Note::HookOver(over, _)) if over == hook))
            };
            let holds = !reported_outcome.running.iter().any(still) && reported_outcome.in_flight.iter().all(is_cut);
            self.must(holds, Promise::StepsOn);
        }
        self.handlers_before_the_signal(setting, began || reported_outcome.in_flight.contains(&Hook::PreStop));
        list_stepped
    }

    /// When the handlers of a stop are over, the process gets its signal, or the rest is the kubelet's.
    fn handlers_before_the_signal(&mut self, setting: &Setting, were_running: bool) {
        let is_over = self.memory.life.is_over || self.memory.in_flight(Hook::PreStop);
        let is_there = self.memory.seen == Seen::There && setting.plan.stop_signal.is_some();
        let now = self.edge.now;
        let Some(stop) = self.memory.life.stop.as_mut().filter(|_| !is_over) else { return };
        let reported_outcome = stop.signalled || !were_running || !is_there;
        if stop.answered.is_none() && (!stop.signalled || stop.left_alone) {
            stop.answered = Some(now);
        }
        self.must(reported_outcome, Promise::SignalAfterPreStop);
    }

    /// If a life is finished, begins the next one.
    pub(super) fn turn(&mut self, setting: &Setting) -> u64 {
        let now = self.edge.now;
        if self.memory.turn(&setting.plan, now) { Landmark::NextLifeByHook.bit() } else { 0 }
    }

    /// Our own stop ends a life when nothing is waited for any more.
    pub(super) fn ends_by_own_stop(&mut self, setting: &Setting) {
        if !self.memory.life.is_over {
            self.must(self.memory.end.is_some() && !self.is_waited_for(setting), Promise::NotCutShort);
            self.must(!self.memory.end.as_ref().is_some_and(|end| end.owes_stop), Promise::StopsWithoutHook);
            self.memory.life.is_over = true;
        }
    }

    /// Whether our own stop waits: for a hook in flight or on its way, or for a visible process.
    pub(super) fn is_waited_for(&self, setting: &Setting) -> bool {
        let Some(end) = &self.memory.end else { return true };
        let may_come = self.memory.life.stop.is_none() && !is_empty(&setting.plan, Hook::PreStop);
        !self.in_flight().is_empty()
            || match self.memory.seen {
                Seen::There => end.waits_for_app,
                Seen::Unknown => end.waits_for_hook && may_come,
                Seen::Gone => false,
            }
    }
}
