//! `bookend check`'s table: which stages of a stop fit into `terminationGracePeriodSeconds`. The shares are those of
//! `bookend_lifecycle::budget`, which the state machine enforces.

use std::fmt;
use std::time::Duration;

use crate::settings::{Handler, HandlerKind, Settings};
use bookend_lifecycle::budget as shares;
use bookend_lifecycle::probe::ProbeKind;

/// The stages of a stop, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetTable {
    /// The deadline of each stage; `None`: bookend sets no deadline.
    pub deadlines: Option<Deadlines>,
    /// The stages in their order.
    pub stages: Vec<BudgetRow>,
    /// The handlers that may not fit, and a probe that makes a drain longer; empty: everything fits.
    pub warnings: Vec<String>,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRow {
    /// `preStop`, `stop`, `postStop`, `finish`.
    pub stage: &'static str,
    /// The handler's name, or the action.
    pub what: String,
    /// The longest it may take; `None`: as long as the budget lasts.
    pub at_most: Option<Duration>,
    /// Its latest begin, counted from the stop's first trigger; `None`: unknown.
    pub begins_by: Option<Duration>,
    /// Whether it ends before its deadline.
    pub fits: bool,
}

/// The deadlines of the stages, counted from the stop's first trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// The end of the preStop handlers.
    pub pre_stop: Duration,
    /// The second signal, if it is configured, to an app that is still running.
    pub second_signal: Duration,
    /// SIGKILL to an app that is still running.
    pub kill: Duration,
    /// The remaining processes have ended and the postStop handlers begin.
    pub post_stop_begin: Duration,
    /// The end of the postStop handlers.
    pub post_stop: Duration,
    /// `terminationGracePeriodSeconds`: the runtime's own SIGKILL.
    pub grace: Duration,
}

impl Deadlines {
    /// The deadlines that the state machine enforces.
    pub fn of(grace: Duration, post_stop: &[Handler]) -> Deadlines {
        let at_most = |handler: &Handler| shares::longest(handler.timeout, handler.retries, handler.backoff);
        let on_a_stop = post_stop.iter().filter(|handler| handler.on.stopped);
        let budget = shares::Budget::new(Some(grace), on_a_stop.map(at_most));
        // There is a grace period, so each has its deadline.
        let at = |deadline: Option<Duration>| deadline.unwrap_or(grace);
        Deadlines {
            pre_stop: at(budget.pre_stop_deadline(Duration::ZERO)),
            second_signal: at(budget.second_signal_at(Duration::ZERO, Duration::ZERO)),
            kill: at(budget.kill_at(Duration::ZERO, Duration::ZERO)),
            post_stop_begin: at(budget.post_stop_begin(Duration::ZERO)),
            post_stop: at(budget.post_stop_deadline(Duration::ZERO)),
            grace,
        }
    }
}

/// The longest a handler may take; `None`: only the budget limits it.
fn limit(handler: &Handler) -> Option<Duration> {
    let own = handler.kind.longest();
    let one = match (own, handler.timeout) {
        (Some(own), Some(timeout)) => Some(own.min(timeout)),
        (own, timeout) => own.or(timeout),
    };
    shares::longest(one, handler.retries, handler.backoff)
}

impl BudgetTable {
    /// Adds up the stages of a stop.
    pub fn of(settings: &Settings) -> BudgetTable {
        let hooks = &settings.lifecycle;
        let deadlines = settings.termination_grace_period.map(|grace| Deadlines::of(grace, &hooks.post_stop));
        let mut budget = BudgetTable { deadlines, stages: Vec::new(), warnings: Vec::new() };
        let signal_by =
            budget.handlers("preStop", "", &hooks.pre_stop, Some(Duration::ZERO), deadlines.map(|d| d.pre_stop));
        let what = match settings.app.stop_signal {
            Some(signal) => format!("{signal} to the app"),
            None => "stop signal to the app".to_owned(),
        };
        budget.stage("stop", &what, None, signal_by);
        budget.exec_probe(settings);
        if let Some(second_signal) = settings.app.second_signal {
            let what = format!("{}, earlier if only idle connections are left", second_signal.signal);
            budget.stage("stop", &what, None, deadlines.map(|d| d.second_signal));
        }
        budget.stage("stop", "SIGKILL if it still runs", Some(Duration::ZERO), deadlines.map(|d| d.kill));
        let begin = deadlines.map(|d| d.post_stop_begin);
        budget.handlers("postStop", "", &hooks.post_stop, begin, deadlines.map(|d| d.post_stop));
        let exit = deadlines.map(|d| d.grace.saturating_sub(d.post_stop));
        budget.stage("finish", "report and exit", exit, deadlines.map(|d| d.post_stop));
        budget
    }

