//! `bookend check`'s table: which stages of a stop fit into `terminationGracePeriodSeconds`. Pure; the
//! shares are those of `bookend_lifecycle::budget`, which the state machine enforces.

use std::fmt;
use std::time::Duration;

use bookend_lifecycle::budget as shares;

use super::settings::{Handler, HandlerKind, LifecycleSettings, Settings};

/// The stages of a stop, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetTable {
    /// When each stage must be over; `None`: bookend sets no deadline.
    pub deadlines: Option<Deadlines>,
    /// The stages in their order.
    pub stages: Vec<BudgetRow>,
    /// What cannot fit, or only just; empty: all is well.
    pub warnings: Vec<String>,
    /// Drains that keep nobody serving.
    pub misplaced: Vec<String>,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRow {
    /// `preStop`, `stop`, `postStop`, `finish`.
    pub stage: &'static str,
    /// The handler's name, or what happens.
    pub what: String,
    /// The longest it may take; `None`: what is left.
    pub at_most: Option<Duration>,
    /// When it begins at the latest, counted from the stop's first trigger; `None`: nobody knows.
    pub begins_by: Option<Duration>,
    /// Whether all of it falls before its deadline.
    pub fits: bool,
}

/// When the stages must be over, counted from the stop's first trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// The end of the preStop handlers.
    pub pre_stop: Duration,
    /// SIGKILL to an app that is still there.
    pub kill: Duration,
    /// The leftovers are gone and the postStop handlers begin.
    pub post_stop_begin: Duration,
    /// The end of the postStop handlers.
    pub post_stop: Duration,
    /// `terminationGracePeriodSeconds`: the runtime's own SIGKILL.
    pub grace: Duration,
}

impl Deadlines {
    /// As the state machine will enforce them.
    pub fn of(grace: Duration, post_stop: &[Handler]) -> Deadlines {
        let at_most = |handler: &Handler| shares::longest(handler.timeout, handler.retries, handler.backoff);
        let on_a_stop = post_stop.iter().filter(|handler| handler.on.stopped);
        let budget = shares::Budget::new(Some(grace), on_a_stop.map(at_most));
        // There is a grace period, so each has its deadline.
        let at = |deadline: Option<Duration>| deadline.unwrap_or(grace);
        Deadlines {
            pre_stop: at(budget.pre_stop_deadline(Duration::ZERO)),
            kill: at(budget.kill_at(Duration::ZERO, Duration::ZERO)),
            post_stop_begin: at(budget.post_stop_begin(Duration::ZERO)),
            post_stop: at(budget.post_stop_deadline(Duration::ZERO)),
            grace,
        }
    }
}

