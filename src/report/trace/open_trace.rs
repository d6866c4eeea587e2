//! One trace in the making: a start or a stop. Pure.
//!
//! It is bounded: of more than [`MOST_ATTEMPTS`] attempts, [`MOST_EVENTS`] events and [`MOST_STAGES`] stages, the newest are kept.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use super::otlp::{
    AttributeValue, KeyValue, Span, SpanEvent, SpanId, SpanKind, Status, StatusCode, TraceId, UnixNanos,
};
use crate::report::journal::describe_note;
use crate::report::timestamp::Timestamp;
use bookend_config::settings::HandlerName;
use bookend_lifecycle::{AppStatus, HandlerResult, Hook, Note, Outcome, Time, Trigger};

/// A start or a stop.
#[derive(Debug)]
pub(super) struct OpenTrace {
    pub(super) name: &'static str,
    pub(super) id: TraceId,
    pub(super) root: SpanId,
    pub(super) began: Time,
    pub(super) app_started: Option<(Time, u32)>,
    pub(super) stages: VecDeque<Stage>,
    pub(super) attempts: VecDeque<Attempt>,
    pub(super) events: VecDeque<(Time, &'static str, &'static str, String)>,
    pub(super) dropped_events: u32,
    /// Attempts and stages for which there was no room.
    pub(super) dropped: u32,
    pub(super) outcome: SpanOutcome,
}

/// How the work of a span went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanOutcome {
    NotKnown,
    Succeeded,
    /// The reason, one word.
    Failed(&'static str),
}

impl SpanOutcome {
    /// This one, unless it is not known.
    pub(super) fn or(self, other: SpanOutcome) -> SpanOutcome {
        if self == SpanOutcome::NotKnown { other } else { self }
    }
}

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) id: SpanId,
    pub(super) container: Option<String>,
    pub(super) name: &'static str,
    /// `None`: its attempts tell.
    pub(super) time: Option<(Time, Time)>,
    pub(super) outcome: SpanOutcome,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: SpanId,
    pub(super) stage: SpanId,
    pub(super) kind: HandlerName,
    pub(super) label: String,
    pub(super) began: Time,
    pub(super) ended: Option<(Time, HandlerResult, String, u32)>,
}

impl OpenTrace {
    pub(super) fn new(name: &'static str, began: Time, ids: &mut Ids) -> OpenTrace {
        OpenTrace {
            name,
            id: ids.trace(),
            root: ids.span(),
            began,
            app_started: None,
            stages: VecDeque::new(),
            attempts: VecDeque::new(),
            events: VecDeque::new(),
            dropped_events: 0,
            dropped: 0,
            outcome: SpanOutcome::NotKnown,
        }
    }

    pub(super) fn event(&mut self, now: Time, name: &'static str, key: &'static str, text: String) {
        self.dropped_events += push_bounded(&mut self.events, (now, name, key, text), MOST_EVENTS);
    }

    pub(super) fn note(&mut self, now: Time, container: Option<&str>, note: Note, ids: &mut Ids) {
        match note {
            Note::StopBegan(Trigger::Signal(signal)) => {
                self.event(now, "signal.received", SIGNAL, signal.to_string());
            }
            Note::StopSignalSent(signal) | Note::SecondSignalSent(signal, _) | Note::PassedOn(signal) => {
                self.event(now, "signal.sent", SIGNAL, signal.to_string());
            }
            Note::Killed => {
                self.event(now, "signal.sent", SIGNAL, "SIGKILL".to_owned());
                self.outcome = SpanOutcome::Failed("Killed");
                self.stage(container, "app", ids).outcome = SpanOutcome::Failed("Killed");
            }
            Note::HookOver(hook, outcome) => {
                self.stage(container, hook.name(), ids).outcome = match outcome {
                    Outcome::Succeeded => SpanOutcome::Succeeded,
                    Outcome::Failed => SpanOutcome::Failed("Failed"),
                    Outcome::Aborted => SpanOutcome::NotKnown,
                };
                self.outcome = match (hook, outcome) {
                    (Hook::PreStart | Hook::PostStart, Outcome::Failed) => SpanOutcome::Failed("Failed"),
                    (Hook::PreStart | Hook::PostStart, Outcome::Aborted) => SpanOutcome::Failed("Aborted"),
                    (Hook::PostStart, Outcome::Succeeded) => SpanOutcome::Succeeded,
                    _ => self.outcome,
                };
            }
            Note::Started => self.outcome = SpanOutcome::Succeeded,
            Note::AppStays | Note::AppEnded(AppStatus::StillRunning) => {
                self.outcome = SpanOutcome::Failed("StillRunning");
            }
            // It has ended after all.
            Note::AppEnded(_) if matches!(self.outcome, SpanOutcome::Failed("StillRunning")) => {
                self.outcome = SpanOutcome::NotKnown;
            }
            Note::StopBegan(_) | Note::AppEnded(_) | Note::LeftoversEnded | Note::CaughtUp => {}
            _ => self.event(now, "bookend.note", "bookend.text", describe_note(note)),
        }
    }

    /// The stage of this name.
    pub(super) fn stage(&mut self, container: Option<&str>, name: &'static str, ids: &mut Ids) -> &mut Stage {
        let is_it = |stage: &Stage| stage.name == name && stage.container.as_deref() == container;
        let at = self.stages.iter().position(is_it).unwrap_or_else(|| {
            let container = container.map(str::to_owned);
            let stage = Stage { id: ids.span(), container, name, time: None, outcome: SpanOutcome::NotKnown };
            self.dropped += push_bounded(&mut self.stages, stage, MOST_STAGES);
            self.stages.len() - 1
        });
        self.stages.get_mut(at).expect("it is there, or was just added")
    }

