//! The state machine: everything bookend decides, and nothing it does. What happens is an [`Event`],
//! what is to be done an [`Action`], time is a number the caller passes in. No tokio, no nix, no clock.
//!
//! ```text
//!           preStart ok            postStart ok|none
//!  Starting ───────────► Running ───────────────────► Running(started) ──┐ stop: signal · preStop hook · request · liveness
//!     │ fails: 125          │ postStart fails (policy Fail)              │ app ended
//!     │ signal: 128+n       │                                            │
//!     ▼                     └────────────┬───────────────────────────────┤
//!  Finishing ◄── app ended ── Stopping: PreStop ► AwaitSignal ► Signalled ► Killed
//!     │  Linger ► Leftovers ► PostStop ► Answers  ▲    │          │ only idle connections: second signal
//!     ▼                                           └────┘ no signal follows a hook: armed again
//!  Exited(code)
//! ```
//!
//! Promises, each held by a property test over random histories (tests.rs):
//! 1. preStop handlers run at most once a stop, whatever arrives in whatever order.
//! 2. The stop signal goes out only when preStop is over or abandoned.
//! 3. SIGKILL goes to the app only at the deadline, and never without a grace period.
//! 4. postStop handlers run only when the app is gone; nothing at all happens after Exit.
//! 5. Every history in which the app ends and the world answers reaches Exit.
//! 6. A hook that waits is answered before Exit.
//! 7. Readiness is never true while stopping.
//! 8. No signal goes to an app that is not there.
//! 9. The second signal goes out at most once, after the stop signal, and only when connections have been idle for
//!    `second_signal.after` without a break.

mod finishing;
mod stopping;
#[cfg(test)]
pub(crate) mod tests;

use crate::budget::Budget;
use crate::hooks::{HookState, Hooks, ListStep};
use crate::list::{HandlerPlan, HandlerResult, RunId};
use crate::machine::Machine;
use crate::signal::Signal;
use crate::time::Time;
use crate::vocabulary::{
    Action, AppStatus, CallerId, Event, Hook, Note, Outcome, PhaseName, Plan, Reason, Timer, Trigger,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stop {
    trigger: Trigger,
    began: Time,
    /// A stop signal has come: the next one moves the stop on.
    signal_seen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Starting,
    Running,
    Stopping { stop: Stop, stage: Stage },
    Finishing { status: AppStatus, stop: Option<Stop>, step: Step },
    Exited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// The handlers run; then the app gets the signal, or a kubelet is waited for.
    PreStop(AfterPreStop),
    /// The hook has its answer, the app serves on, the stop signal follows.
    AwaitSignal,
    /// The app has the stop signal.
    Signalled(ConnectionState),
    /// The app has SIGKILL; only its status is still to come.
    Killed,
}

/// What holds an app that has its stop signal, as far as its connections tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ConnectionState {
    /// Requests, or whatever the app does; nobody knows better than it.
    Working,
    /// Nothing but idle connections, since then.
    Idle(Time),
    /// It has its second signal; there is no third.
    SecondSignalSent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AfterPreStop {
    Signal(Signal),
    AwaitSignal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// A preStop handler that was in flight when the app ended finishes (the documentation's own
    /// example waits for the app's end in its handler).
    Linger,
    Leftovers {
        killed: bool,
    },
    PostStop,
    Answers,
}

/// The container's life. See the module's picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerLifecycle {
    plan: Plan,
    budget: Budget,
    phase: Phase,
    hooks: Hooks,
    /// Signals that came before there was an app; bounded, each once, as the kernel keeps them.
    held: Vec<Signal>,
    /// Whether the reaper still has children to wait for.
    others: bool,
    /// The signals we sent for a stop: a death by one of them was asked for (`stopIsSuccess`).
    sent: Vec<Signal>,
    /// Why the app is gone; once it is.
    reason: Option<Reason>,
    out: Vec<Action>,
}

