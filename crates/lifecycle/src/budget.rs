//! Divides the budget of a stop. The budget is `terminationGracePeriodSeconds`, counted from the first trigger, as the
//! kubelet counts it. Every stage ends before the budget does, because then the runtime sends its own SIGKILL.
//!
//! ```text
//! trigger                                                                    grace
//!   │◄────────── preStop ──────────►│◄── app ends ──►│◄──── reserve ────────►│
//!   │                               │ stop signal    │ SIGKILL  postStop exit│ the runtime's SIGKILL
//! ```

use std::time::Duration;

use crate::time::Time;

/// The pause before a retry. `retry` counts from 0; the pause doubles with each retry, up to one minute.
pub fn pause(backoff: Duration, retry: u32) -> Duration {
    backoff.saturating_mul(1 << retry.min(16)).min(LONGEST_BACKOFF)
}

/// The longest time that a handler can take with all its retries; `None` if a single attempt has no limit (`one`).
pub fn longest(one: Option<Duration>, retries: u32, backoff: Duration) -> Option<Duration> {
    let pauses = (0..retries).fold(Duration::ZERO, |sum, retry| sum.saturating_add(pause(backoff, retry)));
    one.map(|one| one.saturating_mul(retries.saturating_add(1)).saturating_add(pauses))
}

/// The times at which the stages of a stop must be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    grace: Option<Duration>,
    post_stop: Duration,
}

impl Budget {
    /// `post_stop` is the longest time of each postStop handler; one second is kept for a handler without a limit.
    pub fn new(grace: Option<Duration>, post_stop: impl Iterator<Item = Option<Duration>>) -> Budget {
        let post_stop = post_stop
            .map(|timeout| timeout.unwrap_or(POST_STOP_DEFAULT))
            .fold(Duration::ZERO, Duration::saturating_add);
        Budget { grace, post_stop }
    }

    /// The share for SIGKILL, leftovers, postStop, the report and the exit: at most half of the grace period.
    pub fn reserve(&self) -> Duration {
        self.grace.map_or(Duration::ZERO, |grace| FINISH.saturating_add(self.post_stop).min(grace / 2))
    }

    /// The share between the end of preStop and SIGKILL, so that the app can act on its stop signal: two seconds, the
    /// minimum that a kubelet gives, or a quarter of a grace period shorter than eight seconds.
    pub fn app_share(&self) -> Duration {
        self.grace.map_or(Duration::ZERO, |grace| APP_SHARE.min(grace / 4))
    }

    /// The end of the grace period of a stop that began at `began`.
    pub fn end(&self, began: Time) -> Option<Time> {
        self.grace.map(|grace| began + grace)
    }

    /// When the preStop handlers must be over.
    pub fn pre_stop_deadline(&self, began: Time) -> Option<Time> {
        self.end(began).map(|end| end - self.reserve() - self.app_share())
    }

    /// When SIGKILL is due for an app that gets its stop signal now. If preStop took the whole grace period, a kubelet still
    /// waits two seconds after the signal; the app gets one of them.
    pub fn kill_at(&self, began: Time, now: Time) -> Option<Time> {
        let share = self.app_share().min(Duration::from_secs(1));
        self.end(began).map(|end| (end - self.reserve()).max(now + share))
    }

    /// When the second signal goes out at the latest to an app that gets its stop signal now: a moment before SIGKILL, in which
    /// the app can still end by itself.
    pub fn second_signal_at(&self, began: Time, now: Time) -> Option<Time> {
        self.kill_at(began, now).map(|kill| kill - LAST_CHANCE.min(kill.saturating_sub(now) / 2))
    }

    /// When the remaining processes must be gone, so that postStop has its share.
    pub fn post_stop_begin(&self, began: Time) -> Option<Time> {
        let reserve = self.reserve();
        let leftovers = (FINISH - EXIT).min(reserve / 4);
        let share = self.post_stop.min(reserve - leftovers - self.exit());
        self.end(began).map(|end| end - share - self.exit())
    }

