//! `app.profile = "auto"`: the running app decides which server it is, each time that a stop may begin.

use tracing::info;

#[cfg(feature = "auto")]
use super::running_server::profile_of;

use crate::compat::policy::Convention;
#[cfg(not(feature = "auto"))]
use crate::process::Pid;
use crate::runtime::plan;
use crate::runtime::unit::Unit;
use bookend_config::AutoProfile;
use bookend_config::settings::Settings;
use bookend_lifecycle::{ContainerLifecycle, Event, Hook, Machine, PhaseName};

/// Reports the choice that the command made.
pub(super) fn report_start(auto: Option<&AutoProfile>) {
    if let Some(auto) = auto {
        info!(profile = auto.chosen(), "app.profile \"auto\": chosen by the command");
    }
}

/// Whether this event may be the trigger of a stop.
pub(super) fn may_begin_stop(event: Event) -> bool {
    match event {
        Event::Signal(_) | Event::StopRequested | Event::LivenessFailed => true,
        Event::HookCalled { hook, .. } => hook == Hook::PreStop,
        // A postStart handler that failed.
        Event::HandlerEnded { .. } => true,
        _ => false,
    }
}

/// Chooses by the app as it runs now.
pub(super) fn choose(
    auto: &mut AutoProfile,
    settings: &mut Settings,
    unit: &mut Unit<ContainerLifecycle>,
    convention: Convention,
) {
    let Some(pid) = unit.app.pid().filter(|_| unit.machine.phase() == PhaseName::Running) else { return };
    let Some(name) = profile_of(pid).filter(|name| *name != auto.chosen()) else { return };
    let before = auto.chosen();
    let chosen = auto.choose(name);
    if unit.machine.replace_plan(plan::of_app(&chosen, convention)) {
        info!(profile = name, before, "app.profile \"auto\": chosen by the running app");
        settings.adopt(chosen);
        unit.lifecycle = std::mem::take(&mut settings.lifecycle);
    }
}

/// A build without the feature never calls it: it has no `AutoProfile`.
#[cfg(not(feature = "auto"))]
fn profile_of(_app: Pid) -> Option<&'static str> {
    None
}
