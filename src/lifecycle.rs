//! The state machine: everything bookend decides, and nothing it does. What happens is an [`Event`],
//! what is to be done an [`Action`], time is a number the caller passes in. No tokio, no nix, no clock.
//!
//! ```text
//!           preStart ok            postStart ok|none
//!  Starting ───────────► Running ───────────────────► Running(started) ──┐ stop: signal · preStop hook · request
//!     │ fails: 125          │ postStart fails (policy Fail)              │ app ended
//!     │ signal: 128+n       │                                            │
//!     ▼                     └────────────┬───────────────────────────────┤
//!  Finishing ◄── app ended ── Stopping: PreStop ► AwaitSignal ► Signalled ► Killed
//!     │  Linger ► Leftovers ► PostStop ► Answers  ▲    │ no signal follows a hook: armed again
//!     ▼                                           └────┘
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

mod list;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use list::{HandlerPlan, HandlerResult, RunId};
use list::{List, Progress};

use crate::budget::Budget;
use crate::signal::Signal;

/// Time since bookend began. The machine never reads a clock.
pub type Time = Duration;

/// The four lists of handlers: Kubernetes' two, and the two it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Before the app is started.
    PreStart,
    /// Beside the app once it is started.
    PostStart,
    /// Before the stop signal.
    PreStop,
    /// After the app has ended, for whatever reason.
    PostStop,
}

impl Hook {
    /// Its name in a Pod spec, in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Hook::PreStart => "preStart",
            Hook::PostStart => "postStart",
            Hook::PreStop => "preStop",
            Hook::PostStop => "postStop",
        }
    }
}

/// What the machine needs to know of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// `terminationGracePeriodSeconds`.
    pub grace: Option<Duration>,
    /// The handlers of each hook, in order.
    pub hooks: BTreeMap<Hook, Vec<HandlerPlan>>,
    /// The signals that begin a stop.
    pub stop_signals: Vec<Signal>,
    /// What the app gets for a stop; `None`: the signal that was received.
    pub stop_signal: Option<Signal>,
    /// Signals that are rewritten (`Some`) or dropped (`None`).
    pub signals: BTreeMap<Signal, Option<Signal>>,
    /// `exitCodes`.
    pub exit_codes: BTreeMap<u8, u8>,
    /// `stopIsSuccess`.
    pub stop_is_success: bool,
}

impl Plan {
    fn handlers(&self, hook: Hook) -> &[HandlerPlan] {
        self.hooks.get(&hook).map_or(&[], Vec::as_slice)
    }
}

/// How the app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppStatus {
    /// It called exit(2).
    Exited(u8),
    /// A signal killed it.
    Signalled(Signal),
    /// It never ran: preStart failed, it could not be executed, or a stop came first.
    NotStarted {
        /// The exit code this means.
        code: u8,
    },
}

/// Who waits for an answer to a hook: a number the edge hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u64);

/// What a hook's caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// All handlers that counted succeeded.
    Succeeded,
    /// A handler with `failurePolicy = "Fail"` failed or ran out of time.
    Failed,
    /// A stop, or the next step of one, came first.
    Aborted,
}

/// What began a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A stop signal.
    Signal(Signal),
    /// The preStop hook.
    Hook,
    /// `bookend stop`.
    Request,
    /// A postStart handler with `failurePolicy = "Fail"` failed.
    PostStartFailed,
}

/// Alarms the machine asks for; each name has at most one time at which it rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// The app's time is over.
    Kill,
    /// No stop signal followed the hook.
    Rearm,
    /// The preStop handler that outlived the app has had its time.
    Linger,
    /// Leftover processes have had their time.
    Leftovers,
    /// The stop's budget ends while postStop runs.
    PostStop,
    /// Answers that nobody takes are not waited for.
    Answers,
    /// A failed handler of this hook is tried again.
    Retry(Hook),
}

