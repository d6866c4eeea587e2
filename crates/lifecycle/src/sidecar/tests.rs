//! The promises of elsewhere.rs, told one by one as examples.

mod histories;
mod in_time;
mod next_life;

use std::time::Duration;

use super::*;
use crate::container::tests::{handler, secs, timer};
use crate::list::{HandlerResult, RunId};
use crate::small_map::SmallMap;

/// One handler in each list, and thirty seconds.
fn plan() -> Plan {
    let hooks = [Hook::PostStart, Hook::PreStop, Hook::PostStop];
    Plan {
        grace: Some(secs(30)),
        hooks: hooks.into_iter().map(|hook| (hook, vec![handler(None, true, false)])).collect(),
        stop_signals: vec![Signal::TERM],
        ..Plan::default()
    }
}

/// A plan that has nothing but postStop handlers.
fn post_stop_alone() -> Plan {
    Plan { hooks: SmallMap::from([(Hook::PostStop, vec![handler(None, true, false)])]), ..plan() }
}

struct Story {
    machine: SidecarLifecycle,
    now: Time,
    callers: u64,
}

impl Story {
    fn new(plan: Plan) -> Story {
        Story { machine: SidecarLifecycle::new(plan, 0), now: Duration::ZERO, callers: 0 }
    }

    /// postStart has been called and is over.
    fn started(plan: Plan) -> Story {
        let mut story = Story::new(plan);
        let begun = story.call(Hook::PostStart);
        story.end_run(&begun, HandlerResult::Succeeded);
        story
    }

    fn then(&mut self, event: Event) -> Vec<Action> {
        self.now += Duration::from_millis(1);
        self.machine.apply(self.now, event)
    }

    fn at(&mut self, now: Time, event: Event) -> Vec<Action> {
        self.now = now;
        self.machine.apply(now, event)
    }

    fn call(&mut self, hook: Hook) -> Vec<Action> {
        self.callers += 1;
        let caller = CallerId(self.callers);
        self.then(Event::HookCalled { hook, caller })
    }

    /// Ends the run that these actions started.
    fn end_run(&mut self, started: &[Action], result: HandlerResult) -> Vec<Action> {
        let (run, _) = start_in(started).expect("a handler was started");
        self.then(Event::HandlerEnded { run, result })
    }

    fn term(&mut self) -> Vec<Action> {
        self.then(Event::Signal(Signal::TERM))
    }
}

fn start_in(actions: &[Action]) -> Option<(RunId, Hook)> {
    actions.iter().find_map(|action| match action {
        Action::StartHandler { run, hook, .. } => Some((*run, *hook)),
        _ => None,
    })
}

fn hook_in(actions: &[Action]) -> Option<Hook> {
    start_in(actions).map(|(_, hook)| hook)
}

fn answers(actions: &[Action]) -> Vec<(u64, Outcome)> {
    let one = |action: &Action| match action {
        Action::Answer { caller, outcome, .. } => Some((caller.0, *outcome)),
        _ => None,
    };
    actions.iter().filter_map(one).collect()
}

fn gone() -> Event {
    Event::AppEnded { status: AppStatus::Unknown, others: false }
}

const DONE: HandlerResult = HandlerResult::Succeeded;

#[test]
fn a_hook_runs_its_handlers_once_and_later_callers_join() {
    for hook in [Hook::PostStart, Hook::PreStop] {
        let mut story = Story::new(plan());
        let begun = story.call(hook);
        assert_eq!((hook_in(&begun), answers(&begun)), (Some(hook), vec![]));
        assert_eq!(story.call(hook), []);
        let over = story.end_run(&begun, DONE);
        assert_eq!(answers(&over), [(1, Outcome::Succeeded), (2, Outcome::Succeeded)]);
    }
}

#[test]
fn a_failed_handler_fails_the_hook() {
    let mut story = Story::new(plan());
    let begun = story.call(Hook::PostStart);
    assert_eq!(answers(&story.end_run(&begun, HandlerResult::Failed)), [(1, Outcome::Failed)]);
    let begun = story.call(Hook::PreStop);
    assert_eq!(answers(&story.end_run(&begun, HandlerResult::TimedOut)), [(2, Outcome::Failed)]);
}

