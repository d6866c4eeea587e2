//! The observer. It knows the configuration, the events and the machine's actions, and nothing of
//! the machine's inside; it states its expectations a second time, independently. One file: it is the whole table of actions.

use std::time::Duration;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{
    Action, AppStatus, Event, Hook, Machine, Note, Outcome, PhaseName, Reason, Remaining, RunId, Time, Timer, Trigger,
};

use crate::landmarks::Landmark;
use crate::lists::is_empty;
use crate::memory::Stop;
use crate::promises::Promise;
use crate::settings::{SECOND, Setting, shortest};
use crate::world::{App, World};

impl World {
    pub(crate) fn must(&mut self, holds: bool, promise: Promise) {
        if !holds && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }

    pub(crate) fn end_of_grace(&self, setting: &Setting) -> Option<Time> {
        Some(self.memory.stop.as_ref()?.began + setting.plan.grace?)
    }

    /// A retry that would come too late does not happen: the handler has failed for good.
    fn settle_retry(&mut self, setting: &Setting, hook: Hook) {
        let Some(pause) = self.memory.lists.owed_retry(&setting.plan, hook) else { return };
        let grace = setting.plan.grace.unwrap_or(30 * SECOND);
        let missed = self.memory.unseen_since.filter(|_| hook == Hook::PostStop);
        let ended = self.memory.ended.map(|(_, at)| at).or(missed).map(|at| at + grace);
        let lingers = hook == Hook::PreStop && self.app == App::Gone;
        let again = self.edge.now + pause;
        let late = self.end_of_grace(setting).or(ended).is_some_and(|end| again + grace * 3 / 4 >= end);
        self.must(late || lingers, Promise::InOrder);
        self.memory.lists.give_up(&setting.plan, hook);
    }

    /// Records what must follow an event.
    pub(crate) fn before(&mut self, setting: &Setting, event: Event) {
        if self.machine.phase() == PhaseName::Held {
            self.memory.hold_over |= match event {
                Event::Signal(signal) => setting.plan.stop_signals.contains(&signal),
                Event::StopRequested | Event::HookCalled { hook: Hook::PreStop, .. } => true,
                Event::TimerFired(timer) => timer == Timer::Hold,
                _ => false,
            };
        }
        match event {
            Event::Signal(signal) if !setting.plan.stop_signals.contains(&signal) => {
                let target = setting.plan.signals.get(&signal).copied().unwrap_or(Some(signal));
                if let Some(target) = target
                    && !self.in_finishing()
                    && !self.memory.owed.contains(&target)
                {
                    self.memory.owed.push(target);
                }
            }
            // They join the current stop.
            Event::Signal(signal) => self.want(setting, Trigger::Signal(signal)),
            Event::StopRequested if self.memory.stop.as_ref().is_some_and(|stop| stop.wanted.is_empty()) => {
                self.want(setting, Trigger::Request);
            }
            Event::AppStarted => self.memory.app_starts += 1,
            Event::AppNotStarted { code } => self.memory.expected_status = Some(AppStatus::NotStarted { code }),
            Event::AppEnded { status } => self.memory.expected_status = Some(status),
            Event::SignalSent(signal) | Event::SignalRefused(signal) => self.answered(signal, event),
            // The signal is meant for the app and begins nothing, even if it is a stop signal.
            Event::SignalFromPreStop(signal) if self.app == App::Alive => {
                let target = setting.plan.signals.get(&signal).copied().unwrap_or(Some(signal));
                self.memory.passed.extend(target);
            }
            Event::LeftoversRefused => self.memory.leftovers_refused = true,
            _ => {}
        }
    }

    /// The kernel has answered the oldest signal to the app.
    fn answered(&mut self, signal: Signal, event: Event) {
        let memory = &mut self.memory;
        let is_stop = memory.attempts.extract_if(.., |(sent, _)| *sent == signal).next().is_some_and(|(_, stop)| stop);
        let was_taken = event == Event::SignalSent(signal);
        let list = if was_taken { &mut memory.taken } else { &mut memory.refused };
        list.insert(signal);
        if was_taken && is_stop {
            memory.taken_for_stop.insert(signal);
        }
    }

