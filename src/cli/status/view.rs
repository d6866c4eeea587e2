//! `/status` as a reader needs it. Every field may be missing: the bookend that answers may be older or newer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cli::outcome::Failure;

/// What `/status` says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct View {
    pub(super) version: String,
    pub(super) phase: String,
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) app: App,
    /// A sidecar's, and only there.
    pub(super) containers: Option<BTreeMap<String, Container>>,
    pub(super) stopped_by: Option<String>,
    /// When the stop began, in seconds since bookend did.
    pub(super) stop_began_seconds: Option<f64>,
    pub(super) termination_grace_period_seconds: Option<f64>,
    pub(super) orphans_reaped: u64,
    pub(super) probes: Vec<Probe>,
    pub(super) lost: Option<Lost>,
    pub(crate) handlers: Vec<HandlerRun>,
    /// Those that are not over: no result, no time taken.
    pub(super) running: Vec<HandlerRun>,
    pub(super) timeline: Vec<Row>,
}

/// The main process.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct App {
    pub(super) pid: Option<i32>,
    pub(super) ended: Option<String>,
}

/// The app of another container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) phase: String,
    pub(super) sees_app: bool,
    pub(super) pid: Option<i32>,
    pub(super) stopped_by: Option<String>,
}

/// One of the app's own probes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Probe {
    pub(super) name: String,
    /// `Success`, `Failure`, `Unknown`.
    pub(super) state: String,
    pub(super) detail: String,
}

/// What a stop cost the app's clients.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Lost {
    pub(super) requests_cut: u64,
    pub(super) not_accepted: u64,
    pub(super) resets_sent: u64,
}

/// A handler run.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HandlerRun {
    /// Whose app it is for, in a sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    pub(crate) hook: String,
    pub(crate) name: String,
    /// More than 1: a retry.
    pub(crate) attempt: u32,
    pub(super) trigger: String,
    pub(super) started_ms: u64,
    pub(super) took_ms: u64,
    pub(super) result: String,
    pub(super) detail: String,
    pub(super) output: Vec<String>,
}

/// Something that happened in a stop.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Row {
    /// Since the stop began.
    pub(super) at_seconds: f64,
    pub(super) text: String,
}

impl View {
    /// Reads what bookend answered.
    pub(crate) fn read(json: &str) -> Result<View, Failure> {
        serde_json::from_str(json).map_err(|error| {
            let version = env!("CARGO_PKG_VERSION");
            Failure::no(format!("bookend: the answer is no status that bookend {version} can read: {error}\n"))
        })
    }
}

impl HandlerRun {
    /// `preStop drain`; the list alone where the name begins with it: `preStop[0]`; ` (try 2)` for a retry;
    /// `web: preStop drain` in a sidecar.
    pub(super) fn label(&self) -> String {
        let of = self.container.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let again = if self.attempt > 1 { format!(" (try {})", self.attempt) } else { String::new() };
        clean(&match self.name.starts_with(&self.hook) {
            true => format!("{of}{}{again}", self.name),
            false => format!("{of}{} {}{again}", self.hook, self.name),
        })
    }

    /// The run in a line, and its last lines of output.
    pub(crate) fn story(&self) -> String {
        let failed = if self.result == "Succeeded" { String::new() } else { format!(" {}:", clean(&self.result)) };
        let took = millis(self.took_ms);
        let lines = self.output.iter().map(|line| format!("  | {}\n", clean(line))).collect::<String>();
        format!("{} took {took:.3} s:{failed} {}\n{lines}", self.label(), clean(&self.detail))
    }

    /// The run as `/events` would have told it.
    pub(crate) fn as_event(&self) -> serde_json::Value {
        let mut event = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = event.as_object_mut() {
            fields.insert("event".to_owned(), "handlerEnded".into());
            fields.insert("atSeconds".to_owned(), self.ended_seconds().into());
        }
        event
    }

    /// When it was over, in seconds since bookend began.
    pub(crate) fn ended_seconds(&self) -> f64 {
        millis(self.started_ms.saturating_add(self.took_ms))
    }

    pub(super) fn started_seconds(&self) -> f64 {
        millis(self.started_ms)
    }
}

fn millis(count: u64) -> f64 {
    std::time::Duration::from_millis(count).as_secs_f64()
}

/// Text of a handler or of another program: nothing in it moves the cursor or changes the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
