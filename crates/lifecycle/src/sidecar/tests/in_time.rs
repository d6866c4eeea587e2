//! Our own stop fits into the grace period, however short it is and however late the stop signal comes.

use super::*;

#[test]
fn a_slow_caller_does_not_outlast_the_grace_period() {
    let mut life = sidecar(post_stop_alone());
    life.call(Hook::PostStart);
    let post_stop = life.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&post_stop, Timer::PostStop).unwrap();
    let over = life.fire(at, Timer::PostStop);
    assert!(timer(&over, Timer::Answers).unwrap() <= secs(130));
}

#[test]
fn a_late_own_stop_is_done_within_two_seconds() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let begun = life.at(secs(100), Event::HookCalled { hook: Hook::PreStop, caller: CallerId(1) });
    life.end_run(&begun, SUCCEEDED);
    // The app goes on, and gets one of the two seconds.
    let kill = timer(&life.at(secs(140), Event::Signal(Signal::TERM)), Timer::Kill).unwrap();
    assert_eq!(kill, secs(141));
    let post_stop = life.fire(kill, Timer::Kill);
    let at = timer(&post_stop, Timer::PostStop).unwrap();
    let over = life.fire(at, Timer::PostStop);
    assert!(timer(&over, Timer::Answers).unwrap() <= secs(142), "the caller does not take its answer");
}

#[test]
fn a_short_grace_period_shortens_the_wait_for_a_hook() {
    let quits = Plan { grace: Some(secs(1)), stop_signal: Some(Signal::QUIT), ..plan() };
    let mut life = sidecar(quits);
    life.then(Event::AppStarted);
    let told = life.term();
    let (late, kill) = (timer(&told, Timer::LateHook).unwrap(), timer(&told, Timer::Kill).unwrap());
    assert!(late < kill, "{late:?} {kill:?}");
    assert!(life.fire(late, Timer::LateHook).contains(&Action::SignalApp(Signal::QUIT)));
}

#[test]
fn an_app_that_ignores_its_signal_holds_the_hook_in_budget() {
    let mut life = sidecar(Plan { stop_signal: Some(Signal::TERM), ..plan() });
    life.then(Event::AppStarted);
    let begun = life.call(Hook::PreStop);
    let signalled = life.end_run(&begun, SUCCEEDED);
    let at = timer(&signalled, Timer::Kill).unwrap();
    assert!(at < secs(30), "before the runtime's own SIGKILL");
    let over = life.fire(at, Timer::Kill);
    assert!(over.contains(&Action::Tell(Note::AppStays)));
    assert_eq!(answers(&over), [(1, Outcome::Succeeded)]);
    assert!(!over.iter().any(|action| matches!(action, Action::KillApp)), "SIGKILL is the kubelet's");
}

#[test]
fn a_hook_and_our_own_stop_share_one_grace_period() {
    let mut life = started_app(plan());
    life.at(secs(100), Event::HookCalled { hook: Hook::PreStop, caller: CallerId(9) });
    assert_eq!(life.machine.deadline(), Some(secs(130)));
    life.at(secs(110), Event::Signal(Signal::TERM));
    assert_eq!(life.machine.deadline(), Some(secs(130)));
    let mut life = started_app(plan());
    life.at(secs(100), Event::Signal(Signal::TERM));
    life.at(secs(101), Event::HookCalled { hook: Hook::PreStop, caller: CallerId(9) });
    assert_eq!(life.machine.deadline(), Some(secs(130)));
}

#[test]
fn a_late_post_stop_still_gets_a_second() {
    let mut life = started_app(plan());
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    let late = life.at(secs(31), Event::Signal(Signal::TERM));
    let timeout = late.iter().find_map(|a| if let Action::StartHandler { timeout, .. } = a { *timeout } else { None });
    assert_eq!(timeout, Some(secs(1)));
}

#[test]
fn our_own_stop_limits_a_post_stop_in_flight() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    life.then(gone());
    let at = timer(&life.at(secs(100), Event::Signal(Signal::TERM)), Timer::PostStop).unwrap();
    assert!(at < secs(130), "before the grace period is over");
    assert!(life.fire(at, Timer::PostStop).contains(&Action::Exit(0)));
}
