//! The end of a container's life, as examples: leftovers, postStop, answers, the exit code.

use super::*;

#[test]
fn post_stop_runs_after_sigkill_at_the_deadline() {
    let mut life = running(graceful(10, &[(Hook::PostStop, 1)]));
    let begun = life.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&begun, Timer::Kill).unwrap();
    assert_eq!(at, secs(100) + Duration::from_millis(8500));
    assert!(life.fire(at, Timer::Kill).contains(&Action::KillApp));
    let status = AppStatus::Signalled(Signal::KILL);
    let after = life.then(app_ended(status));
    let over = life.end_run(&after, SUCCEEDED);
    assert_eq!(exit(&over), Some(137));
}

#[test]
fn a_handler_that_waits_for_the_app_may_finish_after_it() {
    // preStop: nginx -s quit; while killall -0 nginx; do sleep 1; done
    let mut life = running(plan_with(&[(Hook::PreStop, 2)]));
    let begun = life.call(Hook::PreStop);
    let gone = life.then(exited(0));
    assert_eq!((answers(&gone), exit(&gone)), (vec![], None));
    let over = life.end_run(&begun, SUCCEEDED);
    assert_eq!(answers(&over), [(1, Outcome::Succeeded)]);
    assert_eq!((started(&over), exit(&over)), (None, None), "the answer is still on its way");
    assert_eq!(exit(&life.caller_done(1)), Some(0));
}

#[test]
fn a_sleep_handler_ends_with_the_app() {
    let hooks = LiteMap::from_iter([(Hook::PreStop, vec![handler(None, true, true)])]);
    let mut life = running(Plan { hooks, ..plan_with(&[]) });
    life.call(Hook::PreStop);
    let gone = life.then(exited(0));
    assert_eq!(answers(&gone), [(1, Outcome::Succeeded)]);
}

#[test]
fn leftovers_get_sigterm_then_time_then_sigkill() {
    let mut life = with_leftovers(plan_with(&[]));
    let gone = life.at(secs(5), exited(0));
    assert!(gone.contains(&Action::TerminateLeftovers));
    let at = timer(&gone, Timer::Leftovers).unwrap();
    assert_eq!(at, secs(7));
    let late = life.fire(at, Timer::Leftovers);
    assert!(late.contains(&Action::KillLeftovers));
    assert_eq!(exit(&life.then(ALONE)), Some(0));
}

fn with_leftovers(plan: Plan) -> ExampleLife<ContainerLifecycle> {
    let mut life = running(plan);
    life.remaining = Remaining::Children;
    life
}

#[test]
fn leftovers_of_a_stop_have_the_rest_of_its_budget() {
    let mut life = with_leftovers(graceful(30, &[]));
    life.at(secs(100), Event::Signal(Signal::TERM));
    let gone = life.at(secs(101), exited(143));
    assert!(gone.contains(&Action::Tell(Note::LeftoversTerminated)));
    assert_eq!(timer(&gone, Timer::Leftovers), Some(Duration::from_millis(129_500)));
    let over = life.at(secs(120), ALONE);
    assert!(over.contains(&Action::Tell(Note::LeftoversEnded)) && exit(&over).is_some(), "{over:?}");
}

#[test]
fn leftovers_without_a_stop_or_a_budget_have_two_seconds() {
    let mut life = with_leftovers(graceful(30, &[]));
    assert_eq!(timer(&life.at(secs(101), exited(0)), Timer::Leftovers), Some(secs(103)));
    let mut life = with_leftovers(plan_with(&[]));
    life.at(secs(100), Event::Signal(Signal::TERM));
    assert_eq!(timer(&life.at(secs(101), exited(0)), Timer::Leftovers), Some(secs(103)));
}

#[test]
fn sessions_have_two_seconds_and_never_extend_a_stop() {
    let mut life = running(graceful(30, &[]));
    life.remaining = Remaining::Sessions;
    life.at(secs(100), Event::Signal(Signal::TERM));
    let gone = life.at(secs(101), exited(0));
    let last = gone.iter().rev().find_map(|action| match action {
        Action::SetTimer { timer: Timer::Leftovers, at } => Some(*at),
        _ => None,
    });
    assert_eq!(last, Some(secs(103)));
    // Sessions beside a leftover have as much time as the leftover.
    let mut life = with_leftovers(graceful(30, &[]));
    life.at(secs(100), Event::Signal(Signal::TERM));
    life.at(secs(101), exited(0));
    let alone = life.at(secs(110), Event::Remaining(Remaining::Sessions));
    assert_eq!(alone, [Action::SetTimer { timer: Timer::Leftovers, at: secs(110) }]);
    assert!(life.fire(secs(110), Timer::Leftovers).contains(&Action::KillLeftovers));
}

