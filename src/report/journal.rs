//! What happened, as people will want to read it: a record of each handler run, the stop's timeline, the
//! summary for the termination message. Pure: it is told everything, with its time.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

use super::timestamp::Timestamp;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{AppStatus, HandlerResult, Hook, Note, Outcome, Time, Trigger};

/// A handler run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Whose app it was for, in a sidecar; the one without a name has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// Its list: `preStart`, `postStart`, `preStop`, `postStop`.
    pub(crate) hook: &'static str,
    /// The handler's name.
    pub(crate) name: String,
    /// Which try it was, from 1: more than that for a retry.
    pub(crate) attempt: u32,
    /// What had triggered the list.
    pub(crate) trigger: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it began, in seconds since bookend did.
    pub(crate) started_seconds: Seconds,
    /// How long it took.
    pub(crate) took_seconds: Seconds,
    /// `Succeeded`, `Failed`, `TimedOut`, `Aborted`.
    pub(crate) result: HandlerResult,
    /// `exit code 3`, `timed out after 2.000 s`, ...
    pub(crate) detail: String,
    /// The last lines of its output.
    pub(crate) output: Vec<String>,
}

/// A row of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// Since its beginning.
    #[serde(rename = "atSeconds")]
    pub(crate) at: Seconds,
    /// What happened then.
    pub(crate) text: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:.3} s  {}", self.at, self.text)
    }
}

/// The story so far; bounded.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: VecDeque<Record>,
    timeline: VecDeque<(Time, String)>,
    stop_began: Option<(Time, Trigger)>,
    ended: Option<AppStatus>,
    cut: u32,
}

impl Journal {
    /// Takes down something that happened, as it was told.
    pub(crate) fn note(&mut self, now: Time, note: Note, text: String) {
        // Stops of a sidecar's containers overlap, and its own comes last: they are one story.
        if let Note::StopBegan(trigger) = note
            && self.stop_began.is_none()
        {
            self.stop_began = Some((now, trigger));
            // A stop is told on its own: an earlier one that nobody followed is another story.
            self.timeline.clear();
        }
        if let Note::AppEnded(status) = note {
            self.ended = Some(status);
        }
        if self.stop_began.is_some() || self.ended.is_some() {
            self.row(now, text);
        }
        if note == Note::Rearmed {
            self.stop_began = None;
        }
    }

