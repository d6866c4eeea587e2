//! A trace is made from what is reported, and shows it.

use std::time::Duration;

use super::*;
use crate::http::StatusSnapshot;
use crate::report::stop_report::StopFacts;
use crate::report::trace::open_trace::MOST_EVENTS;
use crate::report::trace::otlp::{SpanId, SpanKind, UnixNanos};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{AppStatus, HandlerResult, Outcome, Trigger};

fn at(ms: u64) -> Time {
    Duration::from_millis(ms)
}

fn record(container: Option<&str>, hook: Hook, attempt: u32, time: [u64; 2], result: HandlerResult) -> Record {
    Record {
        container: container.map(str::to_owned),
        hook: hook.name(),
        name: "it".to_owned(),
        attempt,
        trigger: String::new(),
        started_at: Timestamp::default(),
        started_seconds: Seconds(at(time[0])),
        took_seconds: Seconds(at(time[1] - time[0])),
        result,
        detail: "x".repeat(1000),
        output: Vec::new(),
    }
}

/// An attempt of a handler from one time to another.
fn attempt(recorder: &mut TraceRecorder, hook: Hook, number: u32, time: [u64; 2], result: HandlerResult) {
    recorder.attempt_began(at(time[0]), None, hook, HandlerName::HttpGet, "it");
    recorder.attempt_ended(&record(None, hook, number, time, result));
}

/// The end of the life with this code.
fn end(recorder: &mut TraceRecorder, ms: u64, reason: Reason, cut: u32) -> Vec<Span> {
    let mut status = StatusSnapshot::default();
    status.app.reason = Some(reason);
    status.lost = Some(crate::http::LossSnapshot { requests_cut: cut, ..Default::default() });
    let facts = StopFacts {
        began: at(0),
        began_at: Timestamp::default(),
        now: at(ms),
        stopped_by: Some("SIGTERM"),
        exit_code: Some(3),
        timeline: Vec::new(),
    };
    recorder.over(at(ms), &StopReport::of(&status, facts))
}

/// Name, name of the parent, start and end in milliseconds, status.
fn shown(spans: &[Span]) -> Vec<String> {
    let name = |id: SpanId| spans.iter().find(|span| span.span_id == id).map_or("?", |span| span.name.as_str());
    let ms =
        |nanos: UnixNanos| serde_json::to_string(&nanos).unwrap().trim_matches('"').parse::<u64>().unwrap() / 1_000_000;
    let parent = |span: &Span| span.parent_span_id.map(|id| format!(" in {}", name(id))).unwrap_or_default();
    let line = |span: &Span| {
        let (from, to) = (ms(span.start_time_unix_nano), ms(span.end_time_unix_nano));
        format!("{}{} {from}-{to} {:?}{}", span.name, parent(span), span.status.code, span.status.message)
    };
    spans.iter().map(line).collect()
}

fn recorder() -> TraceRecorder {
    TraceRecorder::new(Timestamp::default())
}

const DONE: HandlerResult = HandlerResult::Succeeded;

#[test]
fn a_start_is_one_trace_with_its_stages_and_attempts() {
    let mut recorder = recorder();
    recorder.start_began(at(0));
    attempt(&mut recorder, Hook::PreStart, 1, [1, 3], HandlerResult::Failed);
    attempt(&mut recorder, Hook::PreStart, 2, [4, 6], DONE);
    assert!(recorder.note(at(6), None, Note::HookOver(Hook::PreStart, Outcome::Succeeded)).is_empty());
    recorder.app_started(at(7), 42);
    attempt(&mut recorder, Hook::PostStart, 1, [8, 9], DONE);
    let spans = recorder.note(at(10), None, Note::HookOver(Hook::PostStart, Outcome::Succeeded));
    assert_eq!(
        shown(&spans),
        [
            "container.start 0-10 Ok",
            "preStart in container.start 0-7 Ok",
            "postStart in container.start 7-10 Ok",
            "preStart it in preStart 1-3 ErrorFailed",
            "preStart it in preStart 4-6 Ok",
            "postStart it in postStart 8-9 Ok",
        ]
    );
    assert!(recorder.note(at(10), None, Note::Started).is_empty(), "it is sent once");
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id));
    assert_eq!(spans[0].attributes, [attribute("process.pid", AttributeValue::Integer(42))]);
}

