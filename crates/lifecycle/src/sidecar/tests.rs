//! The promises of an app's life in another container, as examples.

mod histories;
mod in_time;
mod next_life;

use std::time::Duration;

use litemap::LiteMap;

use super::*;
use crate::signal::Signal;
use crate::testing::{ExampleLife, SUCCEEDED, answers, app_ended, handler, hook_in, plan_with, secs, timer};

/// One handler for each hook, and thirty seconds.
fn plan() -> Plan {
    let hooks = [(Hook::PostStart, 1), (Hook::PreStop, 1), (Hook::PostStop, 1)];
    Plan { grace: Some(secs(30)), ..plan_with(&hooks) }
}

/// One postStop handler, and thirty seconds.
fn post_stop_alone() -> Plan {
    Plan { grace: Some(secs(30)), ..plan_with(&[(Hook::PostStop, 1)]) }
}

fn sidecar(plan: Plan) -> ExampleLife<SidecarLifecycle> {
    ExampleLife::new(SidecarLifecycle::new(plan, 0))
}

/// postStart has been called and is over.
fn started_app(plan: Plan) -> ExampleLife<SidecarLifecycle> {
    let mut life = sidecar(plan);
    let begun = life.call(Hook::PostStart);
    life.end_run(&begun, SUCCEEDED);
    life
}

/// The process has ended.
fn gone() -> Event {
    app_ended(AppStatus::Unknown)
}

#[test]
fn a_hook_runs_once_and_later_callers_join() {
    for hook in [Hook::PostStart, Hook::PreStop] {
        let mut life = sidecar(plan());
        let begun = life.call(hook);
        assert_eq!((hook_in(&begun), answers(&begun)), (Some(hook), vec![]));
        assert_eq!(life.call(hook), []);
        let over = life.end_run(&begun, SUCCEEDED);
        assert_eq!(answers(&over), [(1, Outcome::Succeeded), (2, Outcome::Succeeded)]);
    }
}

#[test]
fn a_failed_handler_fails_the_hook() {
    let mut life = sidecar(plan());
    let begun = life.call(Hook::PostStart);
    assert_eq!(answers(&life.end_run(&begun, HandlerResult::Failed)), [(1, Outcome::Failed)]);
    let begun = life.call(Hook::PreStop);
    assert_eq!(answers(&life.end_run(&begun, HandlerResult::TimedOut)), [(2, Outcome::Failed)]);
}

#[test]
fn pre_stop_handlers_run_at_most_once_per_stop() {
    let mut life = started_app(plan());
    let begun = life.call(Hook::PreStop);
    let over = life.end_run(&begun, SUCCEEDED);
    let again = life.call(Hook::PreStop);
    assert_eq!((hook_in(&again), answers(&again)), (None, vec![(3, Outcome::Succeeded)]));
    // A grace period later the app has ended: the next hook means another stop.
    let rearm = timer(&over, Timer::Rearm).unwrap();
    assert_eq!(rearm, life.now - Duration::from_millis(1) + secs(30));
    assert_eq!(life.fire(rearm, Timer::Rearm), []);
    assert_eq!(hook_in(&life.call(Hook::PreStop)), Some(Hook::PreStop));
}

#[test]
fn a_repeated_post_start_of_the_same_process_is_one_life() {
    let mut life = started_app(plan());
    life.then(Event::AppStarted);
    let again = life.call(Hook::PostStart);
    assert_eq!((hook_in(&again), answers(&again)), (None, vec![(2, Outcome::Succeeded)]));
}

