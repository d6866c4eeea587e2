//! `bookend events`: what has happened, and with `--follow` what happens until the container ends.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::outcome::{Done, Failure, print};
use super::peer::{Peer, Stream};
use super::status::{HandlerRun, View};
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::seconds::Seconds;

#[derive(Debug, clap::Args)]
pub(super) struct Events {
    /// Go on until the container ends
    #[arg(long, short)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    peer: Peer,
}

/// What of the stream is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Every event, as it came.
    Json,
    /// Every event, in words.
    Words,
    /// The same, and no complaint about the end: it was asked for.
    Stop,
}

impl Events {
    pub(super) fn run(&self) -> Done {
        // Opened first, so that nothing falls between what was and what comes.
        let stream = self.follow.then(|| self.peer.open("GET /events", None)).transpose()?;
        let answer = self.peer.ask("GET /status", Some(Instant::now() + Duration::from_secs(10)))?;
        let view = View::read(&answer.body)?;
        for run in &view.handlers {
            match self.json {
                true => print(&format!("{}\n", run.as_event())),
                false => print(&format!("{:>10.3} s  {}", Seconds::of(run.ended_seconds()), run.story())),
            }
        }
        match stream {
            Some(stream) => tell(stream, if self.json { Shown::Json } else { Shown::Words }),
            None => Ok(()),
        }
    }
}

/// Prints server-sent events until the stream ends.
pub(super) fn tell(mut stream: Stream, shown: Shown) -> Done {
    if stream.code != 200 {
        return Err(Failure::no(format!("bookend: its events cannot be followed: status {}\n", stream.code)));
    }
    let (mut kind, mut was_told_the_end) = (String::new(), false);
    for line in BufReader::new(&mut stream).lines() {
        let Ok(line) = line else { break };
        if let Some(comment) = line.strip_prefix(": let go") {
            return Err(Failure::no(format!("bookend: it has stopped telling us{comment}\n")));
        }
        if let Some(named) = line.strip_prefix("event: ") {
            kind = named.to_owned();
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
        was_told_the_end |= kind == "exited";
        match shown {
            Shown::Json => print(&as_json(&kind, data)),
            Shown::Words | Shown::Stop => print(&in_words(&kind, &data)),
        }
    }
    if was_told_the_end { Ok(()) } else { Err(Failure::no("bookend: the connection ended before the container did\n")) }
}

fn as_json(kind: &str, mut data: Value) -> String {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("event".to_owned(), kind.into());
    }
    format!("{data}\n")
}

fn in_words(kind: &str, data: &Value) -> String {
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
        "handlerStarted" => format!("{of}{} {} began", word("hook"), word("name")),
        "handlerEnded" => HandlerRun::read(data).story().trim_end().to_owned(),
        "exited" => format!("exit code {}", data.get("exitCode").and_then(Value::as_u64).unwrap_or_default()),
        // A newer bookend's.
        other => format!("{} {}", printable(other), printable(&data.to_string())),
    };
    let at = Seconds::of(data.get("atSeconds").and_then(Value::as_f64).unwrap_or_default());
    format!("{at:>10.3} s  {what}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_in_words() {
        let told = |kind: &str, data: &str| in_words(kind, &serde_json::from_str(data).unwrap());
        assert_eq!(told("phase", r#"{"atSeconds":1.5,"phase":"Running"}"#), "     1.500 s  phase Running\n");
        assert_eq!(told("exited", r#"{"atSeconds":12,"exitCode":143}"#), "    12.000 s  exit code 143\n");
        assert_eq!(told("new", r#"{"atSeconds":0}"#), "     0.000 s  new {\"atSeconds\":0}\n");
    }

    #[test]
    fn nothing_in_an_event_reaches_the_terminal_as_a_command() {
        let told = in_words("note", &serde_json::json!({ "atSeconds": 0, "text": "a\u{1b}[2Jb\nc" }));
        assert_eq!(told, "     0.000 s  a\u{fffd}[2Jb\u{fffd}c\n");
    }
}