#[test]
fn a_stop_is_one_trace_with_its_signals_and_facts() {
    let mut recorder = recorder();
    recorder.note(at(100), None, Note::StopBegan(Trigger::Signal(Signal::TERM)));
    attempt(&mut recorder, Hook::PreStop, 1, [101, 150], DONE);
    recorder.note(at(150), None, Note::HookOver(Hook::PreStop, Outcome::Succeeded));
    recorder.stage_over(None, "preStop", at(100), at(150));
    recorder.note(at(150), None, Note::StopSignalSent(Signal::QUIT));
    recorder.signal(at(160), "SIGINT");
    recorder.note(at(170), None, Note::AppEnded(AppStatus::Exited(0)));
    recorder.stage_over(None, "app", at(150), at(170));
    let running = recorder.attempt_began(at(170), None, Hook::PostStop, HandlerName::Exec, "late");
    let spans = end(&mut recorder, 200, Reason::Stopped, 0);
    assert_eq!(
        shown(&spans),
        [
            "container.stop 100-200 Ok",
            "preStop in container.stop 100-150 Ok",
            "app in container.stop 150-170 Unset",
            "postStop in container.stop 170-200 Unset",
            "preStop it in preStop 101-150 Ok",
            "postStop late in postStop 170-200 Unset",
        ]
    );
    assert_eq!(running, format!("00-{}-{}-01", spans[0].trace_id, spans[5].span_id));
    let events: Vec<_> = spans[0].events.iter().map(|event| (event.name, &event.attributes[0].value)).collect();
    let text = |text: &str| AttributeValue::String(text.to_owned());
    let expected = [("signal.received", "SIGTERM"), ("signal.sent", "SIGQUIT"), ("signal.received", "SIGINT")];
    assert_eq!(
        events,
        expected.map(|(name, signal)| (name, text(signal))).iter().map(|(n, v)| (*n, v)).collect::<Vec<_>>()
    );
    let facts = &spans[0].attributes;
    assert!(facts.contains(&attribute("process.exit.code", AttributeValue::Integer(3))), "{facts:?}");
    assert!(facts.contains(&text_attribute("bookend.stopped_by", "SIGTERM".to_owned())), "{facts:?}");
    assert_eq!(spans[4].kind, SpanKind::Client, "an httpGet");
    assert!(end(&mut recorder, 300, Reason::Stopped, 0).is_empty(), "it is sent once");
}

#[test]
fn the_status_of_a_stop_is_its_outcome() {
    let outcome = |reason, cut, note: Option<Note>| {
        let mut recorder = recorder();
        recorder.note(at(1), None, Note::StopBegan(Trigger::Request));
        note.map(|note| recorder.note(at(2), None, note));
        let spans = end(&mut recorder, 3, reason, cut);
        format!("{:?}{}", spans[0].status.code, spans[0].status.message)
    };
    assert_eq!(outcome(Reason::Stopped, 0, None), "Ok");
    assert_eq!(outcome(Reason::Completed, 0, None), "Ok");
    assert_eq!(outcome(Reason::Failed, 0, None), "ErrorFailed");
    assert_eq!(outcome(Reason::Stopped, 2, None), "ErrorRequestsCut");
    assert_eq!(outcome(Reason::Stopped, 2, Some(Note::Killed)), "ErrorKilled");
    assert_eq!(outcome(Reason::Stopped, 0, Some(Note::AppStays)), "ErrorStillRunning");
}

