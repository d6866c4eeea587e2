//! The course of a stop, for people: a record of each handler run, the timeline of the stop, and the summary for the termination
//! message. Pure: every entry comes with its time.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::timestamp::Timestamp;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{AppStatus, HandlerResult, Hook, Note, Outcome, SecondSignalReason, Time, Trigger};

/// A handler run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// In a sidecar: the name of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// `preStart`, `postStart`, `preStop` or `postStop`.
    pub(crate) hook: &'static str,
    /// The handler's name.
    pub(crate) name: String,
    /// The number of the attempt, from 1.
    pub(crate) attempt: u32,
    /// The trigger of the hook.
    pub(crate) trigger: String,
    /// The time of the start.
    pub(crate) started_at: Timestamp,
    /// The start, in seconds since bookend began.
    pub(crate) started_seconds: Seconds,
    /// The duration.
    pub(crate) took_seconds: Seconds,
    /// `Succeeded`, `Failed`, `TimedOut`, `Aborted`.
    pub(crate) result: HandlerResult,
    /// `exit code 3`, `timed out after 2.000 s`, ...
    pub(crate) detail: String,
    /// The last lines of the output.
    pub(crate) output: Vec<String>,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// The time since the timeline began.
    #[serde(rename = "atSeconds")]
    pub(crate) at: Seconds,
    /// The event in words.
    pub(crate) text: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:.3} s  {}", self.at, self.text)
    }
}

/// The text of an entry of the timeline. It is formatted when it is read: mostly no process reads about a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoteText {
    /// A note in its usual words.
    Usual(Note),
    AppEnded {
        status: AppStatus,
        /// The kernel's OOM killer ended it.
        oom: bool,
    },
    Other(String),
}

impl fmt::Display for NoteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoteText::Usual(note) => f.write_str(&describe_note(*note)),
            NoteText::AppEnded { status, oom } => f.write_str(&describe_end(*status, *oom)),
            NoteText::Other(text) => f.write_str(text),
        }
    }
}

/// The records and the timeline so far. Both are bounded.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: VecDeque<Record>,
    timeline: VecDeque<(Time, NoteText)>,
    /// The stages that are over, for the headline of a stop that lasts.
    stages: VecDeque<(Time, NoteText)>,
    stop_began: Option<(Time, Trigger)>,
    /// The first stop's trigger was followed by this one: a hook by a signal, in a sidecar.
    then: Option<Trigger>,
    /// The last stop that is over while bookend goes on: its beginning, trigger and end.
    over: Option<(Time, Trigger, Time)>,
    ended: Option<AppStatus>,
    /// The kernel's OOM killer ended the app.
    pub(crate) oom: bool,
    is_post_stop_over: bool,
    cut: u32,
    /// Not every connection could be counted when requests were cut.
    is_cut_partial: bool,
}

impl Journal {
    /// Adds a note of a machine, with its text.
    pub(crate) fn note(&mut self, now: Time, note: Note, text: NoteText) {
        // The stops of a sidecar's apps overlap, and its own comes last: they share one timeline.
        if let Note::StopBegan(trigger) = note
            && self.stop_began.is_none()
        {
            self.stop_began = Some((now, trigger));
            // An earlier stop that no stop signal followed does not belong to this timeline.
            self.timeline.clear();
            self.stages.clear();
        } else if let (Note::StopBegan(trigger), Some((_, first))) = (note, self.stop_began)
            && trigger != first
        {
            self.then = Some(trigger);
        }
        if let Note::AppEnded(status) = note {
            self.ended = Some(status);
        }
        if self.has_timeline() {
            if !matches!(note, Note::StopBegan(_)) {
                if self.stages.len() == MAX_STAGES {
                    self.stages.pop_front();
                }
                self.stages.push_back((now, text.clone()));
            }
            self.row(now, text);
        }
        self.is_post_stop_over |= self.has_timeline() && matches!(note, Note::HookOver(Hook::PostStop, _));
        if note == Note::Rearmed {
            self.stop_began = None;
        }
    }

