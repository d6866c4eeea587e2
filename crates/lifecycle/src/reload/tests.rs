use super::*;

const RULE: ReloadRule = ReloadRule {
    settle: Duration::from_secs(1),
    splay: Duration::ZERO,
    poll: None,
    timeout: Duration::from_secs(5),
    has_check: true,
    notifies: false,
};
const OLD: Content = Content(1);
const NEW: Content = Content(2);

fn at(seconds: u64) -> Time {
    Duration::from_secs(seconds)
}

/// A reload that is allowed and knows the app's content.
fn begun(rule: ReloadRule) -> Reload {
    let mut reload = Reload::new(rule);
    assert!(reload.apply(at(0), ReloadEvent::Baseline(Some(OLD))).is_empty());
    assert!(reload.apply(at(0), ReloadEvent::Allowed(true)).is_empty());
    reload
}

/// The run that an event starts, as the only action.
#[track_caller]
fn run(reload: &mut Reload, now: Time, event: ReloadEvent) -> ReloadRunId {
    match reload.apply(now, event)[..] {
        [ReloadAction::Look(run) | ReloadAction::Check(run) | ReloadAction::Apply(run)] => run,
        ref other => panic!("{event:?}: {other:?}"),
    }
}

/// From a change at `now` to the action, which is in flight when this returns.
#[track_caller]
fn applying(reload: &mut Reload, now: Time, content: Content) -> ReloadRunId {
    reload.apply(now, ReloadEvent::Changed);
    let due = reload.next_at().unwrap();
    let look = run(reload, due, ReloadEvent::TimePassed);
    let mut next = run(reload, due, ReloadEvent::Looked(look, Some(content)));
    if reload.rule.has_check {
        let verify = run(reload, due, ReloadEvent::Ended(next, HandlerResult::Succeeded));
        next = run(reload, due, ReloadEvent::Looked(verify, Some(content)));
    }
    assert_eq!(reload.state_name(), "Applying");
    next
}

fn noted(note: ReloadNote) -> [ReloadAction; 1] {
    [ReloadAction::Tell(note)]
}

#[test]
fn a_change_is_settled_checked_and_applied() {
    let mut reload = begun(RULE);
    assert_eq!(reload.next_at(), None, "an idle reload wakes nothing up");
    let action = applying(&mut reload, at(10), NEW);
    let actions = reload.apply(at(12), ReloadEvent::Ended(action, HandlerResult::Succeeded));
    assert_eq!(actions, noted(ReloadNote::Succeeded));
    assert_eq!((reload.state_name(), reload.next_at()), ("Idle", None));
}

#[test]
fn each_further_change_begins_the_settling_again() {
    let mut reload = begun(RULE);
    reload.apply(at(10), ReloadEvent::Changed);
    assert_eq!(reload.next_at(), Some(at(11)));
    reload.apply(Duration::from_millis(10_800), ReloadEvent::Changed);
    assert_eq!(reload.next_at(), Some(Duration::from_millis(11_800)));
    for second in 11..200 {
        reload.apply(at(second), ReloadEvent::Changed);
    }
    assert!(reload.next_at() <= Some(at(199)), "files that change all the time are looked at nevertheless");
}

#[test]
fn a_touched_file_applies_nothing() {
    let mut reload = begun(RULE);
    reload.apply(at(10), ReloadEvent::Changed);
    let look = run(&mut reload, at(11), ReloadEvent::TimePassed);
    assert!(reload.apply(at(11), ReloadEvent::Looked(look, Some(OLD))).is_empty());
    assert_eq!(reload.state_name(), "Idle");
}

#[test]
fn a_failed_check_waits_for_another_change() {
    let mut reload = begun(RULE);
    reload.apply(at(10), ReloadEvent::Changed);
    let look = run(&mut reload, at(11), ReloadEvent::TimePassed);
    let check = run(&mut reload, at(11), ReloadEvent::Looked(look, Some(NEW)));
    let verify = run(&mut reload, at(12), ReloadEvent::Ended(check, HandlerResult::Failed));
    let actions = reload.apply(at(12), ReloadEvent::Looked(verify, Some(NEW)));
    assert_eq!(actions, noted(ReloadNote::CheckFailed));
    assert_eq!((reload.state_name(), reload.next_at()), ("Idle", None));
    // Touched: it is the same content.
    reload.apply(at(20), ReloadEvent::Changed);
    let look = run(&mut reload, at(21), ReloadEvent::TimePassed);
    assert!(reload.apply(at(21), ReloadEvent::Looked(look, Some(NEW))).is_empty());
    applying(&mut reload, at(30), Content(3));
}