#[test]
fn a_hook_with_a_stop_signal_waits_for_the_apps_end() {
    let mut life = started_app(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    let signalled = life.end_run(&begun, SUCCEEDED);
    assert_eq!(signalled.iter().filter(|a| **a == Action::SignalApp(Signal::QUIT)).count(), 1);
    assert_eq!(answers(&signalled), []);
    // Another caller waits for the same stop.
    assert_eq!(life.call(Hook::PreStop), []);
    let over = life.then(gone());
    assert_eq!(answers(&over), [(2, Outcome::Succeeded), (3, Outcome::Succeeded)]);
    assert_eq!(hook_in(&over), Some(Hook::PostStop));
    assert_eq!(life.machine.reason(), Some(Reason::Stopped));
}

#[test]
fn without_a_process_no_signal_is_sent() {
    let mut life = started_app(Plan { stop_signal: Some(Signal::TERM), ..plan() });
    let begun = life.call(Hook::PreStop);
    let over = life.end_run(&begun, SUCCEEDED);
    assert_eq!(answers(&over), [(2, Outcome::Succeeded)]);
    assert!(!over.iter().any(|action| matches!(action, Action::SignalApp(_))));
}

#[test]
fn each_life_of_a_process_has_its_post_stop() {
    let mut life = sidecar(plan());
    for _ in 0..2 {
        life.then(Event::AppStarted);
        let over = life.then(gone());
        assert_eq!(hook_in(&over), Some(Hook::PostStop));
        assert_eq!(life.machine.reason(), Some(Reason::Unknown));
        life.end_run(&over, SUCCEEDED);
        // The app has ended, so there is nothing to prepare.
        assert_eq!(answers(&life.call(Hook::PreStop)).len(), 1);
    }
}

#[test]
fn our_own_stop_after_the_apps_stop_runs_post_stop() {
    let mut life = started_app(plan());
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    life.caller_done(1);
    life.caller_done(2);
    let post_stop = life.term();
    assert_eq!(hook_in(&post_stop), Some(Hook::PostStop));
    assert!(life.end_run(&post_stop, SUCCEEDED).contains(&Action::Exit(0)));
}

#[test]
fn signals_other_than_stop_signals_are_ignored() {
    let mut life = started_app(plan());
    assert_eq!(life.then(Event::Signal(Signal::HUP)), []);
    assert_eq!(life.machine.stop_trigger(), None);
}

#[test]
fn our_own_stop_lets_a_hook_finish() {
    let mut life = started_app(plan());
    life.caller_done(1);
    assert_eq!(hook_in(&life.term()), None, "a hook may still arrive");
    let begun = life.call(Hook::PreStop);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    let over = life.end_run(&begun, SUCCEEDED);
    assert_eq!(answers(&over), [(2, Outcome::Succeeded)]);
    let exit = life.end_run(&over, SUCCEEDED);
    assert!(!exit.contains(&Action::Exit(0)), "the answer is still on its way");
    assert!(life.caller_done(2).contains(&Action::Exit(0)));
}

#[test]
fn our_own_stop_waits_a_second_for_a_hook() {
    let mut life = started_app(plan());
    let at = timer(&life.term(), Timer::LateHook).unwrap();
    assert!(at <= life.now + secs(1));
    assert_eq!(hook_in(&life.fire(at, Timer::LateHook)), Some(Hook::PostStop));
}

#[test]
fn the_wait_for_a_hook_ends_when_its_handlers_have_run() {
    let mut life = started_app(plan());
    assert_eq!(hook_in(&life.term()), None, "a hook may still arrive");
    let begun = life.call(Hook::PreStop);
    assert_eq!(hook_in(&life.end_run(&begun, SUCCEEDED)), Some(Hook::PostStop), "at once");
    // The handlers ran before the signal, so there is nothing to wait for.
    let mut life = started_app(plan());
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    assert_eq!(hook_in(&life.term()), Some(Hook::PostStop), "at once");
}

#[test]
fn without_pre_stop_handlers_no_hook_is_awaited() {
    let mut life = sidecar(post_stop_alone());
    assert_eq!(hook_in(&life.term()), Some(Hook::PostStop));
}

#[test]
fn our_own_stop_waits_for_the_app_within_the_budget() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let at = timer(&life.term(), Timer::Kill).unwrap();
    assert!(at < secs(30));
    let over = life.then(gone());
    assert_eq!(hook_in(&over), Some(Hook::PostStop));
    // The kubelet has to end a process that stays.
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    life.term();
    assert_eq!(hook_in(&life.fire(at, Timer::Kill)), Some(Hook::PostStop));
}

