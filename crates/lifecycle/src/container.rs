//! The life of a container whose app is our child.
//!
//! The diagram of its phases and its promises are on the front page of the crate (`lib.rs`).

mod ending;
mod finishing;
mod stopping;
#[cfg(test)]
mod tests;

use crate::action::{Action, Note, SecondSignalReason};
use crate::context::{Context, ListStep};
use crate::event::{Event, Timer};
use crate::hook::{CallerId, HandlerResult, Hook, Outcome, RunId};
use crate::life::{AppStatus, PhaseName, Reason, Trigger};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::signal::Signal;
use crate::time::Time;
use finishing::Finishing;
use stopping::{AfterPreStop, Stop, Stopping};

/// The life of a container whose app is our child. The front page of the crate has its phases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerLifecycle {
    cx: Context,
    phase: ContainerPhase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ContainerPhase {
    /// There is no app yet.
    Starting {
        /// Signals for the app, each once, as the kernel keeps them.
        held: Vec<Signal>,
    },
    Running,
    Stopping(Stopping),
    Finishing(Finishing),
}

impl Machine for ContainerLifecycle {
    fn apply(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.phase() == PhaseName::Exited {
            // It is too late for any event to change anything.
            return Vec::new();
        }
        match event {
            Event::Begin => {
                // A stop may have come before.
                if let ContainerPhase::Starting { .. } = self.phase {
                    self.run_list(now, Hook::PreStart, None);
                }
            }
            Event::BeginUnseen => self.begin_unseen(now),
            Event::AppStarted => self.app_started(now),
            Event::AppNotStarted { code } => self.app_ended(now, AppStatus::NotStarted { code }),
            Event::AppEnded { status } => self.app_ended(now, status),
            Event::Remaining(remaining) => {
                if let ContainerPhase::Finishing(finishing) = &mut self.phase {
                    finishing.remaining(&mut self.cx, now, remaining);
                }
            }
            Event::LeftoversRefused => {
                if let ContainerPhase::Finishing(finishing) = &mut self.phase {
                    finishing.leftovers_refused(&mut self.cx);
                }
            }
            Event::HandlerEnded { run, result } => self.handler_ended(now, run, result),
            Event::HookCalled { hook, caller } => self.hook_called(now, hook, caller),
            Event::CallerDone(caller) => self.caller_done(now, caller),
            Event::Signal(signal) => self.signal(now, signal),
            Event::SignalFromPreStop(signal) => self.signal_from_pre_stop(now, signal),
            Event::StopRequested => self.stop_requested(now),
            Event::SignalSent(signal) => {
                // A forwarded signal, or one whose app has ended meanwhile, is not reported.
                if let ContainerPhase::Stopping(stopping) = &mut self.phase {
                    stopping.signal_sent(&mut self.cx, signal);
                }
            }
            Event::SignalRefused(signal) => self.signal_refused(now, signal),
            // Our own child is always visible.
            Event::AppUnseen => {}
            Event::ConnectionsIdle => {
                if let ContainerPhase::Stopping(stopping) = &mut self.phase {
                    stopping.second_signal(&mut self.cx, SecondSignalReason::ConnectionsIdle);
                }
            }
            Event::LivenessFailed => self.stop_running(now, Trigger::LivenessFailed),
            Event::TimerFired(timer) => self.timer_fired(now, timer),
        }
        self.cx.take_actions()
    }

    fn phase(&self) -> PhaseName {
        match &self.phase {
            ContainerPhase::Starting { .. } => PhaseName::Starting,
            ContainerPhase::Running => PhaseName::Running,
            ContainerPhase::Stopping(_) => PhaseName::Stopping,
            ContainerPhase::Finishing(finishing) if finishing.has_exited() => PhaseName::Exited,
            ContainerPhase::Finishing(finishing) if finishing.is_held() => PhaseName::Held,
            ContainerPhase::Finishing(_) => PhaseName::Finishing,
        }
    }

