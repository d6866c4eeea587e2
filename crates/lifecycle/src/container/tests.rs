//! The promises of lifecycle.rs, told one by one as examples.

mod histories;

use std::time::Duration;

use super::*;
use crate::list::On;
use crate::small_map::SmallMap;
use crate::vocabulary::SecondSignal;

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn handler(timeout: Option<u64>, required: bool, waits_only: bool) -> HandlerPlan {
    HandlerPlan { timeout: timeout.map(secs), required, retries: 0, backoff: secs(1), waits_only, on: On::EVERY }
}

fn plan(hooks: &[(Hook, usize)]) -> Plan {
    Plan {
        hooks: hooks.iter().map(|(hook, n)| (*hook, vec![handler(None, true, false); *n])).collect(),
        stop_signals: vec![Signal::TERM, Signal::INT, Signal::QUIT],
        ..Plan::default()
    }
}

fn graceful(grace: u64, hooks: &[(Hook, usize)]) -> Plan {
    Plan { grace: Some(secs(grace)), ..plan(hooks) }
}

/// A machine at a time, for stories.
struct Story {
    machine: ContainerLifecycle,
    now: Time,
}

impl Story {
    fn new(plan: Plan) -> Story {
        Story { machine: ContainerLifecycle::new(plan), now: Duration::ZERO }
    }

    /// A story in which the app already runs, and postStart is over.
    fn running(plan: Plan) -> Story {
        let mut story = Story::new(plan);
        story.then(Event::Begin);
        let done = story.then(Event::AppStarted);
        if let Some(run) = started(&done) {
            story.then(ended(run, HandlerResult::Succeeded));
        }
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
}

fn started(actions: &[Action]) -> Option<RunId> {
    actions.iter().find_map(|action| match action {
        Action::StartHandler { run, .. } => Some(*run),
        _ => None,
    })
}

fn ended(run: RunId, result: HandlerResult) -> Event {
    Event::HandlerEnded { run, result }
}

fn app_ended(code: u8) -> Event {
    Event::AppEnded { status: AppStatus::Exited(code), others: false }
}

fn call(hook: Hook, caller: u64) -> Event {
    Event::HookCalled { hook, caller: CallerId(caller) }
}

fn answer(actions: &[Action], caller: u64) -> Option<Outcome> {
    actions.iter().find_map(|action| match action {
        Action::Answer { caller: who, outcome, .. } if *who == CallerId(caller) => Some(*outcome),
        _ => None,
    })
}

pub(crate) fn timer(actions: &[Action], wanted: Timer) -> Option<Time> {
    actions.iter().find_map(|action| match action {
        Action::SetTimer { timer, at } if *timer == wanted => Some(*at),
        _ => None,
    })
}

fn exit(actions: &[Action]) -> Option<u8> {
    actions.iter().find_map(|action| match action {
        Action::Exit(code) => Some(*code),
        _ => None,
    })
}

#[test]
fn zero_config_is_an_init_start_forward_exit() {
    let mut story = Story::new(plan(&[]));
    assert_eq!(story.then(Event::Begin), [Action::StartApp]);
    story.then(Event::AppStarted);
    assert_eq!(story.then(Event::Signal(Signal::HUP)), [Action::SignalApp(Signal::HUP)]);
    assert_eq!(exit(&story.then(app_ended(7))), Some(7));
    assert_eq!(story.then(Event::Signal(Signal::TERM)), []);
}

#[test]
fn pre_stop_runs_before_the_stop_signal() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 2)]));
    let begun = story.then(Event::Signal(Signal::TERM));
    assert!(!begun.contains(&Action::SignalApp(Signal::TERM)));
    let second = story.then(ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    assert!(!second.contains(&Action::SignalApp(Signal::TERM)));
    let over = story.then(ended(started(&second).unwrap(), HandlerResult::Succeeded));
    assert!(over.contains(&Action::SignalApp(Signal::TERM)));
}

#[test]
fn a_hook_is_answered_and_leaves_the_app_serving_until_the_signal() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 1)]));
    let begun = story.then(call(Hook::PreStop, 1));
    assert_eq!(answer(&begun, 1), None);
    assert!(story.machine.is_serving() && !story.machine.is_ready());
    let over = story.then(ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    assert_eq!(answer(&over, 1), Some(Outcome::Succeeded));
    assert!(!over.iter().any(|action| matches!(action, Action::SignalApp(_))));
    assert!(story.machine.is_serving());
    let signalled = story.then(Event::Signal(Signal::TERM));
    assert_eq!(signalled.first(), Some(&Action::SignalApp(Signal::TERM)));
    assert!(!story.machine.is_serving());
}