    /// When the remaining processes, which get SIGTERM now, get SIGKILL. `wish` is `leftoversSeconds`. During a stop they may use the
    /// rest of the budget without the reserve: an entrypoint that does not exec leaves the server behind.
    pub fn leftovers_end(&self, began: Option<Time>, now: Time, wish: Option<Duration>) -> Time {
        let Some(end) = began.and_then(|began| self.end(began)) else { return now + wish.unwrap_or(LEFTOVERS) };
        let latest = (end - self.reserve()).max(self.sessions_end(began, now, None));
        wish.map_or(latest, |wish| (now + wish).clamp((now + SHORTEST).min(latest), latest))
    }

    /// The same for sessions, which got SIGTERM at `since`: they never extend a stop.
    pub fn sessions_end(&self, began: Option<Time>, since: Time, wish: Option<Duration>) -> Time {
        let at = since + wish.map_or(LEFTOVERS, |wish| wish.min(LEFTOVERS));
        let latest = began.and_then(|began| self.post_stop_begin(began)).map(|latest| latest.saturating_sub(SHORTEST));
        latest.map_or(at, |latest| at.min(latest).max(since + SHORTEST))
    }

    /// When the postStop handlers must be over.
    pub fn post_stop_deadline(&self, began: Time) -> Option<Time> {
        self.end(began).map(|end| end - self.exit())
    }

    /// `now + wish`, or earlier if postStop needs its share of a stop that began at `began`.
    pub fn before_post_stop(&self, began: Option<Time>, now: Time, wish: Duration) -> Time {
        let latest = began.and_then(|began| self.post_stop_begin(began));
        latest.map_or(now + wish, |latest| (now + wish).min(latest).max(now + SHORTEST))
    }

    /// When postStop handlers that begin now must be over. `began` is the beginning of the stop, if there is one.
    pub fn post_stop_end(&self, began: Option<Time>, now: Time) -> Time {
        match began.and_then(|began| self.post_stop_deadline(began)) {
            // A late postStop still gets a moment: a report that is cut is worse than a late one.
            Some(at) => at.max(now + SHORTEST),
            None => now + self.grace.unwrap_or(POST_STOP_WITHOUT_GRACE),
        }
    }

    /// When postStop handlers that begin now must be over if our own stop signal came at `signalled`, however late. A
    /// kubelet whose grace period is over still gives a container two seconds: the app gets half of them, postStop and the
    /// exit get the other half.
    pub fn late_post_stop_end(&self, signalled: Time, now: Time) -> Time {
        let half = self.app_share().min(Duration::from_secs(1));
        (now + half).min(signalled + 2 * half - self.exit())
    }

    /// How long to wait for callers to take their answers. `began` is the beginning of the stop, if there is one. A caller
    /// that does not take its answer must not delay the exit beyond the runtime's own SIGKILL.
    pub fn answers_end(&self, began: Option<Time>, now: Time) -> Time {
        let end = began.and_then(|began| self.end(began));
        end.map_or(now + ANSWERS, |end| (now + ANSWERS).min(end).max(now + SHORTEST))
    }

    fn exit(&self) -> Duration {
        EXIT.min(self.reserve() / 4)
    }
}

/// The longest pause between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// The share of a postStop handler without `timeoutSeconds`.
pub const POST_STOP_DEFAULT: Duration = Duration::from_secs(1);
/// The time for all postStop handlers together, without a grace period.
const POST_STOP_WITHOUT_GRACE: Duration = Duration::from_secs(30);
/// How long the remaining processes have after SIGTERM, and sessions in any case.
const LEFTOVERS: Duration = Duration::from_secs(2);
/// The minimum for each step, however late it is.
pub const SHORTEST: Duration = Duration::from_millis(100);
/// How long a caller may take to receive its answer before bookend exits.
const ANSWERS: Duration = Duration::from_millis(500);
/// The share for SIGKILL, leftovers, the report and the exit.
const FINISH: Duration = Duration::from_millis(500);
/// The share for the report and the exit alone.
const EXIT: Duration = Duration::from_millis(100);
/// The time between the second signal and SIGKILL.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// The least a kubelet waits between the stop signal and SIGKILL.
const APP_SHARE: Duration = Duration::from_secs(2);