    fn has_started(&self) -> bool {
        self.cx.outcome(Hook::PostStart) == Some(Outcome::Succeeded)
    }

    fn stop_trigger(&self) -> Option<(Trigger, Time)> {
        self.stop().map(|stop| (stop.trigger, stop.began))
    }

    fn deadline(&self) -> Option<Time> {
        self.stop().and_then(|stop| self.cx.budget.end(stop.began))
    }

    fn reason(&self) -> Option<Reason> {
        match &self.phase {
            ContainerPhase::Finishing(finishing) => Some(finishing.reason()),
            ContainerPhase::Starting { .. } => self.cx.is_in_flight(Hook::PostStop).then_some(Reason::Unseen),
            ContainerPhase::Running | ContainerPhase::Stopping(_) => None,
        }
    }

    fn late_outcome(&self, hook: Hook) -> Outcome {
        self.cx.late_outcome(hook)
    }
}

impl ContainerLifecycle {
    /// A life that has not begun. Its first event is `Begin`, or a stop signal that was pending before.
    pub fn new(plan: Plan) -> ContainerLifecycle {
        let phase = ContainerPhase::Starting { held: Vec::new() };
        ContainerLifecycle { cx: Context::new(plan, 0), phase }
    }

    /// Replaces the plan before a stop has begun; grace period and postStop handlers must be the same. Returns whether it did.
    pub fn replace_plan(&mut self, plan: Plan) -> bool {
        let is_early = matches!(self.phase, ContainerPhase::Starting { .. } | ContainerPhase::Running);
        let replaces = is_early && self.cx.is_idle(Hook::PreStop);
        if replaces {
            self.cx.plan = plan;
        }
        replaces
    }

    /// Whether new clients may be sent here: the app runs, has started, and no stop has begun.
    pub fn is_ready(&self) -> bool {
        self.phase == ContainerPhase::Running && self.has_started()
    }

    /// Whether the app can serve clients: it has started and has not got its stop signal. Kubernetes uses an endpoint that
    /// terminates but still serves as a last resort (KEP-1669).
    pub fn is_serving(&self) -> bool {
        let app_serves = match &self.phase {
            ContainerPhase::Running => true,
            ContainerPhase::Stopping(stopping) => stopping.is_serving(),
            ContainerPhase::Starting { .. } | ContainerPhase::Finishing(_) => false,
        };
        app_serves && self.has_started()
    }

    /// Whether the app runs and has got its stop signal.
    pub fn is_signalled(&self) -> bool {
        matches!(&self.phase, ContainerPhase::Stopping(stopping) if !stopping.is_serving())
    }

    /// The stop signal that the stop in progress has still to send, if it does not wait for another process to ask for it.
    pub fn pending_stop_signal(&self) -> Option<Signal> {
        if let ContainerPhase::Stopping(stopping) = &self.phase { stopping.pending_signal() } else { None }
    }

    /// The exit code, once the app has ended.
    pub fn exit_code(&self) -> Option<u8> {
        if let ContainerPhase::Finishing(finishing) = &self.phase { Some(finishing.exit_code(&self.cx)) } else { None }
    }

    fn stop(&self) -> Option<&Stop> {
        match &self.phase {
            ContainerPhase::Stopping(stopping) => Some(stopping.stop()),
            ContainerPhase::Finishing(finishing) => finishing.stop(),
            ContainerPhase::Starting { .. } | ContainerPhase::Running => None,
        }
    }

    // ---- The app --------------------------------------------------------------------------------

    /// Runs the postStop handlers that the previous life has missed.
    fn begin_unseen(&mut self, now: Time) {
        if let ContainerPhase::Starting { .. } = self.phase {
            let end = self.cx.budget.post_stop_end(None, now);
            let step = self.cx.run(now, Hook::PostStop, Some(end), Some(Reason::Unseen));
            self.list_stepped(now, Hook::PostStop, step);
        }
    }

