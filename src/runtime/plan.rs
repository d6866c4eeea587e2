//! Translates the settings into the plan of a state machine. Pure.

use litemap::LiteMap;

use crate::compat::policy::Convention;
use bookend_config::settings::{ContainerSettings, FailurePolicy, Handler, HandlerKind, LifecycleSettings, Settings};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::sorted::collect_map;
use bookend_lifecycle::{HandlerPlan, Hook, Plan};

/// The plan for an app of our own.
pub(crate) fn of_app(settings: &Settings, convention: Convention) -> Plan {
    Plan {
        leftovers: settings.leftovers,
        hold: settings.app.hold_on_failure,
        stop_signal: settings.app.stop_signal,
        signals: signals(settings),
        exit_codes: settings.app.exit_codes.clone(),
        stop_is_success: settings.app.stop_is_success,
        second_signal: settings.app.second_signal,
        // tini exits with 1 if it may not signal its child.
        exit_if_refused: (convention == Convention::Tini).then_some(1),
        ..of_lists(settings, &settings.lifecycle)
    }
}

/// The treatment of each signal. SIGTTIN and SIGTTOU are dropped unless they are configured: a terminal sends them to a
/// background job, and the docker CLI in the background of a shell passes them on. The app would stop, and no process
/// would continue it. tini ignores them as well.
fn signals(settings: &Settings) -> LiteMap<Signal, Option<Signal>> {
    let mut signals = settings.app.signals.clone();
    let stop_signals = stop_signals(settings);
    for signal in [Signal::TTIN, Signal::TTOU].into_iter().filter(|signal| !stop_signals.contains(signal)) {
        signals.entry(signal).or_insert(None);
    }
    signals
}

/// The plan for the app of another container.
pub(crate) fn of_container(settings: &Settings, container: &ContainerSettings) -> Plan {
    Plan { stop_signal: container.stop_signal, ..of_lists(settings, &container.lifecycle) }
}

fn of_lists(settings: &Settings, lifecycle: &LifecycleSettings) -> Plan {
    let handlers = |hook| (hook, handler_list(lifecycle, hook).iter().map(handler_plan).collect());
    Plan {
        grace: settings.termination_grace_period,
        hooks: collect_map(Hook::ALL.into_iter().map(handlers)),
        stop_signals: stop_signals(settings),
        ..Plan::default()
    }
}

/// The signals that begin a stop: SIGTERM, SIGINT and SIGQUIT by default.
pub(crate) fn stop_signals(settings: &Settings) -> Vec<Signal> {
    let mut signals =
        settings.app.stop_signals.clone().unwrap_or_else(|| vec![Signal::TERM, Signal::INT, Signal::QUIT]);
    // `signals = { SIGINT = "ignore" }`: a signal that is dropped does not begin a stop.
    signals.retain(|signal| settings.app.signals.get(signal) != Some(&None));
    signals
}

/// The handlers of a hook, in order.
pub(crate) fn handler_list(lifecycle: &LifecycleSettings, hook: Hook) -> &[Handler] {
    match hook {
        Hook::PreStart => &lifecycle.pre_start,
        Hook::PostStart => &lifecycle.post_start,
        Hook::PreStop => &lifecycle.pre_stop,
        Hook::PostStop => &lifecycle.post_stop,
    }
}

/// The ports that the drains of preStop name, if any.
pub(crate) fn drain_ports(lifecycle: &LifecycleSettings) -> Vec<u16> {
    let drains = lifecycle.pre_stop.iter().filter_map(|handler| match &handler.kind {
        HandlerKind::Drain(drain) => Some(&drain.ports),
        _ => None,
    });
    drains.flatten().copied().collect()
}

fn handler_plan(handler: &Handler) -> HandlerPlan {
    HandlerPlan {
        timeout: handler.timeout,
        required: handler.failure_policy == FailurePolicy::Fail,
        retries: handler.retries,
        backoff: handler.backoff,
        on: handler.on,
        waits_only: handler.kind.only_waits(),
    }
}