    fn in_finishing(&self) -> bool {
        matches!(self.machine.phase(), PhaseName::Finishing | PhaseName::Held | PhaseName::Exited)
    }

    /// Checks one action before it is performed.
    pub(crate) fn observe(&mut self, setting: &Setting, action: Action) -> u64 {
        self.must(!self.edge.exited, Promise::PostStopLast);
        match action {
            Action::StartApp => {
                let ok = self.app == App::NotYet
                    && self.memory.app_starts == 0
                    && self.edge.runs.is_empty()
                    && self.memory.stop.is_none()
                    && self.memory.lists.succeeded(&setting.plan, Hook::PreStart);
                self.must(ok, Promise::AppStartsAfterPreStart);
                0
            }
            Action::StartHandler { run, hook, index, timeout, .. } => {
                self.observe_start(setting, run, hook, index, timeout)
            }
            Action::AbortHandler(run) => {
                self.must(self.edge.runs.iter().any(|running| running.id == run), Promise::InOrder);
                0
            }
            Action::SignalApp(signal) => {
                self.must(self.app == App::Alive, Promise::SignalsArrive);
                self.observe_signal(signal);
                0
            }
            Action::ContinueApp => {
                // SIGCONT goes out with the stop signal, which a stopped app would not act upon.
                self.must(self.app == App::Alive && self.memory.sent.is_some(), Promise::SignalsArrive);
                0
            }
            Action::WatchConnections => {
                // The connections are watched before the signal, because the app then closes its listeners.
                let first = !self.memory.watched && self.memory.sent.is_none();
                self.must(first && self.app == App::Alive, Promise::SecondSignalOnlyIdle);
                self.memory.watched = true;
                0
            }
            Action::SendSecondSignal(signal) => {
                self.must(self.app == App::Alive && !self.memory.killed, Promise::SignalsArrive);
                let configured = setting.plan.second_signal.is_some_and(|second| second.signal == signal);
                // The second signal is due at most a second before SIGKILL.
                let sigkill_is_near = self.memory.kill_due.is_some_and(|kill| self.edge.now + SECOND >= kill);
                let asked = configured && (self.memory.idle_reports > 0 || sigkill_is_near);
                let once = self.memory.second_signal_sent.is_none() && self.memory.sent.is_some();
                self.must(asked && once, Promise::SecondSignalOnlyIdle);
                self.memory.second_signal_sent = Some(signal);
                self.memory.attempts.push((signal, true));
                Landmark::SecondSignalSent.bit()
            }
            Action::KillApp => {
                self.must(self.app == App::Alive && !self.memory.killed, Promise::SignalsArrive);
                self.observe_kill(setting);
                self.memory.attempts.push((Signal::KILL, false));
                let with_stop_signal = setting.plan.second_signal.is_some() && self.memory.watched;
                self.must(!with_stop_signal || self.memory.second_signal_sent.is_some(), Promise::SecondSignalOnlyIdle);
                self.memory.killed = true;
                self.memory.killed_at = Some(self.edge.now);
                Landmark::Killed.bit()
            }
            Action::TerminateLeftovers => {
                self.must(self.app != App::Alive && !self.memory.leftovers_killed, Promise::InTime);
                self.memory.leftovers_since.get_or_insert(self.edge.now);
                0
            }
            Action::KillLeftovers => {
                self.must(self.app != App::Alive && !self.memory.leftovers_killed, Promise::InTime);
                self.memory.leftovers_killed = true;
                self.observe_leftovers_killed(setting);
                0
            }
            Action::Answer { caller, hook, outcome } => {
                let waits = self.edge.waiting.get(&caller) == Some(&hook);
                let reported_outcome = self.memory.lists.outcome(hook);
                // No caller gets the outcome before the list is over; a hook without a list has no outcome.
                let is_true = match (reported_outcome, hook) {
                    (Some(reported_outcome), _) => reported_outcome == outcome,
                    (None, Hook::PreStop) => {
                        let nothing_runs = self.memory.lists.get(hook).is_none() || is_empty(&setting.plan, hook);
                        outcome == Outcome::Succeeded && nothing_runs
                    }
                    // A hook without handlers ends without a note.
                    (None, _) if self.memory.app_starts > 0 && is_empty(&setting.plan, hook) => {
                        outcome == Outcome::Succeeded
                    }
                    (None, _) => outcome == Outcome::Aborted && self.memory.ended.is_some(),
                };
                self.must(waits && is_true, Promise::HooksAnswered);
                if outcome == Outcome::Aborted { Landmark::Aborted.bit() } else { 0 }
            }
            Action::SetTimer { timer, at } => {
                self.must(at >= self.edge.now, Promise::InTime);
                self.observe_timer(setting, timer, at)
            }
            Action::Tell(note) => self.observe_note(setting, note),
            Action::Exit(code) => {
                self.observe_exit(setting, code);
                Landmark::Exited.bit()
            }
        }
    }

