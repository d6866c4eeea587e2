//! A stop while the app runs: preStop, then the stop signal, then SIGKILL at the deadline if there is one.
//!
//! A stop has one of several triggers, and preStop handlers run at most once for it. A preStop hook alone does not signal
//! the app: the stop then waits for a stop signal.

use std::time::Duration;

use crate::action::{Action, Note, SecondSignalReason};
use crate::budget::REARM_WITHOUT_GRACE;
use crate::context::Context;
use crate::event::Timer;
use crate::hook::{Hook, Outcome};
use crate::life::Trigger;
use crate::signal::Signal;
use crate::time::Time;

/// A stop: its trigger, and how far it has come. It outlives the app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Stop {
    pub(super) trigger: Trigger,
    pub(super) began: Time,
    /// A stop signal has come. The next one moves the stop on.
    pub(super) signal_seen: bool,
    /// The signals that the app was sent to stop it. A death by one of them was intended (`stopIsSuccess`).
    pub(super) sent: Vec<Signal>,
}

impl Stop {
    pub(super) fn new(trigger: Trigger, began: Time) -> Stop {
        Stop { trigger, began, signal_seen: matches!(trigger, Trigger::Signal(_)), sent: Vec::new() }
    }
}

/// The phase between the trigger of a stop and the end of the app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Stopping {
    stop: Stop,
    stage: StopStage,
    /// The notes of signals to the app that the kernel has not taken yet. A signal is reported only then.
    unconfirmed: Vec<Note>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum StopStage {
    /// preStop handlers run.
    PreStop(AfterPreStop),
    /// The hook has been answered and the app still serves. The stop signal will follow.
    AwaitSignal,
    /// The app has got the stop signal.
    Signalled {
        /// The app has got its second signal as well. There is no third one.
        twice: bool,
    },
    /// The app has got SIGKILL. Only its status is still to come, within a short time.
    Killed,
}

/// The step that follows the preStop handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AfterPreStop {
    /// Send this signal to the app.
    Signal(Signal),
    /// Wait for a stop signal: the kubelet sends it after the hook.
    AwaitSignal,
}

impl Stopping {
    /// Begins a stop. The caller must run the preStop handlers next.
    pub(super) fn begin(cx: &mut Context, now: Time, trigger: Trigger, then: AfterPreStop) -> Stopping {
        let stopping =
            Stopping { stop: Stop::new(trigger, now), stage: StopStage::PreStop(then), unconfirmed: Vec::new() };
        cx.tell(Note::StopBegan(trigger));
        if let AfterPreStop::Signal(_) = then {
            stopping.arm_kill(cx, now);
            // Beside a preStop hook, postStart goes on: Kubernetes promises no order. A stop that bookend carries on by
            // itself must not wait for a postStart handler that hangs.
            cx.abort(Hook::PostStart, Outcome::Aborted);
        }
        stopping
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn into_stop(self) -> Stop {
        self.stop
    }

    /// Whether the app still serves clients, because it has not got its stop signal.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.stage, StopStage::PreStop(_) | StopStage::AwaitSignal)
    }

    /// The stop signal that follows the preStop handlers.
    pub(super) fn pending_signal(&self) -> Option<Signal> {
        if let StopStage::PreStop(AfterPreStop::Signal(signal)) = self.stage { Some(signal) } else { None }
    }

    /// Whether the stop waits for the stop signal that follows a hook.
    pub(super) fn awaits_signal(&self) -> bool {
        self.stage == StopStage::AwaitSignal
    }

    /// A stop signal has come. `send` is the signal that the app gets.
    pub(super) fn stop_signal(&mut self, cx: &mut Context, now: Time, send: Signal) {
        self.stop.signal_seen = true;
        match self.stage {
            // The kubelet or a person does not want to wait any longer for the handlers.
            StopStage::PreStop(_) => {
                cx.escalate(Hook::PreStop);
                self.signal_app(cx, now, send);
            }
            StopStage::AwaitSignal => self.signal_app(cx, now, send),
            // A repeated stop signal is forwarded. It never means SIGKILL.
            StopStage::Signalled { .. } => cx.act(Action::SignalApp(send)),
            // SIGKILL is on its way; other signals are pointless.
            StopStage::Killed => {}
        }
    }

    /// `bookend stop`. `send` is the signal that the app gets.
    pub(super) fn stop_requested(&mut self, cx: &mut Context, now: Time, send: Signal) {
        match &mut self.stage {
            // The handlers of a hook are in flight. They finish; the signal follows without further waiting.
            StopStage::PreStop(then @ AfterPreStop::AwaitSignal) => {
                *then = AfterPreStop::Signal(send);
                self.arm_kill(cx, now);
            }
            StopStage::AwaitSignal => self.signal_app(cx, now, send),
            // The stop goes on already.
            StopStage::PreStop(AfterPreStop::Signal(_)) | StopStage::Signalled { .. } | StopStage::Killed => {}
        }
    }

    /// The preStop handlers are over.
    pub(super) fn pre_stop_over(&mut self, cx: &mut Context, now: Time) {
        match self.stage {
            StopStage::PreStop(AfterPreStop::Signal(send)) => self.signal_app(cx, now, send),
            StopStage::PreStop(AfterPreStop::AwaitSignal) => {
                self.stage = StopStage::AwaitSignal;
                let patience = cx.plan.grace.unwrap_or(REARM_WITHOUT_GRACE);
                cx.set_timer(Timer::Rearm, now + patience);
            }
            // A signal came before the end of the handlers; they have been aborted.
            StopStage::AwaitSignal | StopStage::Signalled { .. } | StopStage::Killed => {}
        }
    }

