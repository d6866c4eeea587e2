//! The promises of a container's life, as examples: the start, hooks, and stops.

mod finishing;
mod histories;
mod queries;
mod refused;
mod second_signal;

use std::time::Duration;

use litemap::LiteMap;

use super::*;
use crate::life::Remaining;
use crate::plan::{HandlerPlan, On, SecondSignal};
use crate::testing::{
    ALONE, ExampleLife, SUCCEEDED, answers, app_ended, exit, handler, plan_with, secs, started, timer,
};

fn container(plan: Plan) -> ExampleLife<ContainerLifecycle> {
    ExampleLife::new(ContainerLifecycle::new(plan))
}

/// The app runs, and postStart is over.
fn running(plan: Plan) -> ExampleLife<ContainerLifecycle> {
    let mut life = container(plan);
    life.then(Event::Begin);
    let done = life.then(Event::AppStarted);
    if started(&done).is_some() {
        life.end_run(&done, SUCCEEDED);
    }
    life
}

fn graceful(grace: u64, hooks: &[(Hook, usize)]) -> Plan {
    Plan { grace: Some(secs(grace)), ..plan_with(hooks) }
}

fn exited(code: u8) -> Event {
    app_ended(AppStatus::Exited(code))
}

#[test]
fn without_configuration_it_starts_forwards_and_exits() {
    let mut life = container(plan_with(&[]));
    assert_eq!(life.then(Event::Begin), [Action::StartApp]);
    life.then(Event::AppStarted);
    assert_eq!(life.then(Event::Signal(Signal::HUP)), [Action::SignalApp(Signal::HUP)]);
    assert_eq!(exit(&life.then(exited(7))), Some(7));
    assert_eq!(life.term(), []);
}

#[test]
fn pre_stop_runs_before_the_stop_signal() {
    let mut life = running(plan_with(&[(Hook::PreStop, 2)]));
    let begun = life.term();
    assert!(!begun.contains(&Action::SignalApp(Signal::TERM)));
    let second = life.end_run(&begun, SUCCEEDED);
    assert!(!second.contains(&Action::SignalApp(Signal::TERM)));
    let over = life.end_run(&second, SUCCEEDED);
    assert!(over.contains(&Action::SignalApp(Signal::TERM)));
}

#[test]
fn after_a_hook_the_app_serves_until_the_stop_signal() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = life.call(Hook::PreStop);
    assert_eq!(answers(&begun), []);
    assert!(life.machine.is_serving() && !life.machine.is_ready());
    let over = life.end_run(&begun, SUCCEEDED);
    assert_eq!(answers(&over), [(1, Outcome::Succeeded)]);
    assert!(!over.iter().any(|action| matches!(action, Action::SignalApp(_))));
    assert!(life.machine.is_serving());
    let signalled = life.term();
    assert_eq!(signalled.first(), Some(&Action::SignalApp(Signal::TERM)));
    assert!(!life.machine.is_serving());
}

#[test]
fn a_request_for_a_stop_needs_no_signal_after_the_hook() {
    let signal = Action::SignalApp(Signal::TERM);
    // The handlers finish first.
    let mut life = running(graceful(30, &[(Hook::PreStop, 1)]));
    let begun = life.call(Hook::PreStop);
    let asked = life.then(Event::StopRequested);
    assert!(!asked.contains(&signal) && !asked.iter().any(|action| matches!(action, Action::AbortHandler(_))));
    assert!(life.end_run(&begun, SUCCEEDED).contains(&signal));
    // They have finished.
    let mut life = running(graceful(30, &[(Hook::PreStop, 1)]));
    let begun = life.call(Hook::PreStop);
    assert!(!life.end_run(&begun, SUCCEEDED).contains(&signal));
    assert!(life.then(Event::StopRequested).contains(&signal));
    assert!(!life.then(Event::StopRequested).contains(&signal), "the stop goes on already");
}

#[test]
fn later_hooks_join_the_run_or_get_its_outcome() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = life.term();
    assert_eq!(started(&life.call(Hook::PreStop)), None);
    assert_eq!(started(&life.call(Hook::PreStop)), None);
    let over = life.end_run(&begun, HandlerResult::Failed);
    assert_eq!(answers(&over), [(1, Outcome::Failed), (2, Outcome::Failed)]);
    assert_eq!(answers(&life.call(Hook::PreStop)), [(3, Outcome::Failed)]);
}

