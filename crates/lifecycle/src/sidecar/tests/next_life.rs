//! One life after another: told by a hook, or found before the end of the one before it is over. A container that crashes
//! is started again at once.

use super::*;

/// A life has ended, its postStop runs, and the next one has been found.
fn restarted() -> (Story, Vec<Action>) {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let post_stop = story.then(gone());
    story.then(Event::AppStarted);
    (story, post_stop)
}

#[test]
fn it_has_a_post_stop_of_its_own() {
    let (mut story, post_stop) = restarted();
    story.end_run(&post_stop, DONE);
    assert_eq!(hook_in(&story.then(gone())), Some(Hook::PostStop));
}

#[test]
fn a_life_that_is_over_before_the_end_of_the_last_one_is_has_a_post_stop_of_its_own() {
    for unseen in [false, true] {
        let (mut story, post_stop) = restarted();
        assert_eq!(hook_in(&story.then(gone())), None, "one after the other");
        if unseen {
            story.then(Event::AppUnseen);
        }
        let second = story.end_run(&post_stop, DONE);
        assert_eq!(hook_in(&second), Some(Hook::PostStop));
        story.end_run(&second, DONE);
        assert_eq!(story.machine.phase(), PhaseName::Starting);
    }
}

#[test]
fn its_pre_stop_waits_for_the_end_of_the_life_before() {
    let (mut story, post_stop) = restarted();
    assert_eq!(story.call(Hook::PreStop), []);
    let begun = story.end_run(&post_stop, DONE);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    assert!(begun.contains(&Action::Tell(Note::StopBegan(Trigger::Hook))));
    assert_eq!(answers(&story.end_run(&begun, DONE)), [(1, Outcome::Succeeded)]);
}

#[test]
fn its_pre_stop_has_nothing_to_prepare_when_it_is_gone_and_no_stop_to_begin_when_nobody_waits() {
    let (mut story, post_stop) = restarted();
    story.call(Hook::PreStop);
    assert_eq!(answers(&story.then(gone())), [(1, Outcome::Succeeded)]);
    assert_eq!(hook_in(&story.end_run(&post_stop, DONE)), Some(Hook::PostStop));
    let (mut story, post_stop) = restarted();
    story.call(Hook::PreStop);
    story.then(Event::CallerDone(CallerId(1)));
    assert_eq!(story.end_run(&post_stop, DONE).len(), 1, "the note that postStop is over");
    assert_eq!(story.machine.phase(), PhaseName::Running);
}

#[test]
fn our_own_stop_is_its_stop_too_and_leaves_it_its_share_of_the_time() {
    let (mut story, _) = restarted();
    let at = timer(&story.at(secs(100), Event::Signal(Signal::TERM)), Timer::PostStop).unwrap();
    assert!(at < secs(115), "the rest is the next life's: {at:?}");
    let living = story.at(at, Event::TimerFired(Timer::PostStop));
    assert_eq!((hook_in(&living), story.machine.phase()), (None, PhaseName::Stopping));
    let kill = timer(&living, Timer::Kill).unwrap();
    assert!(kill < secs(130));
    let late = timer(&living, Timer::LateHook).unwrap();
    assert_eq!(hook_in(&story.at(late, Event::TimerFired(Timer::LateHook))), Some(Hook::PreStop));
    assert_eq!(story.machine.deadline(), Some(secs(130)));
    story.at(kill, Event::TimerFired(Timer::Kill));
    assert_eq!(story.machine.phase(), PhaseName::Finishing);
}

#[test]
fn a_life_that_is_found_when_our_own_stop_is_over_is_the_one_that_was_not_seen() {
    let mut story = Story::new(post_stop_alone());
    let post_stop = story.term();
    story.then(Event::AppStarted);
    assert!(story.end_run(&post_stop, DONE).contains(&Action::Exit(0)));
}

#[test]
fn the_alarm_of_the_life_before_does_not_cut_its_post_stop() {
    let (mut story, first) = restarted();
    story.at(secs(100), Event::Signal(Signal::TERM));
    story.then(gone());
    let second = story.end_run(&first, DONE);
    let at = timer(&second, Timer::PostStop).unwrap();
    assert!(secs(129) < at && at < secs(130), "{at:?}");
}

#[test]
fn a_repeated_post_start_is_a_new_life_whose_stop_is_another_one() {
    let mut story = Story::started(plan());
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, DONE);
    // The life before is over: its postStop comes first.
    let post_stop = story.call(Hook::PostStart);
    assert_eq!((hook_in(&post_stop), answers(&post_stop)), (Some(Hook::PostStop), vec![]));
    let post_start = story.end_run(&post_stop, DONE);
    assert_eq!(hook_in(&post_start), Some(Hook::PostStart));
    assert_eq!(answers(&story.end_run(&post_start, DONE)), [(3, Outcome::Succeeded)]);
    assert_eq!(hook_in(&story.call(Hook::PreStop)), Some(Hook::PreStop));
}

#[test]
fn a_new_life_during_the_handlers_of_a_stop_abandons_them() {
    let mut story = Story::started(plan());
    story.call(Hook::PreStop);
    let restarted = story.call(Hook::PostStart);
    assert_eq!(answers(&restarted), [(2, Outcome::Aborted)]);
    assert_eq!(hook_in(&restarted), Some(Hook::PostStop));
}

#[test]
fn a_post_start_that_comes_while_post_stop_runs_waits_for_it() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let post_stop = story.then(gone());
    assert_eq!(story.call(Hook::PostStart), []);
    assert_eq!(hook_in(&story.end_run(&post_stop, DONE)), Some(Hook::PostStart));
}

#[test]
fn a_stop_of_a_life_whose_start_nobody_told_ends_with_the_next_one() {
    let mut story = Story::new(plan());
    story.call(Hook::PreStop);
    let restarted = story.call(Hook::PostStart);
    assert_eq!((answers(&restarted), hook_in(&restarted)), (vec![(1, Outcome::Aborted)], Some(Hook::PostStop)));
    assert_eq!(hook_in(&story.end_run(&restarted, DONE)), Some(Hook::PostStart));
}

#[test]
fn a_life_that_a_hook_begins_is_not_the_one_that_was_seen_to_end() {
    let mut story = Story::new(plan());
    story.then(Event::AppStarted);
    let over = story.then(gone());
    story.end_run(&over, DONE);
    let begun = story.call(Hook::PostStart);
    story.end_run(&begun, DONE);
    assert_eq!(hook_in(&story.call(Hook::PreStop)), Some(Hook::PreStop));
}