#[test]
fn pre_stop_handlers_run_at_most_once_a_stop() {
    let mut story = Story::started(plan());
    let begun = story.call(Hook::PreStop);
    let over = story.end_run(&begun, DONE);
    let again = story.call(Hook::PreStop);
    assert_eq!((hook_in(&again), answers(&again)), (None, vec![(3, Outcome::Succeeded)]));
    // A grace period later whoever was stopped is gone: a hook that comes then means another stop.
    let rearm = timer(&over, Timer::Rearm).unwrap();
    assert_eq!(rearm, story.now - Duration::from_millis(1) + secs(30));
    assert_eq!(story.at(rearm, Event::TimerFired(Timer::Rearm)), []);
    assert_eq!(hook_in(&story.call(Hook::PreStop)), Some(Hook::PreStop));
}

#[test]
fn a_repeated_post_start_of_a_process_that_is_there_is_the_same_life() {
    let mut story = Story::started(plan());
    story.then(Event::AppStarted);
    let again = story.call(Hook::PostStart);
    assert_eq!((hook_in(&again), answers(&again)), (None, vec![(2, Outcome::Succeeded)]));
}

#[test]
fn the_stop_signal_follows_the_handlers_and_the_hook_is_answered_when_the_process_is_gone() {
    let mut story = Story::started(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    let signalled = story.end_run(&begun, DONE);
    assert_eq!(signalled.iter().filter(|a| **a == Action::SignalApp(Signal::QUIT)).count(), 1);
    assert_eq!(answers(&signalled), []);
    // One more caller waits for the same.
    assert_eq!(story.call(Hook::PreStop), []);
    let over = story.then(gone());
    assert_eq!(answers(&over), [(2, Outcome::Succeeded), (3, Outcome::Succeeded)]);
    assert_eq!(hook_in(&over), Some(Hook::PostStop));
    assert_eq!(story.machine.reason(), Reason::Stopped);
}

#[test]
fn without_a_process_nobody_gets_a_signal() {
    let mut story = Story::started(Plan { stop_signal: Some(Signal::TERM), ..plan() });
    let begun = story.call(Hook::PreStop);
    let over = story.end_run(&begun, DONE);
    assert_eq!(answers(&over), [(2, Outcome::Succeeded)]);
    assert!(!over.iter().any(|action| matches!(action, Action::SignalApp(_))));
}

#[test]
fn a_process_that_ends_by_itself_gets_its_post_stop_and_the_next_one_another() {
    let mut story = Story::new(plan());
    for _ in 0..2 {
        story.then(Event::AppStarted);
        let over = story.then(gone());
        assert_eq!(hook_in(&over), Some(Hook::PostStop));
        assert_eq!(story.machine.reason(), Reason::Unknown);
        story.end_run(&over, DONE);
        // Nothing is to be prepared for the stop of what is gone.
        assert_eq!(answers(&story.call(Hook::PreStop)).len(), 1);
    }
}

#[test]
fn a_signal_after_a_stop_means_that_the_app_is_gone_post_stop_and_exit() {
    let mut story = Story::started(plan());
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, DONE);
    story.then(Event::CallerDone(CallerId(1)));
    story.then(Event::CallerDone(CallerId(2)));
    let post_stop = story.term();
    assert_eq!(hook_in(&post_stop), Some(Hook::PostStop));
    assert!(story.end_run(&post_stop, DONE).contains(&Action::Exit(0)));
}

#[test]
fn a_signal_that_is_no_stop_signal_is_for_nobody_here() {
    let mut story = Story::started(plan());
    assert_eq!(story.then(Event::Signal(Signal::HUP)), []);
    assert_eq!(story.machine.stop_trigger(), None);
}

#[test]
fn a_signal_that_comes_with_the_hook_lets_it_finish() {
    let mut story = Story::started(plan());
    story.then(Event::CallerDone(CallerId(1)));
    assert_eq!(hook_in(&story.term()), None, "a hook may be on its way");
    let begun = story.call(Hook::PreStop);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    let over = story.end_run(&begun, DONE);
    assert_eq!(answers(&over), [(2, Outcome::Succeeded)]);
    let exit = story.end_run(&over, DONE);
    assert!(!exit.contains(&Action::Exit(0)), "the answer is on its way");
    assert!(story.then(Event::CallerDone(CallerId(2))).contains(&Action::Exit(0)));
}

#[test]
fn a_hook_that_does_not_come_is_waited_for_a_second() {
    let mut story = Story::started(plan());
    let at = timer(&story.term(), Timer::LateHook).unwrap();
    assert!(at <= story.now + secs(1));
    assert_eq!(hook_in(&story.at(at, Event::TimerFired(Timer::LateHook))), Some(Hook::PostStop));
}