/// Everything that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The program starts.
    Begin,
    /// exec(2) succeeded.
    AppStarted,
    /// The app could not be executed; the code says how (125, 126, 127).
    AppNotStarted {
        /// 125: not even tried; 126: not executable; 127: not found.
        code: u8,
    },
    /// The reaper has the app's status.
    AppEnded {
        /// How it ended.
        status: AppStatus,
        /// Whether other processes of ours are still there.
        others: bool,
    },
    /// No process is left that we could wait for.
    NoOthers,
    /// A handler run is over.
    HandlerEnded {
        /// Which run.
        run: RunId,
        /// How it went.
        result: HandlerResult,
    },
    /// Somebody called a lifecycle hook.
    HookCalled {
        /// postStart or preStop.
        hook: Hook,
        /// To whom the answer goes.
        caller: CallerId,
    },
    /// The caller has its answer, or has gone away.
    CallerDone(CallerId),
    /// A signal for us or the app; SIGCHLD never comes here.
    Signal(Signal),
    /// `bookend stop`.
    StopRequested,
    /// An alarm rang.
    Rang(Timer),
}

/// Everything that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Spawn the app; answered by `AppStarted` or `AppNotStarted`.
    StartApp,
    /// Run one handler; answered by `HandlerEnded`.
    StartHandler {
        /// The run's name from now on.
        run: RunId,
        /// The list it is in.
        hook: Hook,
        /// Its place in the list.
        index: usize,
        /// Its own timeout or what is left of the budget, whichever is less.
        timeout: Option<Duration>,
    },
    /// End a handler run; nothing more is expected of it.
    AbortHandler(RunId),
    /// Send a signal to the app.
    SignalApp(Signal),
    /// Send SIGKILL to the app: its time is over.
    KillApp,
    /// SIGTERM to all other processes of the container.
    TerminateLeftovers,
    /// SIGKILL to all other processes of the container.
    KillLeftovers,
    /// Answer a caller; answered by `CallerDone`.
    Answer {
        /// Who.
        caller: CallerId,
        /// The hook it called.
        hook: Hook,
        /// What it is told.
        outcome: Outcome,
    },
    /// Let the alarm ring at that time, instead of whenever it was to ring before.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When.
        at: Time,
    },
    /// Something an operator would retell.
    Tell(Note),
    /// The last act.
    Exit(u8),
}

/// The story as the log and the timeline tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// postStart is done: the container has started.
    Started,
    /// A stop has begun.
    StopBegan(Trigger),
    /// The handlers of a hook are over.
    HookOver(Hook, Outcome),
    /// The handlers were cut short: a stop signal said so.
    SteppedOn(Hook),
    /// A handler found no time left in the budget.
    NoTimeLeft(Hook, usize),
    /// No stop signal followed the preStop hook; the next hook runs the handlers again.
    Rearmed,
    /// The stop signal went out.
    StopSignalSent(Signal),
    /// SIGKILL went out.
    Killed,
    /// The app has ended.
    AppEnded(AppStatus),
    /// Other processes were still there and got SIGTERM.
    LeftoversTerminated,
    /// Other processes were still there and got SIGKILL.
    LeftoversKilled,
    /// Other processes survived SIGKILL (uninterruptible sleep); they are not waited for.
    LeftoversRemain,
    /// A caller did not take its answer in time.
    AnswerNotTaken,
}

/// The container's phase, as `/status` and the metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseName {
    /// preStart handlers run, the app does not yet.
    Starting,
    /// The app runs.
    Running,
    /// A stop has begun, the app still runs.
    Stopping,
    /// The app is gone.
    Finishing,
    /// bookend is done.
    Exited,
}

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
    PreStop(Then),
    /// The hook has its answer, the app serves on, the stop signal follows.
    AwaitSignal,
    /// The app has the stop signal.
    Signalled { sent: Signal },
    /// The app has SIGKILL; only its status is still to come.
    Killed { sent: Signal },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Then {
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

/// postStart and preStop, each on its own: the two may overlap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum HookState {
    Idle,
    InFlight(List),
    Over(Outcome),
}

/// The container's life. See the module's picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lifecycle {
    plan: Plan,
    budget: Budget,
    phase: Phase,
    pre_start: HookState,
    post_start: HookState,
    pre_stop: HookState,
    post_stop: HookState,
    /// Callers whose hook is not over, and callers on the way to their answer.
    waiting: Vec<(CallerId, Hook)>,
    answering: Vec<CallerId>,
    /// Signals that came before there was an app; bounded, each once, as the kernel keeps them.
    held: Vec<Signal>,
    /// Whether the reaper still has children to wait for.
    others: bool,
    /// The stop signal the app died of, if it was ours (`stopIsSuccess`).
    sent: Option<Signal>,
    runs: u64,
    out: Vec<Action>,
}