    /// Adds a handler run.
    pub(crate) fn record(&mut self, now: Time, record: Record) {
        if self.has_timeline() {
            let took = record.took_seconds;
            let again = if record.attempt > 1 { format!(" (try {})", record.attempt) } else { String::new() };
            self.remark(now, format!("{}{again} took {took:.3} s: {}", label(&record), record.detail));
        }
        self.records.push_back(Record { detail: shortened(record.detail, LONGEST_DETAIL), ..record });
        let size = |record: &Record| record.detail.len() + record.output.iter().map(String::len).sum::<usize>();
        while self.records.len() > MAX_RECORDS || self.records.iter().map(size).sum::<usize>() > MAX_BYTES {
            self.records.pop_front();
        }
    }

    /// The stop is over, and bookend goes on.
    pub(crate) fn stop_over(&mut self, now: Time) {
        self.over = self.stop_began.map(|(began, trigger)| (began, trigger, now));
        (self.stop_began, self.ended) = (None, None);
    }

    /// A sidecar's own stop begins. If the stop of its app was over a moment ago, this is a part of it: the kubelet calls the
    /// app's hook, and signals the sidecar when the app has ended.
    pub(crate) fn resume_stop(&mut self, now: Time) {
        let recent = self.over.take().filter(|(.., ended)| now.saturating_sub(*ended) <= RECENT);
        if let Some((began, trigger, _)) = recent.filter(|_| self.stop_began.is_none()) {
            self.stop_began = Some((began, trigger));
        }
    }

    /// Adds the number of connections whose requests our own signal may have cut. `are_all`: whether every one was counted.
    pub(crate) fn note_cut(&mut self, now: Time, count: u32, are_all: bool) {
        self.cut = self.cut.saturating_add(count);
        self.is_cut_partial |= !are_all;
        self.remark(now, describe_cut(count, are_all));
    }

