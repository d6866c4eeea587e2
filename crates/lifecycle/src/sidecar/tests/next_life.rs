//! Successive lives: a hook shows the next life, or its process is found before the previous life is over. A kubelet restarts
//! a container that crashes at once.

use super::*;

/// A life has ended, its postStop runs, and the next one has been found.
fn restarted() -> (Story<SidecarLifecycle>, Vec<Action>) {
    let mut story = sidecar(plan());
    story.then(Event::AppStarted);
    let post_stop = story.then(gone());
    story.then(Event::AppStarted);
    (story, post_stop)
}

#[test]
fn the_next_life_has_its_own_post_stop() {
    let (mut story, post_stop) = restarted();
    story.end_run(&post_stop, SUCCEEDED);
    assert_eq!(hook_in(&story.then(gone())), Some(Hook::PostStop));
}

#[test]
fn a_life_that_ends_early_has_its_own_post_stop() {
    for unseen in [false, true] {
        let (mut story, post_stop) = restarted();
        assert_eq!(hook_in(&story.then(gone())), None, "the first postStop still runs");
        if unseen {
            story.then(Event::AppUnseen);
        }
        let second = story.end_run(&post_stop, SUCCEEDED);
        assert_eq!(hook_in(&second), Some(Hook::PostStop));
        story.end_run(&second, SUCCEEDED);
        assert_eq!(story.machine.phase(), PhaseName::Starting);
    }
}

#[test]
fn pre_stop_of_the_next_life_waits_for_the_life_before() {
    let (mut story, post_stop) = restarted();
    assert_eq!(story.call(Hook::PreStop), []);
    let begun = story.end_run(&post_stop, SUCCEEDED);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    assert!(begun.contains(&Action::Tell(Note::StopBegan(Trigger::Hook))));
    assert_eq!(answers(&story.end_run(&begun, SUCCEEDED)), [(1, Outcome::Succeeded)]);
}

#[test]
fn pre_stop_of_a_next_life_that_is_gone_succeeds() {
    let (mut story, post_stop) = restarted();
    story.call(Hook::PreStop);
    assert_eq!(answers(&story.then(gone())), [(1, Outcome::Succeeded)]);
    assert_eq!(hook_in(&story.end_run(&post_stop, SUCCEEDED)), Some(Hook::PostStop));
    let (mut story, post_stop) = restarted();
    story.call(Hook::PreStop);
    story.caller_done(1);
    assert_eq!(story.end_run(&post_stop, SUCCEEDED).len(), 1, "the note that postStop is over");
    assert_eq!(story.machine.phase(), PhaseName::Running);
}

#[test]
fn our_own_stop_leaves_time_for_the_next_life() {
    let (mut story, _) = restarted();
    let at = timer(&story.at(secs(100), Event::Signal(Signal::TERM)), Timer::PostStop).unwrap();
    assert!(at < secs(115), "the rest belongs to the next life: {at:?}");
    let living = story.fire(at, Timer::PostStop);
    assert_eq!((hook_in(&living), story.machine.phase()), (None, PhaseName::Stopping));
    let kill = timer(&living, Timer::Kill).unwrap();
    assert!(kill < secs(130));
    let late = timer(&living, Timer::LateHook).unwrap();
    assert_eq!(hook_in(&story.fire(late, Timer::LateHook)), Some(Hook::PreStop));
    assert_eq!(story.machine.deadline(), Some(secs(130)));
    story.fire(kill, Timer::Kill);
    assert_eq!(story.machine.phase(), PhaseName::Finishing);
}

#[test]
fn a_process_found_after_our_own_stop_is_not_another_life() {
    let mut story = sidecar(post_stop_alone());
    let post_stop = story.term();
    story.then(Event::AppStarted);
    assert!(story.end_run(&post_stop, SUCCEEDED).contains(&Action::Exit(0)));
}

#[test]
fn a_timer_of_the_life_before_does_not_cut_post_stop() {
    let (mut story, first) = restarted();
    story.at(secs(100), Event::Signal(Signal::TERM));
    story.then(gone());
    let second = story.end_run(&first, SUCCEEDED);
    let at = timer(&second, Timer::PostStop).unwrap();
    assert!(secs(129) < at && at < secs(130), "{at:?}");
}

#[test]
fn a_repeated_post_start_is_a_new_life_with_its_own_stop() {
    let mut story = started_app(plan());
    let begun = story.call(Hook::PreStop);
    story.end_run(&begun, SUCCEEDED);
    // The life before is over. Its postStop comes first.
    let post_stop = story.call(Hook::PostStart);
    assert_eq!((hook_in(&post_stop), answers(&post_stop)), (Some(Hook::PostStop), vec![]));
    let post_start = story.end_run(&post_stop, SUCCEEDED);
    assert_eq!(hook_in(&post_start), Some(Hook::PostStart));
    assert_eq!(answers(&story.end_run(&post_start, SUCCEEDED)), [(3, Outcome::Succeeded)]);
    assert_eq!(hook_in(&story.call(Hook::PreStop)), Some(Hook::PreStop));
}

#[test]
fn a_new_life_aborts_the_handlers_of_the_stop_before() {
    let mut story = started_app(plan());
    story.call(Hook::PreStop);
    let restarted = story.call(Hook::PostStart);
    assert_eq!(answers(&restarted), [(2, Outcome::Aborted)]);
    assert_eq!(hook_in(&restarted), Some(Hook::PostStop));
}

#[test]
fn post_start_waits_for_post_stop_of_the_life_before() {
    let mut story = sidecar(plan());
    story.then(Event::AppStarted);
    let post_stop = story.then(gone());
    assert_eq!(story.call(Hook::PostStart), []);
    assert_eq!(hook_in(&story.end_run(&post_stop, SUCCEEDED)), Some(Hook::PostStart));
}

#[test]
fn a_new_life_ends_the_stop_of_an_unseen_life() {
    let mut story = sidecar(plan());
    story.call(Hook::PreStop);
    let restarted = story.call(Hook::PostStart);
    assert_eq!((answers(&restarted), hook_in(&restarted)), (vec![(1, Outcome::Aborted)], Some(Hook::PostStop)));
    assert_eq!(hook_in(&story.end_run(&restarted, SUCCEEDED)), Some(Hook::PostStart));
}

#[test]
fn a_life_that_a_hook_begins_is_a_new_one() {
    let mut story = sidecar(plan());
    story.then(Event::AppStarted);
    let over = story.then(gone());
    story.end_run(&over, SUCCEEDED);
    let begun = story.call(Hook::PostStart);
    story.end_run(&begun, SUCCEEDED);
    assert_eq!(hook_in(&story.call(Hook::PreStop)), Some(Hook::PreStop));
}