#[test]
fn a_failed_pre_stop_skips_the_rest_and_the_stop_goes_on() {
    let mut life = running(plan_with(&[(Hook::PreStop, 2)]));
    let begun = life.then(Event::Signal(Signal::INT));
    let over = life.end_run(&begun, HandlerResult::Failed);
    assert_eq!(started(&over), None);
    assert!(over.contains(&Action::SignalApp(Signal::INT)));
}

#[test]
fn a_stop_signal_aborts_the_handlers_of_a_hook() {
    let mut life = running(Plan { stop_signal: Some(Signal::QUIT), ..plan_with(&[(Hook::PreStop, 1)]) });
    let begun = life.call(Hook::PreStop);
    let run = started(&begun).unwrap();
    let cut = life.term();
    assert!(cut.contains(&Action::AbortHandler(run)));
    assert!(cut.contains(&Action::SignalApp(Signal::QUIT)));
    assert_eq!(answers(&cut), [(1, Outcome::Aborted)]);
    // The late report of the aborted handler changes nothing.
    assert_eq!(life.then(Event::HandlerEnded { run, result: SUCCEEDED }), []);
}

#[test]
fn a_repeated_signal_moves_the_stop_on_and_never_kills() {
    let mut life = running(graceful(30, &[(Hook::PreStop, 1)]));
    life.term();
    assert!(life.term().contains(&Action::SignalApp(Signal::TERM)));
    for _ in 0..5 {
        assert_eq!(life.term(), [Action::SignalApp(Signal::TERM)]);
    }
}

#[test]
fn without_a_grace_period_nothing_is_ever_killed() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = life.term();
    assert_eq!(timer(&begun, Timer::Kill), None);
    assert_eq!(timer(&life.term(), Timer::Kill), None);
}

#[test]
fn a_hook_without_a_stop_signal_is_rearmed() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = life.call(Hook::PreStop);
    let over = life.end_run_at(secs(10), &begun, SUCCEEDED);
    assert_eq!(timer(&over, Timer::Rearm), Some(secs(40)));
    assert_eq!(life.fire(secs(40), Timer::Rearm), [Action::Tell(Note::Rearmed)]);
    assert!(life.machine.is_ready());
    // The next stop runs the handlers again: at most once per stop.
    assert!(started(&life.term()).is_some());
}

#[test]
fn a_late_rearm_timer_changes_nothing() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let begun = life.call(Hook::PreStop);
    assert_eq!(life.then(Event::TimerFired(Timer::Rearm)), [], "the handlers still run");
    life.end_run(&begun, SUCCEEDED);
    life.term();
    assert_eq!(life.then(Event::TimerFired(Timer::Rearm)), [], "the stop signal has come");
}

#[test]
fn a_failed_post_start_stops_the_app_after_rearming() {
    let mut life = container(plan_with(&[(Hook::PostStart, 1)]));
    life.then(Event::Begin);
    let begun = life.then(Event::AppStarted);
    life.call(Hook::PreStop);
    life.end_run(&begun, HandlerResult::Failed);
    let rearmed = life.fire(secs(40), Timer::Rearm);
    assert!(rearmed.contains(&Action::SignalApp(Signal::TERM)), "{rearmed:?}");
}

#[test]
fn a_stop_before_the_app_has_one_budget() {
    let mut life = container(graceful(10, &[(Hook::PreStart, 1), (Hook::PostStop, 1)]));
    life.remaining = Remaining::Children;
    life.then(Event::Begin);
    let stopped = life.at(secs(100), Event::Signal(Signal::TERM));
    assert!(stopped.contains(&Action::TerminateLeftovers), "the process of the aborted handler may remain");
    assert_eq!(life.machine.stop_trigger(), Some((Trigger::Signal(Signal::TERM), secs(100))));
    assert_eq!(life.machine.deadline(), Some(secs(110)));
    assert!(started(&life.then(ALONE)).is_some());
}

