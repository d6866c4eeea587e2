//! Decides when a server is quiet enough for its stop signal. Connection counts go in with their time, and a decision
//! comes out.
//!
//! ```text
//! stop begins        minSeconds                                                   maxSeconds
//!   │◄───── always ────►│◄── until no new connection for quietSeconds, ───────────────►│ never longer
//!   │                   │    an empty accept queue, and the condition of `until`       │
//! ```
//!
//! A quiet network can only extend the minimum, never shorten it: at two requests a second, one quiet second means nothing.
//! If connections cannot be counted, the drain does not guess: it waits for a fixed time.
//!
//! The kubelet's readiness probe goes on during a stop, and must not hold the drain until `maxSeconds`: it is recognised, because it
//! is in step with whole seconds. Clients are that by chance in one stop of many thousands.

use std::collections::VecDeque;
use std::time::Duration;

use crate::connection::Connection;
use crate::time::Time;

/// The TCP connections of the app's ports at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    /// Connections in the accept queue: the app has not accepted them yet.
    pub queue: u32,
    /// Established connections.
    pub connections: u32,
    /// Connections that may have a request in flight; `None` if the source does not show that.
    pub busy: Option<u32>,
}

impl ConnectionCounts {
    /// Adds a connection.
    pub fn add(&mut self, connection: &Connection, multiplexed: bool) {
        self.connections += u32::from(!connection.closed);
        let busy = connection.is_busy(multiplexed);
        self.busy = self.busy.zip(busy).map(|(count, busy)| count + u32::from(busy));
    }
}

/// The keys of a `drain` handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// `minSeconds`: the app serves at least this long.
    pub min: Duration,
    /// `quietSeconds`: how long no new connection may have arrived.
    pub quiet: Duration,
    /// `maxSeconds`: the drain ends after this time, quiet or not.
    pub max: Duration,
    /// `fallbackSeconds`: the fixed time if connections cannot be counted; `None` stands for `min` plus `quiet`.
    pub fallback: Option<Duration>,
    /// `toleratedConnections`: this many new connections within `quiet` still count as quiet.
    pub tolerated: u32,
    /// `onlyIfListening`: the drain is over at once if the app listens nowhere.
    pub only_if_listening: bool,
    /// `udp`: an arriving UDP datagram counts as a new connection.
    pub udp: bool,
    /// `ports`; if empty, the ports on which the app listens.
    pub ports: Vec<u16>,
    /// `until`: what must be over besides new connections.
    pub until: Until,
    /// `multiplexed`: connections carry several requests at once; `None`: those of [`MULTIPLEXED_PORTS`] do.
    pub multiplexed: Option<bool>,
}

/// The condition for the end of a drain, besides no new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// No further condition: the app's stop signal lets requests in flight finish.
    #[default]
    Quiet,
    /// No connection is busy. For an app whose stop signal is not graceful.
    NoBusyConnections,
    /// No connection is open.
    NoConnections,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain {
            min: Duration::from_secs(3),
            quiet: Duration::from_secs(2),
            max: Duration::from_secs(15),
            fallback: None,
            tolerated: 0,
            only_if_listening: false,
            udp: false,
            ports: Vec::new(),
            until: Until::Quiet,
            multiplexed: None,
        }
    }
}

impl Drain {
    /// Whether a connection of this port may carry several requests at once.
    pub fn is_multiplexed(&self, port: u16) -> bool {
        self.multiplexed.unwrap_or_else(|| MULTIPLEXED_PORTS.contains(&port))
    }

    /// The fixed time if connections cannot be counted: never shorter than `min`.
    pub fn fallback(&self) -> Duration {
        self.fallback.unwrap_or(self.min.saturating_add(self.quiet)).max(self.min)
    }

    /// The longest time that the drain can take.
    pub fn longest(&self) -> Duration {
        self.max.max(self.min)
    }
}

/// Why a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainEnd {
    /// Every condition was met.
    Quiet,
    /// `maxSeconds` or the budget of the stop was over first.
    TimeOver,
    /// The fixed time is over: connections could not be counted.
    Unavailable,
}

/// The next step of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainStep {
    /// Call [`DrainDecision::arrivals`] again, a moment later.
    Wait,
    /// It may be quiet. Count the sockets, which costs more, and call [`DrainDecision::sockets`].
    CheckSockets,
    /// The drain is over: go on with the next handler or the stop signal.
    Over(DrainEnd),
}

