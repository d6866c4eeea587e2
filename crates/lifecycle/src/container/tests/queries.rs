//! A container's life about itself: its phase, its exit code, the signal that is still to be sent, and its plan.

use super::*;

#[test]
fn an_app_has_started_when_post_start_is_over() {
    let mut story = container(plan_with(&[(Hook::PostStart, 1)]));
    story.then(Event::Begin);
    let begun = story.then(Event::AppStarted);
    assert!(!story.machine.has_started() && !story.machine.is_ready());
    story.end_run(&begun, SUCCEEDED);
    assert!(story.machine.has_started() && story.machine.is_ready());
}

#[test]
fn the_exit_code_is_known_from_the_apps_end_on() {
    let mut story = running(plan_with(&[(Hook::PostStop, 1)]));
    assert_eq!(story.machine.exit_code(), None);
    story.then(exited(3));
    assert_eq!((story.machine.exit_code(), story.machine.phase()), (Some(3), PhaseName::Finishing));
}

#[test]
fn a_stop_signal_is_pending_until_pre_stop_is_over() {
    let mut story = running(plan_with(&[(Hook::PreStop, 1)]));
    assert_eq!(story.machine.pending_stop_signal(), None);
    let begun = story.then(Event::Signal(Signal::INT));
    assert_eq!(story.machine.pending_stop_signal(), Some(Signal::INT));
    story.end_run(&begun, SUCCEEDED);
    assert_eq!(story.machine.pending_stop_signal(), None);
}

#[test]
fn a_plan_is_replaced_only_before_a_stop() {
    let quits = || Plan { stop_signal: Some(Signal::QUIT), ..plan_with(&[]) };
    let mut story = running(plan_with(&[]));
    assert!(story.machine.replace_plan(quits()));
    assert!(story.term().contains(&Action::SignalApp(Signal::QUIT)));

    // A hook alone begins a stop as well.
    let mut story = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = story.call(Hook::PreStop);
    assert!(!story.machine.replace_plan(quits()));
    story.end_run(&begun, SUCCEEDED);
    assert!(story.term().contains(&Action::SignalApp(Signal::TERM)));

    let mut story = running(plan_with(&[(Hook::PostStop, 1)]));
    story.then(exited(0));
    assert!(!story.machine.replace_plan(quits()), "the app has ended");
}

#[test]
fn a_pre_stop_handlers_signal_after_the_apps_end_changes_nothing() {
    let mut story = running(graceful(30, &[(Hook::PreStop, 1)]));
    story.term();
    story.then(exited(0));
    assert_eq!(story.then(Event::SignalFromPreStop(Signal::TERM)), [], "the handler goes on");
}