    fn app_started(&mut self, now: Time) {
        // Another start was not asked for.
        let ContainerPhase::Starting { held } = &mut self.phase else { return };
        for signal in std::mem::take(held) {
            self.cx.act(Action::SignalApp(signal));
        }
        self.phase = ContainerPhase::Running;
        self.run_list(now, Hook::PostStart, None);
    }

    /// The app has ended, or will not be started.
    fn app_ended(&mut self, now: Time, status: AppStatus) {
        // Any phase will do here: the next one takes its place below.
        let stop = match std::mem::replace(&mut self.phase, ContainerPhase::Running) {
            ContainerPhase::Starting { .. } | ContainerPhase::Running => None,
            ContainerPhase::Stopping(stopping) => Some(stopping.into_stop()),
            ContainerPhase::Finishing(mut finishing) => {
                finishing.app_ended(&mut self.cx, status);
                self.phase = ContainerPhase::Finishing(finishing);
                return;
            }
        };
        self.finish(now, status, stop);
    }

    /// The kernel refused a signal to the app.
    fn signal_refused(&mut self, now: Time, signal: Signal) {
        let gives_up = match &mut self.phase {
            ContainerPhase::Stopping(stopping) => stopping.signal_refused(&self.cx, signal),
            // The refused signal was a forwarded one, and nothing depends on it.
            ContainerPhase::Running => false,
            ContainerPhase::Starting { .. } | ContainerPhase::Finishing(_) => return,
        };
        if gives_up || self.cx.plan.exit_if_refused.is_some() {
            self.give_up_app(now);
        }
    }

    /// The app cannot be ended: postStop, the report and the exit do not wait for it. If bookend is PID 1, its exit ends the app.
    fn give_up_app(&mut self, now: Time) {
        self.app_ended(now, AppStatus::StillRunning);
    }

    fn finish(&mut self, now: Time, status: AppStatus, stop: Option<Stop>) {
        self.phase = ContainerPhase::Finishing(Finishing::begin(&mut self.cx, now, status, stop));
    }

    // ---- Hooks ----------------------------------------------------------------------------------

    fn hook_called(&mut self, now: Time, hook: Hook, caller: CallerId) {
        let answer = match hook {
            Hook::PostStart => match self.cx.outcome(hook) {
                Some(outcome) => Some(outcome),
                // The app ended before postStart could begin. It will not run any more.
                None if self.cx.is_idle(hook) && !matches!(self.phase, ContainerPhase::Starting { .. }) => {
                    Some(Outcome::Aborted)
                }
                None => None,
            },
            Hook::PreStop if self.cx.is_idle(hook) => {
                if self.phase == ContainerPhase::Running {
                    self.cx.wait(caller, hook);
                    return self.begin_stop(now, Trigger::Hook, AfterPreStop::AwaitSignal);
                }
                // The grace period has begun with the hook, although no app serves.
                if let ContainerPhase::Finishing(finishing) = &mut self.phase {
                    if finishing.is_held() {
                        self.cx.answer(caller, hook, Outcome::Succeeded);
                        return finishing.end_hold(&mut self.cx, now);
                    }
                    finishing.stop_began(&mut self.cx, now, Trigger::Hook);
                }
                // No app serves, so there is nothing to prepare. The stop signal that follows the hook ends the container.
                Some(Outcome::Succeeded)
            }
            // The call joins the handlers in flight, or gets their outcome.
            Hook::PreStop => self.cx.outcome(hook),
            // These hooks cannot be called.
            Hook::PreStart | Hook::PostStop => Some(Outcome::Aborted),
        };
        match answer {
            Some(outcome) => self.cx.answer(caller, hook, outcome),
            None => self.cx.wait(caller, hook),
        }
    }

    fn caller_done(&mut self, now: Time, caller: CallerId) {
        self.cx.caller_done(caller);
        if let ContainerPhase::Finishing(finishing) = &mut self.phase {
            finishing.caller_done(&mut self.cx, now);
        }
    }