    fn observe_start(
        &mut self,
        setting: &Setting,
        run: RunId,
        hook: Hook,
        index: usize,
        timeout: Option<Duration>,
    ) -> u64 {
        if self.memory.lists.list(hook).index != index {
            self.settle_retry(setting, hook);
        }
        let alone = !self.edge.is_running(hook);
        let start = self.memory.lists.started(&setting.plan, run, hook, index, self.memory.reason);
        if hook == Hook::PreStop {
            self.must(start.its_turn, Promise::PreStopOnce);
        }
        self.must(alone && start.its_turn && start.goes_on, Promise::InOrder);
        let signalled = self.memory.stop.as_ref().is_some_and(|stop| stop.signalled.is_some());
        match hook {
            Hook::PreStart => self.must(self.app == App::NotYet, Promise::InOrder),
            Hook::PostStart => self.must(self.app == App::Alive && !signalled, Promise::InOrder),
            Hook::PreStop => {
                let ok = self.app == App::Alive && self.memory.stop.is_some() && !signalled;
                self.must(ok, Promise::SignalAfterPreStop);
            }
            Hook::PostStop => self.must(self.app != App::Alive, Promise::PostStopLast),
        }
        let within_own =
            setting.plan.hooks[&hook][index].timeout.is_none_or(|own| timeout.is_some_and(|timeout| timeout <= own));
        let end = self.end_of_grace(setting).filter(|_| matches!(hook, Hook::PreStop | Hook::PostStop));
        let late = self.edge.now + SECOND / 10;
        let within_budget =
            end.is_none_or(|end| timeout.is_some_and(|timeout| self.edge.now + timeout <= end.max(late)));
        let bounded = hook != Hook::PostStop || timeout.is_some();
        self.must(within_own && within_budget && bounded, Promise::InTime);
        start.landmarks
    }

    fn observe_signal(&mut self, signal: Signal) {
        let memory = &mut self.memory;
        if memory.passed.extract_if(.., |owed| *owed == signal).next().is_some() {
            return memory.attempts.push((signal, true));
        }
        if let Some(place) = memory.owed.iter().position(|owed| *owed == signal) {
            memory.owed.remove(place);
            return memory.attempts.push((signal, false));
        }
        // It is not a forwarded signal, so it is the stop signal.
        let pre_stop_runs = self.edge.runs.iter().any(|run| run.hook == Hook::PreStop);
        let now = self.edge.now;
        let Some(stop) = &mut self.memory.stop else { return self.must(false, Promise::SignalAfterPreStop) };
        let wanted = stop.wanted.contains(&signal);
        // A repeated one is passed on as it is.
        let is_first = stop.signalled.is_none();
        self.memory.attempts.push((signal, is_first));
        stop.signalled = Some((stop.signalled.map_or(now, |(first, _)| first), now));
        let hook_alone = stop.wanted.is_empty();
        self.memory.sent = Some(signal);
        self.must(!hook_alone, Promise::HookOnlyWaits);
        self.must(!self.memory.killed, Promise::SignalsArrive);
        self.must(wanted && !pre_stop_runs, Promise::SignalAfterPreStop);
    }

