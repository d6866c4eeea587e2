//! How much of the handlers' output is logged. The decision is pure; time and names come from the caller.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use litemap::LiteMap;

/// The budgets of an app's handlers and probes, by name. All runs share one: attempts, repeated hooks, and the processes that earlier
/// runs have left behind.
#[derive(Debug, Clone)]
pub(crate) struct OutputBudgets {
    began: Instant,
    by_name: Arc<Mutex<LiteMap<String, OutputBudget>>>,
}

impl OutputBudgets {
    /// All of them are full.
    pub(crate) fn new() -> OutputBudgets {
        OutputBudgets { began: Instant::now(), by_name: Arc::default() }
    }

    /// Whether so many bytes of this handler may be logged now.
    pub(super) fn take(&self, name: &str, bytes: usize) -> bool {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.entry(name.to_owned()).or_default().take(self.began.elapsed(), bytes)
    }
}

/// How much of a handler's output is logged: a burst, then a rate. Once it is used up, nothing is logged until there is
/// enough for a second's lines again, so that the log has whole passages and not single lines. Pure.
#[derive(Debug)]
struct OutputBudget {
    left: usize,
    at: Duration,
    is_exhausted: bool,
}

impl Default for OutputBudget {
    fn default() -> OutputBudget {
        OutputBudget { left: BURST, at: Duration::ZERO, is_exhausted: false }
    }
}

impl OutputBudget {
    /// Whether so many bytes may be logged now.
    fn take(&mut self, now: Duration, bytes: usize) -> bool {
        let millis = now.saturating_sub(self.at).as_millis();
        self.at += Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        let earned = usize::try_from(millis).unwrap_or(usize::MAX).saturating_mul(RATE / 1000);
        self.left = self.left.saturating_add(earned).min(BURST);
        let needed = if self.is_exhausted { RATE } else { bytes };
        self.is_exhausted = self.left < needed;
        if !self.is_exhausted {
            self.left = self.left.saturating_sub(bytes);
        }
        !self.is_exhausted
    }
}

/// The bytes that are logged in a burst, and then in each second.
const BURST: usize = 1_000_000;
const RATE: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_logged_and_then_a_second_of_output_at_a_time() {
        let mut budget = OutputBudget::default();
        let at = Duration::from_millis;
        let logged = |budget: &mut OutputBudget, millis| (0..2000).filter(|_| budget.take(at(millis), 1000)).count();
        assert_eq!(logged(&mut budget, 0), 1000);
        assert_eq!(logged(&mut budget, 999), 0, "not one line after the other");
        assert_eq!(logged(&mut budget, 1000), 100);
        assert_eq!((1001..=11_000).map(|millis| logged(&mut budget, millis)).sum::<usize>(), 1000);
        assert_eq!(logged(&mut budget, 3_600_000), 1000);
    }
}
