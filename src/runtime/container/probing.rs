//! The probes' runner: what the pure room (probe.rs) wants run is run as a handler is, one of each at a time, and
//! its result carried back. Here is also what the app says of itself over its notify socket.

use tracing::{debug, info, warn};

use super::handler_env::handler_env;
use super::{ContainerLoop, Input};
use crate::handlers::{self, Purpose, Report, Running};
use crate::http::{LifecycleEvent, NotifyView, ProbeView};
use crate::process::notify_socket::NotifySocket;
use bookend_lifecycle::notify::{self, Message};
use bookend_lifecycle::probe::{ProbeAction, ProbeConditions, ProbeKind, ProbeRunId, ProbeState, Probes};
use bookend_lifecycle::{Event, HandlerResult, PhaseName, Time};

/// The probes, what runs of them, and what the app has said.
#[derive(Debug, Default)]
pub(super) struct Probing {
    probes: Probes,
    runs: Vec<(ProbeKind, Running)>,
    /// The last result of each, for people.
    last: Vec<(ProbeKind, String)>,
    said: Said,
}

/// What the app has said with sd_notify.
#[derive(Debug, Default)]
struct Said {
    /// It is to say READY=1 (`app.notify`).
    is_expected: bool,
    ready: bool,
    stopping: bool,
    status: Option<String>,
    startup_extended_to: Option<Time>,
}

impl Probing {
    pub(super) fn new(settings: &bookend_config::settings::Settings) -> Probing {
        Probing {
            probes: Probes::new(|kind| settings.probes.get(kind).map(|probe| probe.rule)),
            said: Said { is_expected: settings.app.notify, ..Said::default() },
            ..Probing::default()
        }
    }

    /// When there is something to begin although nothing happens.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.probes.next_at()
    }

    /// Whether startup is over, as far as it is ours to say.
    pub(super) fn has_started(&self) -> bool {
        self.probes.has_started() && (self.said.ready || !self.said.is_expected)
    }

    /// Whether the app can serve, as far as it is ours to say.
    pub(super) fn is_serving(&self) -> bool {
        self.has_started() && self.probes.is_ready()
    }

    /// Whether the app is on its way out by itself.
    pub(super) fn is_stopping(&self) -> bool {
        self.said.stopping
    }

    pub(super) fn views(&self) -> Vec<ProbeView> {
        let view = |kind: ProbeKind| {
            let probe = self.probes.get(kind)?;
            let last = self.last.iter().find(|(of, _)| *of == kind).map(|(_, detail)| detail.clone());
            let state = match probe.state {
                ProbeState::Unknown => "Unknown",
                ProbeState::Succeeded => "Success",
                ProbeState::Failed => "Failure",
            };
            Some(ProbeView {
                name: kind.name(),
                state,
                successes: probe.successes,
                failures: probe.failures,
                detail: last,
            })
        };
        ProbeKind::ALL.into_iter().filter_map(view).collect()
    }

    pub(super) fn notify_view(&self) -> Option<NotifyView> {
        let said = &self.said;
        said.is_expected.then(|| NotifyView { ready: said.ready, stopping: said.stopping, status: said.status.clone() })
    }
}

impl ContainerLoop {
    /// Begins what is due, ends what may not run any more; called whenever anything may have changed.
    pub(super) fn tend_probes(&mut self) {
        if !self.probing.probes.any_configured() {
            return;
        }
        let (now, view) = (self.now(), self.probe_view());
        for act in self.probing.probes.update(now, &view) {
            match act {
                ProbeAction::Start(kind, run) => self.start_probe(kind, run),
                ProbeAction::Abort(kind) => {
                    if let Some(at) = self.probing.runs.iter().position(|(of, _)| *of == kind) {
                        self.probing.runs.remove(at).1.abort();
                    }
                }
            }
        }
        let stops = self.settings.probes.stop_on_liveness && !self.probing.probes.is_live();
        if stops && self.lifecycle.phase() == PhaseName::Running {
            self.events.push_back(Event::LivenessFailed);
        }
    }

