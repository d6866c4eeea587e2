//! The one budget of a stop: `terminationGracePeriodSeconds`, counted from the first trigger, as the
//! kubelet counts it. Everything of ours ends before its end, when the runtime sends its own SIGKILL.
//!
//! ```text
//! trigger                                                                    grace
//!   │◄────────── preStop ──────────►│◄── app ends ──►│◄──── reserve ────────►│
//!   │                               │ stop signal    │ SIGKILL  postStop exit│ the runtime's SIGKILL
//! ```

use std::time::Duration;

/// Time since bookend began.
type Time = Duration;

/// The pause before a retry, from 0: doubles with each.
pub fn pause(backoff: Duration, retry: u32) -> Duration {
    backoff.saturating_mul(1 << retry.min(16)).min(LONGEST_BACKOFF)
}

/// The longest a handler may take with all of its retries, if one try has a limit.
pub fn longest(one: Option<Duration>, retries: u32, backoff: Duration) -> Option<Duration> {
    let pauses = (0..retries).fold(Duration::ZERO, |sum, retry| sum.saturating_add(pause(backoff, retry)));
    one.map(|one| one.saturating_mul(retries.saturating_add(1)).saturating_add(pauses))
}

/// The times at which the stages of a stop must be over. Pure arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    grace: Option<Duration>,
    post_stop: Duration,
}

impl Budget {
    /// From the grace period and the longest that each postStop handler may take (one second where nothing limits it).
    pub fn new(grace: Option<Duration>, post_stop: impl Iterator<Item = Option<Duration>>) -> Budget {
        let post_stop = post_stop
            .map(|timeout| timeout.unwrap_or(POST_STOP_DEFAULT))
            .fold(Duration::ZERO, Duration::saturating_add);
        Budget { grace, post_stop }
    }

    /// What is kept for SIGKILL, leftovers, postStop, the report and the exit; at most half of the grace period.
    pub fn reserve(&self) -> Duration {
        self.grace.map_or(Duration::ZERO, |grace| FINISH.saturating_add(self.post_stop).min(grace / 2))
    }

    /// What is kept between the end of preStop and SIGKILL, so that the app can act on its signal:
    /// two seconds, as the kubelet gives at least, or a quarter of a grace period shorter than eight.
    pub fn app_share(&self) -> Duration {
        self.grace.map_or(Duration::ZERO, |grace| APP_SHARE.min(grace / 4))
    }

    /// The end of the grace period of a stop that began then.
    pub fn end(&self, began: Time) -> Option<Time> {
        self.grace.map(|grace| began + grace)
    }

    /// When the preStop handlers must be over.
    pub fn pre_stop_deadline(&self, began: Time) -> Option<Time> {
        self.end(began).map(|end| end - self.reserve() - self.app_share())
    }

    /// When SIGKILL goes to an app that gets its stop signal now. A kubelet whose preStop took all of the
    /// grace period still waits two seconds after the signal; half of that is the app's.
    pub fn kill_at(&self, began: Time, now: Time) -> Option<Time> {
        let share = self.app_share().min(Duration::from_secs(1));
        self.end(began).map(|end| (end - self.reserve()).max(now + share))
    }

    /// When the leftovers must be gone, so that postStop has its share.
    pub fn post_stop_begin(&self, began: Time) -> Option<Time> {
        let reserve = self.reserve();
        let leftovers = (FINISH - EXIT).min(reserve / 4);
        let share = self.post_stop.min(reserve - leftovers - self.exit());
        self.end(began).map(|end| end - share - self.exit())
    }

    /// When the postStop handlers must be over.
    pub fn post_stop_deadline(&self, began: Time) -> Option<Time> {
        self.end(began).map(|end| end - self.exit())
    }

    /// `now + wish`, but early enough for postStop to have its share of a stop that began then.
    pub fn before_post_stop(&self, began: Option<Time>, now: Time, wish: Duration) -> Time {
        let latest = began.and_then(|began| self.post_stop_begin(began));
        latest.map_or(now + wish, |latest| (now + wish).min(latest).max(now + SHORTEST))
    }

    /// When the postStop handlers that begin now must be over, in a stop that began then or without one.
    pub fn post_stop_end(&self, began: Option<Time>, now: Time) -> Time {
        match began.and_then(|began| self.post_stop_deadline(began)) {
            // What is already late still gets a moment: a report that is cut is worse than a late one.
            Some(at) => at.max(now + SHORTEST),
            None => now + self.grace.unwrap_or(POST_STOP_WITHOUT_GRACE),
        }
    }