#[test]
fn stop_signals_neither_kill_leftovers_nor_extend_their_time() {
    for plan in [plan_with(&[]), graceful(30, &[])] {
        let mut life = with_leftovers(plan);
        let gone = life.at(secs(5), exited(0));
        assert_eq!(timer(&gone, Timer::Leftovers), Some(secs(7)));
        for n in 1..5 {
            let more = life.at(secs(5) + Duration::from_millis(n), Event::Signal(Signal::TERM));
            assert!(!more.contains(&Action::KillLeftovers) && timer(&more, Timer::Leftovers).is_none(), "{more:?}");
            assert_eq!(more.contains(&Action::TerminateLeftovers), n > 1, "passed on from the second on");
        }
    }
}

#[test]
fn a_request_or_hook_while_leftovers_end_begins_the_budget() {
    for event in [Event::StopRequested, Event::HookCalled { hook: Hook::PreStop, caller: CallerId(9) }] {
        let mut life = with_leftovers(graceful(2, &[]));
        life.at(secs(5), exited(0));
        let begun = life.at(secs(6), event);
        assert!(begun.iter().any(|action| matches!(action, Action::Tell(Note::StopBegan(_)))), "{begun:?}");
        assert_eq!(life.machine.deadline(), Some(secs(8)));
        assert_eq!(timer(&begun, Timer::Leftovers), None, "one second is left, and the budget leaves more");
        // The stop signal that follows is expected and moves nothing on, or repeats.
        assert!(!life.term().contains(&Action::KillLeftovers));
    }
}

#[test]
fn sigterm_that_is_refused_to_leftovers_is_not_reported_as_sent() {
    let mut life = with_leftovers(plan_with(&[]));
    life.machine.apply(secs(5), exited(0));
    let refused = life.machine.apply(secs(5), Event::LeftoversRefused);
    assert_eq!(refused, [Action::Tell(Note::LeftoversRefused)]);
    assert_eq!(life.machine.apply(secs(5), Event::Remaining(Remaining::Children)), []);
}

#[test]
fn each_post_stop_handler_runs_even_if_others_fail() {
    let mut life = running(plan_with(&[(Hook::PostStop, 2)]));
    let first = life.then(exited(0));
    let second = life.end_run(&first, HandlerResult::Failed);
    let over = life.end_run(&second, HandlerResult::Failed);
    assert_eq!(exit(&over), Some(0));
}

#[test]
fn only_a_second_stop_signal_cuts_post_stop() {
    let mut life = running(plan_with(&[(Hook::PostStop, 1)]));
    let first = life.then(exited(3));
    assert_eq!(exit(&life.term()), None);
    let cut = life.term();
    assert!(cut.contains(&Action::AbortHandler(started(&first).unwrap())));
    assert_eq!(exit(&cut), Some(3));
}

#[test]
fn the_signal_after_a_hook_does_not_cut_post_stop() {
    let mut life = running(plan_with(&[(Hook::PostStop, 1)]));
    life.call(Hook::PreStop);
    let first = life.then(exited(0));
    let run = started(&first).unwrap();
    assert_eq!(life.term(), []);
    life.caller_done(1);
    assert_eq!(exit(&life.then(Event::HandlerEnded { run, result: SUCCEEDED })), Some(0));
}

#[test]
fn a_slow_caller_does_not_outlast_the_grace_period() {
    let mut life = running(graceful(10, &[(Hook::PreStop, 1), (Hook::PostStop, 1)]));
    let begun = life.call_at(secs(100), Hook::PreStop);
    life.end_run_at(secs(101), &begun, SUCCEEDED);
    let gone = life.at(secs(101), exited(0));
    // postStop has used its time: a tenth of a second is left.
    let late = Duration::from_millis(109_900);
    let over = life.end_run_at(late, &gone, HandlerResult::TimedOut);
    assert_eq!(timer(&over, Timer::Answers), Some(secs(110)));
}

