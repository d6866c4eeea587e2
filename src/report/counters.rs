//! Counting what happens, for the metrics. Pure: it is told everything, with its time. Bounded by the configuration:
//! hooks, handlers' names, results, and the sixty-four signals.

use std::time::Duration;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{HandlerResult, Hook, Note, Outcome, Time};

/// The numbers so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Handler runs by hook, name and result.
    pub(crate) runs: SmallMap<(&'static str, String, HandlerResult), u64>,
    /// How long they took, by hook and name.
    pub(crate) durations: SmallMap<(&'static str, String), Histogram>,
    /// Hooks that were called and answered, by hook and result.
    pub(crate) hooks: SmallMap<(&'static str, Outcome), u64>,
    /// Signals the app was sent, by number.
    pub(crate) signals: SmallMap<Signal, u64>,
    /// How long the stages of the start and of the last stop took.
    pub(crate) start: SmallMap<&'static str, Duration>,
    pub(crate) stop: SmallMap<&'static str, Duration>,
    marks: Timestamps,
}

/// When the stage that is going on began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Timestamps {
    app_started: Option<Time>,
    stop_began: Option<Time>,
    signalled: Option<Time>,
    app_ended: Option<Time>,
}

/// A histogram: how many took no longer than each of [`BOUNDS_MS`], and how many there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    pub(crate) counts: [u64; BOUNDS_MS.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

/// From a fork and exec to the longest grace period people set.
pub(crate) const BOUNDS_MS: [u64; 10] = [10, 50, 100, 500, 1000, 2500, 5000, 10_000, 30_000, 120_000];

impl Counters {
    pub(crate) fn app_started(&mut self, now: Time) {
        self.start.insert("preStart", now);
        self.marks.app_started = Some(now);
    }

    pub(crate) fn ran(&mut self, hook: &'static str, name: &str, result: HandlerResult, took: Duration) {
        *self.runs.or_insert((hook, name.to_owned(), result), 0) += 1;
        let spread = self.durations.or_insert((hook, name.to_owned()), Histogram::default());
        spread.count += 1;
        spread.sum += took;
        // Each kept apart; the sum of those below a bound is what Prometheus calls a bucket.
        if let Some(at) = BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound))
            && let Some(count) = spread.counts.get_mut(at)
        {
            *count += 1;
        }
    }

    pub(crate) fn answered(&mut self, hook: Hook, outcome: Outcome) {
        *self.hooks.or_insert((hook.name(), outcome), 0) += 1;
    }

    pub(crate) fn signalled(&mut self, signal: Signal) {
        *self.signals.or_insert(signal, 0) += 1;
    }

    pub(crate) fn note(&mut self, now: Time, note: Note) {
        let since = |mark: Option<Time>| mark.map(|mark| now.saturating_sub(mark));
        let marks = &mut self.marks;
        let (stages, stage, took) = match note {
            Note::Started => (&mut self.start, "postStart", since(marks.app_started)),
            Note::StopBegan(_) => {
                // A stop that no signal followed is another story.
                self.stop.clear();
                marks.stop_began = Some(now);
                return;
            }
            Note::HookOver(Hook::PreStop, _) => (&mut self.stop, "preStop", since(marks.stop_began)),
            Note::StopSignalSent(_) => {
                marks.signalled.get_or_insert(now);
                return;
            }
            Note::AppEnded(_) => {
                marks.app_ended = Some(now);
                (&mut self.stop, "app", since(marks.signalled))
            }
            Note::HookOver(Hook::PostStop, _) => (&mut self.stop, "postStop", since(marks.app_ended)),
            _ => return,
        };
        if let Some(took) = took {
            stages.insert(stage, took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bookend_lifecycle::{AppStatus, Trigger};

    #[test]
    fn a_duration_is_counted_once_below_the_bound_it_fits_and_nowhere_beyond_the_last() {
        let mut counters = Counters::default();
        for ms in [0, 10, 11, 120_000, 120_001] {
            counters.ran("preStop", "drain", HandlerResult::Succeeded, Duration::from_millis(ms));
        }
        let spread = counters.durations.get(&("preStop", "drain".to_owned())).unwrap();
        assert_eq!(spread.count, 5);
        assert_eq!(spread.counts.iter().sum::<u64>(), 4);
        assert_eq!((spread.counts[0], spread.counts[1], spread.counts[9]), (2, 1, 1));
    }

    #[test]
    fn the_stages_of_a_stop_are_those_of_the_last_one() {
        let at = Duration::from_secs;
        let mut counters = Counters::default();
        counters.app_started(at(1));
        counters.note(at(3), Note::Started);
        counters.note(at(10), Note::StopBegan(Trigger::Hook));
        counters.note(at(14), Note::HookOver(Hook::PreStop, Outcome::Succeeded));
        counters.note(at(20), Note::StopBegan(Trigger::Signal(Signal::TERM)));
        counters.note(at(22), Note::HookOver(Hook::PreStop, Outcome::Succeeded));
        counters.note(at(22), Note::StopSignalSent(Signal::TERM));
        counters.note(at(25), Note::AppEnded(AppStatus::Exited(0)));
        assert_eq!(counters.start, SmallMap::from([("preStart", at(1)), ("postStart", at(2))]));
        assert_eq!(counters.stop, SmallMap::from([("preStop", at(2)), ("app", at(3))]));
    }
}
