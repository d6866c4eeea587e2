//! `bookend events`: the handlers that ran, and with `--follow` every event until the container ends.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Client, ResponseStream};
use super::outcome::{Failure, Outcome, print};
use super::status::{HandlerRun, StatusView};
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::seconds::Seconds;

#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// Print new events until the container ends
    #[arg(long, short)]
    follow: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: Client,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventFormat {
    /// The JSON object of each event.
    Json,
    /// A line of text for each event.
    Text,
}

impl EventsArgs {
    pub(super) fn run(&self) -> Outcome {
        // Subscribe first, so that no event is lost between the past ones and the new ones.
        let stream = self.follow.then(|| self.client.stream("GET /events", None)).transpose()?;
        let response = self.client.request("GET /status", Some(Instant::now() + Duration::from_secs(10)))?;
        let view = StatusView::read(&response.body)?;
        for run in &view.handlers {
            match self.json {
                true => print(&format!("{}\n", run.as_event())),
                false => print(&format!("{:>10.3} s  {}", Seconds::of(run.ended_seconds()), run.summary())),
            }
        }
        match stream {
            Some(stream) => print_stream(stream, if self.json { EventFormat::Json } else { EventFormat::Text }),
            None => Ok(()),
        }
    }
}

/// Prints server-sent events until the stream ends.
pub(super) fn print_stream(mut stream: ResponseStream, format: EventFormat) -> Outcome {
    if stream.code != 200 {
        return Err(Failure::new(format!("bookend: cannot follow the events: status {}\n", stream.code)));
    }
    let (mut kind, mut has_exited) = (String::new(), false);
    for line in BufReader::new(&mut stream).lines() {
        let Ok(line) = line else { break };
        if let Some(comment) = line.strip_prefix(": closed") {
            return Err(Failure::new(format!("bookend: the running bookend closed this stream{comment}\n")));
        }
        if let Some(named) = line.strip_prefix("event: ") {
            kind = named.to_owned();
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
        has_exited |= kind == "exited";
        match format {
            EventFormat::Json => print(&as_json(&kind, data)),
            EventFormat::Text => print(&as_text(&kind, &data)),
        }
    }
    if has_exited { Ok(()) } else { Err(Failure::new("bookend: the connection ended before the container did\n")) }
}

fn as_json(kind: &str, mut data: Value) -> String {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("event".to_owned(), kind.into());
    }
    format!("{data}\n")
}

fn as_text(kind: &str, data: &Value) -> String {
    let word = |name: &str| printable(data.get(name).and_then(Value::as_str).unwrap_or_default());
    let of = match word("container") {
        name if name.is_empty() => name,
        name => format!("{name}: "),
    };
    let what = match kind {
        "phase" => format!("phase {}", word("phase")),
        "note" => word("text"),
        "signal" => format!("received {}", word("signal")),
        "hookCalled" => format!("{of}the {} hook was called", word("hook")),
        "handlerStarted" => format!("{of}{} {} started", word("hook"), word("name")),
        "handlerEnded" => HandlerRun::read(data).summary().trim_end().to_owned(),
        #[cfg(feature = "reload")]
        "reload" => format!("reload {}: {}: {}", word("name"), word("result"), word("detail")),
        "exited" => format!("exit code {}", data.get("exitCode").and_then(Value::as_u64).unwrap_or_default()),
        // An event of a newer bookend.
        other => format!("{} {}", printable(other), printable(&data.to_string())),
    };
    let at = Seconds::of(data.get("atSeconds").and_then(Value::as_f64).unwrap_or_default());
    format!("{at:>10.3} s  {what}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_printed_as_text() {
        let text = |kind: &str, data: &str| as_text(kind, &serde_json::from_str(data).unwrap());
        assert_eq!(text("phase", r#"{"atSeconds":1.5,"phase":"Running"}"#), "     1.500 s  phase Running\n");
        assert_eq!(text("exited", r#"{"atSeconds":12,"exitCode":143}"#), "    12.000 s  exit code 143\n");
        assert_eq!(text("new", r#"{"atSeconds":0}"#), "     0.000 s  new {\"atSeconds\":0}\n");
    }

    #[test]
    fn no_event_can_send_a_control_sequence_to_the_terminal() {
        let text = as_text("note", &serde_json::json!({ "atSeconds": 0, "text": "a\u{1b}[2Jb\nc" }));
        assert_eq!(text, "     0.000 s  a\u{fffd}[2Jb\u{fffd}c\n");
    }
}