/// The counts of a drain so far, for `/status` and the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// New connections since the drain began.
    pub arrived: u64,
    /// Connections cannot be counted: the drain waits for a fixed time.
    pub unavailable: bool,
    /// The last count of the sockets; `None` while new connections keep arriving.
    pub last: Option<ConnectionCounts>,
    /// Why the drain ended; `None` while it goes on.
    pub end: Option<DrainEnd>,
}

/// A drain in progress.
#[derive(Debug, Clone)]
pub struct DrainDecision {
    drain: Drain,
    began: Time,
    counter: Option<u64>,
    /// There is no counter of new connections.
    no_counter: bool,
    /// The latest arrivals: as many as it takes to know that it is not quiet, or that they are a probe's.
    recent: VecDeque<(Time, u64)>,
    arrived: u64,
    last: Option<ConnectionCounts>,
    /// When the sockets were counted the last time.
    counted: Option<Time>,
    /// The sockets could not be counted the last time.
    no_sockets: bool,
}

impl DrainDecision {
    /// `limit` is the time that the budget of the stop leaves, counted from `began`.
    pub fn new(mut drain: Drain, began: Time, limit: Option<Duration>) -> DrainDecision {
        drain.max = drain.longest().min(limit.unwrap_or(Duration::MAX));
        let recent = VecDeque::new();
        DrainDecision {
            drain,
            began,
            counter: None,
            no_counter: false,
            recent,
            arrived: 0,
            last: None,
            counted: None,
            no_sockets: false,
        }
    }

    /// Takes the number of connections that the network namespace has accepted, without bookend's own. `None` means that
    /// the kernel does not provide it.
    pub fn arrivals(&mut self, now: Time, counter: Option<u64>) -> DrainStep {
        let Some(counter) = counter else {
            self.no_counter = true;
            return self.without_counts(now);
        };
        // Counting begins with the first value. A counter that decreases had counted one of our own connections for a
        // moment.
        let new = counter.saturating_sub(self.counter.unwrap_or(counter));
        self.counter = Some(counter);
        if new > 0 {
            self.arrived = self.arrived.saturating_add(new);
            self.recent.push_back((now, new));
            self.forget_old_arrivals(now);
        }
        let elapsed = now.saturating_sub(self.began);
        if self.no_counter {
            self.without_counts(now)
        } else if elapsed >= self.drain.max {
            DrainStep::Over(DrainEnd::TimeOver)
        } else if elapsed >= self.drain.min
            && self.is_quiet(now)
            && self.counted.is_none_or(|at| now >= at + COUNT_EVERY)
        {
            DrainStep::CheckSockets
        } else {
            DrainStep::Wait
        }
    }

    /// Takes a count of the sockets. `None` means that they cannot be counted.
    pub fn sockets(&mut self, now: Time, counts: Option<ConnectionCounts>) -> DrainStep {
        self.last = counts;
        self.counted = Some(now);
        self.no_sockets = counts.is_none();
        let Some(counts) = counts else { return self.without_counts(now) };
        let left = match self.drain.until {
            Until::Quiet => 0,
            // If the source cannot tell which ones are busy, all of them may be.
            Until::NoBusyConnections => counts.busy.unwrap_or(counts.connections),
            Until::NoConnections => counts.connections,
        };
        if counts.queue == 0 && left == 0 { DrainStep::Over(DrainEnd::Quiet) } else { DrainStep::Wait }
    }

    /// The counts so far.
    pub fn progress(&self) -> DrainProgress {
        let unavailable = self.no_counter || self.no_sockets;
        DrainProgress { arrived: self.arrived, unavailable, last: self.last, end: None }
    }

    fn without_counts(&self, now: Time) -> DrainStep {
        let end = self.drain.fallback().min(self.drain.max);
        if now.saturating_sub(self.began) >= end { DrainStep::Over(DrainEnd::Unavailable) } else { DrainStep::Wait }
    }

    fn is_quiet(&self, now: Time) -> bool {
        let since = |at: Time| now.saturating_sub(at) >= self.drain.quiet;
        since(self.began) && (self.last_above_tolerance().is_none_or(since) || self.is_a_probe())
    }