#[test]
fn a_change_during_the_check_is_settled_again() {
    let mut reload = begun(RULE);
    reload.apply(at(10), ReloadEvent::Changed);
    let look = run(&mut reload, at(11), ReloadEvent::TimePassed);
    let check = run(&mut reload, at(11), ReloadEvent::Looked(look, Some(NEW)));
    assert!(reload.apply(at(12), ReloadEvent::Changed).is_empty());
    assert!(reload.apply(at(13), ReloadEvent::Ended(check, HandlerResult::Succeeded)).is_empty());
    assert_eq!((reload.state_name(), reload.next_at()), ("Settling", Some(at(14))));
}

#[test]
fn a_result_of_the_check_is_that_of_the_content_it_has_read() {
    for result in [HandlerResult::Succeeded, HandlerResult::Failed] {
        let mut reload = begun(RULE);
        reload.apply(at(10), ReloadEvent::Changed);
        let look = run(&mut reload, at(11), ReloadEvent::TimePassed);
        let check = run(&mut reload, at(11), ReloadEvent::Looked(look, Some(NEW)));
        let verify = run(&mut reload, at(12), ReloadEvent::Ended(check, result));
        assert!(reload.apply(at(12), ReloadEvent::Looked(verify, Some(Content(3)))).is_empty());
        assert_eq!(reload.state_name(), "Settling");
    }
}

#[test]
fn changes_during_an_action_lead_to_one_more() {
    let mut reload = begun(RULE);
    let action = applying(&mut reload, at(10), NEW);
    for _ in 0..3 {
        assert!(reload.apply(at(12), ReloadEvent::Changed).is_empty());
    }
    reload.apply(at(13), ReloadEvent::Ended(action, HandlerResult::Succeeded));
    assert_eq!((reload.state_name(), reload.next_at()), ("Settling", Some(at(14))));
    let look = run(&mut reload, at(14), ReloadEvent::TimePassed);
    reload.apply(at(14), ReloadEvent::Looked(look, Some(NEW)));
    assert_eq!((reload.state_name(), reload.next_at()), ("Idle", None));
}

#[test]
fn a_failed_action_is_tried_again_and_then_given_up() {
    let mut reload = begun(ReloadRule { has_check: false, ..RULE });
    let mut action = applying(&mut reload, at(10), NEW);
    let mut now = at(11);
    for pause in [1, 2, 4, 8, 16] {
        let actions = reload.apply(now, ReloadEvent::Ended(action, HandlerResult::TimedOut));
        assert_eq!(actions, noted(ReloadNote::Failed(Some(at(pause)))));
        now += at(pause);
        let look = run(&mut reload, now, ReloadEvent::TimePassed);
        action = run(&mut reload, now, ReloadEvent::Looked(look, Some(NEW)));
    }
    let actions = reload.apply(now, ReloadEvent::Ended(action, HandlerResult::Failed));
    assert_eq!(actions, noted(ReloadNote::Failed(None)));
    assert_eq!((reload.state_name(), reload.next_at()), ("Idle", None));
}

#[test]
fn nothing_begins_before_it_is_allowed() {
    let mut reload = Reload::new(RULE);
    assert!(reload.apply(at(1), ReloadEvent::Baseline(Some(OLD))).is_empty());
    assert!(reload.apply(at(2), ReloadEvent::Changed).is_empty());
    assert!(reload.apply(at(2), ReloadEvent::Requested).is_empty());
    assert_eq!(reload.next_at(), None);
    assert!(reload.apply(at(5), ReloadEvent::Allowed(true)).is_empty());
    assert_eq!(reload.next_at(), Some(at(6)), "a change that came before is not forgotten");
}

