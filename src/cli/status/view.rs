//! `/status` as a reader needs it. Every field may be missing: the bookend that answers may be older or newer.

use serde_json::Value;

use crate::cli::outcome::Failure;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::seconds::Seconds;

/// What `/status` says.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(super) version: String,
    pub(super) phase: String,
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) app: App,
    /// A sidecar's, and only there.
    pub(super) containers: Option<Vec<Container>>,
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
#[derive(Debug, Clone, Default)]
pub(super) struct App {
    pub(super) pid: Option<u64>,
    pub(super) ended: Option<String>,
}

/// The app of another container.
#[derive(Debug, Clone, Default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) phase: String,
    pub(super) sees_app: bool,
    pub(super) pid: Option<u64>,
    pub(super) stopped_by: Option<String>,
}

/// One of the app's own probes.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    pub(super) name: String,
    /// `Success`, `Failure`, `Unknown`.
    pub(super) state: String,
    pub(super) detail: String,
}

/// What a stop cost the app's clients.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    pub(super) requests_cut: u64,
    pub(super) not_accepted: u64,
    pub(super) resets_sent: u64,
}

/// A handler run.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandlerRun {
    /// Whose app it is for, in a sidecar.
    pub(crate) container: Option<String>,
    pub(crate) hook: String,
    pub(crate) name: String,
    /// More than 1: a retry.
    pub(crate) attempt: u64,
    pub(super) started_ms: u64,
    pub(super) took_ms: u64,
    pub(super) result: String,
    pub(super) detail: String,
    pub(super) output: Vec<String>,
    /// All that was said of it.
    said: Value,
}

/// Something that happened in a stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Since the stop began.
    pub(super) at_seconds: f64,
    pub(super) text: String,
}

impl View {
    /// Reads what bookend answered.
    pub(crate) fn read(json: &str) -> Result<View, Failure> {
        let said: Value = serde_json::from_str(json).map_err(|error| {
            let version = env!("CARGO_PKG_VERSION");
            Failure::no(format!("bookend: the answer is no status that bookend {version} can read: {error}\n"))
        })?;
        let app = said.get("app").unwrap_or(&Value::Null);
        let containers = said.get("containers").and_then(Value::as_object);
        Ok(View {
            version: text(&said, "version").unwrap_or_default(),
            phase: text(&said, "phase").unwrap_or_default(),
            started: is(&said, "started"),
            ready: is(&said, "ready"),
            serving: is(&said, "serving"),
            uptime_seconds: seconds(&said, "uptimeSeconds"),
            app: App { pid: count(app, "pid"), ended: text(app, "ended") },
            containers: containers.map(|all| all.iter().map(|(name, said)| Container::read(name, said)).collect()),
            stopped_by: text(&said, "stoppedBy"),
            stop_began_seconds: seconds(&said, "stopBeganSeconds"),
            termination_grace_period_seconds: seconds(&said, "terminationGracePeriodSeconds"),
            orphans_reaped: count(&said, "orphansReaped").unwrap_or_default(),
            probes: each(&said, "probes", Probe::read),
            lost: said.get("lost").map(Lost::read),
            handlers: each(&said, "handlers", HandlerRun::read),
            running: each(&said, "running", HandlerRun::read),
            timeline: each(&said, "timeline", Row::read),
        })
    }
}

impl Container {
    fn read(name: &str, said: &Value) -> Container {
        Container {
            name: name.to_owned(),
            phase: text(said, "phase").unwrap_or_default(),
            sees_app: is(said, "seesApp"),
            pid: count(said, "pid"),
            stopped_by: text(said, "stoppedBy"),
        }
    }
}

impl Probe {
    fn read(said: &Value) -> Probe {
        let text = |name| text(said, name).unwrap_or_default();
        Probe { name: text("name"), state: text("state"), detail: text("detail") }
    }
}

impl Lost {
    fn read(said: &Value) -> Lost {
        let count = |name| count(said, name).unwrap_or_default();
        Lost {
            requests_cut: count("requestsCut"),
            not_accepted: count("notAccepted"),
            resets_sent: count("resetsSent"),
        }
    }
}

impl Row {
    fn read(said: &Value) -> Row {
        Row { at_seconds: seconds(said, "atSeconds").unwrap_or_default(), text: text(said, "text").unwrap_or_default() }
    }
}

fn text(said: &Value, name: &str) -> Option<String> {
    said.get(name)?.as_str().map(str::to_owned)
}

fn count(said: &Value, name: &str) -> Option<u64> {
    said.get(name)?.as_u64()
}

fn seconds(said: &Value, name: &str) -> Option<f64> {
    said.get(name)?.as_f64()
}

fn is(said: &Value, name: &str) -> bool {
    said.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn each<T>(said: &Value, name: &str, read: fn(&Value) -> T) -> Vec<T> {
    said.get(name).and_then(Value::as_array).into_iter().flatten().map(read).collect()
}

impl HandlerRun {
    /// Reads a run of `/status`, or an event of `/events` that tells of one.
    pub(crate) fn read(said: &Value) -> HandlerRun {
        let text = |name| text(said, name).unwrap_or_default();
        let count = |name| count(said, name).unwrap_or_default();
        HandlerRun {
            container: self::text(said, "container"),
            hook: text("hook"),
            name: text("name"),
            attempt: count("attempt"),
            started_ms: count("startedMs"),
            took_ms: count("tookMs"),
            result: text("result"),
            detail: text("detail"),
            output: each(said, "output", |line| line.as_str().unwrap_or_default().to_owned()),
            said: said.clone(),
        }
    }

    /// `preStop drain`; the list alone where the name begins with it: `preStop[0]`; ` (try 2)` for a retry;
    /// `web: preStop drain` in a sidecar.
    pub(super) fn label(&self) -> String {
        let of = self.container.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let again = if self.attempt > 1 { format!(" (try {})", self.attempt) } else { String::new() };
        printable(&match self.name.starts_with(&self.hook) {
            true => format!("{of}{}{again}", self.name),
            false => format!("{of}{} {}{again}", self.hook, self.name),
        })
    }

    /// The run in a line, and its last lines of output.
    pub(crate) fn story(&self) -> String {
        let failed = if self.result == HandlerResult::Succeeded.name() {
            String::new()
        } else {
            format!(" {}:", printable(&self.result))
        };
        let took = Seconds::of(millis(self.took_ms));
        let lines = self.output.iter().map(|line| format!("  | {}\n", printable(line))).collect::<String>();
        format!("{} took {took:.3} s:{failed} {}\n{lines}", self.label(), printable(&self.detail))
    }

    /// The run as `/events` would have told it.
    pub(crate) fn as_event(&self) -> Value {
        let mut event = self.said.clone();
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