#[test]
fn without_pre_stop_handlers_there_is_no_hook_to_wait_for() {
    let mut story = Story::new(post_stop_alone());
    assert_eq!(hook_in(&story.term()), Some(Hook::PostStop));
}

#[test]
fn a_process_that_is_there_is_waited_for_within_the_budget() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let at = timer(&story.term(), Timer::Kill).unwrap();
    assert!(at < secs(30));
    let over = story.then(gone());
    assert_eq!(hook_in(&over), Some(Hook::PostStop));
    // And one that stays is left to the kubelet.
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    story.term();
    assert_eq!(hook_in(&story.at(at, Event::TimerFired(Timer::Kill))), Some(Hook::PostStop));
}

#[test]
fn where_no_hook_comes_the_signal_does_its_work_for_a_process_that_is_there() {
    let mut story = Story::new(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    story.then(Event::AppStarted);
    assert_eq!(hook_in(&story.term()), None, "a hook may be on its way");
    let begun = story.then(Event::TimerFired(Timer::LateHook));
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    assert!(begun.contains(&Action::Tell(Note::StopBegan(Trigger::Signal(Signal::TERM)))));
    // A hook that comes all the same joins.
    assert_eq!(story.call(Hook::PreStop), []);
    assert!(story.end_run(&begun, DONE).contains(&Action::SignalApp(Signal::QUIT)));
    let over = story.then(gone());
    assert_eq!((answers(&over), hook_in(&over)), (vec![(1, Outcome::Succeeded)], Some(Hook::PostStop)));
}

#[test]
fn a_second_signal_moves_the_stop_on_by_one_step() {
    let mut story = Story::started(plan());
    story.call(Hook::PreStop);
    story.term();
    let stepped = story.term();
    assert_eq!(answers(&stepped), [(2, Outcome::Aborted)]);
    assert_eq!(hook_in(&stepped), Some(Hook::PostStop));
    let stepped = story.term();
    assert!(stepped.iter().any(|action| matches!(action, Action::AbortHandler(_))));
    story.then(Event::CallerDone(CallerId(1)));
    assert!(story.then(Event::CallerDone(CallerId(2))).contains(&Action::Exit(0)));
}

#[test]
fn a_hook_that_comes_after_everything_is_answered() {
    let mut story = Story::new(Plan { hooks: SmallMap::new(), ..plan() });
    assert!(story.term().contains(&Action::Exit(0)));
    assert_eq!(answers(&story.call(Hook::PreStop)), [(1, Outcome::Succeeded)]);
    assert_eq!(answers(&story.call(Hook::PostStart)), [(2, Outcome::Aborted)]);
    assert_eq!(story.term(), []);
}

#[test]
fn who_calls_when_everything_is_over_is_told_how_it_went() {
    let mut story = Story::started(plan());
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, HandlerResult::Failed);
    let over = story.term();
    story.then(Event::CallerDone(CallerId(1)));
    story.then(Event::CallerDone(CallerId(2)));
    assert!(story.end_run(&over, DONE).contains(&Action::Exit(0)));
    assert_eq!(story.machine.late_outcome(Hook::PreStop), Outcome::Failed);
    assert_eq!(story.machine.late_outcome(Hook::PostStart), Outcome::Succeeded);
    assert_eq!(answers(&story.call(Hook::PreStop)), [(3, Outcome::Failed)]);
    assert_eq!(answers(&story.call(Hook::PostStart)), [(4, Outcome::Succeeded)]);
}

#[test]
fn a_process_that_cannot_be_told_any_more_is_not_known_to_be_gone() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let over = story.then(gone());
    story.end_run(&over, DONE);
    story.then(Event::AppUnseen);
    let begun = story.call(Hook::PreStop);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    // A stop is of a life, which has a postStop of its own.
    story.end_run(&begun, DONE);
    assert_eq!(hook_in(&story.term()), Some(Hook::PostStop));
}

#[test]
fn a_hook_that_no_stop_follows_is_told_of_where_the_process_is_seen_to_live_on() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    let over = story.end_run(&begun, DONE);
    let at = timer(&over, Timer::Rearm).unwrap();
    assert_eq!(story.at(at, Event::TimerFired(Timer::Rearm)), [Action::Tell(Note::Rearmed)]);
    assert_eq!(story.machine.phase(), PhaseName::Running);
}