    /// The time of the latest arrival that exceeded the tolerated number.
    fn last_above_tolerance(&self) -> Option<Time> {
        let mut count = 0;
        self.recent.iter().rev().find_map(|(at, new)| {
            count += new;
            (count > u64::from(self.drain.tolerated)).then_some(*at)
        })
    }

    /// Whether only a probe has come for the quiet time. Its connections come one by one, with whole seconds between two of them;
    /// before that time, clients came in between.
    fn is_a_probe(&self) -> bool {
        let mut arrivals = self.recent.iter().rev();
        let Some((latest, 1)) = arrivals.next() else { return false };
        let mut period = None;
        let mut at = *latest;
        for (earlier, new) in arrivals {
            let gap = at.saturating_sub(*earlier);
            let period = *period.get_or_insert(gap);
            let in_step = gap.abs_diff(period) <= JITTER;
            if at == *latest || latest.saturating_sub(*earlier) < self.drain.quiet {
                if !(in_step && *new == 1 && is_in_seconds(period)) {
                    return false;
                }
            } else if gap > period + JITTER {
                return false;
            }
            if in_step {
                at = *earlier;
            }
            if latest.saturating_sub(at) >= self.drain.quiet / 4 * RECOGNISED {
                return true;
            }
        }
        false
    }

    fn forget_old_arrivals(&mut self, now: Time) {
        let mut count: u64 = self.recent.iter().map(|(_, new)| new).sum();
        let long = (self.drain.quiet / 4).saturating_mul(RECOGNISED + 4);
        while let Some((at, oldest)) = self.recent.front() {
            count -= oldest;
            let is_needed = self.recent.len() <= MOST_RECENT && now.saturating_sub(*at) <= long;
            if count <= u64::from(self.drain.tolerated) || is_needed {
                break;
            }
            self.recent.pop_front();
        }
    }
}

/// Whether a time is a period of a probe. A loop that sleeps between two probes is a little late each time.
fn is_in_seconds(period: Duration) -> bool {
    let late = period + JITTER;
    (1..=10).contains(&late.as_secs()) && late - Duration::from_secs(late.as_secs()) <= 3 * JITTER
}

/// How exactly a probe is in step, with 20 ms between two looks.
const JITTER: Duration = Duration::from_millis(50);
/// A probe must have been in step for this many quarters of `quietSeconds`.
const RECOGNISED: u32 = 11;
/// Remembered looks with arrivals.
const MOST_RECENT: usize = 2048;
/// To count the sockets costs more than to read the counter.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// The usual ports of HTTPS, whose clients speak HTTP/2 if they can, and of gRPC.
pub const MULTIPLEXED_PORTS: [u16; 3] = [443, 8443, 50051];

#[cfg(test)]
mod tests {
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
    fn a_trickle_counts_as_quiet_only_if_tolerated() {
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
    fn a_readiness_probe_holds_no_drain() {
        for jitter in [&[0][..], &[0, 20, 5]] {
            for (period, end) in [(1000, 6_450), (2000, 6_450), (3000, 5_450)] {
                let at = play_with_probe(period, jitter);
                assert!((end..end + 80).contains(&at), "{period}: {at}");
            }
        }
    }

    #[test]
    fn a_client_among_probes_is_no_probe() {
        for client in [4900, 5300, 6000, 6450] {
            let mut arrivals: Vec<u64> = (0..20).map(|n| 450 + n * 1000).chain([client]).collect();
            arrivals.sort_unstable();
            let (at, _) = play(&Drain::default(), &arrivals, |_| Some(EMPTY));
            assert!(at >= client + 2000, "{client}: {at}");
        }
    }

    #[test]
    fn arrivals_out_of_step_are_no_probe() {
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
                // Chance may bring four in step, as a probe.
                let gaps = arrivals.windows(2).map(|pair| (pair[1] - pair[0] + 70) % 1000);
                let in_step = gaps.filter(|gap| *gap <= 190).count() >= 3;
                prop_assert!(recent <= usize::try_from(tolerated).unwrap() || in_step, "{arrivals:?} at {at}");
                prop_assert!(at >= queue_until && at >= quiet);
            } else {
                prop_assert_eq!(end, DrainEnd::TimeOver);
            }
        }
    }
}