    fn observe_kill(&mut self, setting: &Setting) {
        let now = self.edge.now;
        let Some(grace) = setting.plan.grace else { return self.must(false, Promise::KillAtDeadline) };
        let Some(stop) = &self.memory.stop else { return self.must(false, Promise::KillAtDeadline) };
        let signalled = stop.signalled.map_or(stop.began, |(first, _)| first);
        let not_before = (stop.began + grace / 2).max(signalled + SECOND.min(grace / 4));
        let wanted = !stop.wanted.is_empty();
        self.must(wanted && now >= not_before, Promise::KillAtDeadline);
    }

    fn observe_timer(&mut self, setting: &Setting, timer: Timer, at: Time) -> u64 {
        match timer {
            Timer::Rearm => {
                let patience = setting.plan.grace.unwrap_or(30 * SECOND);
                self.must(at == self.edge.now + patience, Promise::HookOnlyWaits);
                0
            }
            Timer::Linger => Landmark::Lingered.bit(),
            Timer::Retry(hook) => {
                let pause = self.memory.lists.owed_retry(&setting.plan, hook);
                self.memory.lists.list(hook).retry_open = false;
                self.must(pause.is_some_and(|pause| at == self.edge.now + pause), Promise::InOrder);
                0
            }
            Timer::Leftovers => {
                let until = self.edge.timers.get(&timer).filter(|_| !self.memory.leftovers_killed);
                self.must(until.is_none_or(|until| at <= *until), Promise::LeftoversShareBudget);
                0
            }
            Timer::Kill => {
                self.memory.kill_due = Some(at);
                0
            }
            Timer::SecondSignal | Timer::PostStop | Timer::Answers => 0,
            Timer::Hold => {
                self.must(setting.plan.hold.is_some_and(|hold| at == self.edge.now + hold), Promise::HoldsFailure);
                0
            }
            Timer::LateHook => unreachable!("not for an app of our own in this world"),
        }
    }

