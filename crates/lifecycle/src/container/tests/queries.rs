//! A container's life about itself: its phase, its exit code, the signal that is still to be sent, and its plan.

use super::*;

#[test]
fn an_app_has_started_when_post_start_is_over() {
    let mut life = container(plan_with(&[(Hook::PostStart, 1)]));
    life.then(Event::Begin);
    let begun = life.then(Event::AppStarted);
    assert!(!life.machine.has_started() && !life.machine.is_ready());
    life.end_run(&begun, SUCCEEDED);
    assert!(life.machine.has_started() && life.machine.is_ready());
}

#[test]
fn the_exit_code_is_known_from_the_apps_end_on() {
    let mut life = running(plan_with(&[(Hook::PostStop, 1)]));
    assert_eq!(life.machine.exit_code(), None);
    life.then(exited(3));
    assert_eq!((life.machine.exit_code(), life.machine.phase()), (Some(3), PhaseName::Finishing));
}

#[test]
fn a_stop_signal_is_pending_until_pre_stop_is_over() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    assert_eq!(life.machine.pending_stop_signal(), None);
    let begun = life.then(Event::Signal(Signal::INT));
    assert_eq!(life.machine.pending_stop_signal(), Some(Signal::INT));
    life.end_run(&begun, SUCCEEDED);
    assert_eq!(life.machine.pending_stop_signal(), None);
}

#[test]
fn an_app_is_signalled_from_its_stop_signal_to_its_end() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    assert!(!life.machine.is_signalled());
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    assert!(!life.machine.is_signalled(), "a hook alone sends no signal");
    life.term();
    assert!(life.machine.is_signalled());
    life.then(exited(0));
    assert!(!life.machine.is_signalled());
}

#[test]
fn a_plan_is_replaced_only_before_a_stop() {
    let quits = || Plan { stop_signal: Some(Signal::QUIT), ..plan_with(&[]) };
    let mut life = running(plan_with(&[]));
    assert!(life.machine.replace_plan(quits()));
    assert!(life.term().contains(&Action::SignalApp(Signal::QUIT)));

    // A hook alone begins a stop as well.
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = life.call(Hook::PreStop);
    assert!(!life.machine.replace_plan(quits()));
    life.end_run(&begun, SUCCEEDED);
    assert!(life.term().contains(&Action::SignalApp(Signal::TERM)));

    let mut life = running(plan_with(&[(Hook::PostStop, 1)]));
    life.then(exited(0));
    assert!(!life.machine.replace_plan(quits()), "the app has ended");
}

#[test]
fn a_pre_stop_handlers_signal_after_the_apps_end_changes_nothing() {
    let mut life = running(graceful(30, &[(Hook::PreStop, 1)]));
    life.term();
    life.then(exited(0));
    assert_eq!(life.then(Event::SignalFromPreStop(Signal::TERM)), [], "the handler goes on");
}