#[test]
fn a_handler_that_outlives_the_app_finishes_and_none_follows_it() {
    let hooks = SmallMap::from([
        (Hook::PreStop, vec![handler(None, true, false); 2]),
        (Hook::PostStop, vec![handler(None, true, false)]),
    ]);
    let mut story = Story::new(Plan { hooks, ..plan() });
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    let over = story.then(gone());
    assert!(!over.iter().any(|action| matches!(action, Action::AbortHandler(_))));
    assert!(timer(&over, Timer::Linger).is_some());
    let post_stop = story.end_run(&begun, DONE);
    assert_eq!((hook_in(&post_stop), answers(&post_stop)), (Some(Hook::PostStop), vec![(1, Outcome::Succeeded)]));
}

#[test]
fn a_handler_that_outlives_the_app_too_long_is_cut() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    story.call(Hook::PreStop);
    let at = timer(&story.then(gone()), Timer::Linger).unwrap();
    let cut = story.at(at, Event::TimerFired(Timer::Linger));
    assert_eq!((answers(&cut), hook_in(&cut)), (vec![(1, Outcome::Aborted)], Some(Hook::PostStop)));
}

#[test]
fn a_pause_before_an_end_that_has_happened_is_not_waited_out() {
    let hooks = SmallMap::from([(Hook::PreStop, vec![handler(None, true, true)])]);
    let mut story = Story::new(Plan { hooks, ..plan() });
    story.then(Event::AppStarted);
    story.call(Hook::PreStop);
    assert_eq!(answers(&story.then(gone())), [(1, Outcome::Succeeded)]);
}

#[test]
fn a_process_that_is_held_is_seen_whatever_a_look_says() {
    let mut story = Story::new(plan());
    // The end of one that nobody had found.
    assert_eq!(story.then(gone()), []);
    story.then(Event::AppStarted);
    story.then(Event::AppUnseen);
    assert_eq!(hook_in(&story.then(gone())), Some(Hook::PostStop));
}

#[test]
fn post_start_in_a_stop_of_the_same_process_begins_nothing() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    story.call(Hook::PreStop);
    assert_eq!(answers(&story.call(Hook::PostStart)), [(2, Outcome::Aborted)]);
}

#[test]
fn post_start_joins_the_one_that_is_in_flight_in_our_own_stop_too() {
    let mut story = Story::new(plan());
    let begun = story.call(Hook::PostStart);
    story.term();
    assert_eq!(story.call(Hook::PostStart), []);
    assert_eq!(answers(&story.end_run(&begun, DONE)), [(1, Outcome::Succeeded), (2, Outcome::Succeeded)]);
}

#[test]
fn post_start_after_our_own_signal_is_told_what_was() {
    let mut story = Story::started(plan());
    story.term();
    assert_eq!(answers(&story.call(Hook::PostStart)), [(2, Outcome::Succeeded)]);
    let mut story = Story::new(plan());
    story.term();
    assert_eq!(answers(&story.call(Hook::PostStart)), [(1, Outcome::Aborted)]);
}

#[test]
fn our_own_stop_is_no_time_to_arm_the_latch_again() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, DONE);
    story.term();
    assert_eq!(story.then(Event::TimerFired(Timer::Rearm)), []);
    assert_eq!(answers(&story.call(Hook::PreStop)), [(2, Outcome::Succeeded)]);
}

#[test]
fn a_stop_signal_that_cannot_be_sent_holds_nobody() {
    let mut story = Story::new(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    assert_eq!(answers(&story.end_run(&begun, DONE)), []);
    assert_eq!(answers(&story.then(Event::NotSignalled)), [(1, Outcome::Succeeded)]);
    // Who is gone cannot be signalled either, and that is nothing new.
    story.then(gone());
    assert_eq!(story.then(Event::NotSignalled), []);
}

#[test]
fn post_stop_runs_once_a_life_and_with_nothing_left_the_exit_is_at_once() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let over = story.then(gone());
    story.end_run(&over, DONE);
    assert_eq!(story.term().last(), Some(&Action::Exit(0)));
}

#[test]
fn a_second_signal_does_not_wait_for_a_process_that_has_its_stop_signal() {
    let mut story = Story::new(Plan { stop_signal: Some(Signal::QUIT), ..plan() });
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, DONE);
    assert_eq!(answers(&story.term()), []);
    let stepped = story.term();
    assert_eq!((answers(&stepped), hook_in(&stepped)), (vec![(1, Outcome::Succeeded)], Some(Hook::PostStop)));
}