impl Lifecycle {
    /// A life that has not begun.
    pub fn new(plan: Plan) -> Lifecycle {
        Lifecycle {
            budget: Budget::new(plan.grace, plan.handlers(Hook::PostStop).iter().map(|h| h.timeout)),
            plan,
            phase: Phase::Starting,
            pre_start: HookState::Idle,
            post_start: HookState::Idle,
            pre_stop: HookState::Idle,
            post_stop: HookState::Idle,
            waiting: Vec::new(),
            answering: Vec::new(),
            held: Vec::new(),
            others: false,
            sent: None,
            runs: 0,
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
            Event::AppNotStarted { code } => self.app_ended(now, AppStatus::NotStarted { code }, false),
            Event::AppEnded { status, others } => self.app_ended(now, status, others),
            Event::NoOthers => self.no_others(now),
            Event::HandlerEnded { run, result } => self.handler_ended(now, run, result),
            Event::HookCalled { hook, caller } => self.hook_called(now, hook, caller),
            Event::CallerDone(caller) => self.caller_done(caller),
            Event::Signal(signal) => self.signal(now, signal),
            Event::StopRequested => self.stop_requested(now),
            Event::Rang(timer) => self.rang(now, timer),
        }
        std::mem::take(&mut self.out)
    }

    /// Whether new clients may be sent here: the app runs, has started, and nothing has begun to stop it.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.post_start == HookState::Over(Outcome::Succeeded)
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
        self.post_start == HookState::Over(Outcome::Succeeded)
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
            Hook::PostStart => match &self.post_start {
                HookState::Over(outcome) => Some(*outcome),
                // The app ended before postStart could begin: it will not run any more.
                HookState::Idle if !matches!(self.phase, Phase::Starting) => Some(Outcome::Aborted),
                HookState::Idle | HookState::InFlight(_) => None,
            },
            Hook::PreStop => match (&self.pre_stop, self.phase) {
                (HookState::Over(outcome), _) => Some(*outcome),
                (HookState::InFlight(_), _) => None,
                (HookState::Idle, Phase::Running) => {
                    self.waiting.push((caller, hook));
                    self.begin_stop(now, Trigger::Hook, Then::AwaitSignal);
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
            Some(outcome) => self.answer(caller, hook, outcome),
            None => self.waiting.push((caller, hook)),
        }
    }

    fn answer(&mut self, caller: CallerId, hook: Hook, outcome: Outcome) {
        self.answering.push(caller);
        self.out.push(Action::Answer { caller, hook, outcome });
    }

