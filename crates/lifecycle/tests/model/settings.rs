//! The configurations, and how the app and its handlers behave.

use std::time::Duration;

use litemap::LiteMap;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{HandlerPlan, Hook, On, Plan, SecondSignal};

/// One configuration in one kind of world.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) plan: Plan,
    pub(crate) app: AppNature,
    pub(crate) handlers: HandlerNature,
    /// Whether the app has a liveness probe, which may fail for good.
    pub(crate) liveness: bool,
    /// How many signals preStop handlers send to PID 1.
    pub(crate) handler_signals: u8,
    /// Whether processes remain when the app has ended, and whether they survive even SIGKILL.
    pub(crate) leftovers: Leftovers,
    /// The life before ended without a report.
    pub(crate) unseen: bool,
    /// The signals that are sent, and the codes that the app ends with.
    pub(crate) signals: &'static [Signal],
    pub(crate) codes: &'static [u8],
}

/// How the app behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppNature {
    /// It ends at any time, by itself or by a signal.
    Free,
    /// Only SIGKILL ends it.
    Ignores,
    /// Free, but the kernel takes or refuses each signal to it.
    Touchy,
    /// The kernel refuses every signal to it, and it does not end by itself.
    Untouchable,
    /// It cannot be executed.
    Missing,
}

/// How handlers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandlerNature {
    /// They succeed or fail at any time, or last until their time is over.
    Free,
    /// They last until their time is over, or for ever.
    Hang,
}

/// The processes that the app leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// Either no process remains, or some that end at any time.
    Free,
    /// The same, and sessions that entered from outside.
    Sessions,
    /// Some that never end.
    Stay,
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const COMPLETED: On = On { completed: true, failed: false, stopped: false, unseen: false };
pub(crate) const FAILED: On = On { completed: false, failed: true, stopped: false, unseen: false };
pub(crate) const STOPPED: On = On { completed: false, failed: false, stopped: true, unseen: false };

pub(crate) fn handler() -> HandlerPlan {
    HandlerPlan { timeout: None, required: true, retries: 0, backoff: SECOND, waits_only: false, on: On::EVERY }
}

pub(crate) fn timed(seconds: u64) -> HandlerPlan {
    HandlerPlan { timeout: Some(Duration::from_secs(seconds)), ..handler() }
}

pub(crate) fn optional() -> HandlerPlan {
    HandlerPlan { required: false, ..handler() }
}

pub(crate) fn pause() -> HandlerPlan {
    HandlerPlan { waits_only: true, ..handler() }
}

pub(crate) fn retried() -> HandlerPlan {
    HandlerPlan { retries: 1, ..handler() }
}

pub(crate) fn only(on: On) -> HandlerPlan {
    HandlerPlan { on, required: false, ..handler() }
}

pub(crate) fn plan(grace: Option<u64>, hooks: &[(Hook, &[HandlerPlan])]) -> Plan {
    Plan {
        grace: grace.map(Duration::from_secs),
        hooks: hooks.iter().map(|(hook, handlers)| (*hook, handlers.to_vec())).collect(),
        stop_signals: vec![Signal::TERM, Signal::INT],
        ..Plan::default()
    }
}

/// How much longer than its grace period a stop may last: even without any time every step has a tenth of a second.
pub(crate) fn shortest(grace: Option<Duration>) -> Duration {
    if grace.is_some_and(|grace| grace < SECOND) { SECOND } else { Duration::ZERO }
}