    fn run_list(&mut self, now: Time, hook: Hook, deadline: Option<Time>) {
        let step = self.cx.run(now, hook, deadline, None);
        self.list_stepped(now, hook, step);
    }

    fn handler_ended(&mut self, now: Time, run: RunId, result: HandlerResult) {
        let Some(hook) = self.cx.hook_of(run) else { return };
        // Once the app has ended, there is nothing to prepare for the handlers after this one.
        let last = hook == Hook::PreStop && matches!(self.phase, ContainerPhase::Finishing(_));
        let step = self.cx.ended(now, hook, result, last);
        self.list_stepped(now, hook, step);
    }

    fn list_stepped(&mut self, now: Time, hook: Hook, step: ListStep) {
        let ListStep::Over(outcome) = step else { return };
        self.cx.answer_all(hook, outcome);
        match (hook, outcome, &mut self.phase) {
            (Hook::PreStart, Outcome::Succeeded, _) => self.cx.act(Action::StartApp),
            (Hook::PreStart, ..) => self.app_ended(now, AppStatus::NotStarted { code: 125 }),
            (Hook::PostStart, Outcome::Succeeded, _) => self.cx.tell(Note::Started),
            (Hook::PostStart, ..) => self.stop_running(now, Trigger::PostStartFailed),
            (Hook::PreStop, _, ContainerPhase::Stopping(stopping)) => stopping.pre_stop_over(&mut self.cx, now),
            (Hook::PreStop, _, ContainerPhase::Finishing(finishing)) => finishing.pre_stop_over(&mut self.cx, now),
            (Hook::PostStop, _, ContainerPhase::Finishing(finishing)) => finishing.post_stop_over(&mut self.cx, now),
            (Hook::PostStop, _, ContainerPhase::Starting { .. }) => {
                // The same handlers may run at the end of this life.
                self.cx.reset(Hook::PostStop);
                self.cx.tell(Note::CaughtUp);
            }
            // preStop and postStop run in no other phase.
            (Hook::PreStop | Hook::PostStop, ..) => {}
        }
    }

    // ---- Signals and stops ----------------------------------------------------------------------

    fn signal(&mut self, now: Time, signal: Signal) {
        let Some(target) = self.cx.plan.forwarded(signal) else { return };
        if self.cx.plan.stop_signals.contains(&signal) {
            return self.stop_signal(now, signal, self.cx.plan.stop_signal.unwrap_or(target));
        }
        match &mut self.phase {
            ContainerPhase::Starting { held } if held.contains(&target) => {}
            ContainerPhase::Starting { held } => held.push(target),
            ContainerPhase::Running | ContainerPhase::Stopping(_) => self.cx.act(Action::SignalApp(target)),
            // There is no app to get the signal.
            ContainerPhase::Finishing(_) => {}
        }
    }

    /// A preStop handler signals PID 1, which it takes for the app: `kill -QUIT 1`. It means the app, and not the stop.
    fn signal_from_pre_stop(&mut self, now: Time, signal: Signal) {
        let target = self.cx.plan.forwarded(signal);
        match (&mut self.phase, target) {
            // The handler may have ended in the same moment.
            (ContainerPhase::Stopping(stopping), Some(target)) if self.cx.is_in_flight(Hook::PreStop) => {
                stopping.pass_on(&mut self.cx, target);
            }
            // There is no app to get the signal.
            (ContainerPhase::Finishing(_), _) => {}
            _ => self.signal(now, signal),
        }
    }

    /// A stop signal has come. `send` is the signal that the app gets.
    fn stop_signal(&mut self, now: Time, received: Signal, send: Signal) {
        let trigger = Trigger::Signal(received);
        match &mut self.phase {
            ContainerPhase::Starting { .. } => self.stop_before_start(now, trigger, received),
            ContainerPhase::Running => self.begin_stop(now, trigger, AfterPreStop::Signal(send)),
            ContainerPhase::Stopping(stopping) => stopping.stop_signal(&mut self.cx, now, send),
            ContainerPhase::Finishing(finishing) => finishing.stop_signal(&mut self.cx, now, trigger),
        }
    }