impl ContainerLifecycle {
    /// A life that has not begun.
    pub fn new(mut plan: Plan) -> ContainerLifecycle {
        ContainerLifecycle {
            budget: Budget::new(
                plan.grace,
                plan.handlers(Hook::PostStop).iter().filter(|h| h.on.stopped).map(HandlerPlan::longest),
            ),
            hooks: Hooks::new(std::mem::take(&mut plan.hooks), 0),
            plan,
            phase: Phase::Starting,
            held: Vec::new(),
            others: false,
            sent: Vec::new(),
            reason: None,
            out: Vec::new(),
        }
    }

    /// Takes one event at one time, and says what is to be done about it, in order.
    pub fn apply(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.phase == Phase::Exited {
            // Whatever comes now is too late to change anything.
            return Vec::new();
        }
        match event {
            Event::Begin => self.begin(now),
            Event::AppStarted => self.app_started(now),
            Event::AppNotStarted { code } => self.app_ended(now, AppStatus::NotStarted { code }, self.others),
            Event::AppEnded { status, others } => self.app_ended(now, status, others),
            Event::NoOthers => self.no_others(now),
            Event::HandlerEnded { run, result } => self.handler_ended(now, run, result),
            Event::HookCalled { hook, caller } => self.hook_called(now, hook, caller),
            Event::CallerDone(caller) => self.caller_done(caller),
            Event::Signal(signal) => self.signal(now, signal),
            Event::StopRequested => self.stop_requested(now),
            // Our own child is always seen, and within reach.
            Event::AppUnseen | Event::NotSignalled => {}
            Event::ConnectionsIdle => self.connections_idle(now),
            Event::ConnectionsBusyOrGone => self.connections_busy_or_gone(),
            Event::LivenessFailed => self.stop_running(now, Trigger::LivenessFailed),
            Event::TimerFired(timer) => self.timer_fired(now, timer),
        }
        std::mem::take(&mut self.out)
    }