#[test]
fn a_later_hook_joins_the_run_in_flight_and_one_after_it_gets_its_result() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 1)]));
    let begun = story.then(Event::Signal(Signal::TERM));
    assert_eq!(started(&story.then(call(Hook::PreStop, 1))), None);
    assert_eq!(started(&story.then(call(Hook::PreStop, 2))), None);
    let over = story.then(ended(started(&begun).unwrap(), HandlerResult::Failed));
    assert_eq!((answer(&over, 1), answer(&over, 2)), (Some(Outcome::Failed), Some(Outcome::Failed)));
    assert_eq!(answer(&story.then(call(Hook::PreStop, 3)), 3), Some(Outcome::Failed));
}

#[test]
fn a_failed_pre_stop_skips_the_rest_and_the_stop_goes_on() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 2)]));
    let begun = story.then(Event::Signal(Signal::INT));
    let over = story.then(ended(started(&begun).unwrap(), HandlerResult::Failed));
    assert_eq!(started(&over), None);
    assert!(over.contains(&Action::SignalApp(Signal::INT)));
}

#[test]
fn a_signal_while_a_hook_runs_aborts_the_handlers_and_reaches_the_app() {
    let mut story = Story::running(Plan { stop_signal: Some(Signal::QUIT), ..plan(&[(Hook::PreStop, 1)]) });
    let begun = story.then(call(Hook::PreStop, 1));
    let run = started(&begun).unwrap();
    let cut = story.then(Event::Signal(Signal::TERM));
    assert!(cut.contains(&Action::AbortHandler(run)));
    assert!(cut.contains(&Action::SignalApp(Signal::QUIT)));
    assert_eq!(answer(&cut, 1), Some(Outcome::Aborted));
    // Its late report changes nothing.
    assert_eq!(story.then(ended(run, HandlerResult::Succeeded)), []);
}

#[test]
fn a_repeated_signal_moves_the_stop_on_and_never_kills() {
    let mut story = Story::running(graceful(30, &[(Hook::PreStop, 1)]));
    story.then(Event::Signal(Signal::TERM));
    assert!(story.then(Event::Signal(Signal::TERM)).contains(&Action::SignalApp(Signal::TERM)));
    for _ in 0..5 {
        assert_eq!(story.then(Event::Signal(Signal::TERM)), [Action::SignalApp(Signal::TERM)]);
    }
}

#[test]
fn an_app_that_ignores_the_signal_is_killed_at_the_deadline_and_post_stop_still_runs() {
    let mut story = Story::running(graceful(10, &[(Hook::PostStop, 1)]));
    let begun = story.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&begun, Timer::Kill).unwrap();
    assert_eq!(at, secs(100) + Duration::from_millis(8500));
    assert!(story.at(at, Event::TimerFired(Timer::Kill)).contains(&Action::KillApp));
    let status = AppStatus::Signalled(Signal::KILL);
    let after = story.then(Event::AppEnded { status, others: false });
    let over = story.then(ended(started(&after).unwrap(), HandlerResult::Succeeded));
    assert_eq!(exit(&over), Some(137));
}

#[test]
fn without_a_grace_period_nothing_is_ever_killed() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 1)]));
    let begun = story.then(Event::Signal(Signal::TERM));
    assert_eq!(timer(&begun, Timer::Kill), None);
    assert_eq!(timer(&story.then(Event::Signal(Signal::TERM)), Timer::Kill), None);
}

#[test]
fn a_hook_that_no_signal_follows_arms_the_latch_again() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 1)]));
    let begun = story.then(call(Hook::PreStop, 1));
    let over = story.at(secs(10), ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    assert_eq!(timer(&over, Timer::Rearm), Some(secs(40)));
    assert_eq!(story.at(secs(40), Event::TimerFired(Timer::Rearm)), [Action::Tell(Note::Rearmed)]);
    assert!(story.machine.is_ready());
    // The next stop runs the handlers again: at most once means per stop.
    assert!(started(&story.then(Event::Signal(Signal::TERM))).is_some());
}

