//! When it is quiet enough for the stop signal: looks at the network go in with their time, a verdict comes out. Pure.
//!
//! ```text
//! stop begins        minSeconds                                                   maxSeconds
//!   │◄── in any case ──►│◄── until no new connection for quietSeconds, ───────────────►│ in no case longer
//!   │                   │    nobody in the accept queue, and what `until` says         │
//! ```
//!
//! Quiet may only extend the minimum: at two requests a second a quiet second means nothing. Where the network cannot
//! be seen nothing is guessed: then the stop waits for a fixed time.

use std::collections::VecDeque;
use std::time::Duration;

/// What the sockets of some ports look like at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    /// Connections that wait to be accepted.
    pub queue: u32,
    /// Connections that both sides may use.
    pub connections: u32,
    /// Those on which somebody waits for something; `None`: the source does not tell.
    pub busy: Option<u32>,
}

/// Time on the caller's clock.
type Time = Duration;

/// What is asked for: the keys of a `drain` handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// `minSeconds`: the app goes on serving at least so long.
    pub min: Duration,
    /// `quietSeconds`: so long no new connection may have come.
    pub quiet: Duration,
    /// `maxSeconds`: then it is over, quiet or not.
    pub max: Duration,
    /// `fallbackSeconds`: instead of all that where the network cannot be seen; `None`: `min` and `quiet` together.
    pub fallback: Option<Duration>,
    /// `toleratedConnections`: so many within `quiet` are still quiet.
    pub tolerated: u32,
    /// `ports`; empty: those the app listens on.
    pub ports: Vec<u16>,
    /// `until`.
    pub until: Until,
}

/// What must be over besides new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Nothing: the app's stop signal lets requests in flight finish.
    #[default]
    Quiet,
    /// No connection owes an answer or moves a byte: for an app whose stop signal is not graceful.
    NoBusyConnections,
    /// No connection is left at all.
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
            ports: Vec::new(),
            until: Until::Quiet,
        }
    }
}

impl Drain {
    /// How long is waited where the network cannot be seen: never shorter than asked.
    pub fn fallback(&self) -> Duration {
        self.fallback.unwrap_or(self.min.saturating_add(self.quiet)).max(self.min)
    }

    /// The longest it can take.
    pub fn longest(&self) -> Duration {
        self.max.max(self.min)
    }
}

/// Why a drain is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All that was asked for.
    Quiet,
    /// `maxSeconds`, or the stop's budget, came first.
    TimeOver,
    /// The fixed time is over: there was nothing to be seen.
    Blind,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Count the arrivals again, a moment later.
    Wait,
    /// It may be quiet: look at the sockets, which costs more.
    LookAtSockets,
    /// The next handler, or the stop signal.
    Over(End),
}

/// What a drain has seen so far, for whoever asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// New connections since it began.
    pub arrived: u64,
    /// The counter or the sockets could not be seen: it waits for a fixed time.
    pub blind: bool,
    /// The last look at the sockets. There is none while connections keep coming.
    pub last: Option<ConnectionCounts>,
}

/// A drain that is going on.
#[derive(Debug, Clone)]
pub struct DrainDecision {
    drain: Drain,
    began: Time,
    counter: Option<u64>,
    blind: bool,
    /// The latest arrivals, no more than it takes to say that it is not quiet.
    recent: VecDeque<(Time, u64)>,
    arrived: u64,
    last: Option<ConnectionCounts>,
    /// The last look at the sockets saw nothing.
    unavailable: bool,
}

impl DrainDecision {
    /// `limit`: what the budget of the stop leaves.
    pub fn new(mut drain: Drain, began: Time, limit: Option<Duration>) -> DrainDecision {
        drain.max = drain.longest().min(limit.unwrap_or(Duration::MAX));
        let recent = VecDeque::new();
        DrainDecision { drain, began, counter: None, blind: false, recent, arrived: 0, last: None, unavailable: false }
    }

    /// Takes the namespace's counter of connections that were not ours. `None`: there is none here.
    pub fn arrivals(&mut self, now: Time, counter: Option<u64>) -> Step {
        let Some(counter) = counter else {
            self.blind = true;
            return self.without_counts(now);
        };
        // The first look is where counting begins; a counter that falls back was ahead for a moment by one of ours.
        let new = counter.saturating_sub(self.counter.unwrap_or(counter));
        self.counter = Some(counter);
        if new > 0 {
            self.arrived = self.arrived.saturating_add(new);
            self.recent.push_back((now, new));
            self.forget();
        }
        let elapsed = now.saturating_sub(self.began);
        if self.blind {
            self.without_counts(now)
        } else if elapsed >= self.drain.max {
            Step::Over(End::TimeOver)
        } else if elapsed >= self.drain.min && self.is_quiet(now) {
            Step::LookAtSockets
        } else {
            Step::Wait
        }
    }

