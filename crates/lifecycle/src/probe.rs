//! The app's own probes: when each is due, which state follows from its results, and what that means for `/startupz`, `/readyz` and
//! `/livez`. Results and times go in, runs to start or abort come out. The semantics are the kubelet's
//! (pkg/kubelet/prober/worker.go):
//!
//! | probe     | runs                                                                 | before its first result |
//! | --------- | -------------------------------------------------------------------- | ----------------------- |
//! | startup   | after postStart, until it has succeeded; not during a stop           | not started             |
//! | readiness | after startup; also during a stop, until the stop signal             | not ready               |
//! | liveness  | after startup; not during a stop                                     | live                    |
//!
//! Startup is over when the startup probe has succeeded and, with `app.notify`, the app has sent READY=1. A state changes
//! after `failureThreshold` consecutive failures or `successThreshold` consecutive successes. At most one run of each probe
//! is in flight. The next run is due one period after the last one began.

use std::time::Duration;

use serde::Serialize;

use crate::time::Time;

/// The three probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// `startupProbe`.
    Startup,
    /// `readinessProbe`.
    Readiness,
    /// `livenessProbe`.
    Liveness,
}

impl ProbeKind {
    /// All three. Startup comes first, because the others wait for it.
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness];

    /// The name in a Pod spec, in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startupProbe",
            ProbeKind::Readiness => "readinessProbe",
            ProbeKind::Liveness => "livenessProbe",
        }
    }
}

/// The numbers of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProbeRule {
    /// `initialDelaySeconds`, counted from the app's start.
    pub initial_delay: Duration,
    /// `periodSeconds`.
    pub period: Duration,
    /// `failureThreshold`.
    pub failure_threshold: u32,
    /// `successThreshold`.
    pub success_threshold: u32,
}

/// The state that follows from a probe's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum ProbeState {
    /// No threshold has been reached yet.
    #[default]
    Unknown,
    /// `successThreshold` was reached last.
    Succeeded,
    /// `failureThreshold` was reached last.
    Failed,
}

impl ProbeState {
    /// The name in `/status`.
    pub fn name(self) -> &'static str {
        match self {
            ProbeState::Unknown => "Unknown",
            ProbeState::Succeeded => "Succeeded",
            ProbeState::Failed => "Failed",
        }
    }
}

/// Identifies one run of a probe. An identifier is never used twice, so a late result cannot be mistaken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProbeRunId(pub u64);

/// The conditions under which a probe may run, besides its own results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProbeConditions {
    /// When the app was started; `None` before its start and after its end.
    pub app_since: Option<Time>,
    /// postStart has succeeded.
    pub post_start_over: bool,
    /// The app has sent READY=1, or does not have to.
    pub notified: bool,
    /// A stop has begun.
    pub stopping: bool,
    /// The app has got its stop signal: it need not be ready any more, and its closed port would answer with a reset.
    pub signalled: bool,
    /// Failures of the startup probe do not count before this time (EXTEND_TIMEOUT_USEC).
    pub startup_extended_to: Option<Time>,
}

/// An action that the caller must take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeAction {
    /// Run the probe once, and report the result to [`Probes::ended`].
    Start(ProbeKind, ProbeRunId),
    /// Abort the run in flight. Its result is ignored.
    Abort(ProbeKind),
}

/// One probe and its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    rule: ProbeRule,
    schedule: Schedule,
    /// The state that follows from the results.
    pub state: ProbeState,
    last: Option<bool>,
    /// How many consecutive runs had the last result.
    streak: u32,
    /// Number of runs that succeeded.
    pub successes: u64,
    /// Number of runs that failed.
    pub failures: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Schedule {
    /// The probe may not run.
    Off,
    DueAt(Time),
    InFlight {
        run: ProbeRunId,
        began: Time,
    },
}

/// The configured probes of one app.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Probes {
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
    runs: u64,
}

impl Probes {
    /// The probes for which `rule` returns numbers. None of them has run yet.
    pub fn new(rule: impl Fn(ProbeKind) -> Option<ProbeRule>) -> Probes {
        let probe = |kind| rule(kind).map(Probe::new);
        Probes {
            startup: probe(ProbeKind::Startup),
            readiness: probe(ProbeKind::Readiness),
            liveness: probe(ProbeKind::Liveness),
            runs: 0,
        }
    }

    /// Whether any probe is configured.
    pub fn any_configured(&self) -> bool {
        ProbeKind::ALL.into_iter().any(|kind| self.get(kind).is_some())
    }

