//! Probes: examples first, then properties of random histories.

use proptest::prelude::*;

use super::*;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn rule(initial_delay: u64, failure_threshold: u32, success_threshold: u32) -> ProbeRule {
    ProbeRule { initial_delay: secs(initial_delay), period: secs(10), failure_threshold, success_threshold }
}

fn running() -> ProbeConditions {
    ProbeConditions { app_since: Some(secs(1)), post_start_over: true, notified: true, ..ProbeConditions::default() }
}

fn all() -> Probes {
    Probes::new(|_| Some(rule(0, 3, 1)))
}

#[test]
fn probes_and_their_states_have_kubernetes_names() {
    assert_eq!(ProbeKind::ALL.map(ProbeKind::name), ["startupProbe", "readinessProbe", "livenessProbe"]);
    let states = [ProbeState::Unknown, ProbeState::Succeeded, ProbeState::Failed];
    assert_eq!(states.map(ProbeState::name), ["Unknown", "Succeeded", "Failed"]);
}

#[test]
fn one_configured_probe_is_enough_to_have_probes() {
    assert!(!Probes::new(|_| None).any_configured());
    for one in ProbeKind::ALL {
        assert!(Probes::new(|kind| (kind == one).then(|| rule(0, 3, 1))).any_configured());
    }
}

/// The runs that begin at this time.
fn begin(probes: &mut Probes, now: u64, conditions: &ProbeConditions) -> Vec<(ProbeKind, ProbeRunId)> {
    let actions = probes.update(secs(now), conditions);
    actions
        .into_iter()
        .filter_map(|action| if let ProbeAction::Start(kind, run) = action { Some((kind, run)) } else { None })
        .collect()
}

