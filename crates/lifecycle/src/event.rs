//! Everything that can happen to a machine.

use crate::hook::{CallerId, HandlerResult, Hook, RunId};
use crate::life::{AppStatus, Remaining};
use crate::signal::Signal;

/// Something that has happened. The edge reports it; the machine decides what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The program begins.
    Begin,
    /// The program begins, and the previous life ended without its postStop handlers: those for `Unseen` run now. `Begin`
    /// follows when they are over.
    BeginUnseen,
    /// The app runs: exec(2) succeeded. For an app in another container: its process was found.
    AppStarted,
    /// The app could not be executed.
    AppNotStarted {
        /// 125: not attempted; 126: not executable; 127: not found.
        code: u8,
    },
    /// The reaper collected the app. For an app in another container: its process ended.
    AppEnded {
        /// How it ended.
        status: AppStatus,
    },
    /// It cannot be determined any more whether the process in the other container exists.
    AppUnseen,
    /// The kernel has taken this signal for the app. Each signal to the app is answered with this or with `SignalRefused`,
    /// unless the app has just ended (ESRCH): then `AppEnded` follows.
    SignalSent(Signal),
    /// The kernel refused this signal to the app: EPERM, or a seccomp profile.
    SignalRefused(Signal),
    /// Which processes remain after the app's end. It answers `TerminateLeftovers`, and is reported again when it changes.
    Remaining(Remaining),
    /// The kernel refused SIGTERM to every remaining process. `Remaining` follows.
    LeftoversRefused,
    /// A handler run ended by itself.
    HandlerEnded {
        /// The run, as `StartHandler` named it.
        run: RunId,
        /// Its result.
        result: HandlerResult,
    },
    /// A caller called a lifecycle hook.
    HookCalled {
        /// postStart or preStop.
        hook: Hook,
        /// The receiver of the answer.
        caller: CallerId,
    },
    /// The caller has received its answer, or has hung up.
    CallerDone(CallerId),
    /// bookend received a signal, for itself or for the app. SIGCHLD is never reported here.
    Signal(Signal),
    /// A process of a preStop handler that runs sent bookend this signal.
    SignalFromPreStop(Signal),
    /// `bookend stop`.
    StopRequested,
    /// The app has open connections, and no request is in flight on any of them (`connection::only_idle`).
    ConnectionsIdle,
    /// The liveness probe has failed, and its `action` is `Stop`.
    LivenessFailed,
    /// The time of a timer has come.
    TimerFired(Timer),
}

/// The timers of a machine. Setting a timer again replaces its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// The app has used its share of the budget or, once it has got SIGKILL, the time that its end may take.
    Kill,
    /// SIGKILL is near: the second signal goes out before it.
    SecondSignal,
    /// No stop signal has followed the preStop hook.
    Rearm,
    /// The preStop handler that outlived the app has used its time.
    Linger,
    /// The remaining processes have used their time.
    Leftovers,
    /// The budget of the stop ends while postStop handlers run.
    PostStop,
    /// Callers have had enough time to receive their answers.
    Answers,
    /// A container that is held for inspection has been held long enough.
    Hold,
    /// A preStop hook that may still arrive has had enough time.
    LateHook,
    /// The pause before the next attempt of a handler of this hook is over.
    Retry(Hook),
}
