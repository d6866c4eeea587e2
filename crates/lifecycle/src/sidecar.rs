//! The life of an app in another container, as far as its hooks and its process tell: a sidecar has one of these for
//! each set of hooks. It starts no app and never sends SIGKILL: both are the kubelet's.
//!
//! ```text
//!            postStart hook · process found            preStop hook
//!  Living ─────────────────────────────────► Living ─────────────────► Living, stopping: PreStop ► AppEnds ► Answered
//!     ▲ next life                               │ process gone · the next life's postStart · our own stop     │
//!     │                                         ▼                                                             │
//!     └──────────────────────────────────── Finishing: Linger ► PostStop ◄────────────────────────────────────┘
//!                                               │ our own stop: Answers
//!                                               ▼
//!                                             Exited
//! ```
//!
//! Who may not see a process learns of a new life by the postStart hook alone: a kubelet calls it once for each start
//! of the container, and retries none. So a call after the handlers are over means that the container was started
//! again, unless the process is seen to be the same.
//!
//! A process that is found while a life ends is the next one's: its stop waits until postStop of the life before is over, and
//! if it ends meanwhile, postStop runs once more.
//!
//! Promises, each held by a property test over random histories (elsewhere/tests.rs) and by the model (docs/proof.md):
//! 1. preStop handlers run at most once a stop; after a grace period, or in the next life, it is another stop.
//! 2. The stop signal goes out only to a process that is there, and only when preStop is over or abandoned.
//! 3. postStop handlers run once a life, when it is over, and before the next life's postStart.
//! 4. Every caller is answered, also one that comes when everything is over.
//! 5. Every history with a stop of our own in which the world answers reaches Exit; with a grace period, even if the app
//!    never ends and no hook comes.
//! 6. A hook that is in flight when our own stop begins is not cut short by it, as long as there is time.

mod finishing;
#[cfg(test)]
mod tests;

use crate::budget::Budget;
use crate::hooks::{HookState, Hooks, ListStep};
use crate::list::HandlerPlan;
use crate::machine::Machine;
use crate::signal::Signal;
use crate::time::Time;
use crate::vocabulary::{
    Action, AppStatus, CallerId, Event, Hook, Note, Outcome, PhaseName, Plan, Reason, Timer, Trigger,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Living,
    Finishing(Step),
    Exited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// A preStop handler that was in flight when the app ended finishes.
    Linger,
    PostStop,
    Answers,
}

/// What is known of the app's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum App {
    /// Nothing: it may be there or not.
    Unseen,
    There,
    Gone,
}

/// The stop of this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stop {
    trigger: Trigger,
    began: Time,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// The handlers run.
    PreStop,
    /// The process has the stop signal from us; the hook is answered when it is gone.
    AppEnds,
    /// The rest is the kubelet's.
    Answered,
}

/// Our own stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct End {
    trigger: Trigger,
    began: Time,
    awaits_hook: bool,
    awaits_app: bool,
}

/// One life after another of one app. See the module's picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SidecarLifecycle {
    plan: Plan,
    budget: Budget,
    hooks: Hooks,
    phase: Phase,
    app: App,
    stop: Option<Stop>,
    end: Option<End>,
    /// postStop has not run for this life. Before anything is known there may be one.
    owes_post_stop: bool,
    /// A life that was found before the end of this one was over, and who called its preStop hook.
    next: Option<Vec<CallerId>>,
    out: Vec<Action>,
}

impl SidecarLifecycle {
    /// Nothing is known yet. The first handler run is the one after `runs`: several machines may share one loop.
    pub fn new(mut plan: Plan, runs: u64) -> SidecarLifecycle {
        let post_stop = plan.handlers(Hook::PostStop).iter().filter(|h| h.on.stopped).map(HandlerPlan::longest);
        SidecarLifecycle {
            budget: Budget::new(plan.grace, post_stop),
            hooks: Hooks::new(std::mem::take(&mut plan.hooks), runs),
            plan,
            phase: Phase::Living,
            app: App::Unseen,
            stop: None,
            end: None,
            owes_post_stop: true,
            next: None,
            out: Vec::new(),
        }
    }

