//! The response of `/status` as the command line needs it. Any field may be missing: the running bookend may be older or
//! newer than this one.

use serde_json::Value;

use crate::cli::outcome::Failure;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::seconds::Seconds;

/// The state of the running bookend.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusView {
    pub(super) version: String,
    pub(super) phase: String,
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) app: AppView,
    /// Present in a sidecar only.
    pub(super) containers: Option<Vec<ContainerView>>,
    pub(super) stopped_by: Option<String>,
    /// When the stop began, in seconds since bookend did.
    pub(super) stop_began_seconds: Option<f64>,
    pub(super) termination_grace_period_seconds: Option<f64>,
    pub(super) orphans_reaped: u64,
    pub(super) probes: Vec<ProbeView>,
    #[cfg(feature = "reload")]
    pub(super) reloads: Vec<ReloadView>,
    pub(super) lost: Option<LostView>,
    pub(crate) handlers: Vec<HandlerRun>,
    /// Runs in progress: without result and duration.
    pub(super) running: Vec<HandlerRun>,
    pub(super) timeline: Vec<TimelineEntry>,
}

/// The main process.
#[derive(Debug, Clone, Default)]
pub(super) struct AppView {
    pub(super) pid: Option<u64>,
    pub(super) ended: Option<String>,
}

/// The app of another container, in a sidecar.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerView {
    pub(super) name: String,
    pub(super) phase: String,
    pub(super) watches_process: bool,
    pub(super) pid: Option<u64>,
    pub(super) stopped_by: Option<String>,
}

/// One of the app's probes.
#[derive(Debug, Clone, Default)]
pub(super) struct ProbeView {
    pub(super) name: String,
    /// `Succeeded`, `Failed`, `Unknown`.
    pub(super) state: String,
    pub(super) detail: String,
}

/// An entry of `[[reload]]`.
#[cfg(feature = "reload")]
#[derive(Debug, Clone, Default)]
pub(super) struct ReloadView {
    pub(super) name: String,
    pub(super) state: String,
    /// The last result; empty: there is none yet.
    pub(super) result: String,
    pub(super) detail: String,
    pub(super) ended_at: String,
}

/// The losses of the app's clients in a stop.
#[derive(Debug, Clone, Default)]
pub(super) struct LostView {
    pub(super) requests_cut: u64,
    pub(super) not_accepted: u64,
    pub(super) resets_sent: u64,
}

/// A handler run.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandlerRun {
    /// The container whose app it is for, in a sidecar.
    pub(crate) container: Option<String>,
    pub(crate) hook: String,
    pub(crate) name: String,
    /// More than 1: a retry.
    pub(crate) attempt: u64,
    /// In seconds since bookend began.
    pub(super) started_seconds: f64,
    pub(super) took_seconds: f64,
    pub(super) result: String,
    pub(super) detail: String,
    pub(super) output: Vec<String>,
    /// The object that it was read from.
    object: Value,
}

/// One event of a stop.
#[derive(Debug, Clone, Default)]
pub(super) struct TimelineEntry {
    /// Since the stop began.
    pub(super) at_seconds: f64,
    pub(super) text: String,
}

impl StatusView {
    /// Reads the JSON object.
    pub(crate) fn read(json: &str) -> Result<StatusView, Failure> {
        let object: Value = serde_json::from_str(json).map_err(|error| {
            let version = env!("CARGO_PKG_VERSION");
            Failure::new(format!("bookend: bookend {version} cannot read the status that it got: {error}\n"))
        })?;
        let app = object.get("app").unwrap_or(&Value::Null);
        let containers = object.get("containers").and_then(Value::as_object);
        Ok(StatusView {
            version: text(&object, "version").unwrap_or_default(),
            phase: text(&object, "phase").unwrap_or_default(),
            started: is(&object, "started"),
            ready: is(&object, "ready"),
            serving: is(&object, "serving"),
            uptime_seconds: seconds(&object, "uptimeSeconds"),
            app: AppView { pid: count(app, "pid"), ended: text(app, "ended") },
            containers: containers
                .map(|all| all.iter().map(|(name, object)| ContainerView::read(name, object)).collect()),
            stopped_by: text(&object, "stoppedBy"),
            stop_began_seconds: seconds(&object, "stopBeganSeconds"),
            termination_grace_period_seconds: seconds(&object, "terminationGracePeriodSeconds"),
            orphans_reaped: count(&object, "orphansReaped").unwrap_or_default(),
            probes: each(&object, "probes", ProbeView::read),
            #[cfg(feature = "reload")]
            reloads: each(&object, "reloads", ReloadView::read),
            lost: object.get("lost").map(LostView::read),
            handlers: each(&object, "handlers", HandlerRun::read),
            running: each(&object, "running", HandlerRun::read),
            timeline: each(&object, "timeline", TimelineEntry::read),
        })
    }
}

