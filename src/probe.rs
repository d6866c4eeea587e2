//! The app's own probes: when each is due, what its results add up to, and what that means for `/startupz`,
//! `/readyz` and `/livez`. Pure: results and times in, what to do out. The semantics are the kubelet's
//! (pkg/kubelet/prober/worker.go):
//!
//! | probe     | runs                                                              | before its first result |
//! | --------- | ----------------------------------------------------------------- | ----------------------- |
//! | startup   | once postStart is over, until it has succeeded; not in a stop     | not started             |
//! | readiness | once startup is over; in a stop, too                              | not ready               |
//! | liveness  | once startup is over; not in a stop                               | live                    |
//!
//! Startup is over when the startup probe has succeeded and, with `app.notify`, the app has said READY=1. A state
//! changes after `failureThreshold` failures or `successThreshold` successes in a row. At most one run of each is in
//! flight; the time of the next is counted from the beginning of the last.

use std::time::Duration;

/// Time since bookend began, as the lifecycle counts it.
type Time = Duration;

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `startupProbe`.
    Startup,
    /// `readinessProbe`.
    Readiness,
    /// `livenessProbe`.
    Liveness,
}

impl Kind {
    /// All of them, the one that the others wait for first.
    pub const ALL: [Kind; 3] = [Kind::Startup, Kind::Readiness, Kind::Liveness];

    /// Its name in a Pod spec, in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Startup => "startupProbe",
            Kind::Readiness => "readinessProbe",
            Kind::Liveness => "livenessProbe",
        }
    }
}

/// A probe's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// `initialDelaySeconds`, counted from the app's start.
    pub initial_delay: Duration,
    /// `periodSeconds`.
    pub period: Duration,
    /// `failureThreshold`.
    pub failure_threshold: u32,
    /// `successThreshold`.
    pub success_threshold: u32,
}

/// What a probe's results add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Nothing yet.
    #[default]
    Unknown,
    /// The last change was to success.
    Success,
    /// The last change was to failure.
    Failure,
}

/// The name of one run; never used twice, so a late result cannot be mistaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(pub u64);

/// What a probe looks at besides its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct View {
    /// When the app was started; `None`: there is none, or none any more.
    pub app_since: Option<Time>,
    /// postStart is over and succeeded.
    pub post_start_over: bool,
    /// The app has said READY=1, or need not.
    pub notified: bool,
    /// A stop has begun.
    pub stopping: bool,
    /// Until then a failing startup probe is not counted (EXTEND_TIMEOUT_USEC).
    pub startup_extended_to: Option<Time>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Run the probe once; answered by `ended`.
    Start(Kind, RunId),
    /// End a run; nothing more is expected of it.
    Abort(Kind),
}

/// One probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    rule: Rule,
    turn: Turn,
    /// What its results add up to.
    pub state: State,
    last: Option<bool>,
    in_a_row: u32,
    /// Runs that succeeded so far.
    pub successes: u64,
    /// Runs that failed so far.
    pub failures: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Turn {
    /// It may not run.
    Off,
    DueAt(Time),
    InFlight {
        run: RunId,
        began: Time,
    },
}

/// The three of them; those that are not configured are not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Probes {
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
    runs: u64,
}

impl Probes {
    /// Those that are configured, none of them run yet.
    pub fn new(rule: impl Fn(Kind) -> Option<Rule>) -> Probes {
        let probe = |kind| rule(kind).map(Probe::new);
        Probes {
            startup: probe(Kind::Startup),
            readiness: probe(Kind::Readiness),
            liveness: probe(Kind::Liveness),
            runs: 0,
        }
    }