#[test]
fn the_alarm_of_a_rearmed_latch_does_not_touch_the_next_hook() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 1)]));
    let begun = story.then(call(Hook::PreStop, 1));
    assert_eq!(story.then(Event::TimerFired(Timer::Rearm)), [], "the handlers still run");
    story.then(ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    story.then(Event::Signal(Signal::TERM));
    assert_eq!(story.then(Event::TimerFired(Timer::Rearm)), [], "the signal came");
}

#[test]
fn a_post_start_that_failed_during_a_hooks_stop_is_remembered_when_that_was_a_mistake() {
    let mut story = Story::new(plan(&[(Hook::PostStart, 1)]));
    story.then(Event::Begin);
    let begun = story.then(Event::AppStarted);
    story.then(call(Hook::PreStop, 1));
    story.then(ended(started(&begun).unwrap(), HandlerResult::Failed));
    let rearmed = story.at(secs(40), Event::TimerFired(Timer::Rearm));
    assert!(rearmed.contains(&Action::SignalApp(Signal::TERM)), "{rearmed:?}");
}

#[test]
fn a_stop_before_the_app_is_a_stop_with_one_budget() {
    let mut story = Story::new(graceful(10, &[(Hook::PreStart, 1), (Hook::PostStop, 1)]));
    story.then(Event::Begin);
    let stopped = story.at(secs(100), Event::Signal(Signal::TERM));
    assert!(stopped.contains(&Action::TerminateLeftovers), "the aborted handler's process is waited for");
    assert_eq!(story.machine.stop_trigger(), Some((Trigger::Signal(Signal::TERM), secs(100))));
    assert_eq!(story.machine.deadline(), Some(secs(110)));
    assert!(started(&story.then(Event::NoOthers)).is_some());
}

#[test]
fn a_failed_post_start_stops_the_app_through_the_whole_sequence_and_exits_125() {
    let mut story = Story::new(plan(&[(Hook::PostStart, 1), (Hook::PreStop, 1)]));
    story.then(Event::Begin);
    let begun = story.then(Event::AppStarted);
    story.then(call(Hook::PostStart, 1));
    let failed = story.then(ended(started(&begun).unwrap(), HandlerResult::TimedOut));
    assert_eq!(answer(&failed, 1), Some(Outcome::Failed));
    let signalled = story.then(ended(started(&failed).unwrap(), HandlerResult::Succeeded));
    assert!(signalled.contains(&Action::SignalApp(Signal::TERM)));
    story.then(app_ended(0));
    assert_eq!(exit(&story.then(Event::CallerDone(CallerId(1)))), Some(125));
}

#[test]
fn a_failed_pre_start_means_the_app_never_starts() {
    let mut story = Story::new(plan(&[(Hook::PreStart, 2), (Hook::PostStop, 1)]));
    let begun = story.then(Event::Begin);
    story.then(Event::NoOthers);
    let failed = story.then(ended(started(&begun).unwrap(), HandlerResult::Failed));
    assert!(!failed.contains(&Action::StartApp));
    let over = story.then(ended(started(&failed).unwrap(), HandlerResult::Succeeded));
    assert_eq!(exit(&over), Some(125));
}

#[test]
fn a_stop_signal_during_pre_start_is_honoured() {
    let mut story = Story::new(plan(&[(Hook::PreStart, 1)]));
    let begun = story.then(Event::Begin);
    let stopped = story.then(Event::Signal(Signal::TERM));
    assert!(stopped.contains(&Action::AbortHandler(started(&begun).unwrap())));
    assert_eq!(exit(&story.then(Event::NoOthers)), Some(143));
}

#[test]
fn a_stop_signal_before_the_beginning_means_no_app() {
    let mut story = Story::new(plan(&[]));
    let stopped = story.then(Event::Signal(Signal::TERM));
    assert_eq!(exit(&stopped), Some(143));
}