/// The longest a handler may take, if anything but the budget limits it.
fn limit(handler: &Handler) -> Option<Duration> {
    let own = match &handler.kind {
        HandlerKind::Sleep { duration } => Some(*duration),
        HandlerKind::Drain(drain) => Some(drain.longest()),
        // Sent, and done.
        HandlerKind::Signal(_) => Some(Duration::ZERO),
        HandlerKind::Exec(_) | HandlerKind::HttpGet(_) | HandlerKind::TcpSocket(_) => None,
    };
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
        let mut budget = BudgetTable { deadlines, stages: Vec::new(), warnings: Vec::new(), misplaced: Vec::new() };
        let signal_by =
            budget.handlers("preStop", "", &hooks.pre_stop, Some(Duration::ZERO), deadlines.map(|d| d.pre_stop));
        let what = match settings.app.stop_signal {
            Some(signal) => format!("{signal} to the app"),
            None => "stop signal to the app".to_owned(),
        };
        budget.stage("stop", &what, None, signal_by);
        if let Some(second_signal) = settings.app.second_signal {
            budget.stage("stop", &format!("{} if only idle connections hold it", second_signal.signal), None, None);
        }
        budget.stage("stop", "SIGKILL if it is still there", Some(Duration::ZERO), deadlines.map(|d| d.kill));
        let begin = deadlines.map(|d| d.post_stop_begin);
        budget.handlers("postStop", "", &hooks.post_stop, begin, deadlines.map(|d| d.post_stop));
        let exit = deadlines.map(|d| d.grace.saturating_sub(d.post_stop));
        budget.stage("finish", "report and exit", exit, deadlines.map(|d| d.post_stop));
        budget.misplaced_drains("", hooks);
        budget
    }

    /// The same for a sidecar: the apps' hooks and its own stop share the pod's grace period. SIGKILL is the kubelet's.
    pub fn of_sidecar(settings: &Settings) -> BudgetTable {
        let mut budget =
            BudgetTable { deadlines: None, stages: Vec::new(), warnings: Vec::new(), misplaced: Vec::new() };
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
                Some(signal) => format!("{of}{signal} to the app, whose end is waited for"),
                None => format!("{of}the kubelet's stop signal to the app"),
            };
            budget.stage("stop", &what, None, signal_by);
            let begin = deadlines.map(|d| d.kill);
            budget.handlers("postStop", &of, &hooks.post_stop, begin, deadlines.map(|d| d.post_stop));
            budget.misplaced_drains(&of, hooks);
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

    /// A drain keeps an app serving that is about to be stopped. Elsewhere there is none, or nobody stops it.
    fn misplaced_drains(&mut self, of: &str, hooks: &LifecycleSettings) {
        let elsewhere =
            [("preStart", &hooks.pre_start), ("postStart", &hooks.post_start), ("postStop", &hooks.post_stop)];
        for (hook, handlers) in elsewhere {
            for handler in handlers.iter().filter(|handler| matches!(handler.kind, HandlerKind::Drain(_))) {
                self.misplaced.push(format!(
                    "{of}{hook} {}: a drain does nothing but wait there; it belongs into preStop",
                    handler.name
                ));
            }
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
        // postStop handlers that are not there on a stop take none of its time.
        for handler in handlers.iter().filter(|handler| stage != "postStop" || handler.on.stopped) {
            let at_most = limit(handler);
            let counted = if stage == "postStop" { at_most.or(Some(shares::POST_STOP_DEFAULT)) } else { at_most };
            let end = at.zip(counted).map(|(at, time)| at.saturating_add(time));
            let late = end.zip(deadline).filter(|(end, deadline)| end > deadline);
            if let Some((end, deadline)) = late {
                self.warnings.push(format!(
                    "{of}{stage} {} may need until {} and is ended at {}",
                    handler.name,
                    seconds(end),
                    seconds(deadline)
                ));
            }
            let what = format!("{of}{}", handler.name);
            self.stages.push(BudgetRow { stage, what, at_most, begins_by: at, fits: late.is_none() });
            // What does not fit is ended at the deadline.
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
                writeln!(f, "a stop may take {} (terminationGracePeriodSeconds)", seconds(deadlines.grace))?;
            }
            None => writeln!(
                f,
                "terminationGracePeriodSeconds is not set: bookend never kills; \
                 the runtime does (Kubernetes after 30 s, Docker after 10 s, where nothing else is said)"
            )?,
        }
        let width = self.stages.iter().map(|stage| stage.what.chars().count()).max().unwrap_or_default().max(4);
        writeln!(f, "{:<9} {:<width$} {:>12} {:>14}  fits", "stage", "what", "begins by", "takes at most")?;
        for stage in &self.stages {
            let from = stage.begins_by.map_or_else(|| "?".to_owned(), seconds);
            let takes = stage.at_most.map_or_else(|| "what is left".to_owned(), seconds);
            let fits = if stage.fits { "yes" } else { "NO" };
            writeln!(f, "{:<9} {:<width$} {from:>12} {takes:>14}  {fits}", stage.stage, stage.what)?;
        }
        for warning in self.warnings.iter().chain(&self.misplaced) {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    if tenths.is_multiple_of(10) { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}
