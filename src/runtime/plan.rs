//! From the settings to what a state machine needs to know of them. Pure.

use bookend_config::settings::{ContainerSettings, FailurePolicy, Handler, HandlerKind, LifecycleSettings, Settings};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{HandlerPlan, Hook, Plan};

/// For an app of our own.
pub(crate) fn of_app(settings: &Settings) -> Plan {
    Plan {
        stop_signal: settings.app.stop_signal,
        signals: settings.app.signals.clone(),
        exit_codes: settings.app.exit_codes.clone(),
        stop_is_success: settings.app.stop_is_success,
        second_signal: settings.app.second_signal,
        ..of_lists(settings, &settings.lifecycle)
    }
}

/// For an app of another container.
pub(crate) fn of_container(settings: &Settings, container: &ContainerSettings) -> Plan {
    Plan { stop_signal: container.stop_signal, ..of_lists(settings, &container.lifecycle) }
}

fn of_lists(settings: &Settings, lifecycle: &LifecycleSettings) -> Plan {
    let hooks = [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop];
    Plan {
        grace: settings.termination_grace_period,
        hooks: hooks
            .into_iter()
            .map(|hook| (hook, handler_list(lifecycle, hook).iter().map(handler_plan).collect()))
            .collect(),
        stop_signals: stop_signals(settings),
        ..Plan::default()
    }
}

/// SIGTERM, SIGINT, SIGQUIT, unless the settings say otherwise.
pub(crate) fn stop_signals(settings: &Settings) -> Vec<Signal> {
    let mut signals =
        settings.app.stop_signals.clone().unwrap_or_else(|| vec![Signal::TERM, Signal::INT, Signal::QUIT]);
    // `signals = { SIGINT = "ignore" }`: what is dropped begins nothing.
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

fn handler_plan(handler: &Handler) -> HandlerPlan {
    HandlerPlan {
        timeout: handler.timeout,
        required: handler.failure_policy == FailurePolicy::Fail,
        retries: handler.retries,
        backoff: handler.backoff,
        on: handler.on,
        waits_only: matches!(handler.kind, HandlerKind::Sleep { .. } | HandlerKind::Drain(_)),
    }
}