#[test]
fn a_failed_post_start_runs_the_whole_stop_and_exits_125() {
    let mut life = container(plan_with(&[(Hook::PostStart, 1), (Hook::PreStop, 1)]));
    life.then(Event::Begin);
    let begun = life.then(Event::AppStarted);
    life.call(Hook::PostStart);
    let failed = life.end_run(&begun, HandlerResult::TimedOut);
    assert_eq!(answers(&failed), [(1, Outcome::Failed)]);
    let signalled = life.end_run(&failed, SUCCEEDED);
    assert!(signalled.contains(&Action::SignalApp(Signal::TERM)));
    life.then(exited(0));
    assert_eq!(exit(&life.caller_done(1)), Some(125));
}

#[test]
fn after_a_failed_pre_start_the_app_never_starts() {
    let mut life = container(plan_with(&[(Hook::PreStart, 2), (Hook::PostStop, 1)]));
    let begun = life.then(Event::Begin);
    let failed = life.end_run(&begun, HandlerResult::Failed);
    assert!(!failed.contains(&Action::StartApp));
    let over = life.end_run(&failed, SUCCEEDED);
    assert_eq!(exit(&over), Some(125));
}

#[test]
fn a_stop_signal_during_pre_start_ends_it() {
    let mut life = container(plan_with(&[(Hook::PreStart, 1)]));
    let begun = life.then(Event::Begin);
    let stopped = life.term();
    assert!(stopped.contains(&Action::AbortHandler(started(&begun).unwrap())));
    assert_eq!(exit(&stopped), Some(143));
}

#[test]
fn after_a_pending_stop_signal_the_app_never_starts() {
    let mut life = container(plan_with(&[]));
    let stopped = life.term();
    assert_eq!(exit(&stopped), Some(143));
}

#[test]
fn signals_before_the_app_reach_it_when_it_has_started() {
    let mut life = container(plan_with(&[(Hook::PreStart, 1)]));
    let begun = life.then(Event::Begin);
    assert_eq!(life.then(Event::Signal(Signal::HUP)), []);
    life.end_run(&begun, SUCCEEDED);
    assert_eq!(life.then(Event::AppStarted).first(), Some(&Action::SignalApp(Signal::HUP)));
}

#[test]
fn a_signal_held_for_the_app_is_delivered_once() {
    let mut life = container(plan_with(&[(Hook::PreStart, 1)]));
    let begun = life.then(Event::Begin);
    for _ in 0..3 {
        life.then(Event::Signal(Signal::HUP));
    }
    life.end_run(&begun, SUCCEEDED);
    let delivered = life.then(Event::AppStarted);
    assert_eq!(delivered.iter().filter(|action| **action == Action::SignalApp(Signal::HUP)).count(), 1);
}

#[test]
fn hooks_and_phases_have_kubernetes_names() {
    let hooks = [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop].map(Hook::name);
    assert_eq!(hooks, ["preStart", "postStart", "preStop", "postStop"]);
    let phases =
        [PhaseName::Starting, PhaseName::Running, PhaseName::Stopping, PhaseName::Finishing, PhaseName::Exited];
    assert_eq!(phases.map(PhaseName::name), ["Starting", "Running", "Stopping", "Finishing", "Exited"]);
}

#[test]
fn signals_are_rewritten_and_dropped_as_configured() {
    let usr1 = Signal::new(10).unwrap();
    let signals = LiteMap::from_iter([(Signal::HUP, Some(usr1)), (Signal::INT, None)]);
    let mut life = running(Plan { signals, ..plan_with(&[]) });
    assert_eq!(life.then(Event::Signal(Signal::HUP)), [Action::SignalApp(usr1)]);
    assert_eq!(life.then(Event::Signal(Signal::INT)), []);
    assert!(life.machine.is_ready());
}

#[test]
fn a_failed_liveness_probe_keeps_the_apps_exit_code() {
    let mut life = running(plan_with(&[(Hook::PreStop, 1)]));
    let began = life.then(Event::LivenessFailed);
    assert!(began.contains(&Action::Tell(Note::StopBegan(Trigger::LivenessFailed))));
    assert_eq!(life.then(Event::LivenessFailed), [], "a repeated failure changes nothing");
    let over = life.end_run(&began, SUCCEEDED);
    assert!(over.contains(&Action::SignalApp(Signal::TERM)));
    assert_eq!(exit(&life.then(exited(7))), Some(7));
}

