//! Traces for OpenTelemetry: records what the loop reports, and sends it on a task of its own. The exit waits for it within the
//! time of the report.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};
use tracing::warn;

use crate::handlers::http_get::post;
use crate::handlers::program::PendingEnvironment;
use crate::report::journal::Record;
use crate::report::stop_report::StopReport;
use crate::report::timestamp::Timestamp;
use crate::report::trace::exporter::{Exporter, ExporterError};
use crate::report::trace::otlp::{self, Span};
use crate::report::trace::recorder::TraceRecorder;
use bookend_config::settings::{Handler, Settings};
use bookend_lifecycle::{Hook, Time};

/// The trace of a life; nothing is recorded unless `otel.enabled` is set.
#[derive(Debug, Default)]
pub(super) struct Trace {
    recorder: Option<(TraceRecorder, Exporter)>,
    /// Why there is none, until it is logged.
    refused: Option<ExporterError>,
    /// The requests that are not answered yet.
    sending: Vec<JoinHandle<()>>,
}

impl Trace {
    pub(super) fn new(settings: &Settings, started_at: Timestamp) -> Trace {
        if !settings.otel {
            return Trace::default();
        }
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let program = settings.app.program.command.first().map(|program| program.to_string_lossy().into_owned());
        let program = program.as_deref().map_or("bookend", |path| path.rsplit('/').next().unwrap_or_default());
        match Exporter::of(variable, program) {
            Ok(exporter) => Trace {
                recorder: exporter.map(|exporter| (TraceRecorder::new(started_at), exporter)),
                ..Trace::default()
            },
            Err(error) => Trace { refused: Some(error), ..Trace::default() },
        }
    }

    /// The log has begun.
    pub(super) fn report_refusal(&mut self) {
        if let Some(error) = self.refused.take() {
            warn!("otel.enabled: no trace is sent: {error}");
        }
    }

    /// The recorder, if a trace is recorded.
    pub(super) fn recorder(&mut self) -> Option<&mut TraceRecorder> {
        self.recorder.as_mut().map(|(recorder, _)| recorder)
    }

    /// Records something; sends the spans of a trace that is complete.
    pub(super) fn record(&mut self, record: impl FnOnce(&mut TraceRecorder) -> Vec<Span>) {
        let Some((recorder, exporter)) = &mut self.recorder else { return };
        let spans = record(recorder);
        if spans.is_empty() {
            return;
        }
        self.sending.retain(|request| !request.is_finished());
        if self.sending.len() >= MOST_REQUESTS {
            return warn!("a trace is not sent: the collector has not answered {MOST_REQUESTS} requests");
        }
        let (exporter, body) = (exporter.clone(), otlp::request(&exporter.resource, &spans));
        self.sending.push(crate::tasks::spawn(async move {
            match timeout(LONGEST_REQUEST, post(&exporter, body)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => warn!("cannot send the trace to {}:{}: {why}", exporter.host, exporter.port),
                Err(_) => warn!("cannot send the trace to {}:{}: no answer", exporter.host, exporter.port),
            }
        }));
    }

    /// An attempt of a handler begins. Returns its environment with the context of its span.
    pub(super) fn attempt_began(
        &mut self,
        now: Time,
        container: Option<&str>,
        hook: Hook,
        handler: &Handler,
        env: PendingEnvironment,
    ) -> PendingEnvironment {
        let context = |recorder: &mut TraceRecorder| {
            recorder.attempt_began(now, container, hook, handler.kind.name(), &handler.name)
        };
        PendingEnvironment { traceparent: self.recorder().map(context), ..env }
    }

    /// It has ended.
    pub(super) fn attempt_ended(&mut self, record: &Record) {
        if let Some(recorder) = self.recorder() {
            recorder.attempt_ended(record);
        }
    }

    /// The stop is over, or the life.
    pub(super) fn over(&mut self, now: Time, report: &StopReport<'_>) {
        self.record(|recorder| {
            recorder.set_zero(Timestamp::now().before(now));
            recorder.over(now, report)
        });
    }

    /// Waits for the collector's answers, no longer than to this time.
    pub(super) async fn delivered(&mut self, end: Instant) {
        for request in &mut self.sending {
            if timeout_at(end.into(), request).await.is_err() {
                warn!("the trace may be lost: the collector has not answered before the exit");
                break;
            }
        }
        crate::report::log::flush();
    }
}

/// The requests that may wait for an answer.
const MOST_REQUESTS: usize = 4;
/// The default of OpenTelemetry. At the exit the reserve is the bound.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);
