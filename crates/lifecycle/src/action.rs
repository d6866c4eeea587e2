//! Everything that a machine can ask the edge to do.

use std::time::Duration;

use crate::event::Timer;
use crate::hook::{CallerId, Hook, Outcome, RunId};
use crate::life::{AppStatus, Trigger};
use crate::signal::Signal;
use crate::time::Time;

/// A request to the edge. The edge answers some actions with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Spawn the app. Answered with `AppStarted` or `AppNotStarted`.
    StartApp,
    /// Run one handler. Answered with `HandlerEnded`.
    StartHandler {
        /// Identifies the run.
        run: RunId,
        /// The hook whose list contains the handler.
        hook: Hook,
        /// The position in the list, from 0.
        index: usize,
        /// The attempt, from 1; more than 1 for a retry.
        attempt: u32,
        /// The handler's own timeout or the rest of the budget, whichever is less; `None` if neither exists.
        timeout: Option<Duration>,
    },
    /// End a handler run. Its result is ignored.
    AbortHandler(RunId),
    /// Send a signal to the app. `SignalApp`, `SendSecondSignal` and `KillApp` are answered with `SignalSent` or `SignalRefused`.
    SignalApp(Signal),
    /// Continue the app if job control has stopped it: a stopped process does not act on its stop signal.
    ContinueApp,
    /// Watch the app's connections from now on: the stop signal comes next. Report `ConnectionsIdle`, and
    /// count the connections that may be cut.
    WatchConnections,
    /// Send the app its second signal: only idle connections keep it running, or SIGKILL is near.
    SendSecondSignal(Signal),
    /// Send SIGKILL to the app: its share of the budget is used up.
    KillApp,
    /// Send SIGTERM to all other processes of the container. Answered with `Remaining`.
    TerminateLeftovers,
    /// Send SIGKILL to all other processes of the container.
    KillLeftovers,
    /// Answer a caller. Answered with `CallerDone`.
    Answer {
        /// The caller.
        caller: CallerId,
        /// The hook that it called.
        hook: Hook,
        /// The outcome of the hook.
        outcome: Outcome,
    },
    /// Report `TimerFired` at this time. Replaces an earlier time of the same timer.
    SetTimer {
        /// The timer.
        timer: Timer,
        /// When it fires.
        at: Time,
    },
    /// Log this, and add it to the timeline.
    Tell(Note),
    /// Exit with this code. Always the last action.
    Exit(u8),
}

/// Why the second signal was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecondSignalReason {
    /// Connections are left, and no request is in flight on any of them.
    ConnectionsIdle,
    /// SIGKILL would follow soon.
    SigkillNear,
}

/// A fact for the log and the timeline, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// postStart has succeeded: the container has started.
    Started,
    /// A stop has begun.
    StopBegan(Trigger),
    /// The handlers of a hook are over.
    HookOver(Hook, Outcome),
    /// A stop signal ended the handlers of a hook early.
    Escalated(Hook),
    /// A handler was not run, because the budget was used up. The number is its position in the list.
    NoTimeLeft(Hook, usize),
    /// No stop signal followed the preStop hook. The next stop runs the handlers again.
    Rearmed,
    /// The stop signal was sent.
    StopSignalSent(Signal),
    /// The second signal was sent.
    SecondSignalSent(Signal, SecondSignalReason),
    /// A signal that a preStop handler sent to bookend was passed on to the app.
    PassedOn(Signal),
    /// SIGKILL was sent to the app.
    Killed,
    /// The app has ended.
    AppEnded(AppStatus),
    /// The process in the other container did not end on its stop signal. The kubelet has to end it.
    AppStays,
    /// The remaining processes were sent SIGTERM, and are waited for.
    LeftoversTerminated,
    /// The remaining processes are waited for, but the kernel refused SIGTERM to all of them.
    LeftoversRefused,
    /// The remaining processes have ended.
    LeftoversEnded,
    /// The remaining processes were sent SIGKILL.
    LeftoversKilled,
    /// Processes remain even after SIGKILL: in uninterruptible sleep, or not ours to signal. bookend does not wait for them.
    LeftoversRemain,
    /// The app has failed by itself, and the container is held for so long.
    Held(Duration),
    /// The postStop handlers of the previous life are over. `Begin` is awaited.
    CaughtUp,
    /// No preStop hook has come, although the sidecar's own stop waited for one.
    NoHookCame,
    /// A caller did not receive its answer in time.
    AnswerNotTaken,
}
