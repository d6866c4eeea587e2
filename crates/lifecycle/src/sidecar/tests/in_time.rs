//! What a kubelet gives is enough, however little it is and however late we are told.

use super::*;

#[test]
fn an_answer_that_nobody_takes_does_not_outlast_the_grace_period() {
    let mut story = Story::new(post_stop_alone());
    story.call(Hook::PostStart);
    let post_stop = story.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&post_stop, Timer::PostStop).unwrap();
    let over = story.at(at, Event::TimerFired(Timer::PostStop));
    assert!(timer(&over, Timer::Answers).unwrap() <= secs(130));
}

#[test]
fn who_is_told_when_the_time_is_over_is_done_within_the_two_seconds_that_a_kubelet_gives_then() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let begun = story.at(secs(100), Event::HookCalled { hook: Hook::PreStop, caller: CallerId(1) });
    story.end_run(&begun, DONE);
    // The app lives on, and has a second of the two.
    let kill = timer(&story.at(secs(140), Event::Signal(Signal::TERM)), Timer::Kill).unwrap();
    assert_eq!(kill, secs(141));
    let post_stop = story.at(kill, Event::TimerFired(Timer::Kill));
    let at = timer(&post_stop, Timer::PostStop).unwrap();
    let over = story.at(at, Event::TimerFired(Timer::PostStop));
    assert!(timer(&over, Timer::Answers).unwrap() <= secs(142), "the answer to the hook is not taken");
}

#[test]
fn in_a_short_grace_period_a_hook_is_waited_for_a_quarter_of_it() {
    let quits = Plan { grace: Some(secs(1)), stop_signal: Some(Signal::QUIT), ..plan() };
    let mut story = Story::new(quits);
    story.then(Event::AppStarted);
    let told = story.term();
    let (late, kill) = (timer(&told, Timer::LateHook).unwrap(), timer(&told, Timer::Kill).unwrap());
    assert!(late < kill, "{late:?} {kill:?}");
    assert!(story.at(late, Event::TimerFired(Timer::LateHook)).contains(&Action::SignalApp(Signal::QUIT)));
}

#[test]
fn a_process_that_ignores_the_stop_signal_holds_the_hook_no_longer_than_the_budget() {
    let mut story = Story::new(Plan { stop_signal: Some(Signal::TERM), ..plan() });
    story.then(Event::AppStarted);
    let begun = story.call(Hook::PreStop);
    let signalled = story.end_run(&begun, DONE);
    let at = timer(&signalled, Timer::Kill).unwrap();
    assert!(at < secs(30), "before the runtime's own SIGKILL");
    let over = story.at(at, Event::TimerFired(Timer::Kill));
    assert!(over.contains(&Action::Tell(Note::AppStays)));
    assert_eq!(answers(&over), [(1, Outcome::Succeeded)]);
    assert!(!over.iter().any(|action| matches!(action, Action::KillApp)), "SIGKILL is the kubelet's");
}

#[test]
fn a_hook_and_our_own_stop_share_one_grace_period() {
    let mut story = Story::started(plan());
    story.at(secs(100), Event::HookCalled { hook: Hook::PreStop, caller: CallerId(9) });
    assert_eq!(story.machine.deadline(), Some(secs(130)));
    story.at(secs(110), Event::Signal(Signal::TERM));
    assert_eq!(story.machine.deadline(), Some(secs(130)));
    let mut story = Story::started(plan());
    story.at(secs(100), Event::Signal(Signal::TERM));
    story.at(secs(101), Event::HookCalled { hook: Hook::PreStop, caller: CallerId(9) });
    assert_eq!(story.machine.deadline(), Some(secs(130)));
}

#[test]
fn post_stop_has_a_second_also_when_the_grace_period_is_over() {
    let mut story = Story::started(plan());
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, DONE);
    let late = story.at(secs(31), Event::Signal(Signal::TERM));
    let timeout = late.iter().find_map(|a| if let Action::StartHandler { timeout, .. } = a { *timeout } else { None });
    assert_eq!(timeout, Some(secs(1)));
}

#[test]
fn our_own_signal_bounds_a_post_stop_that_is_going_on() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    story.then(gone());
    let at = timer(&story.at(secs(100), Event::Signal(Signal::TERM)), Timer::PostStop).unwrap();
    assert!(at < secs(130), "before the grace period is over");
    assert!(story.at(at, Event::TimerFired(Timer::PostStop)).contains(&Action::Exit(0)));
}