    /// Whether any is configured.
    pub fn are_there(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.get(kind).is_some())
    }

    /// One of them.
    pub fn get(&self, kind: Kind) -> Option<&Probe> {
        match kind {
            Kind::Startup => self.startup.as_ref(),
            Kind::Readiness => self.readiness.as_ref(),
            Kind::Liveness => self.liveness.as_ref(),
        }
    }

    /// Whether the startup probe has succeeded, or there is none.
    pub fn has_started(&self) -> bool {
        self.startup.is_none_or(|probe| probe.state == State::Success)
    }

    /// Whether the readiness probe says so, or there is none.
    pub fn is_ready(&self) -> bool {
        self.readiness.is_none_or(|probe| probe.state == State::Success)
    }

    /// Whether the liveness probe says nothing else, or there is none.
    pub fn is_live(&self) -> bool {
        self.liveness.is_none_or(|probe| probe.state != State::Failure)
    }

    /// Whether a run of it is in flight.
    pub fn is_in_flight(&self, kind: Kind) -> bool {
        self.get(kind).is_some_and(|probe| matches!(probe.turn, Turn::InFlight { .. }))
    }

    /// When `tend` has something to do although nothing happens.
    pub fn next_at(&self) -> Option<Time> {
        Kind::ALL.into_iter().filter_map(|kind| self.get(kind)?.due_at()).min()
    }

    /// Called whenever anything may have changed: begins what is due, ends what may not run any more.
    pub fn tend(&mut self, now: Time, view: &View) -> Vec<Act> {
        let mut acts = Vec::new();
        for kind in Kind::ALL {
            let since = view.app_since.filter(|_| self.may_run(kind, view));
            let next = RunId(self.runs + 1);
            let Some(probe) = self.get_mut(kind) else { continue };
            match probe.tend(now, since, next) {
                Some(true) => {
                    self.runs += 1;
                    acts.push(Act::Start(kind, next));
                }
                Some(false) => acts.push(Act::Abort(kind)),
                None => {}
            }
        }
        acts
    }

    /// A run is over. What the probe's state has become, if it has changed.
    pub fn ended(&mut self, now: Time, run: RunId, good: bool, view: &View) -> Option<(Kind, State)> {
        let is_of = |probe: &Probe| matches!(probe.turn, Turn::InFlight { run: own, .. } if own == run);
        // Otherwise it has been aborted: its result is of no interest any more.
        let kind = Kind::ALL.into_iter().find(|kind| self.get(*kind).is_some_and(is_of))?;
        let excused = kind == Kind::Startup && view.startup_extended_to.is_some_and(|until| now < until);
        let probe = self.get_mut(kind)?;
        let before = probe.state;
        probe.ended(now, good, excused);
        (probe.state != before).then_some((kind, probe.state))
    }

    fn may_run(&self, kind: Kind, view: &View) -> bool {
        let is_past_startup = self.has_started() && view.notified;
        view.post_start_over
            && match kind {
                Kind::Startup => !self.has_started() && !view.stopping,
                Kind::Readiness => is_past_startup,
                Kind::Liveness => is_past_startup && !view.stopping,
            }
    }

    fn get_mut(&mut self, kind: Kind) -> Option<&mut Probe> {
        match kind {
            Kind::Startup => self.startup.as_mut(),
            Kind::Readiness => self.readiness.as_mut(),
            Kind::Liveness => self.liveness.as_mut(),
        }
    }
}

impl Probe {
    fn new(rule: Rule) -> Probe {
        Probe { rule, turn: Turn::Off, state: State::Unknown, last: None, in_a_row: 0, successes: 0, failures: 0 }
    }

    fn due_at(&self) -> Option<Time> {
        match self.turn {
            Turn::DueAt(at) => Some(at),
            Turn::Off | Turn::InFlight { .. } => None,
        }
    }

    /// `Some(true)`: start a run. `Some(false)`: end the one in flight. `since`: when the app was started, if it may run.
    fn tend(&mut self, now: Time, since: Option<Time>, next: RunId) -> Option<bool> {
        let Some(since) = since else {
            let was = std::mem::replace(&mut self.turn, Turn::Off);
            return matches!(was, Turn::InFlight { .. }).then_some(false);
        };
        let at = match self.turn {
            Turn::InFlight { .. } => return None,
            Turn::DueAt(at) => at,
            Turn::Off => now.max(since + self.rule.initial_delay),
        };
        if at > now {
            self.turn = Turn::DueAt(at);
            return None;
        }
        self.turn = Turn::InFlight { run: next, began: now };
        Some(true)
    }

