use proptest::prelude::*;

use super::*;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const EMPTY: ConnectionCounts = ConnectionCounts { queue: 0, connections: 0, busy: Some(0) };

/// Counts every 100 ms in a namespace in which connections arrive at these times. Returns when the drain ends, and why.
fn play(drain: &Drain, arrivals: &[u64], counts: impl Fn(u64) -> Option<ConnectionCounts>) -> (u64, DrainEnd) {
    let mut decision = DrainDecision::new(drain.clone(), millis(7), None);
    for now in (0..).step_by(20) {
        let count = arrivals.iter().filter(|at| **at <= now).count();
        let mut step = decision.arrivals(millis(now + 7), Some(1000 + u64::try_from(count).unwrap()));
        if step == DrainStep::CheckSockets {
            step = decision.sockets(millis(now + 7), counts(now));
        }
        if let DrainStep::Over(end) = step {
            return (now, end);
        }
    }
    unreachable!("maxSeconds ends the drain")
}

fn every(interval: u64, until: u64) -> Vec<u64> {
    (0..until).step_by(usize::try_from(interval).unwrap()).collect()
}

#[test]
fn a_quiet_app_still_serves_for_the_minimum() {
    assert_eq!(play(&Drain::default(), &[], |_| Some(EMPTY)), (3000, DrainEnd::Quiet));
}

#[test]
fn the_drain_ends_when_no_connection_came_for_the_quiet_time() {
    for late in [1000, 3000, 6000] {
        let (at, end) = play(&Drain::default(), &every(10, late), |_| Some(EMPTY));
        assert_eq!(end, DrainEnd::Quiet);
        assert!(at >= 3000.max(late + 2000 - 10) && at <= 3000.max(late + 2100), "{late}: {at}");
    }
}

#[test]
fn connections_in_the_accept_queue_extend_the_drain() {
    let queue = |now| Some(ConnectionCounts { queue: u32::from(now < 4500), ..EMPTY });
    assert_eq!(play(&Drain::default(), &[], queue), (4500, DrainEnd::Quiet));
}

#[test]
fn the_maximum_ends_a_drain_that_never_becomes_quiet() {
    assert_eq!(play(&Drain::default(), &every(50, 99_000), |_| Some(EMPTY)), (15_000, DrainEnd::TimeOver));
}

#[test]
fn a_few_connections_count_as_quiet_only_if_tolerated() {
    let trickle = every(1300, 99_000);
    assert_eq!(play(&Drain::default(), &trickle, |_| Some(EMPTY)).1, DrainEnd::TimeOver);
    let tolerant = Drain { tolerated: 3, ..Drain::default() };
    assert_eq!(play(&tolerant, &trickle, |_| Some(EMPTY)), (3000, DrainEnd::Quiet));
}

/// Clients until 3 s, and a probe that goes on. Returns when the drain ends.
fn play_with_probe(period: u64, jitter: &[u64]) -> u64 {
    let probes = (1..40).map(|n| 450 + n * period + jitter[usize::try_from(n).unwrap() % jitter.len()]);
    let mut arrivals: Vec<u64> = every(33, 3000).into_iter().chain(probes).collect();
    arrivals.sort_unstable();
    let (at, end) = play(&Drain::default(), &arrivals, |_| Some(EMPTY));
    assert_eq!(end, DrainEnd::Quiet, "period {period}");
    at
}

#[test]
fn a_readiness_probe_does_not_hold_the_drain_until_max() {
    for jitter in [&[0][..], &[0, 20, 5]] {
        for (period, end) in [(1000, 6_450), (2000, 6_450), (3000, 5_450)] {
            let at = play_with_probe(period, jitter);
            assert!((end..end + 80).contains(&at), "{period}: {at}");
        }
    }
}

