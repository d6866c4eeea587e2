//! How often ended children are collected. Before the kernel says that no more have ended, it looks at each child that is
//! alive; and a thousand children that end one after the other send as many SIGCHLD. In such a storm one round a
//! millisecond collects all that have ended since, and no SIGCHLD wakes the loop in between.

use std::time::Duration;

use crate::process::reaper::{Reaper, Round};
use crate::process::signals::SigchldGuard;
use bookend_lifecycle::Time;

#[derive(Debug, Default)]
pub(super) struct Reaping {
    throttle: ReapThrottle,
    /// Held while a round is put off.
    guard: Option<SigchldGuard>,
}

impl Reaping {
    /// A SIGCHLD has come. Whether to reap now; if not, a round is due in a moment. When the app has ended there is no
    /// delay: the exit waits for the remaining processes.
    pub(super) fn is_due_after_sigchld(&mut self, now: Time, app_has_ended: bool) -> bool {
        let is_due = app_has_ended || self.throttle.is_now(now);
        if !is_due && self.guard.is_none() {
            self.guard = SigchldGuard::hold();
        }
        is_due
    }

    /// When the next round is due, if it was put off.
    pub(super) fn due(&self) -> Option<Time> {
        self.throttle.due
    }

    pub(super) fn reap(&mut self, reaper: &Reaper, now: Time) -> Round {
        self.guard = None;
        let round = reaper.reap();
        self.throttle.completed(now, round.orphans > 0 && round.others);
        round
    }
}

/// Decides when the next round is. Outside a storm: at once.
#[derive(Debug, Default)]
struct ReapThrottle {
    /// Time of the last round, and how many consecutive rounds found orphans while other children were alive.
    last: Time,
    streak: u32,
    /// When the next round is due, if it was put off.
    due: Option<Time>,
}

impl ReapThrottle {
    /// A child has ended. Whether the next round is now; otherwise it is due in a moment.
    fn is_now(&mut self, now: Time) -> bool {
        if self.streak < STORM || now >= self.last + STORM_INTERVAL {
            return true;
        }
        self.due = Some(self.last + STORM_INTERVAL);
        false
    }

    /// A round is over. `storms`: it found orphans, and other children are alive.
    fn completed(&mut self, now: Time, storms: bool) {
        let continues = storms && now < self.last + CALM;
        let streak = if continues { self.streak.saturating_add(1) } else { 0 };
        *self = ReapThrottle { last: now, streak, due: None };
    }
}

/// This many consecutive rounds are a storm.
const STORM: u32 = 8;
/// The time between two rounds in a storm: a child is reaped at most this much later.
const STORM_INTERVAL: Duration = Duration::from_millis(1);
/// Rounds at this distance are not consecutive.
const CALM: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(time: u64) -> Time {
        Time::from_micros(time)
    }

    /// The number of rounds for children that end every ten microseconds during a tenth of a second.
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
    fn a_storm_has_one_round_a_millisecond() {
        let rounds = rounds_of(true);
        assert!((100..=110).contains(&rounds), "{rounds}");
    }

    #[test]
    fn children_that_are_waited_for_cause_no_storm() {
        assert_eq!(rounds_of(false), 10_000);
    }

    #[test]
    fn occasional_orphans_are_reaped_at_once() {
        let mut reap_throttle = ReapThrottle::default();
        for now in (0..100).map(|n| micros(n * 6_000)) {
            assert!(reap_throttle.is_now(now), "{now:?}");
            reap_throttle.completed(now, true);
        }
        assert_eq!(reap_throttle.due, None);
    }

    #[test]
    fn after_a_storm_the_next_child_is_reaped_at_once() {
        let mut reap_throttle = ReapThrottle::default();
        (0..20).map(micros).for_each(|now| reap_throttle.completed(now, true));
        assert!(!reap_throttle.is_now(micros(30)), "still a storm");
        reap_throttle.completed(micros(1_030), false);
        assert!(reap_throttle.is_now(micros(1_031)), "no orphans are left");
    }
}
