//! The promises by name, those of both machines; docs/proof.md has the same list.

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    /// preStop handlers run at most once a stop, and with every stop.
    PreStopOnce,
    /// The stop signal goes out when preStop is over or abandoned, and then at once.
    SignalAfterPreStop,
    /// The second signal goes out at most once, after the stop signal, when connections were idle for long enough.
    HurryOnlyIdle,
    /// A liveness probe that fails begins a stop, and changes nothing in one.
    LivenessStops,
    /// SIGKILL goes to the app at the deadline, neither before nor after, and never without a grace period.
    KillAtDeadline,
    /// An app that cannot be ended holds neither postStop nor the exit; any other app is waited for.
    EndsWithoutTheApp,
    /// postStop runs when the app is gone, for whatever reason; nothing happens after Exit.
    PostStopLast,
    /// A history in which the app ends, or a stop has a deadline, reaches Exit.
    ReachesExit,
    /// A hook that waits is answered once, truly, and before Exit.
    HooksAnswered,
    /// Readiness, serving, phase, trigger and deadline are shown as they are.
    ShownAsItIs,
    /// No signal goes to an app that is not there, and none that is meant for it is lost.
    SignalsArrive,
    /// The handlers of a list run one by one, in order, with their retries and policies; postStop's for their ends alone.
    InOrder,
    /// The app starts once, when preStart has succeeded and nobody has asked for a stop.
    AppStartsAfterPreStart,
    /// A hook alone never signals the app; without a signal life goes on after the grace period.
    HookOnlyWaits,
    /// The exit code is the app's, or what the configuration makes of it; 125 or 128+n where it has none.
    ExitCode,
    /// Everything has its time: no handler gets more than is left, and the end comes within the grace period.
    InTime,
    /// Of an app in another container: postStart handlers run once a life, and with every life that a hook tells of.
    PostStartOnce,
    /// postStop handlers run once a life, when it is over, and before the next life's postStart.
    PostStopOnceALife,
    /// Our own stop cuts nothing short: a hook in flight or on its way, a process that is seen, as long as there is time.
    NotCutShort,
    /// Where no hook comes, our own stop does its work for a process that is seen to live.
    StopsWithoutHook,
    /// A repeated stop signal ends what runs.
    StepsOn,
    /// Nothing is done that is the kubelet's: no start of an app, no SIGKILL.
    AppIsAnothers,
}