    fn ended(&mut self, now: Time, good: bool, excused: bool) {
        if let Turn::InFlight { began, .. } = self.turn {
            // A run that took longer than the period is followed at once.
            self.turn = Turn::DueAt((began + self.rule.period).max(now));
        }
        if good {
            self.successes += 1;
        } else {
            self.failures += 1;
        }
        if excused && !good {
            return;
        }
        self.in_a_row = if self.last == Some(good) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(good);
        let (threshold, state) = match good {
            true => (self.rule.success_threshold, State::Success),
            false => (self.rule.failure_threshold, State::Failure),
        };
        if self.in_a_row >= threshold {
            self.state = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn rule(initial_delay: u64, failure_threshold: u32, success_threshold: u32) -> Rule {
        Rule { initial_delay: secs(initial_delay), period: secs(10), failure_threshold, success_threshold }
    }

    fn running() -> View {
        View { app_since: Some(secs(1)), post_start_over: true, notified: true, ..View::default() }
    }

    fn all() -> Probes {
        Probes::new(|_| Some(rule(0, 3, 1)))
    }

    /// The runs that begin now.
    fn begin(probes: &mut Probes, now: u64, view: &View) -> Vec<(Kind, RunId)> {
        let acts = probes.tend(secs(now), view);
        acts.into_iter()
            .filter_map(|act| if let Act::Start(kind, run) = act { Some((kind, run)) } else { None })
            .collect()
    }

    fn kinds(runs: &[(Kind, RunId)]) -> Vec<Kind> {
        runs.iter().map(|(kind, _)| *kind).collect()
    }

    #[test]
    fn the_others_wait_for_startup_and_begin_at_once_when_it_has_succeeded() {
        let mut probes = all();
        let runs = begin(&mut probes, 1, &running());
        assert_eq!(kinds(&runs), [Kind::Startup]);
        assert_eq!(probes.ended(secs(2), runs[0].1, true, &running()), Some((Kind::Startup, State::Success)));
        assert_eq!(kinds(&begin(&mut probes, 2, &running())), [Kind::Readiness, Kind::Liveness]);
        assert!(probes.has_started() && !probes.is_ready() && probes.is_live());
    }

    #[test]
    fn nothing_runs_while_post_start_does_or_before_the_app_is_there() {
        let mut probes = all();
        assert!(begin(&mut probes, 1, &View { post_start_over: false, ..running() }).is_empty());
        assert!(begin(&mut probes, 1, &View { app_since: None, ..running() }).is_empty());
        assert_eq!(probes.next_at(), None);
    }

    #[test]
    fn an_app_that_has_to_notify_is_not_asked_for_readiness_before_it_has() {
        let mut probes = Probes::new(|kind| (kind == Kind::Readiness).then(|| rule(0, 3, 1)));
        assert!(begin(&mut probes, 1, &View { notified: false, ..running() }).is_empty());
        assert_eq!(kinds(&begin(&mut probes, 1, &running())), [Kind::Readiness]);
    }

    #[test]
    fn in_a_stop_readiness_goes_on_and_the_others_end() {
        let mut probes = all();
        let runs = begin(&mut probes, 1, &running());
        probes.ended(secs(1), runs[0].1, true, &running());
        assert_eq!(begin(&mut probes, 1, &running()).len(), 2);
        let stopping = View { stopping: true, ..running() };
        assert_eq!(probes.tend(secs(2), &stopping), [Act::Abort(Kind::Liveness)]);
        assert_eq!(probes.tend(secs(60), &stopping), []);
        assert!(probes.is_live());
    }

    #[test]
    fn thresholds_count_what_comes_in_a_row() {
        let mut probes = Probes::new(|kind| (kind == Kind::Readiness).then(|| rule(0, 3, 2)));
        let mut now = 1;
        let mut after = |good: bool| {
            let run = begin(&mut probes, now, &running())[0].1;
            probes.ended(secs(now), run, good, &running());
            now += 10;
            probes.is_ready()
        };
        let results = [true, true, false, false, true, false, false, false, true, true];
        assert_eq!(results.map(&mut after), [false, true, true, true, true, true, true, false, false, true]);
    }

    #[test]
    fn the_delay_counts_from_the_start_and_the_period_from_the_last_begin() {
        let mut probes = Probes::new(|kind| (kind == Kind::Liveness).then(|| rule(5, 3, 1)));
        assert!(begin(&mut probes, 2, &running()).is_empty());
        assert_eq!(probes.next_at(), Some(secs(6)));
        let run = begin(&mut probes, 6, &running())[0].1;
        assert_eq!(probes.next_at(), None, "one is in flight");
        probes.ended(secs(9), run, true, &running());
        assert_eq!(probes.next_at(), Some(secs(16)));
        let run = begin(&mut probes, 16, &running())[0].1;
        probes.ended(secs(40), run, true, &running());
        assert_eq!(probes.next_at(), Some(secs(40)), "it took longer than the period");
    }

    #[test]
    fn an_extended_startup_is_no_failed_one() {
        let mut probes = Probes::new(|kind| (kind == Kind::Startup).then(|| rule(0, 1, 1)));
        let extended = View { startup_extended_to: Some(secs(20)), ..running() };
        let run = begin(&mut probes, 1, &extended)[0].1;
        assert_eq!(probes.ended(secs(2), run, false, &extended), None);
        let run = begin(&mut probes, 21, &extended)[0].1;
        assert_eq!(probes.ended(secs(21), run, false, &extended), Some((Kind::Startup, State::Failure)));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Wait(u64),
        End(Kind, bool),
        PostStart,
        Notify,
        Stop,
        Gone,
    }

    fn step() -> impl Strategy<Value = Step> {
        let kind = prop::sample::select(Kind::ALL.to_vec());
        prop_oneof![
            6 => (0u64..15).prop_map(Step::Wait),
            10 => (kind, any::<bool>()).prop_map(|(kind, good)| Step::End(kind, good)),
            2 => Just(Step::PostStart),
            2 => Just(Step::Notify),
            1 => Just(Step::Stop),
            1 => Just(Step::Gone),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_at_most_one_run_of_each_is_in_flight_and_only_when_it_may(
            there in prop::array::uniform3(any::<bool>()),
            failures in 1u32..4,
            successes in 1u32..3,
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let place = |kind| Kind::ALL.iter().position(|k| *k == kind).unwrap();
            let mut probes = Probes::new(|kind| there[place(kind)].then(|| rule(3, failures, successes)));
            let mut view = View { app_since: Some(secs(0)), ..View::default() };
            let mut flying: [Option<RunId>; 3] = [None; 3];
            let mut results: [Vec<bool>; 3] = Default::default();
            let mut now = secs(0);
            for step in steps {
                match step {
                    Step::Wait(n) => now += secs(n),
                    Step::PostStart => view.post_start_over = true,
                    Step::Notify => view.notified = true,
                    Step::Stop => view.stopping = true,
                    Step::Gone => view.app_since = None,
                    Step::End(kind, good) => if let Some(run) = flying[place(kind)].take() {
                        results[place(kind)].push(good);
                        let threshold = if good { successes } else { failures } as usize;
                        let before = probes.get(kind).unwrap().state;
                        let in_a_row = results[place(kind)].iter().rev().take_while(|r| **r == good).count();
                        let changed = probes.ended(now, run, good, &view);
                        let wanted = if good { State::Success } else { State::Failure };
                        let expected = (in_a_row >= threshold && before != wanted).then_some((kind, wanted));
                        prop_assert_eq!(changed, expected);
                        prop_assert_eq!(probes.ended(now, run, good, &view), None, "one run, one result");
                    }
                }
                for act in probes.tend(now, &view) {
                    match act {
                        Act::Start(kind, run) => {
                            prop_assert!(there[place(kind)]);
                            prop_assert!(now >= secs(3), "not before its delay");
                            prop_assert!(flying[place(kind)].replace(run).is_none(), "one at a time");
                        }
                        Act::Abort(kind) => prop_assert!(flying[place(kind)].take().is_some()),
                    }
                }
                for kind in Kind::ALL {
                    if flying[place(kind)].is_some() {
                        prop_assert!(view.app_since.is_some() && view.post_start_over);
                        prop_assert!(kind == Kind::Readiness || !view.stopping);
                        prop_assert_eq!(kind == Kind::Startup, !(probes.has_started() && (view.notified || kind == Kind::Startup)));
                    }
                }
                prop_assert!(probes.next_at().is_none_or(|at| at > now), "what is due has been begun");
            }
        }
    }
}