    /// Takes a look at the sockets. `None`: they cannot be seen here.
    pub fn sockets(&mut self, now: Time, look: Option<ConnectionCounts>) -> Step {
        self.last = look;
        self.unavailable = look.is_none();
        let Some(look) = look else { return self.without_counts(now) };
        let left = match self.drain.until {
            Until::Quiet => 0,
            // Not told which ones are busy: then all of them may be.
            Until::NoBusyConnections => look.busy.unwrap_or(look.connections),
            Until::NoConnections => look.connections,
        };
        if look.queue == 0 && left == 0 { Step::Over(End::Quiet) } else { Step::Wait }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        Seen { arrived: self.arrived, blind: self.blind || self.unavailable, last: self.last }
    }

    fn without_counts(&self, now: Time) -> Step {
        let end = self.drain.fallback().min(self.drain.max);
        if now.saturating_sub(self.began) >= end { Step::Over(End::Blind) } else { Step::Wait }
    }

    fn is_quiet(&self, now: Time) -> bool {
        let since = |at: Time| now.saturating_sub(at) >= self.drain.quiet;
        since(self.began) && self.first_too_many().is_none_or(since)
    }

    /// When the latest arrival came that was one too many.
    fn first_too_many(&self) -> Option<Time> {
        let mut count = 0;
        self.recent.iter().rev().find_map(|(at, new)| {
            count += new;
            (count > u64::from(self.drain.tolerated)).then_some(*at)
        })
    }

