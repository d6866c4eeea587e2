//! Proxies with a removal time and a rate each, and the new connections that they send.

/// One new connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arrival {
    /// Seconds after the stop began.
    pub(crate) at: f64,
    /// The proxy that sent it.
    pub(crate) proxy: u32,
}

/// The kubelet, among the proxies.
pub(crate) const PROBE: u32 = u32::MAX;

/// When the proxies learn that the endpoint is removed, in seconds after the stop began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Removal {
    /// All in the same moment.
    AtOnce(f64),
    /// Evenly spread from the first moment to this one.
    Spread(f64),
    /// All but one after a second, and the last one at this time.
    Straggler(f64),
}

/// How a proxy's connections are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// At fixed intervals.
    Steady,
    /// Independent of each other (Poisson).
    Random,
    /// Half a second of four times the rate, then a pause of one and a half.
    Bursts,
    /// Random, and every third connection is repeated by its client within a second.
    Retries,
}

/// One rollout: the rate of the proxies, and when each of them stops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    pub(crate) proxies: u32,
    /// New connections a second of all proxies together.
    pub(crate) rate: f64,
    pub(crate) pattern: Pattern,
    pub(crate) removal: Removal,
}

impl Profile {
    /// All combinations: some hundreds.
    pub(crate) fn all() -> impl Iterator<Item = Profile> {
        let removals = [1.0, 3.0, 6.0, 10.0]
            .into_iter()
            .flat_map(|after| [Removal::AtOnce(after), Removal::Spread(after), Removal::Straggler(after)]);
        removals.flat_map(|removal| {
            [Pattern::Steady, Pattern::Random, Pattern::Bursts, Pattern::Retries].into_iter().flat_map(move |pattern| {
                [0.5, 2.0, 20.0, 200.0].into_iter().flat_map(move |rate| {
                    [1, 20, 500].into_iter().map(move |proxies| Profile { proxies, rate, pattern, removal })
                })
            })
        })
    }

    /// When the last proxy stops, in seconds after the stop began.
    pub(crate) fn last_removal(&self) -> f64 {
        match self.removal {
            Removal::AtOnce(after) | Removal::Spread(after) | Removal::Straggler(after) => after,
        }
    }

    /// New connections a second shortly before the last proxy stops.
    pub(crate) fn rate_at_the_end(&self) -> f64 {
        match self.removal {
            Removal::AtOnce(_) => self.rate,
            Removal::Spread(_) | Removal::Straggler(_) => self.rate / f64::from(self.proxies),
        }
    }

    fn removed_at(&self, proxy: u32) -> f64 {
        match self.removal {
            Removal::AtOnce(after) => after,
            Removal::Spread(after) => after * f64::from(proxy + 1) / f64::from(self.proxies),
            Removal::Straggler(after) if proxy + 1 == self.proxies => after,
            Removal::Straggler(after) => after.min(1.0),
        }
    }

    /// The new connections of one rollout, in order; the same seed gives the same ones.
    pub(crate) fn arrivals(&self, seed: u64) -> Vec<Arrival> {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        let mut arrivals: Vec<Arrival> =
            (0..self.proxies).flat_map(|proxy| self.of_proxy(proxy, &mut random)).collect();
        arrivals.sort_by(|one, other| one.at.total_cmp(&other.at));
        arrivals
    }

    /// The same with the probes of a kubelet: a connection every `period` seconds, on time within 20 ms, for as long as any drain.
    pub(crate) fn arrivals_and_probes(&self, seed: u64, period: f64) -> Vec<Arrival> {
        let mut arrivals = self.arrivals(seed);
        let mut random = Random(seed ^ 0x2545_f491);
        let mut due = random.below_one() * period;
        while due < 20.0 {
            arrivals.push(Arrival { at: due + 0.02 * random.below_one(), proxy: PROBE });
            due += period;
        }
        arrivals.sort_by(|one, other| one.at.total_cmp(&other.at));
        arrivals
    }

    fn of_proxy(&self, proxy: u32, random: &mut Random) -> Vec<Arrival> {
        let interval = f64::from(self.proxies) / self.rate;
        let end = self.removed_at(proxy);
        let phase = random.below_one();
        // Proxies do not begin at the same moment.
        let mut at = interval * phase - interval;
        let mut arrivals = Vec::new();
        loop {
            at += match self.pattern {
                Pattern::Steady => interval,
                Pattern::Random | Pattern::Retries => random.exponential(interval),
                Pattern::Bursts => pause_of_burst(at + 2.0 * phase, random.exponential(interval / 4.0)),
            };
            if at >= end {
                return arrivals;
            }
            if at >= 0.0 {
                arrivals.push(Arrival { at, proxy });
                let again = at + random.below_one();
                if self.pattern == Pattern::Retries && random.below_one() < 0.33 && again < end {
                    arrivals.push(Arrival { at: again, proxy });
                }
            }
        }
    }
}

/// The time to the next connection of a source that sends for the first half second of every two; `sending` is the time it sends until
/// then.
fn pause_of_burst(now: f64, sending: f64) -> f64 {
    let into_period = now.rem_euclid(2.0);
    let sent = into_period.min(0.5) + sending;
    let whole_periods = (sent / 0.5).floor();
    whole_periods * 2.0 + (sent - whole_periods * 0.5) - into_period
}

/// splitmix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below_one(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (z >> 11) as f64 / (1u64 << 53) as f64;
        fraction
    }

    /// The time to the next of independent events with this mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.below_one()).ln()
    }
}
