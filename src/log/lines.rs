//! tracing's events as lines. A subscriber for everybody, with spans, filters and colours, is 30 kB and a store of spans
//! that is set up at the start; there are no spans here.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use serde::Serializer as _;
use serde::ser::SerializeMap;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::config::settings::LogFormat;
use crate::seconds::Seconds;

/// Makes each event up to a level a line, and hands it on.
pub(super) struct Lines {
    pub(super) level: Level,
    pub(super) format: LogFormat,
    pub(super) hand_on: fn(&[u8]),
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match self.format {
            LogFormat::Text => (self.hand_on)(text(now, event).as_bytes()),
            LogFormat::Json => (self.hand_on)(&json(now, event)),
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// `2026-11-23T09:15:13.123456Z  INFO bookend: message key=value`
fn text(now: Duration, event: &Event<'_>) -> String {
    let mut line = Text(String::new());
    // Writing to a string does not fail.
    let _ = write!(line, "{} {:>5} bookend:", Utc(now), event.metadata().level());
    event.record(&mut line);
    line.0.push('\n');
    line.0
}

struct Text(String);

impl Visit for Text {
    /// What has a fraction is a time.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record_debug(field, &format_args!("{}", Seconds::of(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            MESSAGE => write!(self, " {value:?}"),
            name => write!(self, " {name}={value:?}"),
        };
    }
}

/// What a stranger has said may be part of a line, and must not move the cursor of the terminal it is read on.
impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '\n' | '\t' => self.0.push(char),
                char if char.is_control() => self.0.extend(char.escape_default()),
                char => self.0.push(char),
            }
        }
        Ok(())
    }
}

/// `{"timestamp":"2026-11-23T09:15:13.123456Z","level":"INFO","message":"message","key":"value"}`
fn json(now: Duration, event: &Event<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    // Writing to memory does not fail, and neither does a number, a string or a truth value.
    if let Ok(mut entries) = serde_json::Serializer::new(&mut line).serialize_map(None) {
        let _ = entries.serialize_entry("timestamp", &format_args!("{}", Utc(now)));
        let _ = entries.serialize_entry("level", event.metadata().level().as_str());
        event.record(&mut Json(&mut entries));
        let _ = entries.end();
    }
    line.push(b'\n');
    line
}

struct Json<'a, M>(&'a mut M);

impl<M: SerializeMap> Visit for Json<'_, M> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        let _ = self.0.serialize_entry(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        let _ = self.0.serialize_entry(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let _ = self.0.serialize_entry(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let _ = self.0.serialize_entry(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = self.0.serialize_entry(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = self.0.serialize_entry(field.name(), &format_args!("{value:?}"));
    }
}

/// The field that is not named in a line of text.
const MESSAGE: &str = "message";

/// A time since 1970 as RFC 3339 has it.
struct Utc(Duration);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, second) = (self.0.as_secs() / 86_400, self.0.as_secs() % 86_400);
        let mut year = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let february = days_of_year(year) - 337;
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let micros = self.0.subsec_micros();
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", days + 1)
    }
}

fn days_of_year(year: u64) -> u64 {
    if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_time_is_told_as_rfc_3339_has_it() {
        // From date(1), `date -u -d @...`.
        for (seconds, said) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (68_169_599, "1972-02-28T23:59:59.000000Z"),
            (68_169_600, "1972-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Utc(Duration::from_secs(seconds)).to_string(), said);
        }
        assert_eq!(Utc(Duration::new(1, 2_003_999)).to_string(), "1970-01-01T00:00:01.002003Z");
    }

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// What is logged in `tell`, without its time.
    fn told(format: LogFormat, tell: fn()) -> Vec<String> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        let hand_on = |line: &[u8]| LINES.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap());
        tracing::subscriber::with_default(Lines { level: Level::INFO, format, hand_on }, tell);
        let lines = std::mem::take(&mut *LINES.lock().unwrap());
        let time = Utc(Duration::ZERO).to_string().len();
        let prefix = if format == LogFormat::Json { "{\"timestamp\":\"".len() + time + 1 } else { time };
        lines.iter().map(|line| line[prefix..].to_owned()).collect()
    }

    #[test]
    fn text_names_each_value_but_the_message() {
        let lines =
            told(LogFormat::Text, || tracing::info!(pid = 7, name = "a b", why = %"no", late = true, "said {}", 1));
        assert_eq!(lines, ["  INFO bookend: said 1 pid=7 name=\"a b\" why=no late=true\n"]);
    }

    #[test]
    fn json_has_each_value_by_its_name() {
        let lines =
            told(LogFormat::Json, || tracing::warn!(pid = 7, name = "a \"b\"", late = true, took = 1.5, "said"));
        let said = r#","level":"WARN","message":"said","pid":7,"name":"a \"b\"","late":true,"took":1.5}"#;
        assert_eq!(lines, [format!("{said}\n")]);
    }

    #[test]
    fn what_is_below_the_level_is_not_told() {
        assert_eq!(told(LogFormat::Text, || tracing::debug!("how")), [""; 0]);
    }

    #[test]
    fn a_stranger_cannot_move_the_terminals_cursor() {
        let lines = told(LogFormat::Text, || tracing::error!(path = %"\x1b[2J", "\u{9b}2J\r"));
        assert_eq!(lines, [" ERROR bookend: \\u{9b}2J\\r path=\\u{1b}[2J\n"]);
    }
}