    fn forget(&mut self) {
        let mut count: u64 = self.recent.iter().map(|(_, new)| new).sum();
        while let Some((_, oldest)) = self.recent.front() {
            count -= oldest;
            if count <= u64::from(self.drain.tolerated) {
                break;
            }
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    const NOBODY: ConnectionCounts = ConnectionCounts { queue: 0, connections: 0, busy: Some(0) };

    /// Looks every 100 ms at a namespace in which connections come at these times; when it is over, and how.
    fn play(drain: &Drain, arrivals: &[u64], look: impl Fn(u64) -> Option<ConnectionCounts>) -> (u64, End) {
        let mut watch = DrainDecision::new(drain.clone(), millis(7), None);
        for now in (0..).step_by(100) {
            let count = arrivals.iter().filter(|at| **at <= now).count();
            let mut step = watch.arrivals(millis(now + 7), Some(1000 + u64::try_from(count).unwrap()));
            if step == Step::LookAtSockets {
                step = watch.sockets(millis(now + 7), look(now));
            }
            if let Step::Over(end) = step {
                return (now, end);
            }
        }
        unreachable!("maxSeconds ends it")
    }

    fn every(interval: u64, until: u64) -> Vec<u64> {
        (0..until).step_by(usize::try_from(interval).unwrap()).collect()
    }

    #[test]
    fn the_minimum_is_kept_however_quiet_it_is() {
        assert_eq!(play(&Drain::default(), &[], |_| Some(NOBODY)), (3000, End::Quiet));
    }

    #[test]
    fn the_end_follows_the_last_connection_whenever_that_comes() {
        for late in [1000, 3000, 6000] {
            let (at, end) = play(&Drain::default(), &every(10, late), |_| Some(NOBODY));
            assert_eq!(end, End::Quiet);
            assert!(at >= 3000.max(late + 2000 - 10) && at <= 3000.max(late + 2200), "{late}: {at}");
        }
    }

    #[test]
    fn somebody_in_the_accept_queue_is_waited_for() {
        let queue = |now| Some(ConnectionCounts { queue: u32::from(now < 4500), ..NOBODY });
        assert_eq!(play(&Drain::default(), &[], queue), (4500, End::Quiet));
    }

    #[test]
    fn clients_that_never_end_end_at_the_maximum() {
        assert_eq!(play(&Drain::default(), &every(50, 99_000), |_| Some(NOBODY)), (15_000, End::TimeOver));
    }

    #[test]
    fn a_trickle_is_quiet_only_where_it_is_tolerated() {
        let trickle = every(1000, 99_000);
        assert_eq!(play(&Drain::default(), &trickle, |_| Some(NOBODY)).1, End::TimeOver);
        let tolerant = Drain { tolerated: 3, ..Drain::default() };
        assert_eq!(play(&tolerant, &trickle, |_| Some(NOBODY)), (3000, End::Quiet));
    }

    #[test]
    fn as_many_as_are_tolerated_are_quiet_and_one_more_is_not() {
        let tolerant = Drain { tolerated: 3, ..Drain::default() };
        assert_eq!(play(&tolerant, &[2500, 2600, 2700], |_| Some(NOBODY)), (3000, End::Quiet));
        assert_eq!(play(&tolerant, &[2500, 2600, 2700, 2800], |_| Some(NOBODY)), (4500, End::Quiet));
    }

    #[test]
    fn without_sight_the_fixed_time_is_waited_and_never_less_than_the_minimum() {
        assert_eq!(play(&Drain::default(), &[], |_| None), (5000, End::Blind));
        let short = Drain { fallback: Some(millis(1)), ..Drain::default() };
        assert_eq!(play(&short, &[], |_| None), (3000, End::Blind));
        let mut watch = DrainDecision::new(Drain::default(), millis(0), None);
        assert_eq!(watch.arrivals(millis(4900), None), Step::Wait);
        assert_eq!(watch.arrivals(millis(5000), None), Step::Over(End::Blind));
    }

    #[test]
    fn an_app_without_a_graceful_signal_waits_for_its_requests() {
        let busy = |now| Some(ConnectionCounts { queue: 0, connections: 9, busy: Some(u32::from(now < 7000)) });
        let drain = Drain { until: Until::NoBusyConnections, ..Drain::default() };
        assert_eq!(play(&drain, &[], busy), (7000, End::Quiet));
        // Where nobody says which connections are busy, all of them are.
        let untold = |now| Some(ConnectionCounts { queue: 0, connections: u32::from(now < 9000), busy: None });
        assert_eq!(play(&drain, &[], untold), (9000, End::Quiet));
        let none = Drain { until: Until::NoConnections, ..Drain::default() };
        assert_eq!(play(&none, &[], busy).1, End::TimeOver);
    }

    #[test]
    fn the_budget_of_the_stop_ends_it_earlier() {
        let mut watch = DrainDecision::new(Drain::default(), millis(0), Some(millis(1000)));
        assert_eq!(watch.arrivals(millis(900), Some(1)), Step::Wait);
        assert_eq!(watch.arrivals(millis(1000), Some(1)), Step::Over(End::TimeOver));
    }

    #[test]
    fn a_probe_of_ours_that_was_counted_too_early_hides_nobody() {
        let mut watch = DrainDecision::new(Drain::default(), millis(0), None);
        for (now, counter) in [(0, 10), (100, 11), (200, 10), (300, 11)] {
            watch.arrivals(millis(now), Some(counter));
        }
        assert_eq!(watch.seen().arrived, 2);
    }

    proptest! {
        #[test]
        fn no_history_ends_before_the_minimum_after_the_maximum_or_into_an_arrival(
            min in 0..5000u64, quiet in 0..3000u64, max in 0..10_000u64, tolerated in 0..4u32,
            mut arrivals in proptest::collection::vec(0..12_000u64, 0..60),
            queue_until in 0..9000u64,
        ) {
            let drain = Drain { min: millis(min), quiet: millis(quiet), max: millis(max), tolerated, ..Drain::default() };
            arrivals.sort_unstable();
            let look = |now| Some(ConnectionCounts { queue: u32::from(now < queue_until), ..NOBODY });
            let (at, end) = play(&drain, &arrivals, look);
            prop_assert!(at >= min);
            prop_assert!(at <= max.max(min).next_multiple_of(100));
            if end == End::Quiet {
                // What came before the first look is not new; what came within it is seen at the next.
                let window = at.saturating_sub(quiet) + 100..=at;
                let recent = arrivals.iter().filter(|a| **a > 0 && window.contains(a)).count();
                prop_assert!(recent <= usize::try_from(tolerated).unwrap(), "{arrivals:?} at {at}");
                prop_assert!(at >= queue_until && at >= quiet);
            } else {
                prop_assert_eq!(end, End::TimeOver);
            }
        }
    }
}