/// How long after a preStop hook the stop signal may come, without a grace period. This is Kubernetes' default grace period.
pub const REARM_WITHOUT_GRACE: Duration = Duration::from_secs(30);

/// How long a preStop handler may run after the app has ended.
pub const LINGER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn every_stage_ends_before_the_grace_period() {
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
    fn thirty_seconds_are_divided_as_documented() {
        let budget = Budget::new(Some(secs(30)), [Some(secs(2))].into_iter());
        assert_eq!(budget.reserve(), Duration::from_millis(2500));
        assert_eq!(budget.kill_at(secs(0), secs(1)), Some(Duration::from_millis(27_500)));
        assert_eq!(budget.pre_stop_deadline(secs(0)), Some(Duration::from_millis(25_500)));
    }

    #[test]
    fn the_longest_time_includes_retries_and_pauses() {
        assert_eq!(longest(Some(secs(2)), 0, secs(1)), Some(secs(2)));
        assert_eq!(longest(Some(secs(2)), 3, secs(1)), Some(secs(4 * 2 + 1 + 2 + 4)));
        assert_eq!(longest(Some(secs(1)), 2, secs(59)), Some(secs(3 + 59 + 60)));
        assert_eq!(longest(None, 3, secs(1)), None);
    }

    #[test]
    fn a_long_post_stop_leaves_time_for_leftovers_and_the_exit() {
        let budget = Budget::new(Some(secs(8)), [Some(secs(500))].into_iter());
        assert_eq!(budget.reserve(), secs(4));
        // 0.4 s for the leftovers after SIGKILL, 3.5 s for postStop, 0.1 s for the exit.
        assert_eq!(budget.post_stop_begin(secs(0)), Some(Duration::from_millis(4400)));
        assert_eq!(budget.post_stop_deadline(secs(0)), Some(Duration::from_millis(7900)));
    }

    #[test]
    fn leftovers_share_the_budget_and_sessions_do_not() {
        let budget = Budget::new(Some(secs(30)), [Some(secs(2))].into_iter());
        let began = Some(secs(100));
        let kill = Duration::from_millis(127_500);
        assert_eq!(budget.leftovers_end(began, secs(101), None), kill);
        assert_eq!(budget.leftovers_end(began, secs(101), Some(secs(5))), secs(106));
        assert_eq!(budget.leftovers_end(began, secs(101), Some(secs(60))), kill);
        assert_eq!(budget.sessions_end(began, secs(101), None), secs(103));
        assert_eq!(budget.sessions_end(began, secs(101), Some(secs(1))), secs(102));
        // The app used all of its share, so they have a part of the reserve.
        assert_eq!(budget.leftovers_end(began, kill, None), budget.post_stop_begin(secs(100)).unwrap() - SHORTEST);
        // The end was not requested.
        assert_eq!(budget.leftovers_end(None, secs(101), None), secs(103));
        assert_eq!(budget.leftovers_end(None, secs(101), Some(secs(60))), secs(161));
    }

    #[test]
    fn without_a_grace_period_there_is_no_deadline() {
        let budget = Budget::new(None, [None].into_iter());
        assert_eq!(budget.kill_at(secs(0), secs(1)), None);
        assert_eq!(budget.pre_stop_deadline(secs(0)), None);
    }

    #[test]
    fn an_app_that_is_signalled_late_still_gets_a_second() {
        let budget = Budget::new(Some(secs(8)), std::iter::empty());
        assert_eq!(budget.kill_at(secs(0), secs(20)), Some(secs(21)));
        assert_eq!(budget.second_signal_at(secs(0), secs(20)), Some(Duration::from_millis(20_500)));
    }

    #[test]
    fn the_second_signal_comes_shortly_before_sigkill() {
        let budget = Budget::new(Some(secs(30)), std::iter::empty());
        assert_eq!(budget.kill_at(secs(0), secs(6)), Some(Duration::from_millis(29_500)));
        assert_eq!(budget.second_signal_at(secs(0), secs(6)), Some(Duration::from_millis(28_500)));
        assert_eq!(Budget::new(None, std::iter::empty()).second_signal_at(secs(0), secs(6)), None);
    }
}
