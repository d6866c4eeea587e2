//! One stop: the drain's verdict, and the connections that come after it.

use std::collections::BTreeMap;
use std::time::Duration;

use bookend_lifecycle::connection::A_MOMENT;
use bookend_lifecycle::drain::{ConnectionCounts, Drain, DrainDecision, DrainStep, Until};

use crate::traffic::{Arrival, PROBE, Profile};

/// Seconds between two reads of the counter, as in `src/handlers/drain.rs`.
const INTERVAL: f64 = 0.02;

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
        Odds::of_arrivals(|stop| profile.arrivals(stop), drain, stops, end)
    }

    /// The same beside a kubelet that probes the server through the whole stop. A probe is not a client: it loses nothing.
    pub(crate) fn with_probe(profile: &Profile, period: f64, drain: &Drain, stops: u64) -> Odds {
        Odds::of_arrivals(|stop| profile.arrivals_and_probes(stop, period), drain, stops, shipped)
    }

    fn of_arrivals(
        arrivals: impl Fn(u64) -> Vec<Arrival>,
        drain: &Drain,
        stops: u64,
        end: impl Fn(&Drain, &[Arrival]) -> f64,
    ) -> Odds {
        let mut seconds = Vec::new();
        let mut stops_with_loss = 0;
        for stop in 0..stops {
            let arrivals = arrivals(stop);
            let end = end(drain, &arrivals);
            let is_lost = |arrival: &Arrival| arrival.at > end && arrival.proxy != PROBE;
            stops_with_loss += u64::from(arrivals.iter().any(is_lost));
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

/// The decision without the recognition of probes: no arrival at all for `quietSeconds`.
pub(crate) fn plain(drain: &Drain, arrivals: &[Arrival]) -> f64 {
    let (min, quiet, max) = (drain.min.as_secs_f64(), drain.quiet.as_secs_f64(), drain.max.as_secs_f64());
    let looks = (0u32..).map(|look| f64::from(look) * INTERVAL);
    let (mut seen, mut last) = (0, 0.0);
    for now in looks {
        while arrivals.get(seen).is_some_and(|arrival| arrival.at <= now) {
            (seen, last) = (seen + 1, now);
        }
        if now >= max || (now >= min && now - last >= quiet - 1e-9) {
            return now;
        }
    }
    unreachable!("maxSeconds ends it")
}

/// Seconds between two requests on a kept connection, and until when its proxy sends them.
pub(crate) struct Pool {
    pub(crate) interval: f64,
    pub(crate) removed: f64,
}

/// The end of a drain with `until = "NoBusyConnections"` for a server with kept connections alone, and the end that it would have if
/// it waited only until each of them had been answered once in a quiet time.
pub(crate) fn of_pool(drain: &Drain, pool: &Pool) -> (f64, f64) {
    let mut decision =
        DrainDecision::new(Drain { until: Until::NoBusyConnections, ..drain.clone() }, Duration::ZERO, None);
    for look in 0u32.. {
        let now = f64::from(look) * INTERVAL;
        let time = Duration::from_secs_f64(now);
        let last = (now.min(pool.removed) / pool.interval).floor() * pool.interval;
        // A request is answered at once; the connection is busy for a moment more.
        let busy = u32::from(now - last < A_MOMENT.as_secs_f64());
        let mut step = decision.arrivals(time, Some(7));
        if step == DrainStep::CheckSockets {
            step = decision.sockets(time, Some(ConnectionCounts { queue: 0, connections: 1, busy: Some(busy) }));
        }
        if let DrainStep::Over(_) = step {
            return (now, drain.min.as_secs_f64() + pool.interval);
        }
    }
    unreachable!("maxSeconds ends it")
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
