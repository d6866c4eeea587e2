//! Adds up the stops: counts by what went wrong, and the stops that took longest. Pure. Its size is
//! bounded, whatever the number of pods.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::ended::{EndedContainer, ended_containers};
use super::verdict::{StopRecord, Verdict, judge};

/// The counts so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// How many stops the lists name.
    pub(super) longest: usize,
    pub(super) pods: u64,
    /// Hashes of the lives that are counted: `kubectl get --watch` shows a pod again with each change.
    seen: HashSet<u64>,
    /// Objects that are not pods.
    pub(super) others: u64,
    pub(super) stops: u64,
    pub(super) clean: u64,
    pub(super) killed: u64,
    pub(super) killed_in: BTreeMap<&'static str, u64>,
    /// Reports that were begun and never finished.
    pub(super) unfinished: u64,
    pub(super) oom: u64,
    pub(super) over_budget: u64,
    pub(super) requests_cut: Loss,
    pub(super) not_accepted: Loss,
    pub(super) resets_sent: Loss,
    /// Ends without a stop, by reason.
    pub(super) ended: BTreeMap<&'static str, u64>,
    /// Ends of which the report is missing or cannot be read, by cause.
    pub(super) unknown: BTreeMap<&'static str, u64>,
    /// Ends for lack of memory that were not stops.
    pub(super) oom_without_stop: u64,
    /// Ended containers without bookend, by reason and exit code.
    pub(super) without_bookend: BTreeMap<(String, i64), u64>,
    /// The stops of each workload.
    pub(super) workloads: BTreeMap<WorkloadName, WorkloadStops>,
    /// The slowest stops, the slowest first.
    pub(super) slowest: Vec<NamedStop>,
    /// The stops that were not clean, the newest first.
    pub(super) not_clean: Vec<NamedStop>,
}

/// A container of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkloadName {
    pub(super) namespace: String,
    pub(super) workload: String,
    pub(super) container: String,
}

/// Its stops.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct WorkloadStops {
    pub(super) stops: u64,
    pub(super) clean: u64,
    pub(super) killed: u64,
    pub(super) oom: u64,
    pub(super) over_budget: u64,
    /// Stops that cut, reset or did not accept something.
    pub(super) lost: u64,
    pub(super) slowest_seconds: f64,
}

/// In how many stops, and how many in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) stops: u64,
    pub(super) count: u64,
}

/// A stop with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedStop {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) finished: Option<f64>,
    pub(super) stop: StopRecord,
}

impl Summary {
    /// `longest`: how many stops are listed.
    pub(super) fn new(longest: usize) -> Summary {
        Summary { longest, ..Summary::default() }
    }

    /// Adds an object of the list.
    pub(super) fn add(&mut self, object: &Value) {
        let kind = object.get("kind").and_then(Value::as_str);
        if !matches!(kind, None | Some("Pod")) {
            self.others += 1;
            return;
        }
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        self.pods += u64::from(self.is_new(uid));
        for ended in ended_containers(object) {
            if self.is_new(&ended.id) {
                self.add_end(ended);
            }
        }
    }

    /// Whether it has not been counted yet. A status without an identity always counts.
    fn is_new(&mut self, id: &str) -> bool {
        if id.is_empty() || self.seen.len() >= MOST_SEEN {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.seen.insert(hasher.finish())
    }

    fn add_end(&mut self, ended: EndedContainer) {
        match judge(&ended) {
            Verdict::Stop(stop) => self.add_stop(ended, stop),
            Verdict::EndedByItself { reason, oom } => {
                *self.ended.entry(reason).or_default() += 1;
                self.oom_without_stop += u64::from(oom);
            }
            Verdict::Unknown { why, oom } => {
                *self.unknown.entry(why).or_default() += 1;
                self.oom_without_stop += u64::from(oom);
            }
            Verdict::WithoutBookend => {
                let mut key = (ended.reason.chars().take(MOST_CHARS).collect(), ended.exit_code);
                if self.without_bookend.len() >= MOST_KINDS && !self.without_bookend.contains_key(&key) {
                    key = ("other".to_owned(), -1);
                }
                *self.without_bookend.entry(key).or_default() += 1;
            }
        }
    }

    fn add_stop(&mut self, ended: EndedContainer, stop: StopRecord) {
        self.stops += 1;
        self.clean += u64::from(stop.is_clean());
        self.killed += u64::from(stop.killed_in.is_some());
        if let Some(stage) = stop.killed_in {
            *self.killed_in.entry(stage).or_default() += 1;
        }
        self.unfinished += u64::from(stop.is_unfinished);
        self.oom += u64::from(stop.oom);
        self.over_budget += u64::from(stop.over_budget);
        self.requests_cut.add(stop.requests_cut);
        self.not_accepted.add(stop.not_accepted);
        self.resets_sent.add(stop.resets_sent);
        let EndedContainer { namespace, pod, workload, container, finished, .. } = ended;
        let name = WorkloadName { namespace: namespace.clone(), workload, container: container.clone() };
        if self.workloads.len() < MOST_WORKLOADS || self.workloads.contains_key(&name) {
            self.workloads.entry(name).or_default().add(&stop);
        }
        let named = NamedStop { namespace, pod, container, finished, stop };
        if !named.stop.is_clean() {
            insert(&mut self.not_clean, named.clone(), self.longest, |stop| stop.finished.unwrap_or_default());
        }
        insert(&mut self.slowest, named, self.longest, |stop| stop.stop.took_seconds);
    }

    /// The share of all stops, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "numbers of containers")]
    pub(super) fn share(&self, count: u64) -> f64 {
        if self.stops == 0 { 0.0 } else { count as f64 / self.stops as f64 }
    }
}

impl WorkloadStops {
    fn add(&mut self, stop: &StopRecord) {
        self.stops += 1;
        self.clean += u64::from(stop.is_clean());
        self.killed += u64::from(stop.killed_in.is_some());
        self.oom += u64::from(stop.oom);
        self.over_budget += u64::from(stop.over_budget);
        self.lost += u64::from(stop.has_lost());
        self.slowest_seconds = self.slowest_seconds.max(stop.took_seconds);
    }
}

impl Loss {
    fn add(&mut self, count: u64) {
        self.stops += u64::from(count > 0);
        self.count = self.count.saturating_add(count);
    }
}

/// Keeps the stops with the largest `value`; of equal ones the first.
fn insert(list: &mut Vec<NamedStop>, stop: NamedStop, most: usize, value: impl Fn(&NamedStop) -> f64) {
    let at = list.partition_point(|other| value(other) >= value(&stop));
    if at < most {
        list.insert(at, stop);
        list.truncate(most);
    }
}

/// Workloads with counts of their own; the totals have the others too.
const MOST_WORKLOADS: usize = 1000;
/// Lives and pods that are remembered, at eight bytes each.
const MOST_SEEN: usize = 100_000;
/// The most pairs of a reason and an exit code.
const MOST_KINDS: usize = 40;
/// Of a reason.
const MOST_CHARS: usize = 60;