    /// Takes one event at one time, and says what is to be done about it, in order.
    pub fn apply(&mut self, now: Time, event: Event) -> Vec<Action> {
        match event {
            Event::HookCalled { hook, caller } if self.phase == Phase::Exited => {
                let outcome = self.late_outcome(hook);
                self.hooks.answer(&mut self.out, caller, hook, outcome);
            }
            Event::HookCalled { hook, caller } => self.hook_called(now, hook, caller),
            Event::CallerDone(caller) => {
                self.hooks.caller_done(caller);
                self.next.iter_mut().for_each(|next| next.retain(|waiting| *waiting != caller));
                if self.phase == Phase::Finishing(Step::Answers) && !self.hooks.is_answering() {
                    self.exit();
                }
            }
            // Whatever else comes now is too late to change anything.
            _ if self.phase == Phase::Exited => {}
            Event::HandlerEnded { run, result } => {
                if let Some(hook) = self.hooks.hook_of(run) {
                    // The app is gone: what would have come after this handler has nobody to prepare.
                    let last = hook == Hook::PreStop && self.phase != Phase::Living;
                    let turn = self.hooks.ended(&mut self.out, now, hook, result, last);
                    self.list_stepped(now, hook, turn);
                }
            }
            Event::AppStarted => self.app_found(),
            Event::AppEnded { .. } => self.app_ended(now),
            Event::AppUnseen if self.app == App::Gone => self.app = App::Unseen,
            // Nothing is to be waited for: the kubelet's own signal is.
            Event::NotSignalled if self.stop.is_some_and(|stop| stop.stage == Stage::AppEnds) => {
                self.stop_answered(now);
            }
            Event::Signal(signal) if self.plan.stop_signals.contains(&signal) => match self.end {
                None => self.begin_end(now, Trigger::Signal(signal)),
                Some(_) => self.escalate(now),
            },
            Event::StopRequested if self.end.is_none() => self.begin_end(now, Trigger::Request),
            Event::TimerFired(timer) => self.timer_fired(now, timer),
            // What only an app of our own can do; other signals, which are for nobody here; a stop that goes on already.
            _ => {}
        }
        self.go_on(now);
        std::mem::take(&mut self.out)
    }