    pub(super) fn stage_over(
        &mut self,
        container: Option<&str>,
        name: &'static str,
        began: Time,
        ended: Time,
        ids: &mut Ids,
    ) {
        self.stage(container, name, ids).time = Some((began, ended));
    }

    /// The spans, the root first.
    pub(super) fn spans(self, started_at: Timestamp, now: Time, mut attributes: Vec<KeyValue<'static>>) -> Vec<Span> {
        let at = |time: Time| UnixNanos::from(started_at.after(time));
        if self.dropped > 0 {
            attributes.push(attribute("bookend.dropped_spans", AttributeValue::Integer(self.dropped.into())));
        }
        let events = self.events.into_iter().map(|(time, name, key, text)| SpanEvent {
            time_unix_nano: at(time.max(self.began)),
            name,
            attributes: vec![text_attribute(key, text)],
        });
        let mut spans = vec![Span {
            trace_id: self.id,
            span_id: self.root,
            parent_span_id: None,
            name: self.name.to_owned(),
            kind: SpanKind::Internal,
            start_time_unix_nano: at(self.began),
            end_time_unix_nano: at(now),
            status: status(self.outcome, &mut attributes),
            attributes,
            events: events.collect(),
            dropped_events_count: self.dropped_events,
        }];
        let mut child = |id, parent, name, began, ended, kind, outcome, mut attributes: Vec<_>| {
            spans.push(Span {
                trace_id: self.id,
                span_id: id,
                parent_span_id: Some(parent),
                name,
                kind,
                start_time_unix_nano: at(began),
                end_time_unix_nano: at(ended),
                status: status(outcome, &mut attributes),
                attributes,
                events: Vec::new(),
                dropped_events_count: 0,
            });
        };
        let mut known = Vec::new();
        for stage in &self.stages {
            let of_stage = || self.attempts.iter().filter(|attempt| attempt.stage == stage.id);
            let ended = |attempt: &Attempt| attempt.ended.as_ref().map_or(now, |(ended, ..)| *ended);
            let time =
                stage.time.or_else(|| Some((of_stage().map(|one| one.began).min()?, of_stage().map(ended).max()?)));
            let Some((began, ended)) = time else { continue };
            known.push(stage.id);
            let container = stage.container.clone().map(|name| text_attribute("bookend.container", name));
            let attributes = container.into_iter().collect();
            child(
                stage.id,
                self.root,
                stage.name.to_owned(),
                began,
                ended,
                SpanKind::Internal,
                stage.outcome,
                attributes,
            );
        }
        for attempt in self.attempts {
            let parent = if known.contains(&attempt.stage) { attempt.stage } else { self.root };
            let kind = if attempt.kind.is_client() { SpanKind::Client } else { SpanKind::Internal };
            let mut attributes = vec![text_attribute("bookend.handler.kind", attempt.kind.name().to_owned())];
            let (ended, outcome) = match attempt.ended {
                None => (now, SpanOutcome::NotKnown),
                Some((ended, result, detail, number)) => {
                    attributes.push(attribute("bookend.attempt", AttributeValue::Integer(number.into())));
                    attributes.push(text_attribute("bookend.result", result.name().to_owned()));
                    attributes.push(text_attribute("bookend.detail", detail));
                    let outcome = match result {
                        HandlerResult::Succeeded => SpanOutcome::Succeeded,
                        HandlerResult::Aborted => SpanOutcome::NotKnown,
                        HandlerResult::Failed | HandlerResult::TimedOut => SpanOutcome::Failed(result.name()),
                    };
                    (ended, outcome)
                }
            };
            child(attempt.id, parent, attempt.label, attempt.began, ended, kind, outcome, attributes);
        }
        spans
    }
}

/// The status of a span, and `error.type` if it has failed.
fn status(outcome: SpanOutcome, attributes: &mut Vec<KeyValue<'static>>) -> Status {
    let (code, reason) = match outcome {
        SpanOutcome::NotKnown => (StatusCode::Unset, ""),
        SpanOutcome::Succeeded => (StatusCode::Ok, ""),
        SpanOutcome::Failed(reason) => {
            attributes.push(text_attribute("error.type", reason.to_owned()));
            (StatusCode::Error, reason)
        }
    };
    Status { code, message: reason.to_owned() }
}

pub(super) fn attribute(key: &'static str, value: AttributeValue) -> KeyValue<'static> {
    KeyValue { key, value }
}

pub(super) fn text_attribute(key: &'static str, value: String) -> KeyValue<'static> {
    attribute(key, AttributeValue::String(value))
}

/// The beginning of a text.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// Adds an entry. If there is no room, the oldest one is dropped. Returns the number of dropped entries.
pub(super) fn push_bounded<T>(list: &mut VecDeque<T>, entry: T, most: usize) -> u32 {
    let is_full = list.len() >= most;
    if is_full {
        list.pop_front();
    }
    list.push_back(entry);
    is_full.into()
}

/// Random ids, from the keys that the standard library gives its hash maps.
#[derive(Debug, Default)]
pub(super) struct Ids {
    random: RandomState,
    count: u64,
}

impl Ids {
    pub(super) fn span(&mut self) -> SpanId {
        self.count += 1;
        // An id of zeros is invalid.
        SpanId(self.random.hash_one(self.count).max(1))
    }

    pub(super) fn trace(&mut self) -> TraceId {
        TraceId(u128::from(self.span().0) << 64 | u128::from(self.span().0))
    }
}

pub(super) const SIGNAL: &str = "bookend.signal";
pub(super) const MOST_ATTEMPTS: usize = 64;
pub(super) const MOST_EVENTS: usize = 64;
const MOST_STAGES: usize = 64;
const LONGEST_TEXT: usize = 300;