    /// Takes down a handler run.
    pub(crate) fn record(&mut self, now: Time, record: Record) {
        if self.stop_began.is_some() || self.ended.is_some() {
            let took = record.took_seconds;
            let again = if record.attempt > 1 { format!(" (try {})", record.attempt) } else { String::new() };
            self.row(now, format!("{}{again} took {took:.3} s: {}", label(&record), record.detail));
        }
        if self.records.len() == MOST_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// The stop is over, and life goes on.
    pub(crate) fn stop_over(&mut self) {
        (self.stop_began, self.ended) = (None, None);
    }

    /// Takes down requests that our own signal cut.
    pub(crate) fn note_cut(&mut self, now: Time, count: u32) {
        self.cut = self.cut.saturating_add(count);
        self.row(now, describe_cut(count));
    }

    /// Takes down what no note of the machine tells.
    pub(crate) fn remark(&mut self, now: Time, what: String) {
        self.row(now, what);
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// Whether there is a stop to tell.
    pub(crate) fn was_a_stop(&self) -> bool {
        self.stop_began.is_some()
    }

    /// When the timeline begins: with the stop, or else with the app's end.
    pub(crate) fn origin(&self) -> Option<Time> {
        let began = self.stop_began.map(|(began, _)| began);
        began.or_else(|| self.timeline.front().map(|(at, _)| *at))
    }

    /// The stop, one row for each thing that happened, counted from its beginning.
    pub(crate) fn timeline(&self) -> impl Iterator<Item = Row> {
        let origin = self.origin().unwrap_or_default();
        self.timeline.iter().map(move |(at, text)| Row { at: Seconds(at.saturating_sub(origin)), text: text.clone() })
    }

    /// One sentence about the whole: `stopped by SIGTERM in 2.013 s: app exited with 0; exit code 0`.
    pub(crate) fn headline(&self, now: Time, code: u8) -> String {
        let how = match self.stop_began {
            Some((began, trigger)) => {
                let took = Seconds(now.saturating_sub(began));
                format!("stopped by {} in {took:.3} s", describe_trigger(trigger))
            }
            None => format!("ended after {:.3} s", Seconds(now)),
        };
        // Without one of our own there is nothing to tell of it.
        let app = self.ended.map(|status| format!("{}; ", describe_status(status))).unwrap_or_default();
        let cut = if self.cut > 0 { format!(", {}", describe_cut(self.cut)) } else { String::new() };
        format!("{how}{cut}: {app}exit code {code}")
    }

    /// The headline, the timeline and what failed, within so many bytes.
    pub(crate) fn summary(&self, now: Time, code: u8, most_bytes: usize) -> String {
        let failed = self.records.iter().filter(|record| record.result != HandlerResult::Succeeded);
        let lines = std::iter::once(self.headline(now, code)).chain(self.timeline().map(|row| row.to_string())).chain(
            failed.map(|record| {
                let output = record.output.iter().map(|line| format!("\n  | {line}")).collect::<String>();
                format!("{}: {}{output}", label(record), record.detail)
            }),
        );
        let mut text = String::new();
        for line in lines {
            if text.len() + line.len() + 1 > most_bytes {
                // Kubernetes keeps the last bytes of a longer file; whole lines from the top tell more.
                break;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    fn row(&mut self, now: Time, what: String) {
        if self.timeline.len() == MOST_ROWS {
            self.timeline.pop_back();
        }
        self.timeline.push_back((now, what));
    }
}

/// `1 request cut`
pub(crate) fn describe_cut(count: u32) -> String {
    format!("{count} request{} cut", if count == 1 { "" } else { "s" })
}

/// `preStop drain`; the list alone where the name begins with it: `preStop[0]`; `web: preStop drain` in a sidecar.
fn label(record: &Record) -> String {
    let of = record.container.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    match record.name.starts_with(record.hook) {
        true => format!("{of}{}", record.name),
        false => format!("{of}{} {}", record.hook, record.name),
    }
}

/// What began a stop, as a person would say it.
pub(crate) fn describe_trigger(trigger: Trigger) -> String {
    match trigger {
        Trigger::Signal(signal) => signal.to_string(),
        Trigger::Hook => "the preStop hook".to_owned(),
        Trigger::Request => "bookend stop".to_owned(),
        Trigger::PostStartFailed => "a failed postStart handler".to_owned(),
        Trigger::LivenessFailed => "a failed livenessProbe".to_owned(),
    }
}

/// How the app ended, as a person would say it.
pub(crate) fn describe_status(status: AppStatus) -> String {
    match status {
        AppStatus::Exited(code) => format!("app exited with {code}"),
        AppStatus::Signalled(signal) => format!("app was killed by {signal}"),
        AppStatus::Unknown => "app has ended".to_owned(),
        AppStatus::StillRunning => "app still runs: it could not be ended".to_owned(),
        AppStatus::NotStarted { .. } => "app was not started".to_owned(),
    }
}

/// What happened, as a person would say it.
pub(crate) fn describe_note(note: Note) -> String {
    let outcome_word = |outcome| match outcome {
        Outcome::Succeeded => "done",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
    };
    match note {
        Note::Started => "started".to_owned(),
        Note::StopBegan(trigger) => format!("stop begun by {}", describe_trigger(trigger)),
        Note::HookOver(hook, outcome) => format!("{} {}", hook.name(), outcome_word(outcome)),
        Note::Escalated(hook) => format!("a stop signal cut {} short", hook.name()),
        Note::NoTimeLeft(hook, index) => format!("{}[{index}] not run: no time left", hook.name()),
        Note::Rearmed => "no stop signal followed the preStop hook: going on".to_owned(),
        Note::StopSignalSent(signal) => format!("{signal} sent to the app"),
        Note::SecondSignalSent(signal) => format!("{signal} sent to the app: only idle connections held it"),
        Note::Killed => "SIGKILL sent to the app: its time was over".to_owned(),
        Note::AppEnded(status) => describe_status(status),
        Note::AppStays => "the app did not end on its stop signal in time: the kubelet goes on".to_owned(),
        Note::LeftoversTerminated => "SIGTERM sent to the processes that were left".to_owned(),
        Note::LeftoversKilled => "SIGKILL sent to the processes that were left".to_owned(),
        Note::LeftoversRemain => "processes remain after SIGKILL: not waited for".to_owned(),
        Note::AnswerNotTaken => "a hook's caller did not take its answer".to_owned(),
    }
}

/// A `trigger` for the records of a hook that no stop began.
pub(crate) fn trigger_word(hook: Hook, stop: Option<Trigger>) -> String {
    match (hook, stop) {
        (Hook::PreStart | Hook::PostStart, _) => "start".to_owned(),
        (Hook::PreStop | Hook::PostStop, Some(trigger)) => describe_trigger(trigger),
        (Hook::PreStop | Hook::PostStop, None) => "the app's end".to_owned(),
    }
}

const MOST_RECORDS: usize = 50;
const MOST_ROWS: usize = 100;