    /// Where in its life the app is, as far as it is known.
    pub fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Exited => PhaseName::Exited,
            Phase::Finishing(_) => PhaseName::Finishing,
            Phase::Living if self.stop.is_some() || self.end.is_some() => PhaseName::Stopping,
            Phase::Living if self.app == App::There => PhaseName::Running,
            Phase::Living if self.hooks.post_start == HookState::Over(Outcome::Succeeded) => PhaseName::Running,
            Phase::Living => PhaseName::Starting,
        }
    }

    /// What a hook is told that arrives when everything is over.
    pub fn late_outcome(&self, hook: Hook) -> Outcome {
        self.hooks.late_outcome(hook)
    }

    /// Whether postStart handlers run.
    pub fn is_starting(&self) -> bool {
        matches!(self.hooks.post_start, HookState::InFlight(_))
    }

    /// What began the stop that is going on, and when.
    pub fn stop_trigger(&self) -> Option<(Trigger, Time)> {
        let own = self.end.map(|end| (end.trigger, end.began));
        self.stop.map(|stop| (stop.trigger, stop.began)).or(own)
    }

    /// The end of the pod's grace period: it began with the app's hook, or with our own stop.
    pub fn deadline(&self) -> Option<Time> {
        self.origin().and_then(|began| self.budget.end(began))
    }

    /// Why the app is gone, or is taken to be.
    pub fn reason(&self) -> Reason {
        if self.origin().is_some() { Reason::Stopped } else { Reason::Unknown }
    }

    fn origin(&self) -> Option<Time> {
        self.stop_trigger().map(|(_, began)| began)
    }

    // ---- Hooks ----------------------------------------------------------------------------------

    fn hook_called(&mut self, now: Time, hook: Hook, caller: CallerId) {
        match hook {
            Hook::PostStart => self.post_start_called(now, caller),
            Hook::PreStop => self.pre_stop_called(now, caller),
            // Nobody can call these from outside.
            Hook::PreStart | Hook::PostStop => self.hooks.answer(&mut self.out, caller, hook, Outcome::Aborted),
        }
    }

    fn post_start_called(&mut self, now: Time, caller: CallerId) {
        let is_there = self.app == App::There;
        let answer = match (&self.hooks.post_start, self.phase) {
            (HookState::InFlight(_), _) => None,
            // The same process, or a stop of our own: this life has had its postStart.
            (HookState::Over(outcome), Phase::Living) if is_there || self.end.is_some() => Some(*outcome),
            // No life begins any more.
            _ if self.end.is_some() => Some(Outcome::Aborted),
            (HookState::Idle, Phase::Living) if is_there && self.stop.is_some() => Some(Outcome::Aborted),
            _ => None,
        };
        if let Some(outcome) = answer {
            return self.hooks.answer(&mut self.out, caller, Hook::PostStart, outcome);
        }
        self.hooks.wait(caller, Hook::PostStart);
        match (&self.hooks.post_start, self.phase) {
            (HookState::InFlight(_), _) => {}
            (HookState::Idle, Phase::Living) if self.stop.is_none() => self.begin_life(now),
            // The container was started again, and nobody saw the life before end.
            (_, Phase::Living) => {
                self.hooks.abort(&mut self.out, Hook::PreStop, Outcome::Aborted);
                self.finish(now);
            }
            // It begins when postStop of the life before is over.
            (_, Phase::Finishing(_) | Phase::Exited) => {}
        }
    }

    fn begin_life(&mut self, now: Time) {
        if self.app == App::Gone {
            // That was another one.
            self.app = App::Unseen;
        }
        self.owes_post_stop = true;
        let turn = self.hooks.run(&mut self.out, now, Hook::PostStart, None, None);
        self.list_stepped(now, Hook::PostStart, turn);
    }

    fn pre_stop_called(&mut self, now: Time, caller: CallerId) {
        if let Some(next) = self.next.as_mut().filter(|_| self.app == App::There) {
            // Its stop begins when the life before is over.
            return next.push(caller);
        }
        let waits = match (&self.hooks.pre_stop, self.phase, self.stop) {
            (HookState::InFlight(_), ..) => None,
            // The handlers are over, the process has the stop signal: the answer comes when it is gone.
            (_, Phase::Living, Some(Stop { stage: Stage::AppEnds, .. })) => None,
            (HookState::Over(outcome), ..) => Some(*outcome),
            (HookState::Idle, Phase::Living, _) if self.app != App::Gone => {
                self.hooks.wait(caller, Hook::PreStop);
                return self.begin_stop(now, Trigger::Hook);
            }
            // No app that serves: nothing is to be prepared.
            (HookState::Idle, ..) => Some(Outcome::Succeeded),
        };
        match waits {
            Some(outcome) => self.hooks.answer(&mut self.out, caller, Hook::PreStop, outcome),
            None => self.hooks.wait(caller, Hook::PreStop),
        }
    }

    fn begin_stop(&mut self, now: Time, trigger: Trigger) {
        // All containers of a pod share one grace period: where ours has begun, this one has too.
        let began = self.end.map_or(now, |end| end.began);
        self.stop = Some(Stop { trigger, began, stage: Stage::PreStop });
        self.owes_post_stop = true;
        self.out.push(Action::Tell(Note::StopBegan(trigger)));
        let deadline = self.budget.pre_stop_deadline(began);
        let turn = self.hooks.run(&mut self.out, now, Hook::PreStop, deadline, None);
        self.list_stepped(now, Hook::PreStop, turn);
    }

    fn list_stepped(&mut self, now: Time, hook: Hook, turn: ListStep) {
        let ListStep::Over(outcome) = turn else { return };
        match hook {
            Hook::PreStop => self.pre_stop_over(now),
            Hook::PostStop => self.life_over(now),
            // A failed postStart is the kubelet's to act upon: its hook has failed.
            Hook::PostStart | Hook::PreStart => self.hooks.answer_all(&mut self.out, hook, outcome),
        }
    }

    /// The handlers are over, or abandoned.
    fn pre_stop_over(&mut self, now: Time) {
        if self.phase == Phase::Finishing(Step::Linger) {
            self.answer_pre_stop();
            return self.enter_post_stop(now);
        }
        let Some(stop) = &mut self.stop else { return };
        match self.plan.stop_signal {
            Some(signal) if self.app == App::There => {
                stop.stage = Stage::AppEnds;
                let at = self.budget.kill_at(stop.began, now);
                self.signal_app(signal);
                self.out.extend(at.map(|at| Action::SetTimer { timer: Timer::Kill, at }));
            }
            _ => self.stop_answered(now),
        }
    }

    fn signal_app(&mut self, signal: Signal) {
        self.out.push(Action::SignalApp(signal));
        self.out.push(Action::Tell(Note::StopSignalSent(signal)));
    }

    fn answer_pre_stop(&mut self) {
        if let HookState::Over(outcome) = self.hooks.pre_stop {
            self.hooks.answer_all(&mut self.out, Hook::PreStop, outcome);
        }
    }

    fn stop_answered(&mut self, now: Time) {
        self.answer_pre_stop();
        if let Some(stop) = &mut self.stop {
            stop.stage = Stage::Answered;
            // Whoever called has so long to end the app. Without a process to look at this is also how the next stop is
            // told from this one, where no postStart hook says that the container was started again.
            let patience = self.plan.grace.unwrap_or(crate::budget::REARM_WITHOUT_GRACE);
            self.out.push(Action::SetTimer { timer: Timer::Rearm, at: now + patience });
        }
    }

    /// The stop is over as far as anybody can tell: a hook that comes now means another one.
    fn rearm(&mut self) {
        if self.end.is_some() || !matches!(self.stop, Some(Stop { stage: Stage::Answered, .. })) {
            return;
        }
        self.stop = None;
        self.hooks.pre_stop = HookState::Idle;
        // Where the process is not seen nobody can tell: it was stopped, most likely.
        if self.app == App::There {
            self.out.push(Action::Tell(Note::Rearmed));
        }
    }

    // ---- The process ----------------------------------------------------------------------------

    fn app_found(&mut self) {
        self.app = App::There;
        match self.phase {
            Phase::Living => self.owes_post_stop = true,
            Phase::Finishing(_) if self.end.is_none() => drop(self.next.get_or_insert_default()),
            // With our own stop begun there is no next life but the one that has been found already.
            Phase::Finishing(_) | Phase::Exited => {}
        }
    }

    fn app_ended(&mut self, now: Time) {
        if self.app != App::There {
            // Nobody knows of one.
            return;
        }
        self.app = App::Gone;
        self.out.push(Action::Tell(Note::AppEnded(AppStatus::Unknown)));
        for caller in self.next.iter_mut().flat_map(std::mem::take) {
            // Nothing is left to be prepared.
            self.hooks.answer(&mut self.out, caller, Hook::PreStop, Outcome::Succeeded);
        }
        if self.phase == Phase::Living {
            self.finish(now);
        }
    }

    // ---- Time -----------------------------------------------------------------------------------

    fn timer_fired(&mut self, now: Time, timer: Timer) {
        match (timer, self.phase) {
            // Only what our own stop waits for, and a hook that waits for the app's end, has a deadline of its own; the
            // lists have theirs.
            (Timer::Kill, Phase::Living) => {
                if self.end.is_some() {
                    self.wait_no_longer();
                    self.abandon_hooks(now);
                }
                if matches!(self.stop, Some(Stop { stage: Stage::AppEnds, .. })) {
                    self.out.push(Action::Tell(Note::AppStays));
                    self.stop_answered(now);
                }
            }
            (Timer::LateHook, Phase::Living) => {
                if let Some(end) = &mut self.end {
                    end.awaits_hook = false;
                    let trigger = end.trigger;
                    if self.app == App::There && self.stop.is_none() {
                        // Nobody calls hooks here, and whoever stops us first stops the app last: Docker, Podman. As for
                        // an app of our own, the signal does what a hook would have done.
                        self.begin_stop(now, trigger);
                    }
                }
            }
            (Timer::Rearm, Phase::Living) => self.rearm(),
            (Timer::Linger, Phase::Finishing(Step::Linger)) => {
                self.hooks.abort(&mut self.out, Hook::PreStop, Outcome::Aborted);
                self.enter_post_stop(now);
            }
            (Timer::PostStop, Phase::Finishing(Step::PostStop)) => self.cut_post_stop(now),
            (Timer::Answers, Phase::Finishing(Step::Answers)) => {
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
}

impl Machine for SidecarLifecycle {
    fn apply(&mut self, now: Time, event: Event) -> Vec<Action> {
        SidecarLifecycle::apply(self, now, event)
    }

    fn phase(&self) -> PhaseName {
        SidecarLifecycle::phase(self)
    }

    fn has_started(&self) -> bool {
        !self.is_starting()
    }

    fn stop_trigger(&self) -> Option<(Trigger, Time)> {
        SidecarLifecycle::stop_trigger(self)
    }

    fn deadline(&self) -> Option<Time> {
        SidecarLifecycle::deadline(self)
    }

    fn reason(&self) -> Option<Reason> {
        Some(SidecarLifecycle::reason(self))
    }

    fn late_outcome(&self, hook: Hook) -> Outcome {
        SidecarLifecycle::late_outcome(self, hook)
    }
}