#[test]
fn a_stop_during_post_stop_brings_its_budget() {
    let mut life = running(graceful(10, &[(Hook::PostStop, 1)]));
    let first = life.at(secs(100), exited(3));
    let stopped = life.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&stopped, Timer::PostStop).unwrap();
    assert_eq!(at, Duration::from_millis(109_900));
    let cut = life.fire(at, Timer::PostStop);
    assert!(cut.contains(&Action::AbortHandler(started(&first).unwrap())), "{cut:?}");
    assert_eq!(exit(&cut), Some(3));
}

#[test]
fn a_late_caller_gets_the_outcome_of_its_hook() {
    let late = |result: Option<HandlerResult>| {
        let mut life = container(plan_with(&[(Hook::PostStart, 1)]));
        life.then(Event::Begin);
        let begun = life.then(Event::AppStarted);
        if let Some(result) = result {
            life.end_run(&begun, result);
        }
        life.then(exited(0));
        assert_eq!(life.machine.phase(), PhaseName::Exited);
        assert_eq!(life.machine.late_outcome(Hook::PreStop), Outcome::Succeeded, "nothing is left to prepare");
        life.machine.late_outcome(Hook::PostStart)
    };
    assert_eq!(late(Some(SUCCEEDED)), Outcome::Succeeded);
    assert_eq!(late(Some(HandlerResult::Failed)), Outcome::Failed);
    assert_eq!(late(None), Outcome::Aborted);
    let mut life = container(plan_with(&[]));
    life.term();
    assert_eq!(life.machine.late_outcome(Hook::PostStart), Outcome::Aborted, "postStart never began");
}

#[test]
fn leftovers_do_not_outlast_the_grace_period() {
    let mut life = with_leftovers(graceful(10, &[]));
    life.at(secs(100), Event::Signal(Signal::TERM));
    // The app has used its time: 0.4 s are left for the rest.
    let late = Duration::from_millis(109_600);
    life.at(late, exited(0));
    let killed = life.fire(late + Duration::from_millis(100), Timer::Leftovers);
    assert!(timer(&killed, Timer::Leftovers).unwrap() < secs(110), "{killed:?}");
}

#[test]
fn exit_codes_are_remapped_and_a_stop_can_be_a_success() {
    let mut life = running(Plan { exit_codes: LiteMap::from_iter([(143, 0)]), ..plan_with(&[]) });
    let status = AppStatus::Signalled(Signal::TERM);
    assert_eq!(exit(&life.then(app_ended(status))), Some(0));

    let success = Plan { stop_is_success: true, ..plan_with(&[]) };
    let mut life = running(success.clone());
    life.term();
    assert_eq!(exit(&life.then(app_ended(status))), Some(0));

    let mut life = running(success);
    assert_eq!(exit(&life.then(app_ended(status))), Some(143), "there was no stop");
}

#[test]
fn sigkill_leaves_post_stop_its_longest_time() {
    let mut plan = graceful(30, &[(Hook::PostStop, 1)]);
    plan.hooks.get_mut(&Hook::PostStop).unwrap()[0] = HandlerPlan { retries: 1, ..handler(Some(5), true, false) };
    let begun = running(plan).at(secs(10), Event::Signal(Signal::TERM));
    // Two attempts, the pause between them, and half a second for the rest.
    let kill = Action::SetTimer { timer: Timer::Kill, at: secs(40) - Duration::from_millis(11_500) };
    assert!(begun.contains(&kill), "{begun:?}");
}

