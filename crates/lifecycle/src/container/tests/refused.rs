//! Signals that the kernel refuses, and a SIGKILL without effect: no stop waits for an app that cannot be ended.

use super::*;

/// An app to which the kernel refuses every signal.
fn refusing(plan: Plan) -> ExampleLife<ContainerLifecycle> {
    let mut life = running(plan);
    life.refuses = true;
    life.remaining = Remaining::Children;
    life
}

const STILL_RUNNING: Action = Action::Tell(Note::AppEnded(AppStatus::StillRunning));

#[test]
fn a_refused_stop_signal_leaves_the_deadline_as_it_is() {
    let mut life = refusing(graceful(10, &[(Hook::PostStop, 1)]));
    let begun = life.at(secs(100), Event::Signal(Signal::TERM));
    assert_eq!(life.then(Event::SignalRefused(Signal::TERM)), [], "SIGKILL may still be allowed");
    let at = timer(&begun, Timer::Kill).unwrap();
    assert!(life.fire(at, Timer::Kill).contains(&Action::KillApp));
}

#[test]
fn a_refused_sigkill_goes_on_to_post_stop_and_exits_137() {
    let mut life = refusing(graceful(10, &[(Hook::PostStop, 1)]));
    let begun = life.at(secs(100), Event::Signal(Signal::TERM));
    life.fire(timer(&begun, Timer::Kill).unwrap(), Timer::Kill);
    let over = life.then(Event::SignalRefused(Signal::KILL));
    assert!(over.contains(&STILL_RUNNING) && over.contains(&Action::TerminateLeftovers), "{over:?}");
    let post_stop = life.then(ALONE);
    assert_eq!(exit(&life.end_run(&post_stop, SUCCEEDED)), Some(137));
}

#[test]
fn a_sigkill_without_effect_is_waited_for_half_a_second() {
    let mut life = refusing(graceful(30, &[]));
    life.refuses = false;
    let begun = life.at(secs(100), Event::Signal(Signal::TERM));
    let deadline = timer(&begun, Timer::Kill).unwrap();
    let killed = life.fire(deadline, Timer::Kill);
    let patience = timer(&killed, Timer::Kill).unwrap();
    assert!(patience <= deadline + Duration::from_millis(500), "{patience:?}");
    assert!(life.fire(patience, Timer::Kill).contains(&STILL_RUNNING));
    assert_eq!(exit(&life.then(ALONE)), Some(137));
}

#[test]
fn an_app_that_ends_after_all_is_reported_with_its_code() {
    let mut story = refusing(graceful(10, &[]));
    let begun = story.at(secs(100), Event::Signal(Signal::TERM));
    story.fire(timer(&begun, Timer::Kill).unwrap(), Timer::Kill);
    story.then(Event::SignalRefused(Signal::KILL));
    let status = AppStatus::Exited(7);
    assert_eq!(story.then(app_ended(status)), [Action::Tell(Note::AppEnded(status))]);
    assert_eq!(story.then(app_ended(AppStatus::Exited(8))), [], "an app ends once");
    assert_eq!(exit(&story.then(ALONE)), Some(7));
}

#[test]
fn without_a_grace_period_a_refused_stop_signal_ends_the_life() {
    let mut life = refusing(plan_with(&[(Hook::PostStop, 1)]));
    life.then(Event::Signal(Signal::TERM));
    assert!(life.then(Event::SignalRefused(Signal::TERM)).contains(&STILL_RUNNING));
    let post_stop = life.then(ALONE);
    assert_eq!(exit(&life.end_run(&post_stop, SUCCEEDED)), Some(137));
}

#[test]
fn as_tini_any_refused_signal_ends_the_life() {
    let mut life = refusing(Plan { exit_if_refused: Some(1), ..plan_with(&[]) });
    life.then(Event::Signal(Signal::HUP));
    assert!(life.then(Event::SignalRefused(Signal::HUP)).contains(&STILL_RUNNING));
    assert_eq!(exit(&life.then(ALONE)), Some(1));
}

#[test]
fn a_refused_forwarded_signal_changes_nothing() {
    let mut life = refusing(plan_with(&[]));
    life.then(Event::Signal(Signal::HUP));
    assert_eq!(life.then(Event::SignalRefused(Signal::HUP)), []);
    life.then(Event::Signal(Signal::TERM));
    assert_eq!(life.then(Event::SignalRefused(Signal::HUP)), [], "the stop signal itself was sent");
    life.remaining = Remaining::Nothing;
    assert_eq!(exit(&life.then(exited(3))), Some(3));
}

#[test]
fn a_death_by_a_refused_signal_is_not_caused_by_the_stop() {
    let mut life = refusing(Plan { stop_is_success: true, ..graceful(10, &[]) });
    life.then(Event::Signal(Signal::TERM));
    life.then(Event::SignalRefused(Signal::TERM));
    life.remaining = Remaining::Nothing;
    assert_eq!(exit(&life.then(app_ended(AppStatus::Signalled(Signal::TERM)))), Some(143));
}

#[test]
fn a_signal_is_reported_as_sent_when_the_kernel_has_taken_it() {
    let mut life = refusing(graceful(10, &[]));
    let note = |note: Note| Action::Tell(note);
    let begun = life.at(secs(100), Event::Signal(Signal::TERM));
    assert!(!begun.contains(&note(Note::StopSignalSent(Signal::TERM))), "{begun:?}");
    assert_eq!(life.then(Event::SignalSent(Signal::TERM)), [note(Note::StopSignalSent(Signal::TERM))]);
    assert_eq!(life.then(Event::SignalSent(Signal::TERM)), [], "a repeated one is not reported");
    let killed = life.fire(timer(&begun, Timer::Kill).unwrap(), Timer::Kill);
    assert!(!killed.contains(&note(Note::Killed)), "{killed:?}");
    assert_eq!(life.then(Event::SignalSent(Signal::KILL)), [note(Note::Killed)]);
}
