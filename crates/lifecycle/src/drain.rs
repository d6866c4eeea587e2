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
//! is in step with whole seconds. Clients match this pattern by chance in one stop of many thousands.

#[cfg(test)]
mod tests;

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

impl Until {
    /// The words of the key `until`.
    pub const WORDS: &'static [&'static str] =
        &[Until::Quiet.name(), Until::NoBusyConnections.name(), Until::NoConnections.name()];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Until::Quiet => "Quiet",
            Until::NoBusyConnections => "NoBusyConnections",
            Until::NoConnections => "NoConnections",
        }
    }

    /// The one with this word.
    pub fn of(word: &str) -> Option<Until> {
        [Until::Quiet, Until::NoBusyConnections, Until::NoConnections].into_iter().find(|one| one.name() == word)
    }
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

/// The tolerance for the time of a probe, with 20 ms between two reads of the counter.
const JITTER: Duration = Duration::from_millis(50);
/// A probe must have been in step for this many quarters of `quietSeconds`.
const RECOGNISED: u32 = 11;
/// How many reads with arrivals are remembered.
const MOST_RECENT: usize = 2048;
/// Counting the sockets costs more than reading the counter.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// The usual ports of HTTPS, whose clients speak HTTP/2 if they can, and of gRPC.
pub const MULTIPLEXED_PORTS: [u16; 3] = [443, 8443, 50051];