#[test]
fn other_signals_before_there_is_an_app_reach_it_once_it_is_there() {
    let mut story = Story::new(plan(&[(Hook::PreStart, 1)]));
    let begun = story.then(Event::Begin);
    assert_eq!(story.then(Event::Signal(Signal::HUP)), []);
    story.then(ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    assert_eq!(story.then(Event::AppStarted).first(), Some(&Action::SignalApp(Signal::HUP)));
}

#[test]
fn the_documentations_own_handler_may_finish_after_the_app_it_waits_for() {
    // preStop: nginx -s quit; while killall -0 nginx; do sleep 1; done
    let mut story = Story::running(plan(&[(Hook::PreStop, 2)]));
    let begun = story.then(call(Hook::PreStop, 1));
    let gone = story.then(Event::AppEnded { status: AppStatus::Exited(0), others: true });
    assert_eq!((answer(&gone, 1), exit(&gone)), (None, None));
    story.then(Event::NoOthers);
    let over = story.then(ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    assert_eq!(answer(&over, 1), Some(Outcome::Succeeded));
    assert_eq!((started(&over), exit(&over)), (None, None), "the answer is still on its way");
    assert_eq!(exit(&story.then(Event::CallerDone(CallerId(1)))), Some(0));
}

#[test]
fn a_pause_before_a_stop_that_has_happened_is_not_waited_out() {
    let hooks = SmallMap::from([(Hook::PreStop, vec![handler(None, true, true)])]);
    let mut story = Story::running(Plan { hooks, ..plan(&[]) });
    story.then(call(Hook::PreStop, 1));
    let gone = story.then(app_ended(0));
    assert_eq!(answer(&gone, 1), Some(Outcome::Succeeded));
}

#[test]
fn leftovers_get_term_then_time_then_kill() {
    let mut story = Story::running(plan(&[]));
    let gone = story.at(secs(5), Event::AppEnded { status: AppStatus::Exited(0), others: true });
    assert!(gone.contains(&Action::TerminateLeftovers));
    let at = timer(&gone, Timer::Leftovers).unwrap();
    assert_eq!(at, secs(7));
    let late = story.at(at, Event::TimerFired(Timer::Leftovers));
    assert!(late.contains(&Action::KillLeftovers));
    assert_eq!(exit(&story.then(Event::NoOthers)), Some(0));
}

#[test]
fn post_stop_runs_on_completion_and_each_handler_gets_its_chance() {
    let mut story = Story::running(plan(&[(Hook::PostStop, 2)]));
    let first = story.then(app_ended(0));
    let second = story.then(ended(started(&first).unwrap(), HandlerResult::Failed));
    let over = story.then(ended(started(&second).unwrap(), HandlerResult::Failed));
    assert_eq!(exit(&over), Some(0));
}

#[test]
fn a_first_stop_signal_during_post_stop_leaves_it_running_a_second_cuts_it() {
    let mut story = Story::running(plan(&[(Hook::PostStop, 1)]));
    let first = story.then(app_ended(3));
    assert_eq!(exit(&story.then(Event::Signal(Signal::TERM))), None);
    let cut = story.then(Event::Signal(Signal::TERM));
    assert!(cut.contains(&Action::AbortHandler(started(&first).unwrap())));
    assert_eq!(exit(&cut), Some(3));
}

#[test]
fn the_signal_that_follows_a_hook_does_not_cut_the_post_stop_of_an_app_that_has_ended() {
    let mut story = Story::running(plan(&[(Hook::PostStop, 1)]));
    story.then(call(Hook::PreStop, 1));
    let first = story.then(app_ended(0));
    let run = started(&first).unwrap();
    assert_eq!(story.then(Event::Signal(Signal::TERM)), []);
    story.then(Event::CallerDone(CallerId(1)));
    assert_eq!(exit(&story.then(ended(run, HandlerResult::Succeeded))), Some(0));
}

#[test]
fn an_answer_that_nobody_takes_is_not_waited_for_beyond_the_grace_period() {
    let mut story = Story::running(graceful(10, &[(Hook::PreStop, 1), (Hook::PostStop, 1)]));
    let begun = story.at(secs(100), call(Hook::PreStop, 1));
    story.at(secs(101), ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    let gone = story.at(secs(101), app_ended(0));
    // postStop has had all of its time: a tenth of a second is left.
    let late = Duration::from_millis(109_900);
    let over = story.at(late, ended(started(&gone).unwrap(), HandlerResult::TimedOut));
    assert_eq!(timer(&over, Timer::Answers), Some(secs(110)));
}

#[test]
fn a_stop_that_comes_during_post_stop_brings_its_budget() {
    let mut story = Story::running(graceful(10, &[(Hook::PostStop, 1)]));
    let first = story.at(secs(100), app_ended(3));
    let stopped = story.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&stopped, Timer::PostStop).unwrap();
    assert_eq!(at, Duration::from_millis(109_900));
    let cut = story.at(at, Event::TimerFired(Timer::PostStop));
    assert!(cut.contains(&Action::AbortHandler(started(&first).unwrap())), "{cut:?}");
    assert_eq!(exit(&cut), Some(3));
}

#[test]
fn a_signal_held_for_the_app_is_held_once() {
    let mut story = Story::new(plan(&[(Hook::PreStart, 1)]));
    let begun = story.then(Event::Begin);
    for _ in 0..3 {
        story.then(Event::Signal(Signal::HUP));
    }
    story.then(ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    let delivered = story.then(Event::AppStarted);
    assert_eq!(delivered.iter().filter(|action| **action == Action::SignalApp(Signal::HUP)).count(), 1);
}

#[test]
fn who_calls_when_everything_is_over_is_told_how_it_went() {
    let late = |result: Option<HandlerResult>| {
        let mut story = Story::new(plan(&[(Hook::PostStart, 1)]));
        story.then(Event::Begin);
        let begun = story.then(Event::AppStarted);
        if let Some(result) = result {
            story.then(ended(started(&begun).unwrap(), result));
        }
        story.then(app_ended(0));
        assert_eq!(story.machine.phase(), PhaseName::Exited);
        assert_eq!(story.machine.late_outcome(Hook::PreStop), Outcome::Succeeded, "nothing is left to be prepared");
        story.machine.late_outcome(Hook::PostStart)
    };
    assert_eq!(late(Some(HandlerResult::Succeeded)), Outcome::Succeeded);
    assert_eq!(late(Some(HandlerResult::Failed)), Outcome::Failed);
    assert_eq!(late(None), Outcome::Aborted);
    let mut story = Story::new(plan(&[]));
    story.then(Event::Signal(Signal::TERM));
    assert_eq!(story.machine.late_outcome(Hook::PostStart), Outcome::Aborted, "it never came to it");
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
fn leftovers_that_survive_sigkill_are_not_waited_for_beyond_the_grace_period() {
    let mut story = Story::running(graceful(10, &[]));
    story.at(secs(100), Event::Signal(Signal::TERM));
    // The app took all of its time; 0.4 s are left for the rest.
    let late = Duration::from_millis(109_600);
    story.at(late, Event::AppEnded { status: AppStatus::Exited(0), others: true });
    let killed = story.at(late + Duration::from_millis(100), Event::TimerFired(Timer::Leftovers));
    assert!(timer(&killed, Timer::Leftovers).unwrap() < secs(110), "{killed:?}");
}

#[test]
fn signals_are_rewritten_and_dropped_as_told() {
    let usr1 = Signal::new(10).unwrap();
    let signals = SmallMap::from([(Signal::HUP, Some(usr1)), (Signal::INT, None)]);
    let mut story = Story::running(Plan { signals, ..plan(&[]) });
    assert_eq!(story.then(Event::Signal(Signal::HUP)), [Action::SignalApp(usr1)]);
    assert_eq!(story.then(Event::Signal(Signal::INT)), []);
    assert!(story.machine.is_ready());
}

#[test]
fn exit_codes_are_remapped_and_a_stop_can_be_a_success() {
    let mut story = Story::running(Plan { exit_codes: SmallMap::from([(143, 0)]), ..plan(&[]) });
    let status = AppStatus::Signalled(Signal::TERM);
    assert_eq!(exit(&story.then(Event::AppEnded { status, others: false })), Some(0));

    let success = Plan { stop_is_success: true, ..plan(&[]) };
    let mut story = Story::running(success.clone());
    story.then(Event::Signal(Signal::TERM));
    assert_eq!(exit(&story.then(Event::AppEnded { status, others: false })), Some(0));

    let mut story = Story::running(success);
    assert_eq!(exit(&story.then(Event::AppEnded { status, others: false })), Some(143), "nobody stopped it");
}

fn second_signal_sent(after: u64) -> Plan {
    Plan { second_signal: Some(SecondSignal { after: secs(after), signal: Signal::INT }), ..graceful(30, &[]) }
}

#[test]
fn an_app_that_only_idle_connections_hold_gets_its_second_signal() {
    let mut story = Story::running(second_signal_sent(1));
    let begun = story.at(secs(10), Event::Signal(Signal::QUIT));
    let order = [Action::WatchConnections, Action::SignalApp(Signal::QUIT)];
    assert!(begun.windows(2).any(|pair| pair == order), "looked at before the listeners close: {begun:?}");
    let idle = story.at(secs(12), Event::ConnectionsIdle);
    assert_eq!(idle, [Action::SetTimer { timer: Timer::SecondSignal, at: secs(13) }]);
    let sent = story.at(secs(13), Event::TimerFired(Timer::SecondSignal));
    assert_eq!(sent, [Action::SendSecondSignal(Signal::INT), Action::Tell(Note::SecondSignalSent(Signal::INT))]);
    assert_eq!(story.then(Event::ConnectionsIdle), [], "there is no third");
    // SIGKILL still comes at the deadline.
    assert!(story.at(secs(40), Event::TimerFired(Timer::Kill)).contains(&Action::KillApp));
}

#[test]
fn connections_are_watched_where_something_may_cut_them() {
    let watched =
        |plan: Plan| Story::running(plan).then(Event::Signal(Signal::TERM)).contains(&Action::WatchConnections);
    assert!(!watched(plan(&[])), "nothing of ours ever cuts one");
    assert!(watched(graceful(30, &[])), "SIGKILL does");
    assert!(watched(Plan { grace: None, ..second_signal_sent(1) }), "the second signal does");
}

#[test]
fn sigkill_leaves_the_post_stop_handlers_the_time_they_may_take() {
    let mut plan = graceful(30, &[(Hook::PostStop, 1)]);
    plan.hooks.get_mut(&Hook::PostStop).unwrap()[0] = HandlerPlan { retries: 1, ..handler(Some(5), true, false) };
    let begun = Story::running(plan).at(secs(10), Event::Signal(Signal::TERM));
    // Two tries, the pause between them, and half a second for the rest.
    let kill = Action::SetTimer { timer: Timer::Kill, at: secs(40) - Duration::from_millis(11_500) };
    assert!(begun.contains(&kill), "{begun:?}");
}

#[test]
fn a_request_in_between_begins_the_wait_anew() {
    let mut story = Story::running(second_signal_sent(2));
    story.at(secs(10), Event::Signal(Signal::QUIT));
    story.at(secs(11), Event::ConnectionsIdle);
    story.at(secs(12), Event::ConnectionsBusyOrGone);
    assert_eq!(story.at(secs(13), Event::TimerFired(Timer::SecondSignal)), []);
    let idle = story.at(secs(14), Event::ConnectionsIdle);
    assert_eq!(timer(&idle, Timer::SecondSignal), Some(secs(16)));
    assert_eq!(story.at(secs(15), Event::TimerFired(Timer::SecondSignal)), [], "an alarm of the first wait");
}

#[test]
fn a_death_by_the_second_signal_was_asked_for() {
    let mut story = Story::running(Plan { stop_is_success: true, ..second_signal_sent(1) });
    story.at(secs(10), Event::Signal(Signal::QUIT));
    story.at(secs(11), Event::ConnectionsIdle);
    story.at(secs(12), Event::TimerFired(Timer::SecondSignal));
    let status = AppStatus::Signalled(Signal::INT);
    assert_eq!(exit(&story.then(Event::AppEnded { status, others: false })), Some(0));
}

#[test]
fn post_stop_handlers_choose_the_ends_they_are_for() {
    let only = |completed, failed, stopped| HandlerPlan {
        on: On { completed, failed, stopped },
        ..handler(None, true, false)
    };
    let hooks = SmallMap::from([(
        Hook::PostStop,
        vec![only(true, false, false), only(false, true, false), only(false, false, true), only(false, false, false)],
    )]);
    let plan = Plan { hooks, exit_codes: SmallMap::from([(3, 0)]), ..plan(&[]) };
    let ran = |story: &mut Story, event| {
        let actions = story.then(event);
        let index = |a: &Action| if let Action::StartHandler { index, .. } = a { Some(*index) } else { None };
        let first = actions.iter().find_map(index);
        let over = started(&actions).map(|run| story.then(ended(run, HandlerResult::Succeeded)));
        assert!(over.is_none_or(|over| exit(&over).is_some()), "and no other one");
        first
    };
    for (code, reason, index) in [(0, Reason::Completed, 0), (3, Reason::Completed, 0), (7, Reason::Failed, 1)] {
        let mut story = Story::running(plan.clone());
        assert_eq!(ran(&mut story, app_ended(code)), Some(index), "exit code {code}");
        assert_eq!(story.machine.reason(), Some(reason));
    }
    let mut story = Story::running(plan.clone());
    story.then(Event::Signal(Signal::TERM));
    assert_eq!(ran(&mut story, app_ended(0)), Some(2));
    assert_eq!(story.machine.reason(), Some(Reason::Stopped));

    let mut story = Story::new(plan);
    story.then(Event::Begin);
    assert_eq!(ran(&mut story, Event::AppNotStarted { code: 127 }), Some(1));
}

#[test]
fn a_failed_liveness_probe_is_a_whole_stop_and_the_exit_code_stays_the_apps() {
    let mut story = Story::running(plan(&[(Hook::PreStop, 1)]));
    let began = story.then(Event::LivenessFailed);
    assert!(began.contains(&Action::Tell(Note::StopBegan(Trigger::LivenessFailed))));
    assert_eq!(story.then(Event::LivenessFailed), [], "told again, it changes nothing");
    let over = story.then(ended(started(&began).unwrap(), HandlerResult::Succeeded));
    assert!(over.contains(&Action::SignalApp(Signal::TERM)));
    assert_eq!(exit(&story.then(app_ended(7))), Some(7));
}

#[test]
fn retries_wait_longer_each_time_and_end_with_the_policy() {
    let retried = HandlerPlan { retries: 2, ..handler(None, true, false) };
    let hooks = SmallMap::from([(Hook::PreStop, vec![retried])]);
    let mut story = Story::running(Plan { hooks, ..plan(&[]) });
    let first = story.at(secs(10), Event::Signal(Signal::TERM));
    let failed = story.at(secs(10), ended(started(&first).unwrap(), HandlerResult::Failed));
    assert_eq!(timer(&failed, Timer::Retry(Hook::PreStop)), Some(secs(11)));
    let second = story.at(secs(11), Event::TimerFired(Timer::Retry(Hook::PreStop)));
    let failed = story.at(secs(11), ended(started(&second).unwrap(), HandlerResult::Failed));
    assert_eq!(timer(&failed, Timer::Retry(Hook::PreStop)), Some(secs(13)));
    let third = story.at(secs(13), Event::TimerFired(Timer::Retry(Hook::PreStop)));
    let over = story.then(ended(started(&third).unwrap(), HandlerResult::Failed));
    assert!(over.contains(&Action::SignalApp(Signal::TERM)));
}

#[test]
fn the_alarm_of_a_retry_that_a_signal_has_overtaken_changes_nothing() {
    let hooks = SmallMap::from([(Hook::PreStop, vec![HandlerPlan { retries: 1, ..handler(None, true, false) }])]);
    let mut story = Story::running(Plan { hooks, ..plan(&[]) });
    let begun = story.at(secs(10), call(Hook::PreStop, 1));
    story.at(secs(10), ended(started(&begun).unwrap(), HandlerResult::Failed));
    let aborted = story.at(secs(10), Event::Signal(Signal::TERM));
    assert_eq!(answer(&aborted, 1), Some(Outcome::Aborted));
    assert_eq!(story.at(secs(11), Event::TimerFired(Timer::Retry(Hook::PreStop))), []);
    let late = story.at(secs(11), call(Hook::PreStop, 2));
    assert_eq!(answer(&late, 2), Some(Outcome::Aborted), "told as the first one was");
}

#[test]
fn handlers_get_their_own_timeout_or_what_is_left_whichever_is_less() {
    let hooks = SmallMap::from([(Hook::PreStop, vec![handler(Some(60), true, false), handler(Some(1), true, false)])]);
    let mut story = Story::running(Plan { hooks, ..graceful(30, &[]) });
    let begun = story.at(secs(100), Event::Signal(Signal::TERM));
    let timeout = |actions: &[Action]| {
        actions.iter().find_map(|a| if let Action::StartHandler { timeout, .. } = a { Some(*timeout) } else { None })
    };
    assert_eq!(timeout(&begun), Some(Some(Duration::from_millis(27_500))));
    let second = story.at(secs(101), ended(started(&begun).unwrap(), HandlerResult::Succeeded));
    assert_eq!(timeout(&second), Some(Some(secs(1))));
}
