//! The words of the state machine: what it is told, what it says, what it needs to know. Kubernetes' words
//! where Kubernetes has one.

use std::time::Duration;

use crate::list::{HandlerPlan, HandlerResult, RunId};
use crate::signal::Signal;
use crate::small_map::SmallMap;
use crate::time::Time;

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
    pub hooks: SmallMap<Hook, Vec<HandlerPlan>>,
    /// The signals that begin a stop.
    pub stop_signals: Vec<Signal>,
    /// What the app gets for a stop; `None`: the signal that was received.
    pub stop_signal: Option<Signal>,
    /// Signals that are rewritten (`Some`) or dropped (`None`).
    pub signals: SmallMap<Signal, Option<Signal>>,
    /// `exitCodes`.
    pub exit_codes: SmallMap<u8, u8>,
    /// `stopIsSuccess`.
    pub stop_is_success: bool,
    /// `second_signal`: a second signal for an app that only idle connections hold.
    pub second_signal: Option<SecondSignal>,
}

/// The signal for an app that has had its stop signal and is held by connections on which nobody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecondSignal {
    /// `afterSeconds`: so long no connection may have been busy.
    pub after: Duration,
    /// `signal`.
    pub signal: Signal,
}

impl Plan {
    pub(super) fn handlers(&self, hook: Hook) -> &[HandlerPlan] {
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
    /// It was not our child: nobody but its parent knows.
    Unknown,
    /// It never ran: preStart failed, it could not be executed, or a stop came first.
    NotStarted {
        /// The exit code this means.
        code: u8,
    },
}

/// Why there is no app any more, as postStop handlers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It ended by itself, and its exit code was 0.
    Completed,
    /// It ended by itself otherwise, or was never started.
    Failed,
    /// A stop had begun before it ended.
    Stopped,
    /// It ended by itself in another container: nobody can say whether well.
    Unknown,
}

impl Reason {
    /// The word in the configuration and in the environment.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Completed => "Completed",
            Reason::Failed => "Failed",
            Reason::Stopped => "Stopped",
            Reason::Unknown => "Unknown",
        }
    }
}

/// Who waits for an answer to a hook: a number the edge hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u64);

/// The outcome of a hook, which its caller is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// All handlers that counted succeeded.
    Succeeded,
    /// A handler with `failurePolicy = "Fail"` failed or ran out of time.
    Failed,
    /// A stop, or the next step of one, came first.
    Aborted,
}

impl Outcome {
    /// The name in the answer, in the metrics and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "Succeeded",
            Outcome::Failed => "Failed",
            Outcome::Aborted => "Aborted",
        }
    }
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
    /// The liveness probe failed, and its `action` is `Stop`.
    LivenessFailed,
}

/// Alarms the machine asks for; each name has at most one time at which it rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// The app's time is over.
    Kill,
    /// No connection was busy for long enough.
    SecondSignal,
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
    /// A preStop hook that may be on its way is not waited for any longer.
    LateHook,
    /// A failed handler of this hook is tried again.
    Retry(Hook),
}

/// Everything that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The program starts.
    Begin,
    /// exec(2) succeeded; or the process was found, where it is another container's.
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
    /// Whether another container's process is there cannot be told any more.
    AppUnseen,
    /// Another container's process could not be sent its stop signal.
    NotSignalled,
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
    /// Connections are left, and nobody waits for anything on any of them.
    ConnectionsIdle,
    /// Somebody waits for something again, or no connection is left.
    ConnectionsBusyOrGone,
    /// The liveness probe has failed, and that is to stop the app.
    LivenessFailed,
    /// An alarm rang.
    TimerFired(Timer),
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
        /// From 1; more than that for a retry.
        attempt: u32,
        /// Its own timeout or what is left of the budget, whichever is less.
        timeout: Option<Duration>,
    },
    /// End a handler run; nothing more is expected of it.
    AbortHandler(RunId),
    /// Send a signal to the app.
    SignalApp(Signal),
    /// Look at the app's connections from now on: the stop signal comes next. What is cut is counted, and whether
    /// they are idle is told by `ConnectionsIdle` and `ConnectionsBusyOrGone`.
    WatchConnections,
    /// Send the app its second signal: only idle connections hold it.
    SendSecondSignal(Signal),
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
    Escalated(Hook),
    /// A handler found no time left in the budget.
    NoTimeLeft(Hook, usize),
    /// No stop signal followed the preStop hook; the next hook runs the handlers again.
    Rearmed,
    /// The stop signal went out.
    StopSignalSent(Signal),
    /// Only idle connections held the app: its second signal went out.
    SecondSignalSent(Signal),
    /// SIGKILL went out.
    Killed,
    /// The app has ended.
    AppEnded(AppStatus),
    /// The process of another container did not end on its stop signal: the rest is the kubelet's.
    AppStays,
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

impl PhaseName {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            PhaseName::Starting => "Starting",
            PhaseName::Running => "Running",
            PhaseName::Stopping => "Stopping",
            PhaseName::Finishing => "Finishing",
            PhaseName::Exited => "Exited",
        }
    }
}