impl ContainerView {
    fn read(name: &str, object: &Value) -> ContainerView {
        ContainerView {
            name: name.to_owned(),
            phase: text(object, "phase").unwrap_or_default(),
            watches_process: is(object, "watchesProcess"),
            pid: count(object, "pid"),
            stopped_by: text(object, "stoppedBy"),
        }
    }
}

impl ProbeView {
    fn read(object: &Value) -> ProbeView {
        let text = |name| text(object, name).unwrap_or_default();
        ProbeView { name: text("name"), state: text("state"), detail: text("detail") }
    }
}

#[cfg(feature = "reload")]
impl ReloadView {
    fn read(object: &Value) -> ReloadView {
        let text = |name| text(object, name).unwrap_or_default();
        ReloadView {
            name: text("name"),
            state: text("state"),
            result: text("result"),
            detail: text("detail"),
            ended_at: text("endedAt"),
        }
    }
}

impl LostView {
    fn read(object: &Value) -> LostView {
        let count = |name| count(object, name).unwrap_or_default();
        LostView {
            requests_cut: count("requestsCut"),
            not_accepted: count("notAccepted"),
            resets_sent: count("resetsSent"),
        }
    }
}

impl TimelineEntry {
    fn read(object: &Value) -> TimelineEntry {
        TimelineEntry {
            at_seconds: seconds(object, "atSeconds").unwrap_or_default(),
            text: text(object, "text").unwrap_or_default(),
        }
    }
}

fn text(object: &Value, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(str::to_owned)
}

fn count(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

fn seconds(object: &Value, name: &str) -> Option<f64> {
    object.get(name)?.as_f64()
}

fn is(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn each<T>(object: &Value, name: &str, read: fn(&Value) -> T) -> Vec<T> {
    object.get(name).and_then(Value::as_array).into_iter().flatten().map(read).collect()
}

impl HandlerRun {
    /// Reads a run of `/status`, or of a `handlerEnded` event.
    pub(crate) fn read(object: &Value) -> HandlerRun {
        let text = |name| text(object, name).unwrap_or_default();
        let count = |name| count(object, name).unwrap_or_default();
        HandlerRun {
            container: self::text(object, "container"),
            hook: text("hook"),
            name: text("name"),
            attempt: count("attempt"),
            started_seconds: seconds(object, "startedSeconds").unwrap_or_default(),
            took_seconds: seconds(object, "tookSeconds").unwrap_or_default(),
            result: text("result"),
            detail: text("detail"),
            output: each(object, "output", |line| line.as_str().unwrap_or_default().to_owned()),
            object: object.clone(),
        }
    }

    /// `preStop drain`; `preStop[0]` for a handler without a name; ` (try 2)` for a retry; `web: preStop drain` in a
    /// sidecar.
    pub(super) fn label(&self) -> String {
        let of = self.container.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let again = if self.attempt > 1 { format!(" (try {})", self.attempt) } else { String::new() };
        printable(&match self.name.starts_with(&self.hook) {
            true => format!("{of}{}{again}", self.name),
            false => format!("{of}{} {}{again}", self.hook, self.name),
        })
    }

    /// The run as one line, and its last lines of output.
    pub(crate) fn summary(&self) -> String {
        let failed = if self.result == HandlerResult::Succeeded.name() {
            String::new()
        } else {
            format!(" {}:", printable(&self.result))
        };
        let took = Seconds::of(self.took_seconds);
        let lines = self.output.iter().map(|line| format!("  | {}\n", printable(line))).collect::<String>();
        format!("{} took {took:.3} s:{failed} {}\n{lines}", self.label(), printable(&self.detail))
    }

    /// The run as the event that `/events` publishes.
    pub(crate) fn as_event(&self) -> Value {
        let mut event = self.object.clone();
        if let Some(fields) = event.as_object_mut() {
            fields.insert("event".to_owned(), "handlerEnded".into());
            fields.insert("atSeconds".to_owned(), self.ended_seconds().into());
        }
        event
    }

    /// When it ended, in seconds since bookend began.
    pub(crate) fn ended_seconds(&self) -> f64 {
        Seconds::of(self.started_seconds + self.took_seconds).to_f64()
    }
}