    fn observe_note(&mut self, setting: &Setting, note: Note) -> u64 {
        match note {
            Note::Started => {
                self.must(self.memory.lists.succeeded(&setting.plan, Hook::PostStart), Promise::ShownAsItIs);
                Landmark::Started.bit()
            }
            Note::StopBegan(trigger) => {
                self.must(self.memory.stop.is_none(), Promise::PreStopOnce);
                let failed = self.memory.lists.list(Hook::PostStart).failed;
                self.must(trigger != Trigger::PostStartFailed || failed, Promise::ExitCode);
                self.must(trigger != Trigger::LivenessFailed || setting.liveness, Promise::LivenessStops);
                let pre_stop_over = is_empty(&setting.plan, Hook::PreStop).then_some(self.edge.now);
                self.memory.stop =
                    Some(Stop { trigger, began: self.edge.now, wanted: Vec::new(), signalled: None, pre_stop_over });
                if self.app == App::Alive {
                    // One list per stop, which must begin at once.
                    self.memory.lists.expect(Hook::PreStop);
                }
                self.want(setting, trigger);
                match trigger {
                    Trigger::PostStartFailed => Landmark::PostStartFailed.bit(),
                    Trigger::LivenessFailed => Landmark::LivenessFailed.bit(),
                    Trigger::Hook | Trigger::Signal(_) | Trigger::Request => 0,
                }
            }
            Note::HookOver(hook, outcome) => {
                if outcome != Outcome::Aborted {
                    self.settle_retry(setting, hook);
                }
                self.memory.lists.pass_over(&setting.plan, hook, self.memory.reason);
                let is_true = self.memory.lists.over(&setting.plan, hook, outcome);
                self.must(is_true, Promise::HooksAnswered);
                self.pre_stop_is_over(hook);
                if hook == Hook::PostStop && self.memory.reason == Some(Reason::Unseen) {
                    // They may run again, at the end of this life.
                    self.memory.lists.forget(hook);
                    self.memory.reason = None;
                }
                0
            }
            Note::Escalated(_) => Landmark::Escalated.bit(),
            Note::NoTimeLeft(hook, index) => {
                let end = self.end_of_grace(setting);
                // At most half of the grace period is kept for what follows the app, a quarter for the app.
                let kept = setting.plan.grace.unwrap_or_default() * 3 / 4;
                self.must(end.is_none_or(|end| self.edge.now + kept >= end), Promise::InTime);
                self.memory.lists.pass_over(&setting.plan, hook, self.memory.reason);
                let its_turn = self.memory.lists.list(hook).index == index;
                self.must(its_turn, Promise::InOrder);
                self.memory.lists.give_up(&setting.plan, hook);
                Landmark::NoTimeLeft.bit()
            }
            Note::Rearmed => {
                let patience = setting.plan.grace.unwrap_or(30 * SECOND);
                let now = self.edge.now;
                let ok = self.memory.stop.take().is_some_and(|stop| {
                    let waited = stop.pre_stop_over.is_some_and(|over| now >= over + patience);
                    stop.trigger == Trigger::Hook && stop.wanted.is_empty() && waited
                });
                self.must(ok && self.app == App::Alive, Promise::HookOnlyWaits);
                self.memory.lists.forget(Hook::PreStop);
                // That stop has not caused a later death.
                self.memory.taken_for_stop.clear();
                Landmark::Rearmed.bit()
            }
            Note::StopSignalSent(signal) => {
                let was_sent = self.memory.sent == Some(signal) && self.memory.taken.contains(&signal);
                self.must(was_sent, Promise::SentAsReported);
                Landmark::StopSignalSent.bit()
            }
            Note::SecondSignalSent(signal, _) => {
                let was_sent = self.memory.second_signal_sent == Some(signal) && self.memory.taken.contains(&signal);
                self.must(was_sent, Promise::SentAsReported);
                0
            }
            Note::AppStays => unreachable!("only of an app in another container"),
            Note::Killed => {
                let was_sent = self.memory.killed && self.memory.taken.contains(&Signal::KILL);
                self.must(was_sent, Promise::SentAsReported);
                0
            }
            Note::PassedOn(signal) => {
                self.must(self.memory.taken.contains(&signal), Promise::SentAsReported);
                Landmark::PassedOn.bit()
            }
            Note::AppEnded(status) => {
                if status == AppStatus::StillRunning {
                    self.observe_app_given_up(setting);
                }
                self.memory.ended = Some((status, self.edge.now));
                self.memory.reason = Some(self.reason(setting, status));
                self.memory.forget_signals(setting.plan.stop_is_success);
                0
            }
            Note::LeftoversTerminated => {
                let some = self.remaining != Remaining::Nothing;
                self.must(some && !self.memory.leftovers_refused, Promise::SentAsReported);
                Landmark::LeftoversTerminated.bit()
            }
            Note::LeftoversRefused => {
                self.must(self.memory.leftovers_refused, Promise::SentAsReported);
                Landmark::LeftoversRefused.bit()
            }
            Note::LeftoversEnded => {
                self.must(self.remaining == Remaining::Nothing, Promise::SentAsReported);
                0
            }
            Note::LeftoversKilled => Landmark::LeftoversKilled.bit(),
            Note::LeftoversRemain => Landmark::LeftoversRemain.bit(),
            Note::Held(_) => {
                let failed = self.memory.reason == Some(Reason::Failed) && self.memory.stop.is_none();
                let nothing_else = self.edge.runs.is_empty() && self.edge.waiting.is_empty();
                self.must(failed && nothing_else && !self.memory.held, Promise::HoldsFailure);
                self.memory.held = true;
                Landmark::Held.bit()
            }
            Note::CaughtUp => {
                let is_start = self.app == App::NotYet && self.memory.ended.is_none() && self.memory.app_starts == 0;
                let is_first = self.memory.lists.get(Hook::PreStart).is_none() && !self.claims;
                self.must(setting.unseen && is_start && is_first, Promise::MissedFirst);
                self.claims = true;
                Landmark::CaughtUp.bit()
            }
            Note::NoHookCame => unreachable!("only of an app in another container"),
            Note::AnswerNotTaken => Landmark::AnswerNotTaken.bit(),
        }
    }

