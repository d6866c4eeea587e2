//! How often ended children are collected. Before the kernel says that no more have ended, it looks at each child that
//! is alive: with thousands of orphans one look costs as much as a signal's whole way to the app. And a thousand children
//! that end, or are stopped and continued, one after the other send as many SIGCHLD.
//!
//! - A round is bounded in number and time ([`ReapBound`]). The rest is collected in the next one.
//! - After an expensive round the loop's other work gets at least as much time as the round took.
//! - In a storm of SIGCHLD there is one round a millisecond, and no SIGCHLD wakes the loop in between.

use std::time::Duration;

use crate::process::reaper::{ReapBound, ReapRound, Reaper};
use bookend_lifecycle::Time;

/// Decides when to reap: outside a storm, and after a cheap round, at once.
#[derive(Debug, Default)]
pub(super) struct ReapThrottle {
    /// The time of the last round.
    last: Time,
    /// How many consecutive rounds found no child that we wait for while others were alive.
    streak: u32,
    /// The loop's other work has the time until then.
    free_at: Time,
    /// When the next round is due, if it was put off.
    due: Option<Time>,
}

impl ReapThrottle {
    /// A SIGCHLD has come. Whether to reap now; if not, a round is due in a moment. When the app has ended a storm causes
    /// no delay: the exit waits for the remaining processes.
    pub(super) fn is_due_after_sigchld(&mut self, now: Time, app_has_ended: bool) -> bool {
        let is_storm = self.streak >= STORM && !app_has_ended;
        let next = if is_storm { self.free_at.max(self.last + STORM_INTERVAL) } else { self.free_at };
        if now >= next {
            return true;
        }
        self.due = Some(next);
        false
    }

    /// When the next round is due, if it was put off. No SIGCHLD is read before.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// One round. `clock` is read before and after it.
    pub(super) fn reap(&mut self, reaper: &Reaper, clock: impl Fn() -> Time) -> ReapRound {
        let began = clock();
        let round = reaper.reap(ReapBound::ROUND);
        self.completed(began, clock(), round);
        round
    }

    /// A round is over.
    fn completed(&mut self, began: Time, ended: Time, round: ReapRound) {
        let is_for_us = round.app.is_some() || round.watched > 0;
        let continues = round.others && !is_for_us && began < self.last + STORM_GAP;
        let streak = if continues { self.streak.saturating_add(1) } else { 0 };
        let cost = ended.saturating_sub(began);
        let free_at = if cost >= EXPENSIVE { ended + cost } else { ended };
        *self = ReapThrottle { last: began, streak, free_at, due: round.more.then_some(free_at) };
    }
}

/// This many consecutive rounds are a storm.
const STORM: u32 = 8;
/// The time between two rounds in a storm: a child is reaped at most this much later.
const STORM_INTERVAL: Duration = Duration::from_millis(1);
/// Rounds with this much time between them are not of one storm.
const STORM_GAP: Duration = Duration::from_millis(5);
/// A round that takes this long puts the next one off.
const EXPENSIVE: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(time: u64) -> Time {
        Time::from_micros(time)
    }

    const ORPHANS: ReapRound =
        ReapRound { app: None, app_stopped: None, killed: false, watched: 0, orphans: 1, others: true, more: false };

    /// The number of rounds, each of so many microseconds, for children that end every ten microseconds during a tenth of
    /// a second.
    fn rounds_of(cost: u64, round: ReapRound) -> u64 {
        let mut throttle = ReapThrottle::default();
        let (mut rounds, mut now) = (0, 0);
        while now < 100_000 {
            let put_off = throttle.due.is_some_and(|due| micros(now) >= due);
            if put_off || (throttle.due.is_none() && throttle.is_due_after_sigchld(micros(now), false)) {
                throttle.completed(micros(now), micros(now + cost), round);
                now += cost;
                rounds += 1;
            }
            now += 10;
        }
        rounds
    }

    #[test]
    fn a_storm_has_one_round_a_millisecond() {
        for round in [ORPHANS, ReapRound { orphans: 0, ..ORPHANS }] {
            let rounds = rounds_of(0, round);
            assert!((100..=110).contains(&rounds), "{rounds}");
        }
    }

    #[test]
    fn children_that_are_waited_for_cause_no_storm() {
        assert_eq!(rounds_of(0, ReapRound { watched: 1, ..ORPHANS }), 10_000);
        assert_eq!(rounds_of(0, ReapRound { others: false, ..ORPHANS }), 10_000);
    }

    #[test]
    fn expensive_rounds_take_at_most_half_of_the_time() {
        for round in [ORPHANS, ReapRound { more: true, ..ORPHANS }, ReapRound { watched: 1, ..ORPHANS }] {
            let rounds = rounds_of(1000, round);
            assert!((40..=50).contains(&rounds), "{rounds}");
        }
    }

    #[test]
    fn what_a_round_leaves_is_due_without_another_sigchld() {
        let mut throttle = ReapThrottle::default();
        throttle.completed(micros(0), micros(1000), ReapRound { more: true, ..ORPHANS });
        assert_eq!(throttle.due, Some(micros(2000)));
    }

    #[test]
    fn occasional_orphans_are_reaped_at_once() {
        let mut throttle = ReapThrottle::default();
        for now in (0..100).map(|n| micros(n * 6_000)) {
            assert!(throttle.is_due_after_sigchld(now, false), "{now:?}");
            throttle.completed(now, now, ORPHANS);
        }
        assert_eq!(throttle.due, None);
    }

    #[test]
    fn after_a_storm_the_next_child_is_reaped_at_once() {
        let mut throttle = ReapThrottle::default();
        (0..20).map(micros).for_each(|now| throttle.completed(now, now, ORPHANS));
        assert!(throttle.is_due_after_sigchld(micros(30), true), "the exit waits");
        assert!(!throttle.is_due_after_sigchld(micros(30), false), "still a storm");
        throttle.completed(micros(1_030), micros(1_030), ReapRound { others: false, ..ORPHANS });
        assert!(throttle.is_due_after_sigchld(micros(1_031), false), "no children are left");
    }
}