    /// Adds something that no note of a machine covers.
    pub(crate) fn remark(&mut self, now: Time, text: String) {
        self.row(now, NoteText::Other(text));
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// When the stop began.
    pub(crate) fn stop_began(&self) -> Option<Time> {
        self.stop_began.map(|(began, _)| began)
    }

    /// Whether the postStop handlers of the app's end are over.
    pub(crate) fn is_post_stop_over(&self) -> bool {
        self.is_post_stop_over
    }

    /// Whether a stop or the app's end has begun a timeline.
    pub(crate) fn has_timeline(&self) -> bool {
        self.stop_began.is_some() || self.ended.is_some()
    }

    /// The trigger of the stop, for people.
    pub(crate) fn stopped_by(&self) -> Option<String> {
        self.stop_began.map(|(_, trigger)| describe_trigger(trigger))
    }

    /// When the timeline begins: with the stop, or with the app's end if there was no stop.
    pub(crate) fn origin(&self) -> Option<Time> {
        let began = self.stop_began.map(|(began, _)| began);
        began.or_else(|| self.timeline.front().map(|(at, _)| *at))
    }

    /// The timeline, with times since its beginning.
    pub(crate) fn timeline(&self) -> impl Iterator<Item = Row> {
        let origin = self.origin().unwrap_or_default();
        self.timeline
            .iter()
            .map(move |(at, text)| Row { at: Seconds(at.saturating_sub(origin)), text: text.to_string() })
    }

    /// The stop in one sentence: `stopped by SIGTERM in 2.013 s: app exited with 0; exit code 0`.
    pub(crate) fn headline(&self, now: Time, code: u8) -> String {
        let how = match self.stop_began {
            Some((began, trigger)) => {
                let took = Seconds(now.saturating_sub(began));
                let then = self.then.map(|then| format!(" and {}", describe_trigger(then))).unwrap_or_default();
                format!("stopped by {}{then} in {took:.3} s", describe_trigger(trigger))
            }
            None => format!("ended after {:.3} s", Seconds(now)),
        };
        // A sidecar has no app of its own.
        let app = self.ended.map(|status| format!("{}; ", describe_end(status, self.oom))).unwrap_or_default();
        let cut = match self.cut > 0 || self.is_cut_partial {
            true => format!(", {}", describe_cut(self.cut, !self.is_cut_partial)),
            false => String::new(),
        };
        format!("{how}{cut}: {app}exit code {code}")
    }

    /// A stop that lasts, in one sentence: `stopping since 12:00:01Z (SIGTERM): preStop done at +2.0 s, SIGTERM sent at
    /// +2.0 s, app still running at +9.0 s`. `runs`: the handler in progress. `app_runs`: whether the app has not ended.
    pub(crate) fn progress(&self, now: Time, since: Timestamp, runs: Option<&str>, app_runs: bool) -> String {
        let origin = self.origin().unwrap_or_default();
        let mut text = match self.stopped_by() {
            Some(trigger) => format!("stopping since {} ({trigger}): ", since.clock()),
            None => format!("ending since {}: ", since.clock()),
        };
        let mut add = |what: &str, more: &str, at: Time| {
            text.push_str(&format!("{what}{more} at +{:.1} s, ", Seconds(at.saturating_sub(origin))));
        };
        for (at, stage) in &self.stages {
            add(stage.to_string().trim_end_matches(" to the app"), "", *at);
        }
        match runs {
            Some(handler) => add(handler, " still running", now),
            None if app_runs => add("app", " still running", now),
            None => add("not over", "", now),
        }
        text.truncate(text.len() - 2);
        text
    }

    /// The lines of the timeline, and of the failed handlers with their output.
    pub(crate) fn details(&self) -> (Vec<String>, Vec<String>) {
        let failed = self.records.iter().filter(|record| record.result != HandlerResult::Succeeded);
        let mut lines = Vec::new();
        for record in failed {
            lines.push(format!("{}: {}", label(record), record.detail));
            lines.extend(record.output.iter().map(|line| format!("  | {line}")));
        }
        (self.timeline().map(|row| row.to_string()).collect(), lines)
    }

    fn row(&mut self, now: Time, text: NoteText) {
        let text = match text {
            NoteText::Other(text) => NoteText::Other(shortened(text, LONGEST_ROW)),
            text => text,
        };
        if self.timeline.len() == MAX_ROWS {
            // The first row is the trigger; the newest facts are worth more than those after it.
            self.timeline.remove(1);
        }
        self.timeline.push_back((now, text));
    }
}

/// The beginning of a text, so many bytes at most and three dots.
pub(crate) fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate((0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0));
        text.push_str("...");
    }
    text
}

/// `requests on up to 1 connection cut`: of an open connection the kernel does not show whether it has a request in flight, nor
/// how many. `are_all`: whether every connection could be counted in time.
pub(crate) fn describe_cut(count: u32, are_all: bool) -> String {
    let more = if are_all { "" } else { " (more connections were not counted)" };
    format!("requests on up to {count} connection{} cut{more}", if count == 1 { "" } else { "s" })
}

/// `preStop drain`, or `preStop[0]` for a handler without a name; in a sidecar `web: preStop drain`.
fn label(record: &Record) -> String {
    handler_label(record.container.as_deref(), record.hook, &record.name)
}

/// The same for a handler in progress.
pub(crate) fn handler_label(container: Option<&str>, hook: &str, name: &str) -> String {
    let container = container.map(|name| format!("{name}: ")).unwrap_or_default();
    match name.starts_with(hook) {
        true => format!("{container}{name}"),
        false => format!("{container}{hook} {name}"),
    }
}

/// The trigger of a stop, for people.
pub(crate) fn describe_trigger(trigger: Trigger) -> String {
    match trigger {
        Trigger::Signal(signal) => signal.to_string(),
        Trigger::Hook => "the preStop hook".to_owned(),
        Trigger::Request => "bookend stop".to_owned(),
        Trigger::PostStartFailed => "a failed postStart handler".to_owned(),
        Trigger::LivenessFailed => "a failed livenessProbe".to_owned(),
    }
}