#[test]
fn a_stop_aborts_each_step_at_once() {
    for steps in 0..4 {
        let mut reload = begun(RULE);
        reload.apply(at(10), ReloadEvent::Changed);
        let mut in_flight = None;
        if steps > 0 {
            in_flight = Some(run(&mut reload, at(11), ReloadEvent::TimePassed));
        }
        if let Some(look) = in_flight.filter(|_| steps > 1) {
            in_flight = Some(run(&mut reload, at(11), ReloadEvent::Looked(look, Some(NEW))));
        }
        if let Some(check) = in_flight.filter(|_| steps > 2) {
            let verify = run(&mut reload, at(11), ReloadEvent::Ended(check, HandlerResult::Succeeded));
            in_flight = Some(run(&mut reload, at(11), ReloadEvent::Looked(verify, Some(NEW))));
        }
        let actions = reload.apply(at(12), ReloadEvent::Allowed(false));
        assert_eq!(actions.first().copied(), in_flight.map(ReloadAction::Abort), "{steps}");
        assert_eq!((reload.state_name(), reload.next_at()), ("Idle", None));
        // No stop signal followed: the app lives on.
        reload.apply(at(20), ReloadEvent::Allowed(true));
        assert_eq!(reload.next_at(), Some(at(21)));
    }
}

#[test]
fn a_request_applies_the_same_content_at_once() {
    let mut reload = begun(RULE);
    let look = run(&mut reload, at(10), ReloadEvent::Requested);
    let check = run(&mut reload, at(10), ReloadEvent::Looked(look, Some(OLD)));
    let verify = run(&mut reload, at(10), ReloadEvent::Ended(check, HandlerResult::Succeeded));
    run(&mut reload, at(10), ReloadEvent::Looked(verify, Some(OLD)));
    assert_eq!(reload.state_name(), "Applying");
}

#[test]
fn the_app_ends_a_reload_with_ready_if_it_speaks_it() {
    let rule = ReloadRule { notifies: true, ..RULE };
    // RELOADING=1 after the action, and READY=1 later.
    let mut reload = begun(rule);
    let action = applying(&mut reload, at(10), NEW);
    assert!(reload.apply(at(11), ReloadEvent::Ended(action, HandlerResult::Succeeded)).is_empty());
    assert!(reload.apply(at(11), ReloadEvent::Ready).is_empty(), "an answer to something else");
    assert!(reload.apply(at(11), ReloadEvent::Reloading).is_empty());
    assert_eq!(reload.next_at(), Some(at(16)));
    assert_eq!(reload.apply(at(13), ReloadEvent::Ready), noted(ReloadNote::Succeeded));
    // It never comes.
    let action = applying(&mut reload, at(20), OLD);
    reload.apply(at(21), ReloadEvent::Reloading);
    reload.apply(at(21), ReloadEvent::Ended(action, HandlerResult::Succeeded));
    assert_eq!(reload.apply(at(26), ReloadEvent::TimePassed), noted(ReloadNote::Failed(Some(at(1)))));
    // An app that does not speak it.
    let mut reload = begun(rule);
    let action = applying(&mut reload, at(10), NEW);
    reload.apply(at(11), ReloadEvent::Ended(action, HandlerResult::Succeeded));
    assert_eq!(reload.apply(at(12), ReloadEvent::TimePassed), noted(ReloadNote::Succeeded));
}

#[test]
fn without_reports_content_must_be_the_same_twice() {
    let mut reload = begun(RULE);
    reload.apply(at(0), ReloadEvent::Unwatched(at(10)));
    assert_eq!(reload.next_at(), Some(at(10)));
    let look = run(&mut reload, at(10), ReloadEvent::TimePassed);
    assert!(reload.apply(at(10), ReloadEvent::Looked(look, Some(Content(7)))).is_empty());
    assert_eq!(reload.next_at(), Some(at(11)), "it may be half of a change");
    let look = run(&mut reload, at(11), ReloadEvent::TimePassed);
    assert!(reload.apply(at(11), ReloadEvent::Looked(look, Some(NEW))).is_empty());
    let look = run(&mut reload, at(12), ReloadEvent::TimePassed);
    run(&mut reload, at(12), ReloadEvent::Looked(look, Some(NEW)));
    assert_eq!(reload.state_name(), "Checking");
}

#[test]
fn files_that_changed_since_the_start_are_applied() {
    let mut reload = Reload::new(RULE);
    reload.apply(at(0), ReloadEvent::Allowed(true));
    reload.apply(at(0), ReloadEvent::Baseline(None));
    assert_eq!(reload.next_at(), Some(at(1)));
    let mut reload = Reload::new(RULE);
    reload.apply(at(0), ReloadEvent::Changed);
    reload.apply(at(0), ReloadEvent::Baseline(Some(NEW)));
    reload.apply(at(0), ReloadEvent::Allowed(true));
    let look = run(&mut reload, at(1), ReloadEvent::TimePassed);
    run(&mut reload, at(1), ReloadEvent::Looked(look, Some(NEW)));
    assert_eq!(reload.state_name(), "Checking", "a change before the baseline may be one after the app has read it");
}