#[test]
fn post_stop_handlers_run_for_their_reasons_only() {
    let only = |completed, failed, stopped| HandlerPlan {
        on: On { completed, failed, stopped, unseen: false },
        ..handler(None, true, false)
    };
    let hooks = LiteMap::from_iter([(
        Hook::PostStop,
        vec![only(true, false, false), only(false, true, false), only(false, false, true), only(false, false, false)],
    )]);
    let plan = Plan { hooks, exit_codes: LiteMap::from_iter([(3, 0)]), ..plan_with(&[]) };
    let ran = |life: &mut ExampleLife<ContainerLifecycle>, event: Event| {
        let actions = life.then(event);
        let index = |a: &Action| if let Action::StartHandler { index, .. } = a { Some(*index) } else { None };
        let first = actions.iter().find_map(index);
        let over = started(&actions).map(|run| life.then(Event::HandlerEnded { run, result: SUCCEEDED }));
        assert!(over.is_none_or(|over| exit(&over).is_some()), "no other handler runs");
        first
    };
    for (code, reason, index) in [(0, Reason::Completed, 0), (3, Reason::Completed, 0), (7, Reason::Failed, 1)] {
        let mut life = running(plan.clone());
        assert_eq!(ran(&mut life, exited(code)), Some(index), "exit code {code}");
        assert_eq!(life.machine.reason(), Some(reason));
    }
    let mut life = running(plan.clone());
    life.term();
    assert_eq!(ran(&mut life, exited(0)), Some(2));
    assert_eq!(life.machine.reason(), Some(Reason::Stopped));

    let mut life = container(plan);
    life.then(Event::Begin);
    assert_eq!(ran(&mut life, Event::AppNotStarted { code: 127 }), Some(1));
}

#[test]
fn a_failed_app_is_held_until_a_stop_or_the_time() {
    let held = || {
        let mut life = running(Plan { hold: Some(secs(600)), ..plan_with(&[(Hook::PostStop, 1)]) });
        let gone = life.at(secs(5), exited(7));
        let over = life.end_run(&gone, SUCCEEDED);
        assert_eq!((exit(&over), timer(&over, Timer::Hold)), (None, Some(life.now + secs(600))));
        assert_eq!(life.machine.phase(), crate::PhaseName::Held);
        life
    };
    assert_eq!(exit(&held().then(Event::Signal(Signal::TERM))), Some(7));
    assert_eq!(exit(&held().then(Event::StopRequested)), Some(7));
    let mut life = held();
    let at = life.now + secs(600);
    assert_eq!(exit(&life.fire(at, Timer::Hold)), Some(7));
    let mut life = held();
    let called = life.call(Hook::PreStop);
    assert_eq!((answers(&called), exit(&called)), (vec![(1, Outcome::Succeeded)], None));
    assert_eq!(exit(&life.caller_done(1)), Some(7), "the hook is answered first");
}

#[test]
fn neither_a_stop_nor_a_success_is_held() {
    let plan = Plan { hold: Some(secs(600)), ..plan_with(&[]) };
    assert_eq!(exit(&running(plan.clone()).then(exited(0))), Some(0));
    let mut life = running(plan);
    life.term();
    assert_eq!(exit(&life.then(exited(7))), Some(7));
}

#[test]
fn missed_post_stop_handlers_run_before_pre_start() {
    let unseen = HandlerPlan { on: On { unseen: true, ..On::EVERY }, ..handler(None, true, false) };
    let hooks = LiteMap::from_iter([(Hook::PostStop, vec![handler(None, true, false), unseen])]);
    let plan = Plan { hooks, ..plan_with(&[]) };
    let mut life = container(plan.clone());
    let begun = life.then(Event::BeginUnseen);
    let first = |actions: &[Action]| {
        actions
            .iter()
            .find_map(|a| if let Action::StartHandler { hook, index, .. } = a { Some((*hook, *index)) } else { None })
    };
    assert_eq!(first(&begun), Some((Hook::PostStop, 1)), "only the one for Unseen");
    assert_eq!(life.machine.reason(), Some(Reason::Unseen));
    let over = life.end_run(&begun, SUCCEEDED);
    assert!(over.contains(&Action::Tell(Note::CaughtUp)) && first(&over).is_none(), "{over:?}");
    assert!(life.then(Event::Begin).contains(&Action::StartApp));
    life.then(Event::AppStarted);
    assert_eq!(first(&life.then(exited(0))), Some((Hook::PostStop, 0)), "they run again at the end of this life");

    let mut life = container(plan);
    life.then(Event::BeginUnseen);
    let stopped = life.term();
    assert!(stopped.iter().any(|a| matches!(a, Action::AbortHandler(_))), "{stopped:?}");
    assert_eq!(first(&stopped), Some((Hook::PostStop, 0)));
    assert!(life.then(Event::Begin).is_empty(), "too late");
}