    /// Connections are left, and no request is in flight on any of them, or SIGKILL is near: the app gets its second signal.
    pub(super) fn second_signal(&mut self, cx: &mut Context, why: SecondSignalReason) {
        let Some(second_signal) = cx.plan.second_signal else { return };
        // A late report, or the timer of a second signal that was sent early, changes nothing.
        let StopStage::Signalled { twice: twice @ false } = &mut self.stage else { return };
        *twice = true;
        cx.act(Action::SendSecondSignal(second_signal.signal));
        self.unconfirmed.push(Note::SecondSignalSent(second_signal.signal, why));
    }

    /// Passes on what a preStop handler sent.
    pub(super) fn pass_on(&mut self, cx: &mut Context, signal: Signal) {
        cx.act(Action::SignalApp(signal));
        self.unconfirmed.push(Note::PassedOn(signal));
    }

    /// The kernel has taken a signal for the app.
    pub(super) fn signal_sent(&mut self, cx: &mut Context, signal: Signal) {
        let Some(note) = self.take_unconfirmed(signal) else { return };
        if note != Note::Killed {
            self.stop.sent.push(signal);
        }
        cx.tell(note);
    }

    /// The kernel refused a signal to the app. True if the app cannot be ended, so that the life must go on without its end.
    pub(super) fn signal_refused(&mut self, cx: &Context, signal: Signal) -> bool {
        // The signal was not sent, so the stop did not cause a death by it.
        let refused = self.take_unconfirmed(signal);
        let was_stop_signal = matches!(refused, Some(Note::StopSignalSent(_))) || self.stop.sent.contains(&signal);
        match self.stage {
            StopStage::Killed => signal == Signal::KILL,
            // With a grace period SIGKILL is still to come: it may be allowed, or the app may end by itself.
            StopStage::Signalled { .. } => was_stop_signal && cx.plan.grace.is_none(),
            // A forwarded signal does not decide about a stop.
            StopStage::PreStop(_) | StopStage::AwaitSignal => false,
        }
    }

    /// The app has used its share of the budget, or the time that SIGKILL may take. True if SIGKILL had no effect: a tracer or a
    /// frozen cgroup holds the app.
    pub(super) fn kill_due(&mut self, cx: &mut Context, now: Time) -> bool {
        match self.stage {
            StopStage::PreStop(AfterPreStop::Signal(_)) => {
                cx.abort(Hook::PreStop, Outcome::Aborted);
                self.kill_app(cx, now);
            }
            StopStage::Signalled { .. } => self.kill_app(cx, now),
            // A hook that no stop signal has followed is not a reason to kill the app.
            StopStage::PreStop(AfterPreStop::AwaitSignal) | StopStage::AwaitSignal => {}
            StopStage::Killed => return true,
        }
        false
    }

    /// Sends the stop signal. preStop is over, and what still runs beside the app is aborted.
    fn signal_app(&mut self, cx: &mut Context, now: Time, send: Signal) {
        self.stage = StopStage::Signalled { twice: false };
        cx.abort(Hook::PostStart, Outcome::Aborted);
        if cx.plan.second_signal.is_some() || cx.plan.grace.is_some() {
            // This comes before the signal, because the app then closes its listeners and its ports are not known any more.
            // Without a second signal and a grace period bookend cuts no connection, so there is nothing to count.
            cx.act(Action::WatchConnections);
        }
        self.unconfirmed.push(Note::StopSignalSent(send));
        cx.act(Action::SignalApp(send));
        cx.act(Action::ContinueApp);
        self.arm_kill(cx, now);
        if cx.plan.second_signal.is_some()
            && let Some(at) = cx.budget.second_signal_at(self.stop.began, now)
        {
            cx.set_timer(Timer::SecondSignal, at);
        }
    }

    fn kill_app(&mut self, cx: &mut Context, now: Time) {
        self.stage = StopStage::Killed;
        self.unconfirmed.push(Note::Killed);
        cx.act(Action::KillApp);
        let at = cx.budget.before_post_stop(Some(self.stop.began), now, KILL_TAKES);
        cx.set_timer(Timer::Kill, at);
    }

    /// The note of the signal that was sent first, if it is one of the stop's own.
    fn take_unconfirmed(&mut self, signal: Signal) -> Option<Note> {
        let of_signal = |note: &Note| match note {
            Note::StopSignalSent(sent) | Note::SecondSignalSent(sent, _) | Note::PassedOn(sent) => *sent == signal,
            _ => signal == Signal::KILL,
        };
        let at = self.unconfirmed.iter().position(of_signal)?;
        Some(self.unconfirmed.remove(at))
    }

    fn arm_kill(&self, cx: &mut Context, now: Time) {
        if let Some(at) = cx.budget.kill_at(self.stop.began, now) {
            cx.set_timer(Timer::Kill, at);
        }
    }
}

/// How long SIGKILL may take until the app has ended. After that the life goes on without the app's end.
const KILL_TAKES: Duration = Duration::from_millis(500);