/// Every setting that is checked.
pub(crate) fn all() -> Vec<Setting> {
    use Hook::{PostStart, PostStop, PreStart, PreStop};
    let one = handler;
    let free = |name, plan| Setting {
        name,
        plan,
        app: AppNature::Free,
        handlers: HandlerNature::Free,
        liveness: false,
        handler_signals: 0,
        unseen: false,
        leftovers: Leftovers::Free,
        signals: &[Signal::TERM, Signal::HUP],
        codes: &[3],
    };
    let sessions = |name, plan| Setting { leftovers: Leftovers::Sessions, ..free(name, plan) };
    let hostile = |name, plan| Setting {
        app: AppNature::Ignores,
        handlers: HandlerNature::Hang,
        leftovers: Leftovers::Stay,
        ..free(name, plan)
    };
    let everywhere =
        |grace| plan(grace, &[(PreStart, &[one()]), (PostStart, &[one()]), (PreStop, &[one()]), (PostStop, &[one()])]);
    let missed = |handler: HandlerPlan| {
        let unseen = HandlerPlan { on: On { unseen: true, ..On::EVERY }, ..handler };
        plan(Some(8), &[(PreStart, &[one()]), (PostStop, &[only(STOPPED), unseen])])
    };
    let once_started = |grace| plan(Some(grace), &[(PostStart, &[one()]), (PreStop, &[one()]), (PostStop, &[one()])]);
    vec![
        Setting { signals: &[Signal::TERM, Signal::INT, Signal::HUP], codes: &[0, 1], ..free("zero", plan(None, &[])) },
        free("zero with a grace period", plan(Some(8), &[])),
        free("every hook", everywhere(Some(8))),
        free("every hook without a grace period", everywhere(None)),
        free(
            "two preStop handlers",
            plan(Some(8), &[(PreStop, &[optional(), one()]), (PostStop, &[optional(), one()])]),
        ),
        free("a pause before the stop", plan(None, &[(PreStop, &[pause(), one()]), (PostStart, &[optional()])])),
        free("retries", plan(Some(8), &[(PreStop, &[retried()]), (PostStop, &[retried()])])),
        free("preStart with retries", plan(None, &[(PreStart, &[retried(), optional()])])),
        free("timeouts", plan(Some(4), &[(PostStart, &[timed(1)]), (PreStop, &[timed(9)]), (PostStop, &[timed(1)])])),
        free("no time at all", plan(Some(0), &[(PreStop, &[one()]), (PostStop, &[one()])])),
        Setting {
            codes: &[0, 1],
            ..free(
                "signals and codes rewritten",
                Plan {
                    stop_signal: Some(Signal::QUIT),
                    signals: LiteMap::from_iter([(Signal::HUP, Signal::new(10))]),
                    exit_codes: LiteMap::from_iter([(1, 0), (131, 7)]),
                    ..plan(Some(8), &[(PreStop, &[one()])])
                },
            )
        },
        free(
            "a stop is a success",
            Plan { stop_is_success: true, signals: LiteMap::from_iter([(Signal::HUP, None)]), ..plan(Some(8), &[]) },
        ),
        free(
            "a second signal for idle connections",
            Plan {
                stop_is_success: true,
                second_signal: Some(SecondSignal { after: SECOND, signal: Signal::QUIT }),
                ..plan(Some(8), &[(PreStop, &[one()])])
            },
        ),
        Setting {
            handlers: HandlerNature::Hang,
            ..free("handlers that hang", plan(None, &[(PreStop, &[one()]), (PostStop, &[one()])]))
        },
        Setting {
            liveness: true,
            codes: &[0, 3],
            ..free(
                "a liveness probe, and handlers for some ends",
                plan(Some(8), &[(PreStop, &[one()]), (PostStop, &[only(COMPLETED), only(FAILED), only(STOPPED)])]),
            )
        },
        Setting { liveness: true, ..hostile("a liveness probe, and everything hangs", once_started(8)) },
        hostile("everything hangs", once_started(8)),
        hostile("everything hangs, little time", once_started(1)),
        hostile("preStart hangs", plan(Some(8), &[(PreStart, &[one()]), (PostStop, &[one()])])),
        Setting { app: AppNature::Missing, ..free("no such program", everywhere(Some(8))) },
        Setting { app: AppNature::Ignores, ..free("a deaf app", plan(Some(4), &[(PreStop, &[one()])])) },
        Setting {
            app: AppNature::Touchy,
            ..free(
                "some signals are refused",
                Plan {
                    stop_is_success: true,
                    second_signal: Some(SecondSignal { after: SECOND, signal: Signal::QUIT }),
                    ..plan(Some(4), &[])
                },
            )
        },
        Setting {
            app: AppNature::Touchy,
            ..free("some signals are refused, no grace period", plan(None, &[(PostStop, &[one()])]))
        },
        Setting {
            codes: &[0, 3],
            ..free("a hold after a failure", Plan { hold: Some(2 * SECOND), ..plan(Some(4), &[(PostStop, &[one()])]) })
        },
        Setting {
            app: AppNature::Missing,
            ..free("a hold without a program", Plan { hold: Some(SECOND), ..plan(None, &[(PreStart, &[one()])]) })
        },
        Setting { unseen: true, ..free("a missed end", missed(one())) },
        Setting { unseen: true, ..free("a missed end, with retries", missed(retried())) },
        Setting { unseen: true, ..hostile("handlers for a missed end hang", missed(one())) },
        sessions("leftovers and sessions", plan(Some(8), &[(PreStop, &[one()]), (PostStop, &[one()])])),
        sessions("leftovers have a second", Plan { leftovers: Some(SECOND), ..plan(Some(8), &[(PostStop, &[one()])]) }),
        sessions("leftovers have a minute", Plan { leftovers: Some(60 * SECOND), ..plan(Some(8), &[]) }),
        Setting {
            handler_signals: 1,
            ..free(
                "preStop handlers signal PID 1",
                Plan {
                    stop_is_success: true,
                    stop_signal: Some(Signal::QUIT),
                    ..plan(Some(8), &[(PreStop, &[one()])])
                },
            )
        },
        Setting {
            app: AppNature::Untouchable,
            ..free("signals are refused", plan(Some(8), &[(PreStop, &[one()]), (PostStop, &[one()])]))
        },
        Setting {
            app: AppNature::Untouchable,
            ..free("signals are refused, no grace period", plan(None, &[(PreStop, &[one()]), (PostStop, &[one()])]))
        },
    ]
}