#[test]
fn without_a_hook_our_own_stop_stops_the_app() {
    let mut life = sidecar(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    life.then(Event::AppStarted);
    assert_eq!(hook_in(&life.term()), None, "a hook may still arrive");
    let begun = life.then(Event::TimerFired(Timer::LateHook));
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    assert!(begun.contains(&Action::Tell(Note::StopBegan(Trigger::Signal(Signal::TERM)))));
    // A hook that still arrives joins.
    assert_eq!(life.call(Hook::PreStop), []);
    assert!(life.end_run(&begun, SUCCEEDED).contains(&Action::SignalApp(Signal::QUIT)));
    let over = life.then(gone());
    assert_eq!((answers(&over), hook_in(&over)), (vec![(1, Outcome::Succeeded)], Some(Hook::PostStop)));
}

#[test]
fn a_repeated_signal_moves_our_own_stop_on() {
    let mut life = started_app(plan());
    life.call(Hook::PreStop);
    life.term();
    let stepped = life.term();
    assert_eq!(answers(&stepped), [(2, Outcome::Aborted)]);
    assert_eq!(hook_in(&stepped), Some(Hook::PostStop));
    let stepped = life.term();
    assert!(stepped.iter().any(|action| matches!(action, Action::AbortHandler(_))));
    life.caller_done(1);
    assert!(life.caller_done(2).contains(&Action::Exit(0)));
}

#[test]
fn a_hook_after_exit_is_answered() {
    let mut life = sidecar(Plan { hooks: LiteMap::new(), ..plan() });
    assert!(life.term().contains(&Action::Exit(0)));
    assert_eq!(answers(&life.call(Hook::PreStop)), [(1, Outcome::Succeeded)]);
    assert_eq!(answers(&life.call(Hook::PostStart)), [(2, Outcome::Aborted)]);
    assert_eq!(life.term(), []);
}

#[test]
fn a_late_caller_gets_the_outcome_of_its_hook() {
    let mut life = started_app(plan());
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, HandlerResult::Failed);
    let over = life.term();
    life.caller_done(1);
    life.caller_done(2);
    assert!(life.end_run(&over, SUCCEEDED).contains(&Action::Exit(0)));
    assert_eq!(life.machine.late_outcome(Hook::PreStop), Outcome::Failed);
    assert_eq!(life.machine.late_outcome(Hook::PostStart), Outcome::Succeeded);
    assert_eq!(answers(&life.call(Hook::PreStop)), [(3, Outcome::Failed)]);
    assert_eq!(answers(&life.call(Hook::PostStart)), [(4, Outcome::Succeeded)]);
}

#[test]
fn an_app_that_cannot_be_seen_may_be_there() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let over = life.then(gone());
    life.end_run(&over, SUCCEEDED);
    life.then(Event::AppUnseen);
    let begun = life.call(Hook::PreStop);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    // The stop belongs to another life, which has its own postStop.
    life.end_run(&begun, SUCCEEDED);
    assert_eq!(hook_in(&life.term()), Some(Hook::PostStop));
}

#[test]
fn a_hook_without_a_stop_is_reported_if_the_app_is_seen() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    let over = life.end_run(&begun, SUCCEEDED);
    let at = timer(&over, Timer::Rearm).unwrap();
    assert_eq!(life.fire(at, Timer::Rearm), [Action::Tell(Note::Rearmed)]);
    assert_eq!(life.machine.phase(), PhaseName::Running);
}