    /// The machine goes on without the app's end. That is right only for an app that cannot be ended.
    fn observe_app_given_up(&mut self, setting: &Setting) {
        let refused = |signal| self.memory.refused.contains(&signal);
        let kill_had_no_effect = self.memory.killed_at.is_some_and(|at| self.edge.now > at);
        let cannot_be_stopped = setting.plan.grace.is_none() && self.memory.sent.is_some_and(refused);
        let right = refused(Signal::KILL) || kill_had_no_effect || cannot_be_stopped;
        self.must(right && self.app == App::Alive, Promise::EndsWithoutTheApp);
        self.app = App::Gone;
        self.unanswered.clear();
        self.remaining = Remaining::Children;
        self.memory.expected_status = Some(AppStatus::StillRunning);
    }

    /// Leftovers have their time: the rest of a stop's budget without the reserve, otherwise two seconds. Sessions never have
    /// more than two seconds.
    fn observe_leftovers_killed(&mut self, setting: &Setting) {
        let Some(since) = self.memory.leftovers_since else {
            return self.must(false, Promise::LeftoversShareBudget);
        };
        let (wish, two) = (setting.plan.leftovers, 2 * SECOND);
        let end = self.end_of_grace(setting);
        // A stop that begins after the app's end bounds them, and gives them nothing.
        let shared = end.filter(|_| self.memory.reason == Some(Reason::Stopped));
        let own = match shared {
            _ if self.remaining != Remaining::Children => since + wish.map_or(two, |wish| wish.min(two)),
            Some(end) => wish.map_or(end, |wish| (since + wish).min(end)),
            None => since + wish.unwrap_or(two),
        };
        // At most half of the grace period is kept for what follows.
        let kept = setting.plan.grace.unwrap_or_default() / 2;
        let not_before = end.map_or(own, |end| own.min(end - kept));
        self.must(self.edge.now >= not_before, Promise::LeftoversShareBudget);
        self.memory.leftovers_since = None;
    }

    /// Why the app has ended, by the rules of the documentation.
    fn reason(&self, setting: &Setting, status: AppStatus) -> Reason {
        let code = match status {
            _ if self.memory.stop.is_some() => return Reason::Stopped,
            AppStatus::NotStarted { .. } => return Reason::Failed,
            AppStatus::Exited(code) => code,
            AppStatus::Signalled(signal) => signal.exit_code(),
            AppStatus::StillRunning => return Reason::Stopped,
            AppStatus::Unknown => unreachable!("only of an app in another container"),
        };
        match setting.plan.exit_codes.get(&code).copied().unwrap_or(code) {
            0 => Reason::Completed,
            _ => Reason::Failed,
        }
    }

    fn pre_stop_is_over(&mut self, hook: Hook) {
        let now = self.edge.now;
        if hook == Hook::PreStop
            && let Some(stop) = &mut self.memory.stop
        {
            stop.pre_stop_over = Some(now);
        }
    }

    /// A stop that must end the app: the signal for it.
    fn want(&mut self, setting: &Setting, trigger: Trigger) {
        let default = match trigger {
            Trigger::Hook => return,
            Trigger::Signal(received) => received,
            Trigger::Request | Trigger::PostStartFailed | Trigger::LivenessFailed => Signal::TERM,
        };
        if let Some(stop) = &mut self.memory.stop {
            stop.wanted.push(setting.plan.stop_signal.unwrap_or(default));
        }
    }

    fn observe_exit(&mut self, setting: &Setting, code: u8) {
        self.must(self.app != App::Alive && self.edge.runs.is_empty(), Promise::PostStopLast);
        self.must(self.edge.waiting.is_empty(), Promise::HooksAnswered);
        // postStop has run or was cut, whatever the reason of the end.
        let post_stop = is_empty(&setting.plan, Hook::PostStop) || self.memory.lists.outcome(Hook::PostStop).is_some();
        self.must(post_stop, Promise::PostStopLast);
        self.must(self.expected_code(setting) == Some(code), Promise::ExitCode);
        let is_due = setting.plan.hold.is_some() && self.memory.stop.is_none();
        let is_due = is_due && self.memory.reason == Some(Reason::Failed);
        let held = if self.memory.held { self.memory.hold_over } else { !is_due };
        self.must(held, Promise::HoldsFailure);
        if let (Some(end), Some((_, ended)), Some(grace)) =
            (self.end_of_grace(setting), self.memory.ended, setting.plan.grace)
            && ended <= end - grace / 2
        {
            self.must(self.edge.now <= end + shortest(setting.plan.grace), Promise::InTime);
        }
    }