    fn stop_requested(&mut self, now: Time) {
        let send = self.default_stop_signal();
        match &mut self.phase {
            ContainerPhase::Starting { .. } => self.stop_before_start(now, Trigger::Request, send),
            ContainerPhase::Running => self.begin_stop(now, Trigger::Request, AfterPreStop::Signal(send)),
            ContainerPhase::Stopping(stopping) => stopping.stop_requested(&mut self.cx, now, send),
            // The app has ended already, but the rest has a budget from now on.
            ContainerPhase::Finishing(finishing) => finishing.stop_began(&mut self.cx, now, Trigger::Request),
        }
    }

    /// Stops an app that runs, because postStart or the liveness probe failed.
    fn stop_running(&mut self, now: Time, trigger: Trigger) {
        if self.phase == ContainerPhase::Running {
            self.begin_stop(now, trigger, AfterPreStop::Signal(self.default_stop_signal()));
        }
        // In any other phase the app is not there or stops already, so the failure changes nothing.
    }

    /// The app will not be started. The exit code is that of a program which the signal kills.
    fn stop_before_start(&mut self, now: Time, trigger: Trigger, signal: Signal) {
        self.cx.abort(Hook::PreStart, Outcome::Aborted);
        self.cx.abort(Hook::PostStop, Outcome::Aborted);
        self.cx.tell(Note::StopBegan(trigger));
        let code = if self.cx.plan.stop_is_success { 0 } else { signal.exit_code() };
        self.finish(now, AppStatus::NotStarted { code }, Some(Stop::new(trigger, now)));
    }

    fn begin_stop(&mut self, now: Time, trigger: Trigger, then: AfterPreStop) {
        self.phase = ContainerPhase::Stopping(Stopping::begin(&mut self.cx, now, trigger, then));
        let deadline = self.cx.budget.pre_stop_deadline(now);
        self.run_list(now, Hook::PreStop, deadline);
    }

    /// No stop signal has followed a preStop hook: the app goes on.
    fn rearm(&mut self, now: Time) {
        self.phase = ContainerPhase::Running;
        self.cx.reset(Hook::PreStop);
        self.cx.tell(Note::Rearmed);
        if self.cx.outcome(Hook::PostStart) == Some(Outcome::Failed) {
            // postStart failed during the stop of the hook, when the app was expected to end anyway.
            self.stop_running(now, Trigger::PostStartFailed);
        }
    }

    fn default_stop_signal(&self) -> Signal {
        self.cx.plan.stop_signal.unwrap_or(Signal::TERM)
    }

    // ---- Time -----------------------------------------------------------------------------------

    fn timer_fired(&mut self, now: Time, timer: Timer) {
        match (timer, &mut self.phase) {
            (Timer::Retry(hook), _) => {
                let step = self.cx.retry(now, hook);
                self.list_stepped(now, hook, step);
            }
            (Timer::Kill, ContainerPhase::Stopping(stopping)) => {
                let had_no_effect = stopping.kill_due(&mut self.cx, now);
                if had_no_effect {
                    self.give_up_app(now);
                }
            }
            (Timer::SecondSignal, ContainerPhase::Stopping(stopping)) => {
                stopping.second_signal(&mut self.cx, SecondSignalReason::SigkillNear);
            }
            (Timer::Rearm, ContainerPhase::Stopping(stopping)) if stopping.awaits_signal() => self.rearm(now),
            (timer, ContainerPhase::Finishing(finishing)) => finishing.timer_fired(&mut self.cx, now, timer),
            // The timer of a phase or stage that is over.
            _ => {}
        }
    }
}
