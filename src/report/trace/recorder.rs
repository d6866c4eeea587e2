//! The start and the stop of a container as spans. Pure: each fact comes with its time.
//!
//! ```text
//! container.start  ├ preStart ┬ preStart migrate (attempt 1)      container.stop  ├ preStop ── preStop drain
//!                  │          └ preStart migrate (attempt 2)                      ├ app
//!                  └ postStart ─ postStart register                               ├ leftovers
//!                                                                                 └ postStop ─ postStop deregister
//! ```
//!
//! The stages are those of `/status`. Signals are events of the root span.

use super::open_trace::{
    Attempt, Ids, MOST_ATTEMPTS, OpenTrace, SIGNAL, SpanOutcome, attribute, cut, push_bounded, text_attribute,
};
use super::otlp::{AttributeValue, KeyValue, Span};
use crate::report::journal::{Record, handler_label};
use crate::report::stop_report::StopReport;
use crate::report::timestamp::Timestamp;
use bookend_config::settings::HandlerName;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{Hook, Note, Reason, Time};

/// The start and the stop so far, as long as they are not over.
#[derive(Debug)]
pub(crate) struct TraceRecorder {
    /// When bookend started: the zero of all times.
    started_at: Timestamp,
    ids: Ids,
    start: Option<OpenTrace>,
    stop: Option<OpenTrace>,
}

impl TraceRecorder {
    pub(crate) fn new(started_at: Timestamp) -> TraceRecorder {
        TraceRecorder { started_at, ids: Ids::default(), start: None, stop: None }
    }

    /// The zero of all times is here now: after a checkpoint and restore.
    pub(crate) fn set_zero(&mut self, started_at: Timestamp) {
        self.started_at = started_at;
    }

    /// The start begins.
    pub(crate) fn start_began(&mut self, now: Time) {
        self.start = Some(OpenTrace::new("container.start", now, &mut self.ids));
    }

    /// The app was started.
    pub(crate) fn app_started(&mut self, now: Time, pid: u32) {
        let Some(start) = &mut self.start else { return };
        let began = start.began;
        start.stage_over(None, Hook::PreStart.name(), began, now, &mut self.ids);
        start.app_started = Some((now, pid));
    }

    /// bookend has received a signal.
    pub(crate) fn signal(&mut self, now: Time, signal: &str) {
        for trace in self.start.iter_mut().chain(&mut self.stop) {
            trace.event(now, "signal.received", SIGNAL, signal.to_owned());
        }
    }

