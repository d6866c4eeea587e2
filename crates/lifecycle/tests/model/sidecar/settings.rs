//! The configurations of a sidecar, and how the process and the handlers behave.

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Hook, Plan};

use crate::settings::{
    COMPLETED, FAILED, HandlerNature, STOPPED, handler, only, optional, pause, plan, retried, timed,
};

/// One configuration in one kind of world.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) plan: Plan,
    pub(crate) handlers: HandlerNature,
    /// This many lives of the process are seen; none if no process is configured.
    pub(crate) finds: u8,
    pub(crate) process: Process,
    pub(crate) signal: SignalTo,
}

/// How the visible process behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// It ends at any time.
    EndsFreely,
    /// Never ends.
    Stays,
}

/// Whether it may be signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalTo {
    Arrives,
    IsRefused,
}

/// Every setting that is checked.
pub(crate) fn all() -> Vec<Setting> {
    use Hook::{PostStart, PostStop, PreStop};
    let one = handler;
    let everywhere = |grace| plan(grace, &[(PostStart, &[one()]), (PreStop, &[one()]), (PostStop, &[one()])]);
    let quits = |plan| Plan { stop_signal: Some(Signal::QUIT), ..plan };
    let unseen = |name, plan| Setting {
        name,
        plan,
        handlers: HandlerNature::Free,
        finds: 0,
        process: Process::EndsFreely,
        signal: SignalTo::Arrives,
    };
    let seen = |name, plan| Setting { finds: 2, ..unseen(name, plan) };
    let once = |name, plan| Setting { finds: 1, ..seen(name, plan) };
    let hostile = |name, plan| Setting { handlers: HandlerNature::Hang, process: Process::Stays, ..seen(name, plan) };
    vec![
        seen("nothing configured", plan(Some(8), &[])),
        unseen("every hook, nobody looks for the process", everywhere(Some(8))),
        unseen("the same without a grace period", everywhere(None)),
        once("every hook", everywhere(Some(8))),
        seen("every hook and a stop signal, two lives", quits(everywhere(Some(8)))),
        seen("every hook and a stop signal without a grace period", quits(everywhere(None))),
        seen("a stop signal alone", quits(plan(Some(8), &[]))),
        Setting {
            signal: SignalTo::IsRefused,
            ..seen("a stop signal that is refused", quits(plan(Some(8), &[(PreStop, &[one()])])))
        },
        once("two handlers", plan(Some(8), &[(PreStop, &[optional(), one()]), (PostStop, &[optional(), one()])])),
        seen("a pause before the stop", plan(None, &[(PreStop, &[pause(), one()]), (PostStart, &[optional()])])),
        once("retries", plan(Some(8), &[(PreStop, &[retried()]), (PostStop, &[retried()])])),
        seen("postStart with retries", plan(Some(8), &[(PostStart, &[retried(), optional()])])),
        once(
            "timeouts",
            quits(plan(Some(4), &[(PostStart, &[timed(1)]), (PreStop, &[timed(9)]), (PostStop, &[timed(1)])])),
        ),
        seen("no time at all", quits(plan(Some(0), &[(PreStop, &[one()]), (PostStop, &[one()])]))),
        once(
            "handlers for some ends",
            plan(Some(8), &[(PreStop, &[one()]), (PostStop, &[only(COMPLETED), only(FAILED), only(STOPPED)])]),
        ),
        Setting { process: Process::Stays, ..seen("a deaf process", quits(plan(Some(4), &[(PreStop, &[one()])]))) },
        Setting {
            handlers: HandlerNature::Hang,
            ..seen("handlers that hang", quits(plan(None, &[(PreStop, &[one()]), (PostStop, &[one()])])))
        },
        hostile("everything hangs", quits(everywhere(Some(8)))),
        hostile("everything hangs, little time", quits(everywhere(Some(1)))),
        hostile("everything hangs, no stop signal", everywhere(Some(8))),
    ]
}
