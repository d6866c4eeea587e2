//! Successive lives: a hook shows the next life, or its process is found before the previous life is over. A kubelet restarts
//! a container that crashes at once.

use super::*;

/// A life has ended, its postStop runs, and the next one has been found.
fn restarted() -> (ExampleLife<SidecarLifecycle>, Vec<Action>) {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let post_stop = life.then(gone());
    life.then(Event::AppStarted);
    (life, post_stop)
}

#[test]
fn the_next_life_has_its_own_post_stop() {
    let (mut life, post_stop) = restarted();
    life.end_run(&post_stop, SUCCEEDED);
    assert_eq!(hook_in(&life.then(gone())), Some(Hook::PostStop));
}

#[test]
fn a_life_that_ends_early_has_its_own_post_stop() {
    for unseen in [false, true] {
        let (mut life, post_stop) = restarted();
        assert_eq!(hook_in(&life.then(gone())), None, "the first postStop still runs");
        if unseen {
            life.then(Event::AppUnseen);
        }
        let second = life.end_run(&post_stop, SUCCEEDED);
        assert_eq!(hook_in(&second), Some(Hook::PostStop));
        life.end_run(&second, SUCCEEDED);
        assert_eq!(life.machine.phase(), PhaseName::Starting);
    }
}

#[test]
fn pre_stop_of_the_next_life_waits_for_the_life_before() {
    let (mut life, post_stop) = restarted();
    assert_eq!(life.call(Hook::PreStop), []);
    let begun = life.end_run(&post_stop, SUCCEEDED);
    assert_eq!(hook_in(&begun), Some(Hook::PreStop));
    assert!(begun.contains(&Action::Tell(Note::StopBegan(Trigger::Hook))));
    assert_eq!(answers(&life.end_run(&begun, SUCCEEDED)), [(1, Outcome::Succeeded)]);
}

#[test]
fn pre_stop_of_a_next_life_that_is_gone_succeeds() {
    let (mut life, post_stop) = restarted();
    life.call(Hook::PreStop);
    assert_eq!(answers(&life.then(gone())), [(1, Outcome::Succeeded)]);
    assert_eq!(hook_in(&life.end_run(&post_stop, SUCCEEDED)), Some(Hook::PostStop));
    let (mut life, post_stop) = restarted();
    life.call(Hook::PreStop);
    life.caller_done(1);
    assert_eq!(life.end_run(&post_stop, SUCCEEDED).len(), 1, "the note that postStop is over");
    assert_eq!(life.machine.phase(), PhaseName::Running);
}

#[test]
fn our_own_stop_leaves_time_for_the_next_life() {
    let (mut life, _) = restarted();
    let at = timer(&life.at(secs(100), Event::Signal(Signal::TERM)), Timer::PostStop).unwrap();
    assert!(at < secs(115), "the rest belongs to the next life: {at:?}");
    let living = life.fire(at, Timer::PostStop);
    assert_eq!((hook_in(&living), life.machine.phase()), (None, PhaseName::Stopping));
    let kill = timer(&living, Timer::Kill).unwrap();
    assert!(kill < secs(130));
    let late = timer(&living, Timer::LateHook).unwrap();
    assert_eq!(hook_in(&life.fire(late, Timer::LateHook)), Some(Hook::PreStop));
    assert_eq!(life.machine.deadline(), Some(secs(130)));
    life.fire(kill, Timer::Kill);
    assert_eq!(life.machine.phase(), PhaseName::Finishing);
}

#[test]
fn a_process_found_after_our_own_stop_is_not_another_life() {
    let mut life = sidecar(post_stop_alone());
    let post_stop = life.term();
    life.then(Event::AppStarted);
    assert!(life.end_run(&post_stop, SUCCEEDED).contains(&Action::Exit(0)));
}

#[test]
fn a_timer_of_the_life_before_does_not_cut_post_stop() {
    let (mut life, first) = restarted();
    life.at(secs(100), Event::Signal(Signal::TERM));
    life.then(gone());
    let second = life.end_run(&first, SUCCEEDED);
    let at = timer(&second, Timer::PostStop).unwrap();
    assert!(secs(129) < at && at < secs(130), "{at:?}");
}

#[test]
fn a_repeated_post_start_is_a_new_life_with_its_own_stop() {
    let mut life = started_app(plan());
    let begun = life.call(Hook::PreStop);
    life.end_run(&begun, SUCCEEDED);
    // The life before is over. Its postStop comes first.
    let post_stop = life.call(Hook::PostStart);
    assert_eq!((hook_in(&post_stop), answers(&post_stop)), (Some(Hook::PostStop), vec![]));
    let post_start = life.end_run(&post_stop, SUCCEEDED);
    assert_eq!(hook_in(&post_start), Some(Hook::PostStart));
    assert_eq!(answers(&life.end_run(&post_start, SUCCEEDED)), [(3, Outcome::Succeeded)]);
    assert_eq!(hook_in(&life.call(Hook::PreStop)), Some(Hook::PreStop));
}

#[test]
fn a_new_life_aborts_the_handlers_of_the_stop_before() {
    let mut life = started_app(plan());
    life.call(Hook::PreStop);
    let restarted = life.call(Hook::PostStart);
    assert_eq!(answers(&restarted), [(2, Outcome::Aborted)]);
    assert_eq!(hook_in(&restarted), Some(Hook::PostStop));
}

#[test]
fn post_start_waits_for_post_stop_of_the_life_before() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let post_stop = life.then(gone());
    assert_eq!(life.call(Hook::PostStart), []);
    assert_eq!(hook_in(&life.end_run(&post_stop, SUCCEEDED)), Some(Hook::PostStart));
}

#[test]
fn a_new_life_ends_the_stop_of_an_unseen_life() {
    let mut life = sidecar(plan());
    life.call(Hook::PreStop);
    let restarted = life.call(Hook::PostStart);
    assert_eq!((answers(&restarted), hook_in(&restarted)), (vec![(1, Outcome::Aborted)], Some(Hook::PostStop)));
    assert_eq!(hook_in(&life.end_run(&restarted, SUCCEEDED)), Some(Hook::PostStart));
}

#[test]
fn a_life_that_a_hook_begins_is_a_new_one() {
    let mut life = sidecar(plan());
    life.then(Event::AppStarted);
    let over = life.then(gone());
    life.end_run(&over, SUCCEEDED);
    let begun = life.call(Hook::PostStart);
    life.end_run(&begun, SUCCEEDED);
    assert_eq!(hook_in(&life.call(Hook::PreStop)), Some(Hook::PreStop));
}
