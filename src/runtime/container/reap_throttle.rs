//! How often children are asked for. The kernel looks at each one that is alive before it says that no more have ended,
//! and a thousand that end one after the other wake us as often: a good part of a processor for nothing. So in a storm
//! there is a round a millisecond, for all that have ended since, and no end wakes us in between.

use std::time::Duration;

use bookend_lifecycle::Time;

/// Says when the next round is. Outside a storm: at once.
#[derive(Debug, Default)]
pub(super) struct ReapThrottle {
    /// When the last round was, and the how manyth in a row it was that found orphans among others.
    last: Time,
    row: u32,
    /// When the next round is, where it was put off.
    pub(super) due: Option<Time>,
}

impl ReapThrottle {
    /// A child has ended: whether the round is now. Otherwise it is due in a moment.
    pub(super) fn is_now(&mut self, now: Time) -> bool {
        if self.row < STORM || now >= self.last + BREATH {
            return true;
        }
        self.due = Some(self.last + BREATH);
        false
    }

    /// A round is over. `storms`: it found orphans, and others are alive.
    pub(super) fn completed(&mut self, now: Time, storms: bool) {
        let goes_on = storms && now < self.last + CALM;
        *self = ReapThrottle { last: now, row: if goes_on { self.row.saturating_add(1) } else { 0 }, due: None };
    }
}

/// So many rounds in a row are a storm.
const STORM: u32 = 8;
/// Between two rounds in a storm. Whoever ends in one is reaped this much later at the most.
const BREATH: Duration = Duration::from_millis(1);
/// Rounds that are as far from one another are no row.
const CALM: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(time: u64) -> Time {
        Time::from_micros(time)
    }

    /// Children that end every ten microseconds for a tenth of a second: how many rounds there are.
    fn rounds_of(storms: bool) -> usize {
        let mut reap_throttle = ReapThrottle::default();
        let mut rounds = 0;
        for now in (0..100_000).step_by(10).map(micros) {
            let put_off = reap_throttle.due.is_some_and(|due| now >= due);
            if put_off || (reap_throttle.due.is_none() && reap_throttle.is_now(now)) {
                reap_throttle.completed(now, storms);
                rounds += 1;
            }
        }
        rounds
    }

    #[test]
    fn in_a_storm_there_is_a_round_a_millisecond() {
        let rounds = rounds_of(true);
        assert!((100..=110).contains(&rounds), "{rounds}");
    }

    #[test]
    fn children_that_somebody_waits_for_are_no_storm() {
        assert_eq!(rounds_of(false), 10_000);
    }

    #[test]
    fn orphans_now_and_then_are_reaped_at_once() {
        let mut reap_throttle = ReapThrottle::default();
        for now in (0..100).map(|n| micros(n * 6_000)) {
            assert!(reap_throttle.is_now(now), "{now:?}");
            reap_throttle.completed(now, true);
        }
        assert_eq!(reap_throttle.due, None);
    }

    #[test]
    fn after_a_storm_the_next_end_is_seen_at_once() {
        let mut reap_throttle = ReapThrottle::default();
        (0..20).map(micros).for_each(|now| reap_throttle.completed(now, true));
        assert!(!reap_throttle.is_now(micros(30)), "the storm goes on");
        reap_throttle.completed(micros(1_030), false);
        assert!(reap_throttle.is_now(micros(1_031)), "there are no orphans any more");
    }
}