    /// The same for a sidecar: the hooks of the apps and its own stop share the pod's grace period. The kubelet sends
    /// SIGKILL.
    pub fn of_sidecar(settings: &Settings) -> BudgetTable {
        let mut budget = BudgetTable { deadlines: None, stages: Vec::new(), warnings: Vec::new() };
        for (name, container) in settings.of_sidecar() {
            let hooks = &container.lifecycle;
            let deadlines = settings.termination_grace_period.map(|grace| Deadlines::of(grace, &hooks.post_stop));
            budget.deadlines = budget.deadlines.or(deadlines);
            if hooks.pre_stop.is_empty() && hooks.post_stop.is_empty() && container.stop_signal.is_none() {
                continue;
            }
            let of = name.map(|name| format!("{name}: ")).unwrap_or_default();
            let pre_stop = deadlines.map(|d| d.pre_stop);
            let signal_by = budget.handlers("preStop", &of, &hooks.pre_stop, Some(Duration::ZERO), pre_stop);
            let what = match container.stop_signal {
                Some(signal) => format!("{of}{signal} to the app, then wait for its end"),
                None => format!("{of}the kubelet's stop signal to the app"),
            };
            budget.stage("stop", &what, None, signal_by);
            let begin = deadlines.map(|d| d.kill);
            budget.handlers("postStop", &of, &hooks.post_stop, begin, deadlines.map(|d| d.post_stop));
        }
        let end = budget.deadlines;
        budget.stage(
            "finish",
            "report and exit",
            end.map(|d| d.grace.saturating_sub(d.post_stop)),
            end.map(|d| d.post_stop),
        );
        budget
    }

    /// A program that connects to the app so often that no drain is quiet. Connections of `httpGet` and `tcpSocket` are not counted.
    fn exec_probe(&mut self, settings: &Settings) {
        let Some(probe) = settings.probes.get(ProbeKind::Readiness) else { return };
        let is_held = |handler: &Handler| match &handler.kind {
            HandlerKind::Drain(drain) => probe.rule.period <= drain.quiet,
            _ => false,
        };
        if matches!(probe.handler.kind, HandlerKind::Exec(_)) && settings.lifecycle.pre_stop.iter().any(is_held) {
            self.warnings.push(
                "readinessProbe runs a program within quietSeconds of the drain: if it connects to the app, the drain takes longer; \
                 connections of httpGet and tcpSocket are not counted"
                    .to_owned(),
            );
        }
    }

    fn stage(&mut self, stage: &'static str, what: &str, at_most: Option<Duration>, begins_by: Option<Duration>) {
        self.stages.push(BudgetRow { stage, what: what.to_owned(), at_most, begins_by, fits: true });
    }

    /// The handlers of one hook, one after another; when the last is over at the latest.
    fn handlers(
        &mut self,
        stage: &'static str,
        of: &str,
        handlers: &[Handler],
        begin: Option<Duration>,
        deadline: Option<Duration>,
    ) -> Option<Duration> {
        let mut at = begin;
        // postStop handlers that do not run on a stop do not take its time.
        for handler in handlers.iter().filter(|handler| stage != "postStop" || handler.on.stopped) {
            let at_most = limit(handler);
            let counted = if stage == "postStop" { at_most.or(Some(shares::POST_STOP_DEFAULT)) } else { at_most };
            let end = at.zip(counted).map(|(at, time)| at.saturating_add(time));
            let late = end.zip(deadline).filter(|(end, deadline)| end > deadline);
            if let Some((end, deadline)) = late {
                self.warnings.push(format!(
                    "{of}{stage} {} may need until {}, but is ended at {}",
                    handler.name,
                    seconds(end),
                    seconds(deadline)
                ));
            }
            let what = format!("{of}{}", handler.name);
            self.stages.push(BudgetRow { stage, what, at_most, begins_by: at, fits: late.is_none() });
            // A handler that does not fit is ended at the deadline.
            at = match (end, deadline) {
                (Some(end), Some(deadline)) => Some(end.min(deadline)),
                (end, deadline) => end.or(deadline),
            };
        }
        at
    }
}

impl fmt::Display for BudgetTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.deadlines {
            Some(deadlines) => {
                writeln!(f, "time budget of a stop: {} (terminationGracePeriodSeconds)", seconds(deadlines.grace))?;
            }
            None => writeln!(
                f,
                "terminationGracePeriodSeconds is not set: bookend never sends SIGKILL; \
                 the runtime does (by default Kubernetes after 30 s, Docker after 10 s)"
            )?,
        }
        let width = self.stages.iter().map(|stage| stage.what.chars().count()).max().unwrap_or_default().max(4);
        writeln!(f, "{:<9} {:<width$} {:>12} {:>14}  fits", "stage", "step", "begins by", "takes at most")?;
        for stage in &self.stages {
            let from = stage.begins_by.map_or_else(|| "?".to_owned(), seconds);
            let takes = stage.at_most.map_or_else(|| "the rest".to_owned(), seconds);
            let fits = if stage.fits { "yes" } else { "NO" };
            writeln!(f, "{:<9} {:<width$} {from:>12} {takes:>14}  {fits}", stage.stage, stage.what)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    if tenths.is_multiple_of(10) { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}