fn kinds(runs: &[(ProbeKind, ProbeRunId)]) -> Vec<ProbeKind> {
    runs.iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn readiness_and_liveness_begin_when_startup_succeeds() {
    let mut probes = all();
    let runs = begin(&mut probes, 1, &running());
    assert_eq!(kinds(&runs), [ProbeKind::Startup]);
    assert_eq!(probes.ended(secs(2), runs[0].1, true, &running()), Some((ProbeKind::Startup, ProbeState::Succeeded)));
    assert_eq!(kinds(&begin(&mut probes, 2, &running())), [ProbeKind::Readiness, ProbeKind::Liveness]);
    assert!(probes.has_started() && !probes.is_ready() && probes.is_live());
}

#[test]
fn no_probe_runs_before_the_app_and_post_start() {
    let mut probes = all();
    assert!(begin(&mut probes, 1, &ProbeConditions { post_start_over: false, ..running() }).is_empty());
    assert!(begin(&mut probes, 1, &ProbeConditions { app_since: None, ..running() }).is_empty());
    assert_eq!(probes.next_at(), None);
}

#[test]
fn readiness_waits_for_the_notification_of_the_app() {
    let mut probes = Probes::new(|kind| (kind == ProbeKind::Readiness).then(|| rule(0, 3, 1)));
    assert!(begin(&mut probes, 1, &ProbeConditions { notified: false, ..running() }).is_empty());
    assert_eq!(kinds(&begin(&mut probes, 1, &running())), [ProbeKind::Readiness]);
}

#[test]
fn a_stop_leaves_only_the_readiness_probe_running() {
    let mut probes = all();
    let runs = begin(&mut probes, 1, &running());
    probes.ended(secs(1), runs[0].1, true, &running());
    assert_eq!(begin(&mut probes, 1, &running()).len(), 2);
    let stopping = ProbeConditions { stopping: true, ..running() };
    assert_eq!(probes.update(secs(2), &stopping), [ProbeAction::Abort(ProbeKind::Liveness)]);
    assert_eq!(probes.update(secs(60), &stopping), []);
    assert!(probes.is_live());
}

#[test]
fn thresholds_count_consecutive_results() {
    let mut probes = Probes::new(|kind| (kind == ProbeKind::Readiness).then(|| rule(0, 3, 2)));
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
fn the_period_counts_from_the_beginning_of_the_last_run() {
    let mut probes = Probes::new(|kind| (kind == ProbeKind::Liveness).then(|| rule(5, 3, 1)));
    assert!(begin(&mut probes, 2, &running()).is_empty());
    assert_eq!(probes.next_at(), Some(secs(6)));
    let run = begin(&mut probes, 6, &running())[0].1;
    assert_eq!(probes.next_at(), None, "a run is in flight");
    probes.ended(secs(9), run, true, &running());
    assert_eq!(probes.next_at(), Some(secs(16)));
    let run = begin(&mut probes, 16, &running())[0].1;
    probes.ended(secs(40), run, true, &running());
    assert_eq!(probes.next_at(), Some(secs(40)), "the run took longer than the period");
}

#[test]
fn failures_during_an_extended_startup_do_not_count() {
    let mut probes = Probes::new(|kind| (kind == ProbeKind::Startup).then(|| rule(0, 1, 1)));
    let extended = ProbeConditions { startup_extended_to: Some(secs(20)), ..running() };
    let run = begin(&mut probes, 1, &extended)[0].1;
    assert_eq!(probes.ended(secs(2), run, false, &extended), None);
    let run = begin(&mut probes, 21, &extended)[0].1;
    assert_eq!(probes.ended(secs(21), run, false, &extended), Some((ProbeKind::Startup, ProbeState::Failed)));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    End(ProbeKind, bool),
    PostStart,
    Notify,
    Stop,
    Gone,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop::sample::select(ProbeKind::ALL.to_vec());
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
    fn each_probe_has_at_most_one_run_and_only_when_allowed(
        there in prop::array::uniform3(any::<bool>()),
        failures in 1u32..4,
        successes in 1u32..3,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let index = |kind| ProbeKind::ALL.iter().position(|k| *k == kind).unwrap();
        let mut probes = Probes::new(|kind| there[index(kind)].then(|| rule(3, failures, successes)));
        let mut conditions = ProbeConditions { app_since: Some(secs(0)), ..ProbeConditions::default() };
        let mut in_flight: [Option<ProbeRunId>; 3] = [None; 3];
        let mut results: [Vec<bool>; 3] = Default::default();
        let mut now = secs(0);
        for step in steps {
            match step {
                Step::Wait(n) => now += secs(n),
                Step::PostStart => conditions.post_start_over = true,
                Step::Notify => conditions.notified = true,
                // The stop signal is a later step of the same kind.
                Step::Stop => (conditions.signalled, conditions.stopping) = (conditions.stopping, true),
                Step::Gone => conditions.app_since = None,
                Step::End(kind, good) => if let Some(run) = in_flight[index(kind)].take() {
                    results[index(kind)].push(good);
                    let threshold = if good { successes } else { failures } as usize;
                    let before = probes.get(kind).unwrap().state;
                    let streak = results[index(kind)].iter().rev().take_while(|r| **r == good).count();
                    let changed = probes.ended(now, run, good, &conditions);
                    let wanted = if good { ProbeState::Succeeded } else { ProbeState::Failed };
                    let expected = (streak >= threshold && before != wanted).then_some((kind, wanted));
                    prop_assert_eq!(changed, expected);
                    prop_assert_eq!(probes.ended(now, run, good, &conditions), None, "a run has one result");
                }
            }
            for action in probes.update(now, &conditions) {
                match action {
                    ProbeAction::Start(kind, run) => {
                        prop_assert!(there[index(kind)]);
                        prop_assert!(now >= secs(3), "no run before the initial delay");
                        prop_assert!(in_flight[index(kind)].replace(run).is_none(), "one run at a time");
                    }
                    ProbeAction::Abort(kind) => prop_assert!(in_flight[index(kind)].take().is_some()),
                }
            }
            for kind in ProbeKind::ALL {
                if in_flight[index(kind)].is_some() {
                    prop_assert!(conditions.app_since.is_some() && conditions.post_start_over);
                    prop_assert!(kind == ProbeKind::Readiness || !conditions.stopping);
                    prop_assert!(!conditions.signalled);
                    prop_assert_eq!(kind == ProbeKind::Startup, !(probes.has_started() && (conditions.notified || kind == ProbeKind::Startup)));
                }
            }
            prop_assert!(probes.next_at().is_none_or(|at| at > now), "every due run has begun");
        }
    }
}