    fn probe_view(&self) -> ProbeConditions {
        ProbeConditions {
            app_since: self.app_since.filter(|_| self.reaper().app().is_some()),
            post_start_over: self.lifecycle.has_started(),
            notified: self.probing.said.ready || !self.probing.said.is_expected,
            stopping: self.lifecycle.stop_trigger().is_some(),
            startup_extended_to: self.probing.said.startup_extended_to,
        }
    }

    fn start_probe(&mut self, kind: ProbeKind, id: ProbeRunId) {
        // It was the settings that said there is one.
        let Some(probe) = self.settings.probes.get(kind) else { return };
        let (running, report) = match handler_env(self, None, kind.name()) {
            Ok(env) => handlers::start(&probe.handler, Purpose::Probe, probe.handler.timeout, env, &self.context),
            Err(error) => handlers::failed(&error),
        };
        self.probing.runs.push((kind, running));
        let inputs = self.to_inputs.clone();
        tokio::spawn(async move {
            if let Ok(report) = report.await {
                // The loop is gone only when the process is.
                let _ = inputs.send(Input::Probed(kind, id, report)).await;
            }
        });
    }

    pub(super) fn probed(&mut self, kind: ProbeKind, run: ProbeRunId, report: Report) {
        let good = report.result == HandlerResult::Succeeded;
        let (now, view) = (self.now(), self.probe_view());
        let changed = self.probing.probes.ended(now, run, good, &view);
        if !self.probing.probes.is_in_flight(kind) {
            self.probing.runs.retain(|(of, _)| *of != kind);
        }
        debug!(probe = kind.name(), good, "{}", report.detail);
        let output = report.output.iter().map(|line| format!("; {line}")).collect::<String>();
        let detail = format!("{}{output}", report.detail);
        if let Some((_, state)) = changed {
            let text = match state {
                ProbeState::Failed => format!("{} failed: {detail}", kind.name()),
                ProbeState::Succeeded | ProbeState::Unknown => format!("{} succeeded", kind.name()),
            };
            match state {
                ProbeState::Failed => warn!("{text}"),
                ProbeState::Succeeded | ProbeState::Unknown => info!("{text}"),
            }
            self.dispatcher.publish(&LifecycleEvent::Note { text: &text });
        }
        self.probing.last.retain(|(of, _)| *of != kind);
        self.probing.last.push((kind, detail));
    }

    /// Hears what the app says of itself. A flood of it waits in the kernel: the app is held up, and not we.
    pub(super) fn listen_to_app(&self, socket: NotifySocket) {
        let mut listening = match socket.listen() {
            Ok(listening) => listening,
            Err(error) => return warn!(%error, "cannot hear what the app notifies: it will not count as started"),
        };
        let inputs = self.to_inputs.clone();
        tokio::spawn(async move {
            loop {
                let messages = notify::parse(listening.next().await);
                // The loop is gone only when the process is.
                let _ = inputs.send(Input::Notified(messages)).await;
            }
        });
    }

    /// What the app says of itself.
    pub(super) fn notified(&mut self, messages: Vec<Message>) {
        for message in messages {
            let now = self.now();
            let said = &mut self.probing.said;
            let text = match message {
                Message::Ready if said.ready => continue,
                Message::Ready => {
                    said.ready = true;
                    "the app says that it is ready"
                }
                Message::Stopping if said.stopping => continue,
                Message::Stopping => {
                    said.stopping = true;
                    "the app says that it is stopping"
                }
                Message::Status(status) => {
                    said.status = Some(status);
                    continue;
                }
                Message::ExtendTimeout(time) => {
                    said.startup_extended_to = Some(now + time);
                    continue;
                }
            };
            info!("{text}");
            self.dispatcher.publish(&LifecycleEvent::Note { text });
        }
    }
}
