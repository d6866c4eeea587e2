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
    turn: ListStep,
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
enum ListStep {
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
        self.get(kind).is_some_and(|probe| matches!(probe.turn, ListStep::InFlight { .. }))
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
        let is_of = |probe: &Probe| matches!(probe.turn, ListStep::InFlight { run: own, .. } if own == run);
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
        Probe { rule, turn: ListStep::Off, state: State::Unknown, last: None, in_a_row: 0, successes: 0, failures: 0 }
    }

    fn due_at(&self) -> Option<Time> {
        match self.turn {
            ListStep::DueAt(at) => Some(at),
            ListStep::Off | ListStep::InFlight { .. } => None,
        }
    }

    /// `Some(true)`: start a run. `Some(false)`: end the one in flight. `since`: when the app was started, if it may run.
    fn tend(&mut self, now: Time, since: Option<Time>, next: RunId) -> Option<bool> {
        let Some(since) = since else {
            let was = std::mem::replace(&mut self.turn, ListStep::Off);
            return matches!(was, ListStep::InFlight { .. }).then_some(false);
        };
        let at = match self.turn {
            ListStep::InFlight { .. } => return None,
            ListStep::DueAt(at) => at,
            ListStep::Off => now.max(since + self.rule.initial_delay),
        };
        if at > now {
            self.turn = ListStep::DueAt(at);
            return None;
        }
        self.turn = ListStep::InFlight { run: next, began: now };
        Some(true)
    }

    fn ended(&mut self, now: Time, good: bool, excused: bool) {
        if let ListStep::InFlight { began, .. } = self.turn {
            // A run that took longer than the period is followed at once.
            self.turn = ListStep::DueAt((began + self.rule.period).max(now));
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
mod tests;
