//! One stop: the drain's verdict, and the connections that come after it.

use std::collections::BTreeMap;
use std::time::Duration;

use bookend_lifecycle::drain::{ConnectionCounts, Drain, DrainDecision, DrainStep};

use crate::traffic::{Arrival, Profile};

/// Seconds between two looks at the counter, as in `src/handlers/drain.rs`.
const INTERVAL: f64 = 0.1;

/// The results of many stops of one profile.
#[derive(Debug)]
pub(crate) struct Odds {
    /// Stops after whose drain at least one connection still arrived.
    pub(crate) stops_with_loss: u64,
    /// How long the drains took, in seconds.
    pub(crate) median_seconds: f64,
}

impl Odds {
    /// Simulates stops of this profile. `end` gives the second in which a drain ends.
    pub(crate) fn of(profile: &Profile, drain: &Drain, stops: u64, end: impl Fn(&Drain, &[Arrival]) -> f64) -> Odds {
        let mut seconds = Vec::new();
        let mut stops_with_loss = 0;
        for stop in 0..stops {
            let arrivals = profile.arrivals(stop);
            let end = end(drain, &arrivals);
            stops_with_loss += u64::from(arrivals.last().is_some_and(|last| last.at > end));
            seconds.push(end);
        }
        seconds.sort_by(f64::total_cmp);
        let median_seconds = seconds.get(seconds.len() / 2).copied().unwrap_or(0.0);
        Odds { stops_with_loss, median_seconds }
    }
}

/// The decision that ships, looking ten times a second at a server that accepts at once.
pub(crate) fn shipped(drain: &Drain, arrivals: &[Arrival]) -> f64 {
    let mut decision = DrainDecision::new(drain.clone(), Duration::ZERO, None);
    let mut seen = 0;
    let mut look = 0u32;
    loop {
        let now = f64::from(look) * INTERVAL;
        while arrivals.get(seen).is_some_and(|arrival| arrival.at <= now) {
            seen += 1;
        }
        let time = Duration::from_secs_f64(now);
        let mut step = decision.arrivals(time, u64::try_from(seen).ok());
        if step == DrainStep::CheckSockets {
            step = decision.sockets(time, Some(ConnectionCounts { busy: Some(0), ..ConnectionCounts::default() }));
        }
        if let DrainStep::Over(_) = step {
            return now;
        }
        look += 1;
    }
}

/// A drain that does not ship: each address must have been silent for `factor` times its own mean interval, at least 0.2 s and at most
/// `quietSeconds`.
pub(crate) fn by_address(drain: &Drain, arrivals: &[Arrival], factor: f64) -> f64 {
    let (min, max) = (drain.min.as_secs_f64(), drain.max.as_secs_f64());
    let longest = drain.quiet.as_secs_f64();
    let mut addresses: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
    let (mut seen, mut look) = (0, 0u32);
    loop {
        let now = f64::from(look) * INTERVAL;
        while let Some(arrival) = arrivals.get(seen).filter(|arrival| arrival.at <= now) {
            let (count, _, last) = addresses.entry(arrival.proxy).or_insert((0.0, arrival.at, arrival.at));
            *count += 1.0;
            *last = arrival.at;
            seen += 1;
        }
        let is_silent = |(count, first, last): &(f64, f64, f64)| {
            let interval = if *count > 1.0 { (last - first) / (count - 1.0) } else { longest };
            now - last >= (factor * interval).clamp(0.2, longest)
        };
        if now >= max || (now >= min && addresses.values().all(is_silent)) {
            return now;
        }
        look += 1;
    }
}
