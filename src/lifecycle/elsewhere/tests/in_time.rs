//! What a kubelet gives is enough, however little it is and however late we are told.

use super::*;

#[test]
fn an_answer_that_nobody_takes_does_not_outlast_the_grace_period() {
    let mut story = Story::new(post_stop_alone());
    story.call(Hook::PostStart);
    let post_stop = story.at(secs(100), Event::Signal(Signal::TERM));
    let at = timer(&post_stop, Timer::PostStop).unwrap();
    let over = story.at(at, Event::Rang(Timer::PostStop));
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
    let post_stop = story.at(kill, Event::Rang(Timer::Kill));
    let at = timer(&post_stop, Timer::PostStop).unwrap();
    let over = story.at(at, Event::Rang(Timer::PostStop));
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
    assert!(story.at(late, Event::Rang(Timer::LateHook)).contains(&Action::SignalApp(Signal::QUIT)));
}