#[test]
fn a_client_among_probes_is_not_taken_for_a_probe() {
    for client in [4900, 5300, 6000, 6450] {
        let mut arrivals: Vec<u64> = (0..20).map(|n| 450 + n * 1000).chain([client]).collect();
        arrivals.sort_unstable();
        let (at, _) = play(&Drain::default(), &arrivals, |_| Some(EMPTY));
        assert!(at >= client + 2000, "{client}: {at}");
    }
}

#[test]
fn irregular_arrivals_are_not_taken_for_a_probe() {
    let odd = (0..20).map(|n| 450 + n * 1000 + n % 3 * 150).collect::<Vec<_>>();
    for arrivals in [odd, every(800, 20_000), every(1500, 20_000)] {
        assert_eq!(play(&Drain::default(), &arrivals, |_| Some(EMPTY)), (15_000, DrainEnd::TimeOver));
    }
}

#[test]
fn one_connection_more_than_tolerated_is_not_quiet() {
    let tolerant = Drain { tolerated: 3, ..Drain::default() };
    assert_eq!(play(&tolerant, &[2500, 2600, 2700], |_| Some(EMPTY)), (3000, DrainEnd::Quiet));
    assert_eq!(play(&tolerant, &[2500, 2600, 2700, 2800], |_| Some(EMPTY)), (4500, DrainEnd::Quiet));
}

#[test]
fn without_counts_the_drain_waits_for_the_fixed_time() {
    assert_eq!(play(&Drain::default(), &[], |_| None), (5000, DrainEnd::Unavailable));
    let short = Drain { fallback: Some(millis(1)), ..Drain::default() };
    assert_eq!(play(&short, &[], |_| None), (3000, DrainEnd::Unavailable));
    let mut decision = DrainDecision::new(Drain::default(), millis(0), None);
    assert_eq!(decision.arrivals(millis(4900), None), DrainStep::Wait);
    assert_eq!(decision.arrivals(millis(5000), None), DrainStep::Over(DrainEnd::Unavailable));
}

#[test]
fn progress_tells_that_a_source_of_counts_is_missing() {
    let unavailable = |decision: &DrainDecision| decision.progress().unavailable;
    let mut decision = DrainDecision::new(Drain::default(), millis(0), None);
    decision.arrivals(millis(20), Some(1));
    decision.sockets(millis(20), Some(EMPTY));
    assert!(!unavailable(&decision));
    decision.sockets(millis(40), None);
    assert!(unavailable(&decision), "the sockets");
    let mut decision = DrainDecision::new(Drain::default(), millis(0), None);
    decision.arrivals(millis(20), None);
    assert!(unavailable(&decision), "the counter");
}

#[test]
fn until_extends_the_drain_for_busy_or_open_connections() {
    let busy = |now| Some(ConnectionCounts { queue: 0, connections: 9, busy: Some(u32::from(now < 7000)) });
    let drain = Drain { until: Until::NoBusyConnections, ..Drain::default() };
    assert_eq!(play(&drain, &[], busy), (7000, DrainEnd::Quiet));
    // If the source cannot tell which connections are busy, all of them count.
    let unknown = |now| Some(ConnectionCounts { queue: 0, connections: u32::from(now < 9000), busy: None });
    assert_eq!(play(&drain, &[], unknown), (9000, DrainEnd::Quiet));
    let none = Drain { until: Until::NoConnections, ..Drain::default() };
    assert_eq!(play(&none, &[], busy).1, DrainEnd::TimeOver);
}

#[test]
fn the_budget_of_the_stop_ends_the_drain_earlier() {
    let mut decision = DrainDecision::new(Drain::default(), millis(0), Some(millis(1000)));
    assert_eq!(decision.arrivals(millis(900), Some(1)), DrainStep::Wait);
    assert_eq!(decision.arrivals(millis(1000), Some(1)), DrainStep::Over(DrainEnd::TimeOver));
}