    /// Takes a note of a machine. Returns the spans of the trace that it completes, if it completes one.
    pub(crate) fn note(&mut self, now: Time, container: Option<&str>, note: Note) -> Vec<Span> {
        match note {
            Note::StopBegan(_) | Note::AppEnded(_) if self.stop.is_none() => {
                self.stop = Some(OpenTrace::new("container.stop", now, &mut self.ids));
            }
            _ => {}
        }
        let is_of_start =
            matches!(note, Note::Started | Note::CaughtUp | Note::HookOver(Hook::PreStart | Hook::PostStart, _));
        let trace = if is_of_start || self.stop.is_none() { &mut self.start } else { &mut self.stop };
        if let Some(trace) = trace {
            trace.note(now, container, note, &mut self.ids);
        }
        match note {
            Note::Started | Note::HookOver(Hook::PostStart, _) => self.start_over(now),
            Note::Rearmed => {
                self.stop.take().map(|stop| stop.spans(self.started_at, now, Vec::new())).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// A stage of the stop is over.
    pub(crate) fn stage_over(&mut self, container: Option<&str>, stage: &'static str, began: Time, ended: Time) {
        if let Some(stop) = &mut self.stop {
            stop.stage_over(container, stage, began, ended, &mut self.ids);
        }
    }

    /// An attempt of a handler begins. Returns the value of `traceparent` for it
    /// (<https://www.w3.org/TR/trace-context/#traceparent-header>); the trace is sampled.
    pub(crate) fn attempt_began(
        &mut self,
        now: Time,
        container: Option<&str>,
        hook: Hook,
        kind: HandlerName,
        name: &str,
    ) -> String {
        let is_of_start = match hook {
            Hook::PreStart | Hook::PostStart => true,
            Hook::PreStop => false,
            // The handlers that the life before has missed.
            Hook::PostStop => self.stop.is_none() && self.start.is_some(),
        };
        let (trace, root) =
            if is_of_start { (&mut self.start, "container.start") } else { (&mut self.stop, "container.stop") };
        // A sidecar's start begins with the first handler.
        let trace = trace.get_or_insert_with(|| OpenTrace::new(root, now, &mut self.ids));
        let stage = trace.stage(container, hook.name(), &mut self.ids).id;
        let id = self.ids.span();
        let label = handler_label(container, hook.name(), name);
        let attempt = Attempt { id, stage, kind, label, began: now, ended: None };
        trace.dropped += push_bounded(&mut trace.attempts, attempt, MOST_ATTEMPTS);
        format!("00-{}-{id}-01", trace.id)
    }

    /// It has ended.
    pub(crate) fn attempt_ended(&mut self, record: &Record) {
        let began = record.started_seconds.0;
        let label = handler_label(record.container.as_deref(), record.hook, &record.name);
        let mut attempts = self.start.iter_mut().chain(&mut self.stop).flat_map(|trace| &mut trace.attempts);
        if let Some(attempt) = attempts.find(|one| one.ended.is_none() && one.began == began && one.label == label) {
            let ended = began + record.took_seconds.0;
            attempt.ended = Some((ended, record.result, cut(&record.detail), record.attempt));
        }
    }

    /// The stop is over, or the life. `report`: its facts. Returns the spans of all that is not yet returned.
    pub(crate) fn over(&mut self, now: Time, report: &StopReport<'_>) -> Vec<Span> {
        let mut spans = if report.exit_code.is_some() { self.start_over(now) } else { Vec::new() };
        if let Some(mut stop) = self.stop.take() {
            if report.exit_code.is_some() {
                stop.outcome = stop.outcome.or(outcome(report));
            }
            spans.extend(stop.spans(self.started_at, now, facts(report)));
        }
        spans
    }

    fn start_over(&mut self, now: Time) -> Vec<Span> {
        let Some(mut start) = self.start.take() else { return Vec::new() };
        match start.app_started {
            Some((began, pid)) => {
                start.stage_over(None, Hook::PostStart.name(), began, now, &mut self.ids);
                start.spans(self.started_at, now, vec![attribute("process.pid", AttributeValue::Integer(pid.into()))])
            }
            None => {
                // A sidecar starts no app.
                let is_sidecar = start.stages.iter().any(|stage| stage.name == Hook::PostStart.name());
                if !is_sidecar {
                    start.outcome = start.outcome.or(SpanOutcome::Failed("NotStarted"));
                }
                start.spans(self.started_at, now, Vec::new())
            }
        }
    }
}

/// The outcome of a stop, as its report tells.
fn outcome(report: &StopReport<'_>) -> SpanOutcome {
    match report.reason {
        _ if report.oom => SpanOutcome::Failed("OutOfMemory"),
        Some(Reason::Failed) => SpanOutcome::Failed("Failed"),
        _ if report.requests_cut.is_some_and(|cut| cut > 0) => SpanOutcome::Failed("RequestsCut"),
        _ => SpanOutcome::Succeeded,
    }
}

/// The facts of a stop, as attributes.
fn facts(report: &StopReport<'_>) -> Vec<KeyValue<'static>> {
    let text = |key, value: Option<&str>| value.map(|value| text_attribute(key, value.to_owned()));
    let number = |key, value: Option<u64>| value.map(|value| attribute(key, AttributeValue::Integer(value)));
    let seconds =
        |key, value: Option<Seconds>| value.map(|value| attribute(key, AttributeValue::Double(value.to_f64())));
    [
        number("process.exit.code", report.exit_code.map(u64::from)),
        text("bookend.stopped_by", report.stopped_by),
        text("bookend.reason", report.reason.map(Reason::name)),
        text("bookend.signal", report.signal),
        report.oom.then(|| attribute("bookend.oom", AttributeValue::Bool(true))),
        number("bookend.new_connections", report.new_connections),
        number("bookend.requests_cut", report.requests_cut.map(u64::from)),
        number("bookend.not_accepted", report.not_accepted.map(u64::from)),
        number("bookend.resets_sent", report.resets_sent),
        text("bookend.drain", report.drain),
        seconds("bookend.termination_grace_period_seconds", report.termination_grace_period_seconds),
        seconds("bookend.grace_left_seconds", report.grace_left_seconds),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
