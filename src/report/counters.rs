//! Counts what happens, for the metrics. Pure: every event comes with its time. The number of series is bounded by the
//! configuration: hooks, handler names, results, and the 64 signals.

use std::time::Duration;

use litemap::LiteMap;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{HandlerResult, Hook, Note, Outcome, Time};

/// The counts so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Handler runs by hook, name and result.
    pub(crate) runs: LiteMap<(&'static str, String, HandlerResult), u64>,
    /// Durations of handler runs, by hook and name.
    pub(crate) durations: LiteMap<(&'static str, String), Histogram>,
    /// Answered hook calls, by hook and result.
    pub(crate) hooks: LiteMap<(&'static str, Outcome), u64>,
    /// Signals sent to the app.
    pub(crate) signals: LiteMap<Signal, u64>,
    /// Processes that the kernel's OOM killer ended.
    pub(crate) oom_kills: u64,
    /// Durations of the stages of the start.
    pub(crate) start: LiteMap<&'static str, Duration>,
    /// Durations of the stages of the last stop.
    pub(crate) stop: LiteMap<&'static str, Duration>,
    timestamps: StageTimes,
}

/// When each stage began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct StageTimes {
    app_started: Option<Time>,
    stop_began: Option<Time>,
    signalled: Option<Time>,
    app_ended: Option<Time>,
    leftovers: Option<Time>,
}

/// How many durations were at most each of [`BOUNDS_MS`] and more than the one before, and how many there were in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    pub(crate) counts: [u64; BOUNDS_MS.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

/// From a fork and exec to the longest usual grace period.
pub(crate) const BOUNDS_MS: [u64; 10] = [10, 50, 100, 500, 1000, 2500, 5000, 10_000, 30_000, 120_000];

impl Counters {
    pub(crate) fn app_started(&mut self, now: Time) {
        self.start.insert("preStart", now);
        self.timestamps.app_started = Some(now);
    }

    pub(crate) fn ran(&mut self, hook: &'static str, name: &str, result: HandlerResult, took: Duration) {
        *self.runs.entry((hook, name.to_owned(), result)).or_insert(0) += 1;
        let histogram = self.durations.entry((hook, name.to_owned())).or_default();
        histogram.count += 1;
        histogram.sum += took;
        // A bucket of Prometheus is the sum of these counts up to its bound.
        if let Some(at) = BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound))
            && let Some(count) = histogram.counts.get_mut(at)
        {
            *count += 1;
        }
    }

    pub(crate) fn answered(&mut self, hook: Hook, outcome: Outcome) {
        *self.hooks.entry((hook.name(), outcome)).or_insert(0) += 1;
    }

    pub(crate) fn signalled(&mut self, signal: Signal) {
        *self.signals.entry(signal).or_insert(0) += 1;
    }

    /// Returns the stage of a stop that this note ends, and how long it took.
    pub(crate) fn note(&mut self, now: Time, note: Note) -> Option<(&'static str, Duration)> {
        let since = |time: Option<Time>| time.map(|time| now.saturating_sub(time));
        let times = &mut self.timestamps;
        let (stage, took) = match note {
            Note::Started => {
                self.start.extend(since(times.app_started).map(|took| ("postStart", took)));
                return None;
            }
            Note::StopBegan(_) => {
                // An earlier stop that no stop signal followed does not count.
                self.stop.clear();
                times.stop_began = Some(now);
                return None;
            }
            Note::HookOver(Hook::PreStop, _) => ("preStop", since(times.stop_began)),
            Note::StopSignalSent(_) => {
                times.signalled.get_or_insert(now);
                return None;
            }
            Note::AppEnded(_) => {
                times.app_ended = Some(now);
                ("app", since(times.signalled))
            }
            Note::LeftoversTerminated => {
                times.leftovers = Some(now);
                return None;
            }
            Note::LeftoversKilled | Note::LeftoversEnded | Note::LeftoversRemain => {
                let took = since(times.leftovers);
                // postStop begins now.
                times.app_ended = Some(now);
                ("leftovers", took)
            }
            Note::HookOver(Hook::PostStop, _) => ("postStop", since(times.app_ended)),
            _ => return None,
        };
        self.stop.insert(stage, took?);
        Some((stage, took?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bookend_lifecycle::{AppStatus, Trigger};

    #[test]
    fn a_duration_is_counted_once_or_beyond_the_last_bound() {
        let mut counters = Counters::default();
        for ms in [0, 10, 11, 120_000, 120_001] {
            counters.ran("preStop", "drain", HandlerResult::Succeeded, Duration::from_millis(ms));
        }
        let histogram = counters.durations.get(&("preStop", "drain".to_owned())).unwrap();
        assert_eq!(histogram.count, 5);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 4);
        assert_eq!((histogram.counts[0], histogram.counts[1], histogram.counts[9]), (2, 1, 1));
    }

    #[test]
    fn only_the_stages_of_the_last_stop_are_kept() {
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
        assert_eq!(counters.start, LiteMap::from_iter([("preStart", at(1)), ("postStart", at(2))]));
        assert_eq!(counters.stop, LiteMap::from_iter([("preStop", at(2)), ("app", at(3))]));
    }
}