#[test]
fn the_pause_doubles_with_each_retry() {
    let retried = HandlerPlan { retries: 2, ..handler(None, true, false) };
    let hooks = LiteMap::from_iter([(Hook::PreStop, vec![retried])]);
    let mut life = running(Plan { hooks, ..plan_with(&[]) });
    let first = life.at(secs(10), Event::Signal(Signal::TERM));
    let failed = life.end_run_at(secs(10), &first, HandlerResult::Failed);
    assert_eq!(timer(&failed, Timer::Retry(Hook::PreStop)), Some(secs(11)));
    let second = life.fire(secs(11), Timer::Retry(Hook::PreStop));
    let failed = life.end_run_at(secs(11), &second, HandlerResult::Failed);
    assert_eq!(timer(&failed, Timer::Retry(Hook::PreStop)), Some(secs(13)));
    let third = life.fire(secs(13), Timer::Retry(Hook::PreStop));
    let over = life.end_run(&third, HandlerResult::Failed);
    assert!(over.contains(&Action::SignalApp(Signal::TERM)));
}

#[test]
fn the_timer_of_an_aborted_retry_changes_nothing() {
    let hooks = LiteMap::from_iter([(Hook::PreStop, vec![HandlerPlan { retries: 1, ..handler(None, true, false) }])]);
    let mut life = running(Plan { hooks, ..plan_with(&[]) });
    let begun = life.call_at(secs(10), Hook::PreStop);
    life.end_run_at(secs(10), &begun, HandlerResult::Failed);
    let aborted = life.at(secs(10), Event::Signal(Signal::TERM));
    assert_eq!(answers(&aborted), [(1, Outcome::Aborted)]);
    assert_eq!(life.fire(secs(11), Timer::Retry(Hook::PreStop)), []);
    let late = life.call_at(secs(11), Hook::PreStop);
    assert_eq!(answers(&late), [(2, Outcome::Aborted)], "the outcome of the first caller");
}

#[test]
fn a_timeout_is_limited_by_the_rest_of_the_budget() {
    let hooks =
        LiteMap::from_iter([(Hook::PreStop, vec![handler(Some(60), true, false), handler(Some(1), true, false)])]);
    let mut life = running(Plan { hooks, ..graceful(30, &[]) });
    let begun = life.at(secs(100), Event::Signal(Signal::TERM));
    let timeout = |actions: &[Action]| {
        actions.iter().find_map(|a| if let Action::StartHandler { timeout, .. } = a { Some(*timeout) } else { None })
    };
    assert_eq!(timeout(&begun), Some(Some(Duration::from_millis(27_500))));
    let second = life.end_run_at(secs(101), &begun, SUCCEEDED);
    assert_eq!(timeout(&second), Some(Some(secs(1))));
}

#[test]
fn a_pre_stop_handlers_signal_goes_to_the_app_alone() {
    let mut life = running(Plan { stop_signal: Some(Signal::INT), ..graceful(30, &[(Hook::PreStop, 2)]) });
    let begun = life.call(Hook::PreStop);
    let passed = life.then(Event::SignalFromPreStop(Signal::QUIT));
    assert_eq!(passed, [Action::SignalApp(Signal::QUIT), Action::Tell(Note::PassedOn(Signal::QUIT))]);
    assert!(life.machine.is_serving());
    let second = life.end_run(&begun, SUCCEEDED);
    let over = life.end_run(&second, SUCCEEDED);
    assert_eq!(answers(&over), [(1, Outcome::Succeeded)]);
    // The signal comes after the handler's end, so it is a stop signal like any other.
    assert!(life.then(Event::SignalFromPreStop(Signal::QUIT)).contains(&Action::SignalApp(Signal::INT)));
}

#[test]
fn a_dropped_signal_of_a_pre_stop_handler_stays_dropped() {
    let signals = LiteMap::from_iter([(Signal::HUP, None), (Signal::QUIT, Some(Signal::TERM))]);
    let mut life = running(Plan { signals, stop_is_success: true, ..plan_with(&[(Hook::PreStop, 1)]) });
    life.term();
    assert_eq!(life.then(Event::SignalFromPreStop(Signal::HUP)), []);
    assert!(life.then(Event::SignalFromPreStop(Signal::QUIT)).contains(&Action::SignalApp(Signal::TERM)));
    let gone = life.then(app_ended(AppStatus::Signalled(Signal::TERM)));
    assert_eq!(exit(&life.fire(secs(10), Timer::Linger)).or(exit(&gone)), Some(0), "the stop asked for this death");
}