#[test]
fn a_request_during_an_action_has_a_result_of_its_own() {
    let mut reload = begun(RULE);
    let mut now = at(10);
    let mut action = applying(&mut reload, now, NEW);
    // Also during the last try.
    for pause in [1, 2, 4, 8, 16].map(|pause| Some(at(pause))).into_iter().chain([None]) {
        let mut requested = reload.clone();
        assert!(requested.apply(now, ReloadEvent::Requested).is_empty());
        let actions = requested.apply(now, ReloadEvent::Ended(action, HandlerResult::Failed));
        assert_eq!(actions, noted(ReloadNote::Failed(pause)));
        let look = run(&mut requested, now, ReloadEvent::TimePassed);
        run(&mut requested, now, ReloadEvent::Looked(look, Some(NEW)));
        assert_eq!(requested.state_name(), "Checking");

        reload.apply(now, ReloadEvent::Ended(action, HandlerResult::Failed));
        let Some(pause) = pause else { break };
        now += pause;
        let look = run(&mut reload, now, ReloadEvent::TimePassed);
        let check = run(&mut reload, now, ReloadEvent::Looked(look, Some(NEW)));
        let verify = run(&mut reload, now, ReloadEvent::Ended(check, HandlerResult::Succeeded));
        action = run(&mut reload, now, ReloadEvent::Looked(verify, Some(NEW)));
    }
}

#[test]
fn an_action_that_fails_and_touches_the_files_is_given_up_too() {
    let mut reload = begun(ReloadRule { has_check: false, ..RULE });
    let mut action = applying(&mut reload, at(10), NEW);
    for tries in 1..=6 {
        assert!(reload.apply(at(10), ReloadEvent::Changed).is_empty());
        reload.apply(at(10), ReloadEvent::Ended(action, HandlerResult::Failed));
        let due = reload.next_at().unwrap();
        let look = run(&mut reload, due, ReloadEvent::TimePassed);
        match reload.apply(due, ReloadEvent::Looked(look, Some(NEW)))[..] {
            [ReloadAction::Apply(next)] if tries < 6 => action = next,
            ref actions => assert_eq!((actions, tries), (&[][..], 6)),
        }
    }
}

#[test]
fn after_a_failed_action_the_old_content_is_applied_again() {
    let mut reload = begun(RULE);
    let action = applying(&mut reload, at(10), NEW);
    reload.apply(at(99), ReloadEvent::Ended(action, HandlerResult::TimedOut));
    // The app may have read the new files nevertheless. However long it took, the files must be quiet again.
    applying(&mut reload, at(100), OLD);
    assert_eq!(reload.changed_at, Some(at(100)));
}

#[test]
fn a_look_that_hung_applies_nothing_that_the_app_has() {
    let mut reload = begun(RULE);
    reload.apply(at(10), ReloadEvent::Changed);
    let look = run(&mut reload, at(11), ReloadEvent::TimePassed);
    assert_eq!(reload.apply(at(21), ReloadEvent::Looked(look, None)), noted(ReloadNote::Failed(Some(at(1)))));
    let look = run(&mut reload, at(22), ReloadEvent::TimePassed);
    assert!(reload.apply(at(22), ReloadEvent::Looked(look, Some(OLD))).is_empty());
    assert_eq!(reload.state_name(), "Idle");
}

#[test]
fn a_first_look_knows_what_the_app_has_if_nothing_is_newer() {
    let started = at(100);
    let tick = Duration::from_millis(10);
    assert_eq!(OLD.at_start(at(1), started), Some(OLD));
    // The kernel's time of a change may be ten milliseconds old.
    assert_eq!(OLD.at_start(started - tick, started), Some(OLD));
    for late in [started - tick + Duration::from_nanos(1), started, at(200)] {
        assert_eq!(OLD.at_start(late, started), None, "{late:?}");
    }
    assert_eq!(OLD.at_start(Duration::ZERO, Duration::ZERO), None, "a clock that begins in 1970");
}
