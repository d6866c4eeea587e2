//! Checks of every action of a sidecar's machine.

use std::time::Duration;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, CallerId, Event, Hook, Note, Outcome, RunId, Time, Timer, Trigger};

use super::World;
use super::events::ReportedOutcome;
use super::memory::{Next, Seen, Stop};
use super::settings::Setting;
use crate::landmarks::Landmark;
use crate::promises::Promise;
use crate::settings::{SECOND, shortest};

impl World {
    /// Checks one action before it is performed.
    pub(super) fn observe(&mut self, setting: &Setting, reported_outcome: &ReportedOutcome, action: Action) -> u64 {
        self.must(!self.edge.exited, Promise::PostStopLast);
        match action {
            Action::StartHandler { run, hook, index, timeout, .. } => {
                self.observe_start(setting, run, hook, index, timeout)
            }
            Action::AbortHandler(run) => {
                self.observe_abort(setting, reported_outcome, run);
                0
            }
            Action::SignalApp(signal) => {
                self.observe_signal(setting, signal);
                0
            }
            Action::Answer { caller, hook, outcome } => self.observe_answer(setting, caller, hook, outcome),
            Action::SetTimer { timer, at } => self.observe_timer(setting, timer, at),
            Action::Tell(note) => self.observe_note(setting, reported_outcome, note),
            Action::Exit(code) => {
                self.must(code == 0, Promise::ExitCode);
                self.observe_exit(setting);
                Landmark::Exited.bit()
            }
            Action::StartApp
            | Action::ContinueApp
            | Action::WatchConnections
            | Action::SendSecondSignal(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers => {
                self.must(false, Promise::AppIsAnothers);
                0
            }
        }
    }

    // ---- Handlers -------------------------------------------------------------------------------

    fn observe_start(
        &mut self,
        setting: &Setting,
        run: RunId,
        hook: Hook,
        index: usize,
        timeout: Option<Duration>,
    ) -> u64 {
        let list_stepped = self.list_goes_on(setting, hook);
        if self.memory.lists.list(hook).index != index {
            self.settle_retry(setting, hook);
        }
        let alone = !self.edge.is_running(hook);
        let start = self.memory.lists.started(&setting.plan, run, hook, index, self.memory.reason_for());
        self.must(alone && start.its_turn && start.goes_on, Promise::InOrder);
        let own = setting.plan.hooks[&hook][index].timeout;
        let within = |most: Option<Duration>| most.is_none_or(|most| timeout.is_some_and(|timeout| timeout <= most));
        let left = self.end_of(setting, hook).map(|end| end.saturating_sub(self.edge.now));
        self.must(within(own) && within(left), Promise::InTime);
        start.landmarks | list_stepped
    }

    /// A list begins or goes on: checks that this is its time in this life.
    fn list_goes_on(&mut self, setting: &Setting, hook: Hook) -> u64 {
        // preStop belongs to the present or ending life; the other lists may belong to the next one.
        let list_stepped = if hook == Hook::PreStop { 0 } else { self.turn(setting) };
        if hook == Hook::PostStop {
            self.ends_by_own_stop(setting);
            let begins = (self.memory.reason(), self.post_stop_end(setting));
            self.memory.life.post_stop.get_or_insert(begins);
        }
        let memory = &self.memory;
        let life = &memory.life;
        match hook {
            Hook::PreStart => self.must(false, Promise::AppIsAnothers),
            Hook::PostStart => self.must(memory.in_flight(hook) && !life.is_over, Promise::PostStartOnce),
            Hook::PreStop => {
                let ok = life.stop.as_ref().is_some_and(|stop| !stop.signalled) && !life.is_over;
                self.must(memory.in_flight(hook) && ok, Promise::PreStopOnce);
            }
            Hook::PostStop => {
                let ok = life.is_over && life.known && !memory.in_flight(Hook::PreStop);
                self.must(ok, Promise::PostStopOnceALife);
            }
        }
        list_stepped
    }

    /// When the handlers of a hook must be over.
    fn end_of(&self, setting: &Setting, hook: Hook) -> Option<Time> {
        match hook {
            Hook::PreStart | Hook::PostStart => None,
            Hook::PreStop => self.memory.end_of_grace(&setting.plan),
            Hook::PostStop => self.memory.life.post_stop.map(|(_, end)| end),
        }
    }

    /// The same for postStop handlers that begin now.
    fn post_stop_end(&self, setting: &Setting) -> Time {
        let (now, grace) = (self.edge.now, World::patience(setting));
        // A kubelet gives two seconds more after its grace period, and half of that is theirs.
        let least = if self.memory.end.is_some() { a_moment(grace) } else { SECOND / 10 };
        self.memory.end_of_grace(&setting.plan).map_or(now + grace, |end| end.max(now + least))
    }

    /// A retry that would come too late does not happen: the handler has failed for good.
    fn settle_retry(&mut self, setting: &Setting, hook: Hook) {
        let Some(pause) = self.memory.lists.owed_retry(&setting.plan, hook) else { return };
        // At most half of the grace period is kept for what follows the app, a quarter for the app.
        let kept = World::patience(setting) * 3 / 4;
        let late = self.end_of(setting, hook).is_some_and(|end| self.edge.now + pause + kept >= end);
        let lingers = hook == Hook::PreStop && self.memory.life.is_over;
        self.must(late || lingers, Promise::InOrder);
        self.memory.lists.give_up(&setting.plan, hook);
    }

    /// A running handler is aborted for a reason.
    fn observe_abort(&mut self, setting: &Setting, reported_outcome: &ReportedOutcome, run: RunId) {
        let Some(run) = self.edge.runs.iter().find(|running| running.id == run).cloned() else {
            return self.must(false, Promise::InOrder);
        };
        let is_over = self.memory.life.is_over;
        let ok = match reported_outcome.event {
            Event::Signal(_) => reported_outcome.is_step,
            Event::TimerFired(Timer::Kill) => {
                run.hook != Hook::PostStop && self.memory.end.is_some() && self.is_late(setting)
            }
            Event::TimerFired(Timer::Linger) => run.hook == Hook::PreStop && is_over,
            // Half of a grace period is over, or an eighth if the next life's stop is still to come.
            Event::TimerFired(Timer::PostStop) => {
                let share = match (setting.plan.grace, self.memory.next) {
                    (None, _) => 1,
                    (Some(_), Next::None) => 2,
                    (Some(_), _) => 8,
                };
                let began = self.memory.end.as_ref().map(|end| end.began);
                let is_time = began.is_some_and(|began| self.edge.now >= began + World::patience(setting) / share);
                run.hook == Hook::PostStop && (is_time || self.is_late(setting))
            }
            Event::AppEnded { .. } => {
                let waits_only = setting.plan.hooks[&run.hook][run.index].waits_only;
                is_over && (run.hook == Hook::PostStart || run.hook == Hook::PreStop && waits_only)
            }
            // The running preStop handler belongs to an earlier life than the one that the hook reports.
            Event::HookCalled { hook: Hook::PostStart, .. } => is_over && run.hook == Hook::PreStop,
            _ => false,
        };
        self.must(ok, Promise::NotCutShort);
    }

    // ---- The process ----------------------------------------------------------------------------

    fn observe_signal(&mut self, setting: &Setting, signal: Signal) {
        self.must(self.held, Promise::SignalsArrive);
        let handlers_run = self.memory.in_flight(Hook::PreStop);
        let life = &mut self.memory.life;
        let first = match &mut life.stop {
            Some(stop) => !std::mem::replace(&mut stop.signalled, true) && !life.is_over,
            None => false,
        };
        let ok = first && !handlers_run && setting.plan.stop_signal == Some(signal);
        self.must(ok, Promise::SignalAfterPreStop);
    }

    // ---- Callers --------------------------------------------------------------------------------

    fn observe_answer(&mut self, setting: &Setting, caller: CallerId, hook: Hook, outcome: Outcome) -> u64 {
        let waits = self.edge.waiting.get(&caller) == Some(&hook);
        // A caller of a life that has not begun is answered when it has, if no hook begins one any more, or if it is over before.
        let early = self.memory.early.get(&caller).copied();
        let list_stepped = if early == Some(Hook::PostStart) { self.turn(setting) } else { 0 };
        if self.memory.early.remove(&caller).is_some() {
            let ok = match hook {
                Hook::PreStop => self.memory.next == Next::Gone && outcome == Outcome::Succeeded,
                _ => self.memory.end.is_some() && outcome == Outcome::Aborted,
            };
            self.must(ok && waits, Promise::HooksAnswered);
            return list_stepped;
        }
        let memory = &self.memory;
        let life = &memory.life;
        let is_there = memory.seen == Seen::There;
        let is_true = match (hook, memory.lists.outcome(hook)) {
            // No hook begins a life any more.
            (Hook::PostStart, _) if life.is_over && memory.end.is_some() && outcome == Outcome::Aborted => true,
            (Hook::PostStart, None) => {
                let begins_none = memory.end.is_some() || is_there && life.stop.is_some();
                outcome == Outcome::Aborted && begins_none && !memory.in_flight(hook)
            }
            (Hook::PreStop, Some(reported_outcome)) => {
                // The kubelet's own signal follows the answer, so the app must have ended by ours before.
                let is_awaited = is_there && !life.is_over && memory.end.as_ref().is_none_or(|end| end.waits_for_app);
                let holds = life.stop.as_ref().is_some_and(|stop| stop.signalled && !stop.left_alone);
                reported_outcome == outcome && !(holds && is_awaited)
            }
            (Hook::PreStop, None) => outcome == Outcome::Succeeded && life.stop.is_none(),
            (_, reported_outcome) => reported_outcome == Some(outcome),
        };
        self.must(waits && is_true, Promise::HooksAnswered);
        list_stepped | if outcome == Outcome::Aborted { Landmark::Aborted.bit() } else { 0 }
    }

    // ---- Time -----------------------------------------------------------------------------------

    fn observe_timer(&mut self, setting: &Setting, timer: Timer, at: Time) -> u64 {
        let now = self.edge.now;
        self.must(at >= now, Promise::InTime);
        match timer {
            Timer::Rearm => {
                self.must(at == now + World::patience(setting), Promise::PreStopOnce);
                0
            }
            Timer::Linger => {
                self.must(at <= now + 5 * SECOND, Promise::InTime);
                Landmark::Lingered.bit()
            }
            Timer::Retry(hook) => {
                let pause = self.memory.lists.owed_retry(&setting.plan, hook);
                self.memory.lists.list(hook).retry_open = false;
                self.must(pause.is_some_and(|pause| at == now + pause), Promise::InOrder);
                0
            }
            Timer::LateHook => {
                self.must(at <= now + SECOND, Promise::InTime);
                0
            }
            Timer::Kill => {
                let list_stepped = self.turn(setting);
                let end = self.memory.end_of_grace(&setting.plan);
                let in_time = end.is_some_and(|end| at <= end.max(now + a_moment(World::patience(setting))));
                self.must(in_time, Promise::InTime);
                list_stepped
            }
            Timer::PostStop | Timer::Answers => 0,
            Timer::Hold | Timer::SecondSignal | Timer::Leftovers => {
                self.must(false, Promise::AppIsAnothers);
                0
            }
        }
    }

    // ---- Notes ----------------------------------------------------------------------------------

    fn observe_note(&mut self, setting: &Setting, reported_outcome: &ReportedOutcome, note: Note) -> u64 {
        match note {
            Note::StopBegan(trigger) => {
                let list_stepped = self.turn(setting);
                // All containers of a pod share one grace period.
                let began = self.memory.end.as_ref().map_or(self.edge.now, |end| end.began);
                let life = &mut self.memory.life;
                let is_due = life.stop_due.take() == Some(trigger) && life.stop.is_none() && !life.is_over;
                self.must(is_due, Promise::PreStopOnce);
                self.memory.end.iter_mut().for_each(|end| end.owes_stop = false);
                let stop = Stop { trigger, began, signalled: false, left_alone: false, answered: None };
                self.memory.life.stop = Some(stop);
                self.memory.life.known = true;
                self.memory.begin(&setting.plan, Hook::PreStop);
                list_stepped | if trigger == Trigger::Hook { 0 } else { Landmark::StoppedWithoutHook.bit() }
            }
            Note::HookOver(hook, outcome) => {
                let list_stepped = if hook == Hook::PostStop { self.list_goes_on(setting, hook) } else { 0 };
                if outcome != Outcome::Aborted {
                    self.settle_retry(setting, hook);
                }
                self.memory.lists.pass_over(&setting.plan, hook, self.memory.reason_for());
                let is_true = self.memory.lists.over(&setting.plan, hook, outcome);
                self.must(is_true, Promise::HooksAnswered);
                list_stepped
            }
            Note::NoTimeLeft(hook, index) => {
                let list_stepped = self.list_goes_on(setting, hook);
                let kept = World::patience(setting) * 3 / 4;
                let none = self.end_of(setting, hook).is_some_and(|end| self.edge.now + kept >= end);
                self.must(none, Promise::InTime);
                self.memory.lists.pass_over(&setting.plan, hook, self.memory.reason_for());
                let its_turn = self.memory.lists.list(hook).index == index;
                self.must(its_turn, Promise::InOrder);
                self.memory.lists.give_up(&setting.plan, hook);
                Landmark::NoTimeLeft.bit() | list_stepped
            }
            Note::Escalated(_) => {
                self.must(
                    reported_outcome.is_step || reported_outcome.event == Event::TimerFired(Timer::Kill),
                    Promise::StepsOn,
                );
                Landmark::Escalated.bit()
            }
            Note::Rearmed => {
                // The event has ended the stop, if it was time.
                let ok = reported_outcome.event == Event::TimerFired(Timer::Rearm) && self.memory.life.stop.is_none();
                self.must(ok && self.memory.seen == Seen::There, Promise::PreStopOnce);
                0
            }
            Note::StopSignalSent(signal) => {
                let sent = self.memory.life.stop.as_ref().is_some_and(|stop| stop.signalled);
                let taken = reported_outcome.event == Event::SignalSent(signal);
                self.must(sent && taken && setting.plan.stop_signal == Some(signal), Promise::SentAsReported);
                Landmark::StopSignalSent.bit()
            }
            Note::AppStays => {
                let is_due = reported_outcome.event == Event::TimerFired(Timer::Kill) && self.is_late(setting);
                let is_there = self.held;
                let stop = self.memory.life.stop.as_mut().filter(|stop| stop.signalled && !stop.left_alone);
                let ok = stop.map(|stop| stop.left_alone = true).is_some();
                self.must(is_due && is_there && ok, Promise::HooksAnswered);
                Landmark::AppStays.bit()
            }
            Note::AppEnded(_) => {
                self.must(matches!(reported_outcome.event, Event::AppEnded { .. }), Promise::ShownAsItIs);
                0
            }
            Note::NoHookCame => 0,
            Note::AnswerNotTaken => Landmark::AnswerNotTaken.bit(),
            Note::Started
            | Note::SecondSignalSent(..)
            | Note::PassedOn(_)
            | Note::Killed
            | Note::Held(_)
            | Note::CaughtUp
            | Note::LeftoversTerminated
            | Note::LeftoversRefused
            | Note::LeftoversEnded
            | Note::LeftoversKilled
            | Note::LeftoversRemain => {
                self.must(false, Promise::AppIsAnothers);
                0
            }
        }
    }

    fn observe_exit(&mut self, setting: &Setting) {
        // A postStop without handlers has no note.
        self.turn(setting);
        self.ends_by_own_stop(setting);
        let finished = self.memory.is_finished(&setting.plan) && self.memory.next == Next::None;
        self.must(finished && self.edge.runs.is_empty(), Promise::PostStopOnceALife);
        self.must(self.edge.waiting.is_empty(), Promise::HooksAnswered);
        let began = self.memory.end.as_ref().map(|end| end.began);
        let end = self.memory.end_of_grace(&setting.plan);
        // A late postStop has the two seconds that a kubelet gives then.
        let late = began.map(|began| began + 2 * a_moment(World::patience(setting)));
        let shortest = shortest(setting.plan.grace);
        let in_time = end.is_none_or(|end| Some(self.edge.now) <= Some(end).max(late).map(|end| end + shortest));
        self.must(in_time, Promise::InTime);
    }
}

/// The time of the app after its stop signal, and of postStop after that, however late: half of the least that a kubelet
/// gives, or a quarter of a short grace period. No step is shorter than a tenth of a second.
fn a_moment(grace: Duration) -> Duration {
    SECOND.min(grace / 4).max(SECOND / 10)
}
