//! The promises of both machines by name; docs/proof.md has the same list.

/// A promise that must hold in every history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    /// preStop handlers run at most once per stop, and with every stop.
    PreStopOnce,
    /// The stop signal is sent when preStop is over or abandoned, and then at once.
    SignalAfterPreStop,
    /// The second signal is sent at most once, after the stop signal: when only idle connections are left, or shortly before
    /// SIGKILL, which never comes without it.
    SecondSignalOnlyIdle,
    /// A failed liveness probe begins a stop, and changes nothing during one.
    LivenessStops,
    /// SIGKILL goes to the app at the deadline, neither before nor after, and never without a grace period.
    KillAtDeadline,
    /// An app that cannot be ended holds neither postStop nor the exit; any other app is waited for.
    EndsWithoutTheApp,
    /// A signal is reported as sent when the kernel has taken it, and only then.
    SentAsReported,
    /// A signal that a running preStop handler sends to bookend goes to the app, and triggers nothing.
    HandlerSignalsApp,
    /// Leftovers of a stop have the rest of its budget, other leftovers and sessions two seconds. No signal makes that longer,
    /// and none kills them.
    LeftoversShareBudget,
    /// postStop runs when the app has ended, for whatever reason; nothing happens after Exit.
    PostStopLast,
    /// A history in which the app ends, or a stop has a deadline, reaches Exit.
    ReachesExit,
    /// A waiting hook is answered once, truly, and before Exit.
    HooksAnswered,
    /// Readiness, serving, phase, trigger and deadline are shown as they are.
    ShownAsItIs,
    /// No signal is sent to an app that does not run, and no signal for it is lost.
    SignalsArrive,
    /// The handlers of a list run one by one, in order, with their retries and policies; postStop's for their reasons only.
    InOrder,
    /// The app starts once, when preStart has succeeded and no stop was requested.
    AppStartsAfterPreStart,
    /// A hook alone never signals the app; without a signal life goes on after the grace period.
    HookOnlyWaits,
    /// The exit code is the app's, or its replacement in the configuration; otherwise 125 or 128+n.
    ExitCode,
    /// Every step has its time: no handler gets more than is left, and the end comes within the grace period.
    InTime,
    /// A container is held once, when its app has failed by itself and postStop is over. Any stop ends it, with the app's code.
    HoldsFailure,
    /// postStop handlers that the previous life has missed run before preStart, and only those for it.
    MissedFirst,
    /// For an app in another container: postStart handlers run once per life, and with every life that a hook reports.
    PostStartOnce,
    /// postStop handlers run once per life, when it is over, and before postStart of the next life.
    PostStopOnceALife,
    /// Our own stop cuts nothing short: a hook in flight or on its way, or a visible process, as long as there is time.
    NotCutShort,
    /// If no hook comes, our own stop does its work for a process that is seen to live.
    StopsWithoutHook,
    /// A repeated stop signal ends the running stage.
    StepsOn,
    /// The machine leaves to the kubelet what belongs to the kubelet: it starts no app and sends no SIGKILL.
    AppIsAnothers,
}