#[test]
fn an_own_connection_counted_too_early_hides_no_client() {
    let mut decision = DrainDecision::new(Drain::default(), millis(0), None);
    for (now, counter) in [(0, 10), (100, 11), (200, 10), (300, 11)] {
        decision.arrivals(millis(now), Some(counter));
    }
    assert_eq!(decision.progress().arrived, 2);
}

proptest! {
    #[test]
    fn a_drain_keeps_its_minimum_its_maximum_and_its_quiet_time(
        min in 0..5000u64, quiet in 0..3000u64, max in 0..10_000u64, tolerated in 0..4u32,
        mut arrivals in proptest::collection::vec(0..12_000u64, 0..60),
        queue_until in 0..9000u64,
    ) {
        let drain = Drain { min: millis(min), quiet: millis(quiet), max: millis(max), tolerated, ..Drain::default() };
        arrivals.sort_unstable();
        let counts = |now| Some(ConnectionCounts { queue: u32::from(now < queue_until), ..EMPTY });
        let (at, end) = play(&drain, &arrivals, counts);
        prop_assert!(at >= min);
        prop_assert!(at <= max.max(min).next_multiple_of(20));
        if end == DrainEnd::Quiet {
            // An arrival before the first count is not new. One between two counts is seen at the later one.
            let window = at.saturating_sub(quiet) + 20..=at;
            let recent = arrivals.iter().filter(|a| **a > 0 && window.contains(a)).count();
            // Four arrivals may match the time of a probe by chance.
            let gaps = arrivals.windows(2).map(|pair| (pair[1] - pair[0] + 70) % 1000);
            let in_step = gaps.filter(|gap| *gap <= 190).count() >= 3;
            prop_assert!(recent <= usize::try_from(tolerated).unwrap() || in_step, "{arrivals:?} at {at}");
            prop_assert!(at >= queue_until && at >= quiet);
        } else {
            prop_assert_eq!(end, DrainEnd::TimeOver);
        }
    }
}

#[test]
fn closed_connections_are_not_counted_and_one_unknown_hides_all() {
    let busy = Connection { closed: false, pending: true, history: None };
    let (closing, unknown) = (Connection { closed: true, ..busy }, Connection { pending: false, ..busy });
    let mut counts = EMPTY;
    counts.add(&busy, false);
    counts.add(&closing, false);
    counts.add(&busy, false);
    assert_eq!(counts, ConnectionCounts { queue: 0, connections: 2, busy: Some(3) });
    counts.add(&Connection { closed: true, ..unknown }, false);
    assert_eq!(counts, ConnectionCounts { queue: 0, connections: 2, busy: Some(3) });
    counts.add(&unknown, false);
    counts.add(&busy, false);
    assert_eq!(counts, ConnectionCounts { queue: 0, connections: 4, busy: None });
}

#[test]
fn the_key_decides_which_ports_are_multiplexed_and_else_the_port() {
    let multiplexed = |multiplexed| Drain { multiplexed, ..Drain::default() };
    assert!(multiplexed(None).is_multiplexed(443) && !multiplexed(None).is_multiplexed(80));
    assert!(multiplexed(Some(true)).is_multiplexed(80) && !multiplexed(Some(false)).is_multiplexed(443));
}

#[test]
fn sockets_are_looked_at_ten_times_a_second_at_most() {
    let drain = Drain { min: Duration::ZERO, quiet: Duration::ZERO, ..Drain::default() };
    let mut decision = DrainDecision::new(drain, Duration::ZERO, None);
    assert_eq!(decision.arrivals(millis(500), Some(1)), DrainStep::CheckSockets);
    let queue = ConnectionCounts { queue: 1, ..EMPTY };
    assert_eq!(decision.sockets(millis(500), Some(queue)), DrainStep::Wait);
    assert_eq!(decision.arrivals(millis(599), Some(1)), DrainStep::Wait);
    assert_eq!(decision.arrivals(millis(600), Some(1)), DrainStep::CheckSockets);
}