    /// The exit code by the rules of the documentation.
    fn expected_code(&self, setting: &Setting) -> Option<u8> {
        let plan = &setting.plan;
        let trigger = self.memory.stop.as_ref().map(|stop| stop.trigger);
        if trigger == Some(Trigger::PostStartFailed) {
            return Some(125);
        }
        let remapped = |code: u8| Some(plan.exit_codes.get(&code).copied().unwrap_or(code));
        match self.memory.expected_status {
            Some(AppStatus::Unknown) => unreachable!("only of an app in another container"),
            Some(AppStatus::Exited(code)) => remapped(code),
            Some(AppStatus::Signalled(signal))
                if plan.stop_is_success
                    && self.memory.stop.is_some()
                    && signal != Signal::KILL
                    && self.memory.taken_for_stop.contains(&signal) =>
            {
                Some(0)
            }
            Some(AppStatus::Signalled(signal)) => remapped(signal.exit_code()),
            Some(AppStatus::StillRunning) => Some(137),
            Some(AppStatus::NotStarted { code }) => Some(code),
            // The app was never started: a stop came before it, or preStart failed.
            None => match trigger {
                _ if self.memory.lists.get(Hook::PreStart).is_some_and(|list| list.failed) => Some(125),
                Some(_) if plan.stop_is_success => Some(0),
                Some(Trigger::Signal(signal)) => Some(signal.exit_code()),
                Some(Trigger::Request) => Some(plan.stop_signal.unwrap_or(Signal::TERM).exit_code()),
                _ => None,
            },
        }
    }

    /// Checks what must have followed an event when its actions have been performed.
    pub(crate) fn after(&mut self, setting: &Setting, event: Event, actions: &[Action]) {
        let alive = self.app == App::Alive;
        match event {
            Event::Signal(signal) if setting.plan.stop_signals.contains(&signal) => {
                let began = actions.iter().any(|action| matches!(action, Action::Tell(Note::StopBegan(_))));
                if !began {
                    // It moves the current stop on by one step.
                    let wanted = setting.plan.stop_signal.unwrap_or(signal);
                    let reported_outcome = actions.contains(&Action::SignalApp(wanted));
                    self.must(reported_outcome || !alive || self.memory.killed, Promise::SignalAfterPreStop);
                }
                self.must(self.memory.stop.is_some() || self.memory.hold_over, Promise::ReachesExit);
            }
            Event::StopRequested => {
                let ends = self.edge.exited || self.memory.hold_over;
                self.must(self.memory.stop.is_some() || ends, Promise::ReachesExit);
            }
            Event::SignalFromPreStop(_) => {
                let only_passes = actions.iter().all(|action| matches!(action, Action::SignalApp(_)));
                self.must(only_passes, Promise::HandlerSignalsApp);
            }
            // The caller gets the answer "stopping", so there is a budget.
            Event::HookCalled { hook: Hook::PreStop, .. } if self.in_finishing() => {
                let ends = self.edge.exited || self.memory.hold_over;
                self.must(self.memory.stop.is_some() || ends, Promise::ReachesExit);
            }
            // It begins a stop if there is none, and changes nothing during one.
            Event::LivenessFailed => {
                let began = actions.contains(&Action::Tell(Note::StopBegan(Trigger::LivenessFailed)));
                let ok = if began { alive } else { actions.is_empty() && (self.memory.stop.is_some() || !alive) };
                self.must(ok, Promise::LivenessStops);
            }
            _ => {}
        }
        if actions.contains(&Action::KillLeftovers) {
            self.must(event == Event::TimerFired(Timer::Leftovers), Promise::LeftoversShareBudget);
        }
        if alive {
            self.must(self.memory.owed.is_empty(), Promise::SignalsArrive);
            self.must(self.memory.passed.is_empty(), Promise::HandlerSignalsApp);
        }
    }
}