    /// Whether new clients may be sent here: the app runs, has started, and nothing has begun to stop it.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.hooks.post_start == HookState::Over(Outcome::Succeeded)
    }

    /// Whether the app can answer clients: ready, or on its way out but not yet told to stop. Endpoints
    /// that are terminating but serving are Kubernetes' last resort (KEP-1669).
    pub fn is_serving(&self) -> bool {
        let app_serves = matches!(
            self.phase,
            Phase::Running | Phase::Stopping { stage: Stage::PreStop(_) | Stage::AwaitSignal, .. }
        );
        app_serves && self.has_started()
    }

    /// Whether postStart was over in time (the app may have ended since).
    pub fn has_started(&self) -> bool {
        self.hooks.post_start == HookState::Over(Outcome::Succeeded)
    }

    /// What a hook is told that arrives when everything is over.
    pub fn late_outcome(&self, hook: Hook) -> Outcome {
        self.hooks.late_outcome(hook)
    }

    /// Why the app is gone; `None` while it is not.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Where in its life the container is.
    pub fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Starting => PhaseName::Starting,
            Phase::Running => PhaseName::Running,
            Phase::Stopping { .. } => PhaseName::Stopping,
            Phase::Finishing { .. } => PhaseName::Finishing,
            Phase::Exited => PhaseName::Exited,
        }
    }

    /// What began the stop that is going on, and when.
    pub fn stop_trigger(&self) -> Option<(Trigger, Time)> {
        self.stop().map(|stop| (stop.trigger, stop.began))
    }

    /// When the runtime is expected to lose its patience: the grace period's end.
    pub fn deadline(&self) -> Option<Time> {
        self.stop().and_then(|stop| self.budget.end(stop.began))
    }

    fn stop(&self) -> Option<Stop> {
        match self.phase {
            Phase::Stopping { stop, .. } => Some(stop),
            Phase::Finishing { stop, .. } => stop,
            Phase::Starting | Phase::Running | Phase::Exited => None,
        }
    }

    // ---- Starting -------------------------------------------------------------------------------

    fn begin(&mut self, now: Time) {
        self.run_list(now, Hook::PreStart, None);
    }

    fn app_started(&mut self, now: Time) {
        if self.phase != Phase::Starting {
            // A second start is not ours: nothing here asks for one.
            return;
        }
        self.phase = Phase::Running;
        for signal in std::mem::take(&mut self.held) {
            self.out.push(Action::SignalApp(signal));
        }
        self.run_list(now, Hook::PostStart, None);
    }

    // ---- Hooks ----------------------------------------------------------------------------------

    fn hook_called(&mut self, now: Time, hook: Hook, caller: CallerId) {
        let outcome = match hook {
            Hook::PostStart => match &self.hooks.post_start {
                HookState::Over(outcome) => Some(*outcome),
                // The app ended before postStart could begin: it will not run any more.
                HookState::Idle if !matches!(self.phase, Phase::Starting) => Some(Outcome::Aborted),
                HookState::Idle | HookState::InFlight(_) => None,
            },
            Hook::PreStop => match (&self.hooks.pre_stop, self.phase) {
                (HookState::Over(outcome), _) => Some(*outcome),
                (HookState::InFlight(_), _) => None,
                (HookState::Idle, Phase::Running) => {
                    self.hooks.wait(caller, hook);
                    self.begin_stop(now, Trigger::Hook, AfterPreStop::AwaitSignal);
                    return;
                }
                // No app that serves: nothing is to be prepared, and the caller's next step, the
                // stop signal, is the one that counts.
                (HookState::Idle, _) => Some(Outcome::Succeeded),
            },
            // Nobody can call these from outside.
            Hook::PreStart | Hook::PostStop => Some(Outcome::Aborted),
        };
        match outcome {
            Some(outcome) => self.hooks.answer(&mut self.out, caller, hook, outcome),
            None => self.hooks.wait(caller, hook),
        }
    }

    fn caller_done(&mut self, caller: CallerId) {
        self.hooks.caller_done(caller);
        if !self.hooks.is_answering() && matches!(self.phase, Phase::Finishing { step: Step::Answers, .. }) {
            self.exit();
        }
    }

    // ---- Lists of handlers ----------------------------------------------------------------------

    /// Begins the list of a hook; an empty list is over at once.
    fn run_list(&mut self, now: Time, hook: Hook, deadline: Option<Time>) {
        let turn = self.hooks.run(&mut self.out, now, hook, deadline, self.reason);
        self.list_stepped(now, hook, turn);
    }

    fn handler_ended(&mut self, now: Time, run: RunId, result: HandlerResult) {
        let Some(hook) = self.hooks.hook_of(run) else { return };
        // The app is gone: what would have come after this handler has nobody to prepare.
        let last = hook == Hook::PreStop && matches!(self.phase, Phase::Finishing { .. });
        let turn = self.hooks.ended(&mut self.out, now, hook, result, last);
        self.list_stepped(now, hook, turn);
    }

    fn list_stepped(&mut self, now: Time, hook: Hook, turn: ListStep) {
        match turn {
            // Its process, or one that it leaves; the reaper says when nobody is there any more.
            ListStep::Started => self.others = true,
            ListStep::Waits => {}
            ListStep::Over(outcome) => self.list_over(now, hook, outcome),
        }
    }

    /// Ends what runs of a hook, and says so to those who wait for it.
    fn abort_list(&mut self, hook: Hook, outcome: Outcome) {
        self.hooks.abort(&mut self.out, hook, outcome);
    }

    fn answer_all(&mut self, hook: Hook, outcome: Outcome) {
        self.hooks.answer_all(&mut self.out, hook, outcome);
    }

    fn list_over(&mut self, now: Time, hook: Hook, outcome: Outcome) {
        self.answer_all(hook, outcome);
        match (hook, outcome) {
            (Hook::PreStart, Outcome::Succeeded) => self.out.push(Action::StartApp),
            (Hook::PreStart, _) => self.app_ended(now, AppStatus::NotStarted { code: 125 }, self.others),
            (Hook::PostStart, Outcome::Succeeded) => self.out.push(Action::Tell(Note::Started)),
            (Hook::PostStart, _) => self.stop_running(now, Trigger::PostStartFailed),
            (Hook::PreStop, _) => self.pre_stop_over(now),
            (Hook::PostStop, _) => self.enter_answers(now),
        }
    }

    // ---- Time -----------------------------------------------------------------------------------

    fn timer_fired(&mut self, now: Time, timer: Timer) {
        match (timer, self.phase) {
            (Timer::Kill, Phase::Stopping { stop, stage }) => match stage {
                Stage::PreStop(AfterPreStop::Signal(_)) => {
                    self.abort_list(Hook::PreStop, Outcome::Aborted);
                    self.kill_app(stop);
                }
                Stage::Signalled(_) => self.kill_app(stop),
                // A hook that no signal has followed is no reason to kill.
                Stage::PreStop(AfterPreStop::AwaitSignal) | Stage::AwaitSignal | Stage::Killed => {}
            },
            (Timer::SecondSignal, Phase::Stopping { stop, stage: Stage::Signalled(ConnectionState::Idle(since)) }) => {
                self.send_second_signal(now, stop, since);
            }
            (Timer::Rearm, Phase::Stopping { stage: Stage::AwaitSignal, .. }) => {
                self.phase = Phase::Running;
                self.hooks.pre_stop = HookState::Idle;
                self.out.push(Action::Tell(Note::Rearmed));
                if self.hooks.post_start == HookState::Over(Outcome::Failed) {
                    // It failed while the hook's stop seemed to make that pointless.
                    self.stop_running(now, Trigger::PostStartFailed);
                }
            }
            (Timer::Linger, Phase::Finishing { step: Step::Linger, .. }) => {
                self.abort_list(Hook::PreStop, Outcome::Aborted);
                self.enter_leftovers(now);
            }
            (Timer::Leftovers, Phase::Finishing { step: Step::Leftovers { killed: false }, .. }) => {
                self.kill_leftovers(now);
            }
            (Timer::Leftovers, Phase::Finishing { step: Step::Leftovers { killed: true }, .. }) => {
                self.out.push(Action::Tell(Note::LeftoversRemain));
                self.enter_post_stop(now);
            }
            (Timer::PostStop, Phase::Finishing { step: Step::PostStop, .. }) => self.cut_post_stop(now),
            (Timer::Answers, Phase::Finishing { step: Step::Answers, .. }) => {
                self.out.push(Action::Tell(Note::AnswerNotTaken));
                self.exit();
            }
            (Timer::Retry(hook), _) => {
                let turn = self.hooks.retry(&mut self.out, now, hook);
                self.list_stepped(now, hook, turn);
            }
            // An alarm of a step that is over.
            _ => {}
        }
    }

    fn kill_app(&mut self, stop: Stop) {
        self.phase = Phase::Stopping { stop, stage: Stage::Killed };
        self.out.push(Action::KillApp);
        self.out.push(Action::Tell(Note::Killed));
    }
}

impl Machine for ContainerLifecycle {
    fn apply(&mut self, now: Time, event: Event) -> Vec<Action> {
        ContainerLifecycle::apply(self, now, event)
    }

    fn phase(&self) -> PhaseName {
        ContainerLifecycle::phase(self)
    }

    fn has_started(&self) -> bool {
        ContainerLifecycle::has_started(self)
    }

    fn stop_trigger(&self) -> Option<(Trigger, Time)> {
        ContainerLifecycle::stop_trigger(self)
    }

    fn deadline(&self) -> Option<Time> {
        ContainerLifecycle::deadline(self)
    }

    fn reason(&self) -> Option<Reason> {
        ContainerLifecycle::reason(self)
    }

    fn late_outcome(&self, hook: Hook) -> Outcome {
        ContainerLifecycle::late_outcome(self, hook)
    }
}