/// How the app ended, for people. `oom`: the kernel's OOM killer ended it.
pub(crate) fn describe_end(status: AppStatus, oom: bool) -> String {
    let text = describe_status(status);
    if oom { format!("{text} (out of memory)") } else { text }
}

/// The same without the memory.
fn describe_status(status: AppStatus) -> String {
    match status {
        AppStatus::Exited(code) => format!("app exited with {code}"),
        AppStatus::Signalled(signal) => format!("app was killed by {signal}"),
        AppStatus::Unknown => "app has ended".to_owned(),
        AppStatus::StillRunning => "app still runs: it could not be ended".to_owned(),
        AppStatus::NotStarted { .. } => "app was not started".to_owned(),
    }
}

/// A note of a machine, for people.
pub(crate) fn describe_note(note: Note) -> String {
    let outcome_word = |outcome| match outcome {
        Outcome::Succeeded => "done",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
    };
    match note {
        Note::Started => "started".to_owned(),
        Note::StopBegan(trigger) => format!("stop triggered by {}", describe_trigger(trigger)),
        Note::HookOver(hook, outcome) => format!("{} {}", hook.name(), outcome_word(outcome)),
        Note::Escalated(hook) => format!("{} aborted by a stop signal", hook.name()),
        Note::NoTimeLeft(hook, index) => format!("{}[{index}] not run: no time left", hook.name()),
        Note::Rearmed => "no stop signal followed the preStop hook: the app keeps running".to_owned(),
        Note::StopSignalSent(signal) => format!("{signal} sent to the app"),
        Note::SecondSignalSent(signal, why) => {
            let why = match why {
                SecondSignalReason::ConnectionsIdle => "only idle connections are left",
                SecondSignalReason::SigkillNear => "SIGKILL would be next",
            };
            format!("{signal} sent to the app: {why}")
        }
        Note::PassedOn(signal) => format!("{signal} of a preStop handler passed on to the app"),
        Note::Killed => "SIGKILL sent to the app: it did not end in time".to_owned(),
        Note::AppEnded(status) => describe_status(status),
        Note::AppStays => "the app did not end in time after its stop signal: the kubelet will kill it".to_owned(),
        Note::LeftoversTerminated => "SIGTERM sent to the remaining processes".to_owned(),
        Note::LeftoversRefused => "SIGTERM was refused to the remaining processes".to_owned(),
        Note::LeftoversEnded => "the remaining processes have ended".to_owned(),
        Note::LeftoversKilled => "SIGKILL sent to the remaining processes".to_owned(),
        Note::LeftoversRemain => "processes remain after SIGKILL: not waited for".to_owned(),
        Note::Held(time) => format!("the container is held for {} s (app.holdOnFailureSeconds)", Seconds(time)),
        Note::CaughtUp => "the postStop handlers of the previous life are over".to_owned(),
        Note::NoHookCame => "no preStop hook came while the stop waited for one".to_owned(),
        Note::AnswerNotTaken => "the caller of a hook did not take its answer in time".to_owned(),
    }
}

/// The `trigger` of a handler record.
pub(crate) fn trigger_word(hook: Hook, stop: Option<Trigger>) -> String {
    match (hook, stop) {
        (Hook::PreStart | Hook::PostStart, _) => "start".to_owned(),
        (Hook::PreStop | Hook::PostStop, Some(trigger)) => describe_trigger(trigger),
        (Hook::PreStop | Hook::PostStop, None) => "the app's end".to_owned(),
    }
}

/// The kubelet's signal follows the end of the app within this time.
const RECENT: Duration = Duration::from_secs(10);
const MAX_RECORDS: usize = 50;
/// Of all records: `/status` is copied for each client, and any client may ask.
const MAX_BYTES: usize = 64 * 1024;
/// The length of the detail of a run. A handler, a server or a file may have put any text into it.
pub(crate) const LONGEST_DETAIL: usize = 2000;
const LONGEST_ROW: usize = 500;
const MAX_ROWS: usize = 100;
/// More than a stop of one app has.
const MAX_STAGES: usize = 9;
