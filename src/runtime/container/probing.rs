//! Runs the probes of the app: the pure crate decides when (`bookend_lifecycle::probe`), and a run is that of a handler, at
//! most one of each probe at a time.

use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::handlers::program::PendingEnvironment;
use crate::handlers::{self, HandlerContext, HandlerReport, Purpose, RunningHandler};
use crate::http::ProbeSnapshot;
use crate::runtime::dispatcher::TaskMessage;
use bookend_config::settings::{Handler, ProbeSet};
use bookend_lifecycle::probe::{ProbeAction, ProbeConditions, ProbeKind, ProbeRunId, ProbeState, Probes};
use bookend_lifecycle::{HandlerResult, Time};

#[derive(Debug)]
pub(super) struct Probing {
    probes: Probes,
    runs: Vec<(ProbeKind, RunningHandler)>,
    /// Runs that are over, as long as their programs may still be there.
    over: Vec<(ProbeKind, RunningHandler)>,
    /// The detail of each probe's last run, for people.
    last: Vec<(ProbeKind, String)>,
}

impl Probing {
    pub(super) fn new(settings: &ProbeSet) -> Probing {
        let probes = Probes::new(|kind| settings.get(kind).map(|probe| probe.rule));
        Probing { probes, runs: Vec::new(), over: Vec::new(), last: Vec::new() }
    }

    pub(super) fn any_configured(&self) -> bool {
        self.probes.any_configured()
    }

    /// The runs to start or to abort now.
    pub(super) fn update(&mut self, now: Time, conditions: &ProbeConditions) -> Vec<ProbeAction> {
        self.probes.update(now, conditions)
    }

    /// Starts a run; `ProbeEnded` follows.
    pub(super) fn start(
        &mut self,
        kind: ProbeKind,
        run: ProbeRunId,
        handler: &Handler,
        env: PendingEnvironment,
        context: &HandlerContext,
        to_loop: mpsc::Sender<TaskMessage>,
    ) {
        self.over.retain(|(_, run)| run.has_program());
        if self.over.iter().filter(|(of, _)| *of == kind).count() >= MOST_LEFT {
            crate::tasks::spawn(async move {
                let report = HandlerReport::failed(STILL_RUN.to_owned());
                let _ = to_loop.send(TaskMessage::ProbeEnded(kind, run, report)).await;
            });
            return;
        }
        let (running, report) = handlers::start(handler, Purpose::Probe, handler.timeout, env, context);
        self.runs.push((kind, running));
        crate::tasks::spawn(async move {
            if let Ok(report) = report.await {
                // The loop is gone only when the process is.
                let _ = to_loop.send(TaskMessage::ProbeEnded(kind, run, report)).await;
            }
        });
    }

    pub(super) fn abort(&mut self, kind: ProbeKind) {
        if let Some(at) = self.runs.iter().position(|(of, _)| *of == kind) {
            self.runs.remove(at).1.abort();
        }
    }

    /// Takes the report of a run. Returns a text for the operator if the probe's state has changed.
    pub(super) fn ended(
        &mut self,
        now: Time,
        conditions: &ProbeConditions,
        (kind, run, report): (ProbeKind, ProbeRunId, HandlerReport),
    ) -> Option<String> {
        let good = report.result == HandlerResult::Succeeded;
        let changed = self.probes.ended(now, run, good, conditions);
        if !self.probes.is_in_flight(kind) {
            self.over.extend(self.runs.extract_if(.., |(of, _)| *of == kind));
        }
        debug!(probe = kind.name(), good, "{}", report.detail);
        let output = report.output.iter().map(|line| format!("; {line}")).collect::<String>();
        let detail = format!("{}{output}", report.detail);
        let text = changed.map(|(_, state)| match state {
            ProbeState::Failed => {
                let text = format!("{} failed: {detail}", kind.name());
                warn!("{text}");
                text
            }
            ProbeState::Succeeded | ProbeState::Unknown => {
                let text = format!("{} succeeded", kind.name());
                info!("{text}");
                text
            }
        });
        self.last.retain(|(of, _)| *of != kind);
        self.last.push((kind, detail));
        text
    }

    /// The next time at which a run is due.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.probes.next_at()
    }

    pub(super) fn has_started(&self) -> bool {
        self.probes.has_started()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.probes.is_ready()
    }

    pub(super) fn is_live(&self) -> bool {
        self.probes.is_live()
    }

    pub(super) fn views(&self) -> Vec<ProbeSnapshot> {
        let view = |kind: ProbeKind| {
            let probe = self.probes.get(kind)?;
            let last = self.last.iter().find(|(of, _)| *of == kind).map(|(_, detail)| detail.clone());
            Some(ProbeSnapshot {
                name: kind.name(),
                state: probe.state,
                successes: probe.successes,
                failures: probe.failures,
                detail: last,
            })
        };
        ProbeKind::ALL.into_iter().filter_map(view).collect()
    }
}

/// So many programs of earlier runs may be left, such as one that hangs in the kernel or one of another user. With one more for
/// each period the pids limit would be reached, and then the app could start no process.
const MOST_LEFT: usize = 2;
const STILL_RUN: &str = "the programs of earlier runs still run, and could not be ended";
