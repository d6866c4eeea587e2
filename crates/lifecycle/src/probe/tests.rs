//! What probes add up to: told as stories, then held over random histories.

use proptest::prelude::*;

use super::*;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn rule(initial_delay: u64, failure_threshold: u32, success_threshold: u32) -> Rule {
    Rule { initial_delay: secs(initial_delay), period: secs(10), failure_threshold, success_threshold }
}

fn running() -> View {
    View { app_since: Some(secs(1)), post_start_over: true, notified: true, ..View::default() }
}

fn all() -> Probes {
    Probes::new(|_| Some(rule(0, 3, 1)))
}

/// The runs that begin now.
fn begin(probes: &mut Probes, now: u64, view: &View) -> Vec<(Kind, RunId)> {
    let acts = probes.tend(secs(now), view);
    acts.into_iter().filter_map(|act| if let Act::Start(kind, run) = act { Some((kind, run)) } else { None }).collect()
}

fn kinds(runs: &[(Kind, RunId)]) -> Vec<Kind> {
    runs.iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn the_others_wait_for_startup_and_begin_at_once_when_it_has_succeeded() {
    let mut probes = all();
    let runs = begin(&mut probes, 1, &running());
    assert_eq!(kinds(&runs), [Kind::Startup]);
    assert_eq!(probes.ended(secs(2), runs[0].1, true, &running()), Some((Kind::Startup, State::Success)));
    assert_eq!(kinds(&begin(&mut probes, 2, &running())), [Kind::Readiness, Kind::Liveness]);
    assert!(probes.has_started() && !probes.is_ready() && probes.is_live());
}

#[test]
fn nothing_runs_while_post_start_does_or_before_the_app_is_there() {
    let mut probes = all();
    assert!(begin(&mut probes, 1, &View { post_start_over: false, ..running() }).is_empty());
    assert!(begin(&mut probes, 1, &View { app_since: None, ..running() }).is_empty());
    assert_eq!(probes.next_at(), None);
}

#[test]
fn an_app_that_has_to_notify_is_not_asked_for_readiness_before_it_has() {
    let mut probes = Probes::new(|kind| (kind == Kind::Readiness).then(|| rule(0, 3, 1)));
    assert!(begin(&mut probes, 1, &View { notified: false, ..running() }).is_empty());
    assert_eq!(kinds(&begin(&mut probes, 1, &running())), [Kind::Readiness]);
}

#[test]
fn in_a_stop_readiness_goes_on_and_the_others_end() {
    let mut probes = all();
    let runs = begin(&mut probes, 1, &running());
    probes.ended(secs(1), runs[0].1, true, &running());
    assert_eq!(begin(&mut probes, 1, &running()).len(), 2);
    let stopping = View { stopping: true, ..running() };
    assert_eq!(probes.tend(secs(2), &stopping), [Act::Abort(Kind::Liveness)]);
    assert_eq!(probes.tend(secs(60), &stopping), []);
    assert!(probes.is_live());
}

#[test]
fn thresholds_count_what_comes_in_a_row() {
    let mut probes = Probes::new(|kind| (kind == Kind::Readiness).then(|| rule(0, 3, 2)));
    let mut now = 1;
    let mut after = |good: bool| {
        let run = begin(&mut probes, now, &running())[0].1;
        probes.ended(secs(now), run, good, &running());
        now += 10;
        probes.is_ready()
    };
    let results = [true, true, false, false, true, false, false, false, true, true];
    assert_eq!(results.map(&mut after), [false, true, true, true, true, true, true, false, false, true]);
}

#[test]
fn the_delay_counts_from_the_start_and_the_period_from_the_last_begin() {
    let mut probes = Probes::new(|kind| (kind == Kind::Liveness).then(|| rule(5, 3, 1)));
    assert!(begin(&mut probes, 2, &running()).is_empty());
    assert_eq!(probes.next_at(), Some(secs(6)));
    let run = begin(&mut probes, 6, &running())[0].1;
    assert_eq!(probes.next_at(), None, "one is in flight");
    probes.ended(secs(9), run, true, &running());
    assert_eq!(probes.next_at(), Some(secs(16)));
    let run = begin(&mut probes, 16, &running())[0].1;
    probes.ended(secs(40), run, true, &running());
    assert_eq!(probes.next_at(), Some(secs(40)), "it took longer than the period");
}

#[test]
fn an_extended_startup_is_no_failed_one() {
    let mut probes = Probes::new(|kind| (kind == Kind::Startup).then(|| rule(0, 1, 1)));
    let extended = View { startup_extended_to: Some(secs(20)), ..running() };
    let run = begin(&mut probes, 1, &extended)[0].1;
    assert_eq!(probes.ended(secs(2), run, false, &extended), None);
    let run = begin(&mut probes, 21, &extended)[0].1;
    assert_eq!(probes.ended(secs(21), run, false, &extended), Some((Kind::Startup, State::Failure)));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    End(Kind, bool),
    PostStart,
    Notify,
    Stop,
    Gone,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop::sample::select(Kind::ALL.to_vec());
    prop_oneof![
        6 => (0u64..15).prop_map(Step::Wait),
        10 => (kind, any::<bool>()).prop_map(|(kind, good)| Step::End(kind, good)),
        2 => Just(Step::PostStart),
        2 => Just(Step::Notify),
        1 => Just(Step::Stop),
        1 => Just(Step::Gone),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_at_most_one_run_of_each_is_in_flight_and_only_when_it_may(
        there in prop::array::uniform3(any::<bool>()),
        failures in 1u32..4,
        successes in 1u32..3,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let place = |kind| Kind::ALL.iter().position(|k| *k == kind).unwrap();
        let mut probes = Probes::new(|kind| there[place(kind)].then(|| rule(3, failures, successes)));
        let mut view = View { app_since: Some(secs(0)), ..View::default() };
        let mut flying: [Option<RunId>; 3] = [None; 3];
        let mut results: [Vec<bool>; 3] = Default::default();
        let mut now = secs(0);
        for step in steps {
            match step {
                Step::Wait(n) => now += secs(n),
                Step::PostStart => view.post_start_over = true,
                Step::Notify => view.notified = true,
                Step::Stop => view.stopping = true,
                Step::Gone => view.app_since = None,
                Step::End(kind, good) => if let Some(run) = flying[place(kind)].take() {
                    results[place(kind)].push(good);
                    let threshold = if good { successes } else { failures } as usize;
                    let before = probes.get(kind).unwrap().state;
                    let in_a_row = results[place(kind)].iter().rev().take_while(|r| **r == good).count();
                    let changed = probes.ended(now, run, good, &view);
                    let wanted = if good { State::Success } else { State::Failure };
                    let expected = (in_a_row >= threshold && before != wanted).then_some((kind, wanted));
                    prop_assert_eq!(changed, expected);
                    prop_assert_eq!(probes.ended(now, run, good, &view), None, "one run, one result");
                }
            }
            for act in probes.tend(now, &view) {
                match act {
                    Act::Start(kind, run) => {
                        prop_assert!(there[place(kind)]);
                        prop_assert!(now >= secs(3), "not before its delay");
                        prop_assert!(flying[place(kind)].replace(run).is_none(), "one at a time");
                    }
                    Act::Abort(kind) => prop_assert!(flying[place(kind)].take().is_some()),
                }
            }
            for kind in Kind::ALL {
                if flying[place(kind)].is_some() {
                    prop_assert!(view.app_since.is_some() && view.post_start_over);
                    prop_assert!(kind == Kind::Readiness || !view.stopping);
                    prop_assert_eq!(kind == Kind::Startup, !(probes.has_started() && (view.notified || kind == Kind::Startup)));
                }
            }
            prop_assert!(probes.next_at().is_none_or(|at| at > now), "what is due has been begun");
        }
    }
}