    /// The same where we were told to stop then, however late. A kubelet whose grace period is over gives a container
    /// two seconds more: half of them are the app's, half are postStop's, and the exit is within them.
    pub fn late_post_stop_end(&self, told: Time, now: Time) -> Time {
        let half = self.app_share().min(Duration::from_secs(1));
        (now + half).min(told + 2 * half - self.exit())
    }

    /// How long answers are waited for that are on their way, in a stop that began then or without one: a caller that does
    /// not take its answer is no reason to meet the runtime's own SIGKILL.
    pub fn answers_end(&self, began: Option<Time>, now: Time) -> Time {
        let end = began.and_then(|began| self.end(began));
        end.map_or(now + ANSWERS, |end| (now + ANSWERS).min(end).max(now + SHORTEST))
    }

    fn exit(&self) -> Duration {
        EXIT.min(self.reserve() / 4)
    }
}

/// No pause between two tries is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Counted for a postStop handler without `timeoutSeconds`.
pub const POST_STOP_DEFAULT: Duration = Duration::from_secs(1);
/// How long all postStop handlers together have where no grace period bounds them.
const POST_STOP_WITHOUT_GRACE: Duration = Duration::from_secs(30);
/// No step is shorter, however late it is.
pub const SHORTEST: Duration = Duration::from_millis(100);
/// How long an answer may take to reach a caller before we exit.
const ANSWERS: Duration = Duration::from_millis(500);
/// SIGKILL, leftovers, the report and the exit.
const FINISH: Duration = Duration::from_millis(500);
/// The report and the exit alone.
const EXIT: Duration = Duration::from_millis(100);
/// The least a kubelet waits between the stop signal and SIGKILL.
const APP_SHARE: Duration = Duration::from_secs(2);

/// How long a hook's caller may take to send the stop signal where no grace period is set: Kubernetes' default.
pub const REARM_WITHOUT_GRACE: Duration = Duration::from_secs(30);

/// How long a preStop handler may outlive the app.
pub const LINGER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn everything_of_ours_ends_before_the_grace_period_does() {
        for grace in (0..100).map(|n| Duration::from_millis(n * n * 37)) {
            for post_stop in [vec![], vec![None], vec![Some(secs(2)), None], vec![Some(secs(500))]] {
                let budget = Budget::new(Some(grace), post_stop.into_iter());
                let began = secs(7);
                let order = [
                    began,
                    budget.pre_stop_deadline(began).unwrap(),
                    budget.kill_at(began, began).unwrap(),
                    budget.post_stop_begin(began).unwrap(),
                    budget.post_stop_deadline(began).unwrap(),
                    began + grace,
                ];
                assert!(order.is_sorted(), "{grace:?}: {order:?}");
            }
        }
    }

    #[test]
    fn thirty_seconds_with_a_post_stop_of_two_are_spent_as_documented() {
        let budget = Budget::new(Some(secs(30)), [Some(secs(2))].into_iter());
        assert_eq!(budget.reserve(), Duration::from_millis(2500));
        assert_eq!(budget.kill_at(secs(0), secs(1)), Some(Duration::from_millis(27_500)));
        assert_eq!(budget.pre_stop_deadline(secs(0)), Some(Duration::from_millis(25_500)));
    }

    #[test]
    fn a_handler_with_retries_may_take_all_of_them_and_the_pauses() {
        assert_eq!(longest(Some(secs(2)), 0, secs(1)), Some(secs(2)));
        assert_eq!(longest(Some(secs(2)), 3, secs(1)), Some(secs(4 * 2 + 1 + 2 + 4)));
        assert_eq!(longest(Some(secs(1)), 2, secs(59)), Some(secs(3 + 59 + 60)));
        assert_eq!(longest(None, 3, secs(1)), None);
    }

    #[test]
    fn a_post_stop_that_wants_everything_leaves_the_leftovers_and_the_exit_their_share() {
        let budget = Budget::new(Some(secs(8)), [Some(secs(500))].into_iter());
        assert_eq!(budget.reserve(), secs(4));
        // 0.4 s for the leftovers after SIGKILL, 3.5 s for postStop, 0.1 s for the exit.
        assert_eq!(budget.post_stop_begin(secs(0)), Some(Duration::from_millis(4400)));
        assert_eq!(budget.post_stop_deadline(secs(0)), Some(Duration::from_millis(7900)));
    }

    #[test]
    fn without_a_grace_period_nothing_has_a_deadline() {
        let budget = Budget::new(None, [None].into_iter());
        assert_eq!(budget.kill_at(secs(0), secs(1)), None);
        assert_eq!(budget.pre_stop_deadline(secs(0)), None);
    }

    #[test]
    fn an_app_signalled_late_still_has_a_moment() {
        let budget = Budget::new(Some(secs(8)), std::iter::empty());
        assert_eq!(budget.kill_at(secs(0), secs(20)), Some(secs(21)));
    }
}
