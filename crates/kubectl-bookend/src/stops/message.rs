//! A termination message, and the report of bookend in its last line. Pure.
//!
//! Any program may write a termination message, a kubelet cuts it, and SIGKILL may come at any time: a message that cannot
//! be read is unknown, and never an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The content of a termination message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// It ends with bookend's report.
    Report(Box<Report>),
    /// It is bookend's, and its report cannot be read.
    Unreadable(Unreadable),
    /// Another program wrote it.
    Foreign,
    /// There is no message.
    Empty,
}

/// Why a report cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Its end is missing, or it is not the JSON that bookend writes.
    Damaged,
    /// A later bookend wrote it in a format of its own.
    Newer,
}

/// The report of a stop, or of an end without a stop: the fields that this program uses.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) phase: String,
    pub(super) began_at: String,
    pub(super) took_seconds: f64,
    pub(super) stopped_by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) exit_code: Option<u8>,
    pub(super) signal: Option<String>,
    #[serde(default)]
    pub(super) oom: bool,
    #[serde(default)]
    pub(super) stage_seconds: BTreeMap<String, f64>,
    pub(super) requests_cut: Option<u64>,
    pub(super) not_accepted: Option<u64>,
    pub(super) resets_sent: Option<u64>,
    pub(super) termination_grace_period_seconds: Option<f64>,
    pub(super) grace_left_seconds: Option<f64>,
    /// The first line of the message.
    #[serde(skip)]
    pub(super) headline: String,
}

impl Message {
    pub(super) fn read(text: &str) -> Message {
        let text = text.trim();
        let headline = text.lines().next().unwrap_or_default().trim_end();
        let last = text.lines().next_back().unwrap_or_default().trim_start();
        if text.is_empty() {
            return Message::Empty;
        }
        let is_ours = HEADLINES.iter().any(|begin| headline.starts_with(begin)) || last.starts_with(BEGIN);
        let unreadable = |why| if is_ours { Message::Unreadable(why) } else { Message::Foreign };
        let Ok(mut json) = serde_json::from_str::<Value>(last) else { return unreadable(Unreadable::Damaged) };
        // With `terminationMessagePolicy: FallbackToLogsOnError` it may be the last line of the JSON log.
        if let Some(report) = json.get_mut("report").filter(|report| report.is_object()) {
            json = report.take();
        }
        match json.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(later) if later > FORMAT && json.get("version").is_some_and(Value::is_string) => {
                return Message::Unreadable(Unreadable::Newer);
            }
            _ => return unreadable(Unreadable::Damaged),
        }
        match serde_json::from_value::<Report>(json) {
            Ok(report) => Message::Report(Box::new(Report { headline: headline.to_owned(), ..report })),
            Err(_) => unreadable(Unreadable::Damaged),
        }
    }
}

/// The format that this program reads; it changes when a field changes its meaning.
const FORMAT: u64 = 1;
/// The beginning of each report.
const BEGIN: &str = r#"{"format":"#;
/// The beginnings of the first line.
const HEADLINES: [&str; 4] = ["stopping since ", "ending since ", "stopped by ", "ended after "];

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"format":1,"version":"0.1.0","phase":"Exited","startedAt":"2026-11-29T11:20:00.000Z","beganAt":"2026-11-29T12:00:01.000Z","tookSeconds":9.512,"stoppedBy":"SIGTERM","reason":"Stopped","exitCode":0,"oom":false,"stageSeconds":{"preStop":2.004,"app":7.5},"requestsCut":0,"notAccepted":0,"resetsSent":0,"drain":"Quiet","terminationGracePeriodSeconds":30.0,"graceLeftSeconds":20.488}"#;
    const HEAD: &str = "stopped by SIGTERM in 9.512 s: app exited with 0; exit code 0";

    fn whole() -> String {
        format!("{HEAD}\n+0.000 s  stop triggered by SIGTERM   \n{REPORT}\n")
    }

    #[test]
    fn the_report_is_the_last_line() {
        let Message::Report(report) = Message::read(&whole()) else { panic!("it is a report") };
        assert_eq!((report.took_seconds, report.exit_code, report.stage_seconds["app"]), (9.512, Some(0), 7.5));
        assert_eq!((report.stopped_by.as_deref(), report.headline.as_str()), (Some("SIGTERM"), HEAD));
        let logged = format!(r#"{{"level":"INFO","message":"{HEAD}","report":{REPORT}}}"#);
        assert!(matches!(Message::read(&format!("earlier line\n{logged}\n")), Message::Report(_)));
    }

    #[test]
    fn a_message_cut_anywhere_is_never_another_report() {
        let (text, whole) = (whole(), Message::read(&whole()));
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let read = Message::read(&text[..end]);
            assert!(!matches!(read, Message::Report(_)) || read == whole, "cut at {end}: {read:?}");
            let rest = Message::read(&text[end..]);
            assert!(matches!(rest, Message::Report(_) | Message::Unreadable(_) | Message::Foreign | Message::Empty));
        }
        assert_eq!(Message::read(&text[..HEAD.len()]), Message::Unreadable(Unreadable::Damaged));
    }

    #[test]
    fn messages_of_other_programs_and_versions_are_told_apart() {
        let newer = REPORT.replace(r#""format":1"#, r#""format":2"#);
        assert_eq!(Message::read(&newer), Message::Unreadable(Unreadable::Newer));
        let with_field = REPORT.replace(r#""oom":false"#, r#""oom":false,"later":{"x":[1]}"#);
        assert!(matches!(Message::read(&with_field), Message::Report(_)), "fields may be added");
        for damaged in [
            REPORT.replace("9.512", "\"long\""),
            REPORT.replace(r#""format":1"#, r#""format":-1"#),
            REPORT.replace(r#""exitCode":0"#, r#""exitCode":300"#),
            format!("{REPORT}{REPORT}"),
            format!("stopped by SIGTERM in 1 s: exit code 0\n{}", "[".repeat(10_000)),
        ] {
            assert_eq!(Message::read(&damaged), Message::Unreadable(Unreadable::Damaged), "{damaged}");
        }
        for foreign in ["panic: out of cheese", r#"{"error":"x"}"#, "null", "\u{1b}[2J", r#"{"format":"json"}x"#] {
            let is_ours = foreign.starts_with(BEGIN);
            let expected = if is_ours { Message::Unreadable(Unreadable::Damaged) } else { Message::Foreign };
            assert_eq!(Message::read(foreign), expected, "{foreign:?}");
        }
        assert_eq!(Message::read(" \n \0"), Message::Foreign);
        assert_eq!(Message::read("  \n\n"), Message::Empty);
    }
}