    /// The probe of this kind, if it is configured.
    pub fn get(&self, kind: ProbeKind) -> Option<&Probe> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }

    /// Whether the startup probe has succeeded or is not configured.
    pub fn has_started(&self) -> bool {
        self.startup.is_none_or(|probe| probe.state == ProbeState::Succeeded)
    }

    /// Whether the readiness probe succeeds or is not configured.
    pub fn is_ready(&self) -> bool {
        self.readiness.is_none_or(|probe| probe.state == ProbeState::Succeeded)
    }

    /// Whether the liveness probe has not failed or is not configured.
    pub fn is_live(&self) -> bool {
        self.liveness.is_none_or(|probe| probe.state != ProbeState::Failed)
    }

    /// Whether a run of this probe is in flight.
    pub fn is_in_flight(&self, kind: ProbeKind) -> bool {
        self.get(kind).is_some_and(|probe| matches!(probe.schedule, Schedule::InFlight { .. }))
    }

    /// When [`Probes::update`] must be called next, if no event comes before.
    pub fn next_at(&self) -> Option<Time> {
        ProbeKind::ALL.into_iter().filter_map(|kind| self.get(kind)?.due_at()).min()
    }

    /// Starts the runs that are due and aborts those that may not go on. Call it after every event that can change
    /// `conditions`, and at [`Probes::next_at`].
    pub fn update(&mut self, now: Time, conditions: &ProbeConditions) -> Vec<ProbeAction> {
        let mut actions = Vec::new();
        for kind in ProbeKind::ALL {
            let since = conditions.app_since.filter(|_| self.may_run(kind, conditions));
            let next = ProbeRunId(self.runs + 1);
            let Some(probe) = self.get_mut(kind) else { continue };
            match probe.update(now, since, next) {
                Some(true) => {
                    self.runs += 1;
                    actions.push(ProbeAction::Start(kind, next));
                }
                Some(false) => actions.push(ProbeAction::Abort(kind)),
                None => {}
            }
        }
        actions
    }

    /// Takes the result of a run. Returns the probe's new state if it has changed.
    pub fn ended(
        &mut self,
        now: Time,
        run: ProbeRunId,
        good: bool,
        conditions: &ProbeConditions,
    ) -> Option<(ProbeKind, ProbeState)> {
        let is_of = |probe: &Probe| matches!(probe.schedule, Schedule::InFlight { run: own, .. } if own == run);
        // The result of an aborted run belongs to no probe, and is ignored.
        let kind = ProbeKind::ALL.into_iter().find(|kind| self.get(*kind).is_some_and(is_of))?;
        let excused = kind == ProbeKind::Startup && conditions.startup_extended_to.is_some_and(|until| now < until);
        let probe = self.get_mut(kind)?;
        let before = probe.state;
        probe.ended(now, good, excused);
        (probe.state != before).then_some((kind, probe.state))
    }

    fn may_run(&self, kind: ProbeKind, conditions: &ProbeConditions) -> bool {
        let is_past_startup = self.has_started() && conditions.notified;
        conditions.post_start_over
            && match kind {
                ProbeKind::Startup => !self.has_started() && !conditions.stopping,
                ProbeKind::Readiness => is_past_startup && !conditions.signalled,
                ProbeKind::Liveness => is_past_startup && !conditions.stopping,
            }
    }

    fn get_mut(&mut self, kind: ProbeKind) -> Option<&mut Probe> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
        }
    }
}

impl Probe {
    fn new(rule: ProbeRule) -> Probe {
        let (schedule, state) = (Schedule::Off, ProbeState::Unknown);
        Probe { rule, schedule, state, last: None, streak: 0, successes: 0, failures: 0 }
    }

    fn due_at(&self) -> Option<Time> {
        match self.schedule {
            Schedule::DueAt(at) => Some(at),
            Schedule::Off | Schedule::InFlight { .. } => None,
        }
    }

    /// `Some(true)`: start a run. `Some(false)`: abort the run in flight. `since` is the app's start if the probe may run.
    fn update(&mut self, now: Time, since: Option<Time>, next: ProbeRunId) -> Option<bool> {
        let Some(since) = since else {
            let was = std::mem::replace(&mut self.schedule, Schedule::Off);
            return matches!(was, Schedule::InFlight { .. }).then_some(false);
        };
        let at = match self.schedule {
            Schedule::InFlight { .. } => return None,
            Schedule::DueAt(at) => at,
            Schedule::Off => now.max(since + self.rule.initial_delay),
        };
        if at > now {
            self.schedule = Schedule::DueAt(at);
            return None;
        }
        self.schedule = Schedule::InFlight { run: next, began: now };
        Some(true)
    }

    fn ended(&mut self, now: Time, good: bool, excused: bool) {
        if let Schedule::InFlight { began, .. } = self.schedule {
            // After a run that took longer than the period, the next one is due at once.
            self.schedule = Schedule::DueAt((began + self.rule.period).max(now));
        }
        if good {
            self.successes += 1;
        } else {
            self.failures += 1;
        }
        if excused && !good {
            return;
        }
        self.streak = if self.last == Some(good) { self.streak.saturating_add(1) } else { 1 };
        self.last = Some(good);
        let (threshold, state) = match good {
            true => (self.rule.success_threshold, ProbeState::Succeeded),
            false => (self.rule.failure_threshold, ProbeState::Failed),
        };
        if self.streak >= threshold {
            self.state = state;
        }
    }
}

#[cfg(test)]
mod tests;