    fn answer_all(&mut self, hook: Hook, outcome: Outcome) {
        let waiting = std::mem::take(&mut self.waiting);
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, waits_for)| *waits_for == hook);
        self.waiting = later;
        for (caller, _) in now {
            self.answer(caller, hook, outcome);
        }
    }

    fn caller_done(&mut self, caller: CallerId) {
        self.waiting.retain(|(waiting, _)| *waiting != caller);
        self.answering.retain(|answering| *answering != caller);
        if self.answering.is_empty() && matches!(self.phase, Phase::Finishing { step: Step::Answers, .. }) {
            self.exit();
        }
    }

    // ---- Lists of handlers ----------------------------------------------------------------------

    fn hook_state(&mut self, hook: Hook) -> &mut HookState {
        match hook {
            Hook::PreStart => &mut self.pre_start,
            Hook::PostStart => &mut self.post_start,
            Hook::PreStop => &mut self.pre_stop,
            Hook::PostStop => &mut self.post_stop,
        }
    }

    /// Begins the list of a hook; an empty list is over at once.
    fn run_list(&mut self, now: Time, hook: Hook, deadline: Option<Time>) {
        *self.hook_state(hook) = HookState::InFlight(List::new(hook, deadline));
        self.advance(now, hook, List::begin);
    }

    /// Lets the list decide its next move with what has just happened to it, and carries it out.
    fn advance(&mut self, now: Time, hook: Hook, step: impl FnOnce(&mut List, &[HandlerPlan], Time) -> Progress) {
        let HookState::InFlight(mut list) = std::mem::replace(self.hook_state(hook), HookState::Idle) else {
            return;
        };
        let mut progress = step(&mut list, self.plan.handlers(hook), now);
        loop {
            match progress {
                Progress::Start { index, timeout } => {
                    self.runs += 1;
                    let run = RunId(self.runs);
                    list.started(run);
                    self.out.push(Action::StartHandler { run, hook, index, timeout });
                    *self.hook_state(hook) = HookState::InFlight(list);
                    return;
                }
                Progress::RetryAt(at) => {
                    self.out.push(Action::SetTimer { timer: Timer::Retry(hook), at });
                    *self.hook_state(hook) = HookState::InFlight(list);
                    return;
                }
                Progress::Wait => {
                    *self.hook_state(hook) = HookState::InFlight(list);
                    return;
                }
                Progress::NoTimeLeft { index } => {
                    self.out.push(Action::Tell(Note::NoTimeLeft(hook, index)));
                    progress = list.failed(self.plan.handlers(hook), now);
                }
                Progress::Over(outcome) => {
                    self.list_over(now, hook, outcome);
                    return;
                }
            }
        }
    }

    fn handler_ended(&mut self, now: Time, run: RunId, result: HandlerResult) {
        for hook in [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop] {
            if matches!(self.hook_state(hook), HookState::InFlight(list) if list.current() == Some(run)) {
                // The app is gone: what would have come after this handler has nobody to prepare.
                let last = hook == Hook::PreStop && matches!(self.phase, Phase::Finishing { .. });
                self.advance(now, hook, |list, plans, now| list.ended(plans, now, result, last));
                return;
            }
        }
        // The end of a run that was aborted or overtaken: it has been reported already.
    }

    /// Ends what runs of a hook, and says so to those who wait for it.
    fn abort_list(&mut self, hook: Hook, outcome: Outcome) {
        let HookState::InFlight(list) = self.hook_state(hook) else { return };
        let run = list.current();
        *self.hook_state(hook) = HookState::Over(outcome);
        if let Some(run) = run {
            self.out.push(Action::AbortHandler(run));
        }
        self.out.push(Action::Tell(Note::HookOver(hook, outcome)));
        self.answer_all(hook, outcome);
    }

    fn list_over(&mut self, now: Time, hook: Hook, outcome: Outcome) {
        *self.hook_state(hook) = HookState::Over(outcome);
        if !self.plan.handlers(hook).is_empty() {
            self.out.push(Action::Tell(Note::HookOver(hook, outcome)));
        }
        self.answer_all(hook, outcome);
        match (hook, outcome) {
            (Hook::PreStart, Outcome::Succeeded) => self.out.push(Action::StartApp),
            (Hook::PreStart, _) => self.app_ended(now, AppStatus::NotStarted { code: 125 }, self.others),
            (Hook::PostStart, Outcome::Succeeded) => self.out.push(Action::Tell(Note::Started)),
            (Hook::PostStart, _) => self.post_start_failed(now),
            (Hook::PreStop, _) => self.pre_stop_over(now),
            (Hook::PostStop, _) => self.enter_answers(now),
        }
    }

    // ---- Stopping -------------------------------------------------------------------------------

    fn signal(&mut self, now: Time, signal: Signal) {
        let target = match self.plan.signals.get(&signal) {
            Some(None) => return,
            Some(Some(rewritten)) => *rewritten,
            None => signal,
        };
        if self.plan.stop_signals.contains(&signal) {
            return self.stop_signal(now, signal, self.plan.stop_signal.unwrap_or(target));
        }
        match self.phase {
            Phase::Starting if self.held.contains(&target) => {}
            Phase::Starting => self.held.push(target),
            Phase::Running | Phase::Stopping { .. } => self.out.push(Action::SignalApp(target)),
            // Nobody is there who could get it.
            Phase::Finishing { .. } | Phase::Exited => {}
        }
    }

    fn stop_signal(&mut self, now: Time, received: Signal, send: Signal) {
        let trigger = Trigger::Signal(received);
        match self.phase {
            Phase::Starting => {
                self.abort_list(Hook::PreStart, Outcome::Aborted);
                self.out.push(Action::Tell(Note::StopBegan(trigger)));
                self.app_ended(now, AppStatus::NotStarted { code: received.exit_code() }, self.others);
            }
            Phase::Running => self.begin_stop(now, trigger, Then::Signal(send)),
            Phase::Stopping { ref mut stop, stage } => {
                stop.signal_seen = true;
                match stage {
                    // The kubelet's patience is over, or a person's: the handlers had their time.
                    Stage::PreStop(_) => {
                        self.out.push(Action::Tell(Note::SteppedOn(Hook::PreStop)));
                        self.abort_list(Hook::PreStop, Outcome::Aborted);
                        self.signal_app(now, send);
                    }
                    Stage::AwaitSignal => self.signal_app(now, send),
                    // Told again, the app is told again. A repeated stop signal never means SIGKILL.
                    Stage::Signalled { .. } => self.out.push(Action::SignalApp(send)),
                    // SIGKILL is on its way; nothing is left to say to the app.
                    Stage::Killed { .. } => {}
                }
            }
            Phase::Finishing { .. } => self.stop_signal_while_finishing(now, trigger),
            Phase::Exited => {}
        }
    }

    fn stop_signal_while_finishing(&mut self, now: Time, trigger: Trigger) {
        let Phase::Finishing { stop, step, .. } = &mut self.phase else { return };
        let step = *step;
        match stop {
            Some(stop) if stop.signal_seen => match step {
                Step::Linger => {
                    self.out.push(Action::Tell(Note::SteppedOn(Hook::PreStop)));
                    self.abort_list(Hook::PreStop, Outcome::Aborted);
                    self.enter_leftovers(now);
                }
                Step::Leftovers { killed: false } => self.kill_leftovers(now),
                Step::PostStop => {
                    self.out.push(Action::Tell(Note::SteppedOn(Hook::PostStop)));
                    self.cut_post_stop(now);
                }
                // The last steps are bounded by fractions of a second: nothing to hurry.
                Step::Leftovers { killed: true } | Step::Answers => {}
            },
            // The signal that follows a hook, after the app has gone by itself: as expected.
            Some(stop) => stop.signal_seen = true,
            // The app had ended by itself; from now on somebody counts the seconds.
            None => {
                *stop = Some(Stop { trigger, began: now, signal_seen: true });
                self.out.push(Action::Tell(Note::StopBegan(trigger)));
                if let (Step::PostStop, Some(end)) = (step, self.budget.post_stop_deadline(now)) {
                    self.out.push(Action::SetTimer { timer: Timer::PostStop, at: end });
                }
            }
        }
    }

    fn stop_requested(&mut self, now: Time) {
        let send = self.default_stop_signal();
        match &mut self.phase {
            Phase::Starting => {
                self.abort_list(Hook::PreStart, Outcome::Aborted);
                self.out.push(Action::Tell(Note::StopBegan(Trigger::Request)));
                self.app_ended(now, AppStatus::NotStarted { code: send.exit_code() }, self.others);
            }
            Phase::Running => self.begin_stop(now, Trigger::Request, Then::Signal(send)),
            // The handlers of a hook are in flight: they finish, and then nobody is waited for.
            Phase::Stopping { stage: Stage::PreStop(then @ Then::AwaitSignal), .. } => {
                *then = Then::Signal(send);
                self.arm_kill(now);
            }
            Phase::Stopping { stage: Stage::AwaitSignal, .. } => self.signal_app(now, send),
            // A stop is going on already.
            Phase::Stopping { .. } | Phase::Finishing { .. } | Phase::Exited => {}
        }
    }

    fn post_start_failed(&mut self, now: Time) {
        if self.phase == Phase::Running {
            let send = self.default_stop_signal();
            self.begin_stop(now, Trigger::PostStartFailed, Then::Signal(send));
        }
        // Stopping or finishing already: the failure changes nothing any more.
    }

    fn default_stop_signal(&self) -> Signal {
        self.plan.stop_signal.unwrap_or(Signal::TERM)
    }

    fn begin_stop(&mut self, now: Time, trigger: Trigger, then: Then) {
        let signal_seen = matches!(trigger, Trigger::Signal(_));
        let stop = Stop { trigger, began: now, signal_seen };
        self.phase = Phase::Stopping { stop, stage: Stage::PreStop(then) };
        self.out.push(Action::Tell(Note::StopBegan(trigger)));
        if let Then::Signal(_) = then {
            self.arm_kill(now);
        }
        self.abort_post_start_for_stop(then);
        let deadline = self.budget.pre_stop_deadline(now);
        self.run_list(now, Hook::PreStop, deadline);
    }

    /// postStart beside a preStop hook is normal (Kubernetes promises no order); a stop we carry on by
    /// ourselves ends it: a hung postStart must not hold up a stop.
    fn abort_post_start_for_stop(&mut self, then: Then) {
        if let Then::Signal(_) = then {
            self.abort_list(Hook::PostStart, Outcome::Aborted);
        }
    }

    fn pre_stop_over(&mut self, now: Time) {
        match self.phase {
            Phase::Stopping { stage: Stage::PreStop(Then::Signal(send)), .. } => self.signal_app(now, send),
            Phase::Stopping { ref mut stage, .. } if matches!(stage, Stage::PreStop(Then::AwaitSignal)) => {
                *stage = Stage::AwaitSignal;
                let patience = self.plan.grace.unwrap_or(REARM_WITHOUT_GRACE);
                self.out.push(Action::SetTimer { timer: Timer::Rearm, at: now + patience });
            }
            Phase::Finishing { step: Step::Linger, .. } => self.enter_leftovers(now),
            // The handlers were overtaken by the signal; they have been reported as aborted.
            _ => {}
        }
    }

    /// The stop signal itself. Whatever still runs beside the app has had its time.
    fn signal_app(&mut self, now: Time, send: Signal) {
        let Phase::Stopping { stage, .. } = &mut self.phase else { return };
        *stage = Stage::Signalled { sent: send };
        self.abort_list(Hook::PostStart, Outcome::Aborted);
        self.sent = Some(send);
        self.out.push(Action::SignalApp(send));
        self.out.push(Action::Tell(Note::StopSignalSent(send)));
        self.arm_kill(now);
    }

    fn arm_kill(&mut self, now: Time) {
        let Some(stop) = self.stop() else { return };
        if let Some(at) = self.budget.kill_at(stop.began, now) {
            self.out.push(Action::SetTimer { timer: Timer::Kill, at });
        }
    }

    // ---- Finishing ------------------------------------------------------------------------------

    fn app_ended(&mut self, now: Time, status: AppStatus, others: bool) {
        if matches!(self.phase, Phase::Finishing { .. }) {
            // It can end only once; an abort that races with a failed start comes here.
            return;
        }
        let stop = self.stop();
        self.others = others;
        self.phase = Phase::Finishing { status, stop, step: Step::Linger };
        self.out.push(Action::Tell(Note::AppEnded(status)));
        self.abort_list(Hook::PostStart, Outcome::Aborted);
        self.answer_all(Hook::PostStart, Outcome::Aborted);
        match &self.pre_stop {
            HookState::InFlight(list) if list.waits_only(self.plan.handlers(Hook::PreStop)) => {
                // A pause or a drain before a stop that has just happened: nothing done is waited out.
                self.abort_list(Hook::PreStop, Outcome::Succeeded);
                self.enter_leftovers(now);
            }
            HookState::InFlight(_) => {
                let at = self.before_end(now, LINGER);
                self.out.push(Action::SetTimer { timer: Timer::Linger, at });
            }
            HookState::Idle | HookState::Over(_) => self.enter_leftovers(now),
        }
    }

    /// `now + wish`, but early enough for postStop to have its share of the budget.
    fn before_end(&self, now: Time, wish: Duration) -> Time {
        let latest = self.stop().and_then(|stop| self.budget.post_stop_begin(stop.began));
        latest.map_or(now + wish, |latest| (now + wish).min(latest).max(now + SHORTEST))
    }

    fn enter_leftovers(&mut self, now: Time) {
        if !self.others {
            return self.enter_post_stop(now);
        }
        self.set_step(Step::Leftovers { killed: false });
        self.out.push(Action::TerminateLeftovers);
        self.out.push(Action::Tell(Note::LeftoversTerminated));
        let at = self.before_end(now, LEFTOVERS_TERM);
        self.out.push(Action::SetTimer { timer: Timer::Leftovers, at });
    }

    fn kill_leftovers(&mut self, now: Time) {
        self.set_step(Step::Leftovers { killed: true });
        self.out.push(Action::KillLeftovers);
        self.out.push(Action::Tell(Note::LeftoversKilled));
        self.out.push(Action::SetTimer { timer: Timer::Leftovers, at: now + LEFTOVERS_KILL });
    }

    fn no_others(&mut self, now: Time) {
        self.others = false;
        if matches!(self.phase, Phase::Finishing { step: Step::Leftovers { .. }, .. }) {
            self.enter_post_stop(now);
        }
    }

    fn enter_post_stop(&mut self, now: Time) {
        self.set_step(Step::PostStop);
        let deadline = match self.stop().and_then(|stop| self.budget.post_stop_deadline(stop.began)) {
            // What is already late still gets a moment: a report that is cut is worse than a late one.
            Some(at) => at.max(now + SHORTEST),
            None => now + self.plan.grace.unwrap_or(POST_STOP_WITHOUT_GRACE),
        };
        self.run_list(now, Hook::PostStop, Some(deadline));
    }

    fn cut_post_stop(&mut self, now: Time) {
        self.abort_list(Hook::PostStop, Outcome::Aborted);
        self.enter_answers(now);
    }

    fn enter_answers(&mut self, now: Time) {
        self.set_step(Step::Answers);
        if self.answering.is_empty() {
            return self.exit();
        }
        self.out.push(Action::SetTimer { timer: Timer::Answers, at: now + ANSWERS });
    }

    fn set_step(&mut self, next: Step) {
        if let Phase::Finishing { step, .. } = &mut self.phase {
            *step = next;
        }
    }

    fn exit(&mut self) {
        let Phase::Finishing { status, stop, .. } = self.phase else { return };
        let code = self.exit_code(status, stop);
        self.phase = Phase::Exited;
        self.out.push(Action::Exit(code));
    }

    /// The app's own code; 128+n for a signal; 125 where bookend itself failed.
    fn exit_code(&self, status: AppStatus, stop: Option<Stop>) -> u8 {
        if stop.is_some_and(|stop| stop.trigger == Trigger::PostStartFailed) {
            return 125;
        }
        let code = match status {
            AppStatus::Exited(code) => code,
            AppStatus::Signalled(signal) if self.plan.stop_is_success && self.sent == Some(signal) => return 0,
            AppStatus::Signalled(signal) => signal.exit_code(),
            // Not the app's code: nothing of it is remapped.
            AppStatus::NotStarted { code } => return code,
        };
        self.plan.exit_codes.get(&code).copied().unwrap_or(code)
    }

    // ---- Time -----------------------------------------------------------------------------------

    fn rang(&mut self, now: Time, timer: Timer) {
        match (timer, self.phase) {
            (Timer::Kill, Phase::Stopping { stop, stage }) => match stage {
                Stage::PreStop(Then::Signal(send)) => {
                    self.abort_list(Hook::PreStop, Outcome::Aborted);
                    self.kill_app(stop, send);
                }
                Stage::Signalled { sent } => self.kill_app(stop, sent),
                // A hook that no signal has followed is no reason to kill.
                Stage::PreStop(Then::AwaitSignal) | Stage::AwaitSignal | Stage::Killed { .. } => {}
            },
            (Timer::Rearm, Phase::Stopping { stage: Stage::AwaitSignal, .. }) => {
                self.phase = Phase::Running;
                self.pre_stop = HookState::Idle;
                self.out.push(Action::Tell(Note::Rearmed));
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
            (Timer::Retry(hook), _) => self.advance(now, hook, List::retry),
            // An alarm of a step that is over.
            _ => {}
        }
    }

    fn kill_app(&mut self, stop: Stop, sent: Signal) {
        self.phase = Phase::Stopping { stop, stage: Stage::Killed { sent } };
        self.out.push(Action::KillApp);
        self.out.push(Action::Tell(Note::Killed));
    }
}

/// How long a hook's caller may take to send the stop signal where no grace period is set: Kubernetes' default.
const REARM_WITHOUT_GRACE: Duration = Duration::from_secs(30);
/// How long a preStop handler may outlive the app.
const LINGER: Duration = Duration::from_secs(5);
/// How long leftover processes have after SIGTERM, and after SIGKILL.
const LEFTOVERS_TERM: Duration = Duration::from_secs(2);
const LEFTOVERS_KILL: Duration = Duration::from_millis(500);
/// How long all postStop handlers together have where no grace period bounds them.
const POST_STOP_WITHOUT_GRACE: Duration = Duration::from_secs(30);
/// How long an answer may take to reach a caller before we exit.
const ANSWERS: Duration = Duration::from_millis(500);
/// No step is shorter, however late it is.
const SHORTEST: Duration = Duration::from_millis(100);