#[test]
fn a_start_that_fails_or_is_stopped_is_sent_at_the_end() {
    let mut failed = recorder();
    failed.start_began(at(0));
    attempt(&mut failed, Hook::PreStart, 1, [1, 2], HandlerResult::TimedOut);
    failed.note(at(2), None, Note::HookOver(Hook::PreStart, Outcome::Failed));
    failed.note(at(2), None, Note::AppEnded(AppStatus::NotStarted { code: 125 }));
    let expected = [
        "container.start 0-3 ErrorFailed",
        "preStart in container.start 1-2 ErrorFailed",
        "preStart it in preStart 1-2 ErrorTimedOut",
        "container.stop 2-3 ErrorFailed",
    ];
    assert_eq!(shown(&end(&mut failed, 3, Reason::Failed, 0)), expected);

    let mut stopped = recorder();
    stopped.start_began(at(0));
    stopped.app_started(at(1), 7);
    stopped.attempt_began(at(2), None, Hook::PostStart, HandlerName::Exec, "it");
    stopped.note(at(3), None, Note::StopBegan(Trigger::Hook));
    stopped.attempt_ended(&record(None, Hook::PostStart, 1, [2, 4], HandlerResult::Aborted));
    let spans = stopped.note(at(4), None, Note::HookOver(Hook::PostStart, Outcome::Aborted));
    assert_eq!(shown(&spans)[0], "container.start 0-4 ErrorAborted");
    assert_eq!(shown(&spans)[3], "postStart it in postStart 2-4 Unset");
}

#[test]
fn missed_handlers_belong_to_the_start_that_does_them() {
    let mut recorder = recorder();
    recorder.start_began(at(0));
    attempt(&mut recorder, Hook::PostStop, 1, [1, 2], DONE);
    recorder.note(at(2), None, Note::HookOver(Hook::PostStop, Outcome::Succeeded));
    recorder.note(at(2), None, Note::CaughtUp);
    recorder.app_started(at(3), 7);
    let spans = recorder.note(at(3), None, Note::Started);
    assert_eq!(shown(&spans)[1], "postStop in container.start 1-2 Ok");
}

#[test]
fn a_trace_is_bounded_and_keeps_the_newest() {
    let mut recorder = recorder();
    recorder.note(at(0), None, Note::StopBegan(Trigger::Hook));
    for number in 1..=1000 {
        recorder.signal(at(number.into()), "SIGHUP");
        attempt(&mut recorder, Hook::PreStop, number, [number.into(), u64::from(number) + 1], HandlerResult::Failed);
    }
    let spans = end(&mut recorder, 2000, Reason::Stopped, 0);
    assert_eq!(spans.len(), 2 + MOST_ATTEMPTS);
    assert_eq!(
        (spans[0].events.len(), spans[0].dropped_events_count),
        (MOST_EVENTS, 1000 - u32::try_from(MOST_EVENTS).unwrap())
    );
    assert!(shown(&spans).last().unwrap().starts_with("preStop it in preStop 1000-1001"));
    let dropped = attribute("bookend.dropped_spans", AttributeValue::Integer(1000 - MOST_ATTEMPTS as u64));
    assert!(spans[0].attributes.contains(&dropped));
    let most = spans.len() * 1200 + MOST_EVENTS * 200;
    assert!(super::super::otlp::request(&[], &spans).len() < most);
}

#[test]
fn a_sidecars_start_begins_with_a_handler_and_names_the_container() {
    let mut recorder = recorder();
    recorder.attempt_began(at(5), Some("web"), Hook::PostStart, HandlerName::Exec, "it");
    recorder.attempt_ended(&record(Some("web"), Hook::PostStart, 1, [5, 6], DONE));
    let spans = recorder.note(at(6), Some("web"), Note::HookOver(Hook::PostStart, Outcome::Succeeded));
    assert_eq!(
        shown(&spans),
        ["container.start 5-6 Ok", "postStart in container.start 5-6 Ok", "web: postStart it in postStart 5-6 Ok"]
    );
    assert_eq!(spans[1].attributes, [text_attribute("bookend.container", "web".to_owned())]);
}