#[test]
fn a_handler_that_outlives_the_app_is_the_last() {
    let hooks = LiteMap::from_iter([
        (Hook::PreStop, vec![handler(None, true, false); 2]),
        (Hook::PostStop, vec![handler(None, true, false)]),
    ]);
    let mut life = sidecar(Plan { hooks, ..plan() });
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    let over = life.then(gone());
    assert!(!over.iter().any(|action| matches!(action, Action::AbortHandler(_))));
    assert!(timer(&over, Timer::Linger).is_some());
    let post_stop = life.end_run(&begun, SUCCEEDED);
    assert_eq!((hook_in(&post_stop), answers(&post_stop)), (Some(Hook::PostStop), vec![(1, Outcome::Succeeded)]));
}

#[test]
fn a_handler_that_outlives_the_app_has_a_limit() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    life.call(Hook::PreStop);
    let at = timer(&life.then(gone()), Timer::Linger).unwrap();
    let cut = life.fire(at, Timer::Linger);
    assert_eq!((answers(&cut), hook_in(&cut)), (vec![(1, Outcome::Aborted)], Some(Hook::PostStop)));
}

#[test]
fn a_sleep_handler_ends_with_the_app() {
    let hooks = LiteMap::from_iter([(Hook::PreStop, vec![handler(None, true, true)])]);
    let mut life = sidecar(Plan { hooks, ..plan() });
    life.then(Event::AppStarted);
    life.call(Hook::PreStop);
    assert_eq!(answers(&life.then(gone())), [(1, Outcome::Succeeded)]);
}

#[test]
fn a_known_process_stays_known() {
    let mut life = sidecar(plan());
    // The end of a process that was never found.
    assert_eq!(life.then(gone()), []);
    life.then(Event::AppStarted);
    life.then(Event::AppUnseen);
    assert_eq!(hook_in(&life.then(gone())), Some(Hook::PostStop));
}

#[test]
fn post_start_during_a_stop_of_the_same_app_is_aborted() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    life.call(Hook::PreStop);
    assert_eq!(answers(&life.call(Hook::PostStart)), [(2, Outcome::Aborted)]);
}

#[test]
fn post_start_joins_the_run_during_our_own_stop() {
    let mut life = sidecar(plan());
    let begun = life.call(Hook::PostStart);
    life.term();
    assert_eq!(life.call(Hook::PostStart), []);
    assert_eq!(answers(&life.end_run(&begun, SUCCEEDED)), [(1, Outcome::Succeeded), (2, Outcome::Succeeded)]);
}

#[test]
fn post_start_during_our_own_stop_begins_no_life() {
    let mut life = started_app(plan());
    life.term();
    assert_eq!(answers(&life.call(Hook::PostStart)), [(2, Outcome::Succeeded)]);
    let mut life = sidecar(plan());
    life.term();
    assert_eq!(answers(&life.call(Hook::PostStart)), [(1, Outcome::Aborted)]);
}

#[test]
fn our_own_stop_does_not_rearm() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    life.term();
    assert_eq!(life.then(Event::TimerFired(Timer::Rearm)), []);
    assert_eq!(answers(&life.call(Hook::PreStop)), [(2, Outcome::Succeeded)]);
}

#[test]
fn a_failed_stop_signal_does_not_hold_the_caller() {
    let mut life = sidecar(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    assert_eq!(answers(&life.end_run(&begun, SUCCEEDED)), []);
    assert_eq!(answers(&life.then(Event::SignalRefused(Signal::QUIT))), [(1, Outcome::Succeeded)]);
    // A process that has ended cannot be signalled either; nothing changes.
    life.then(gone());
    assert_eq!(life.then(Event::SignalRefused(Signal::QUIT)), []);
}

#[test]
fn after_the_last_post_stop_our_own_stop_exits_at_once() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let over = life.then(gone());
    life.end_run(&over, SUCCEEDED);
    assert_eq!(life.term().last(), Some(&Action::Exit(0)));
}

#[test]
fn a_repeated_signal_ends_the_wait_for_the_app() {
    let mut life = sidecar(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    assert_eq!(answers(&life.term()), []);
    let stepped = life.term();
    assert_eq!((answers(&stepped), hook_in(&stepped)), (vec![(1, Outcome::Succeeded)], Some(Hook::PostStop)));
}
