//! Carries out reloads: watches the files, runs checks and actions, reports results. The pure crate decides
//! (`bookend_lifecycle::reload`). Without an entry it costs nothing: no descriptor, no thread, no timer.
//!
//! | file      | has                                                  |
//! | --------- | ---------------------------------------------------- |
//! | `callers` | the clients of `bookend reload`                      |
//! | `content` | a look at the files, on a thread of its own          |
//! | `message` | the reports of tasks to the loop                     |

mod callers;
mod content;
pub(crate) mod message;

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use self::callers::ReloadCallers;
use self::content::Watched;
use self::message::ReloadMessage;
use super::dispatcher::TaskMessage;
use super::run_loop::Supervisor;
use super::unit::UnitId;
use crate::detached::spawn_in_slot;
use crate::handlers::{self, HandlerReport, Purpose, RunningHandler};
use crate::http::{LifecycleEvent, ReloadAnswer, ReloadSnapshot};
use crate::process::cgroup::Cgroup;
use crate::process::file_watch::{FileWatch, InotifyEvent, is_end, is_overflow};
use crate::process::procfs::receives;
use crate::report::timestamp::Timestamp;
use bookend_config::settings::{AppSettings, HandlerKind, ReloadSettings};
use bookend_lifecycle::Time;
use bookend_lifecycle::reload::{Content, Reload, ReloadAction, ReloadEvent, ReloadNote, ReloadRule, ReloadRunId};
use bookend_lifecycle::seconds::Seconds;

/// The loop of an app that can be reloaded.
pub(super) trait Reloadable: Supervisor {
    fn reloads(&mut self) -> &mut Reloads;
    fn app_settings(&self) -> &AppSettings;
    /// Whether the app of this unit may be reloaded now.
    fn may_reload(&self, id: UnitId) -> bool;
    /// When the app of this unit has read its files at the earliest; `None`: not yet.
    fn reads_since(&self, id: UnitId) -> Option<Time>;
}

/// The entries of `[[reload]]`.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    all: Vec<Entry>,
    /// `None` without inotify, or before the first look.
    watch: Option<FileWatch>,
    callers: ReloadCallers,
}

#[derive(Debug)]
struct Entry {
    unit: UnitId,
    settings: ReloadSettings,
    machine: Reload,
    has_begun: bool,
    running: Option<RunningHandler>,
    watched: Vec<Watched>,
    /// One look at a time: of a volume that hangs, one thread waits, and the looks of other entries go on.
    looks: Arc<Semaphore>,
    /// When the files were read for this reload.
    began: Time,
    /// The result of the last check or action, for people.
    detail: String,
    /// The reason why something could not be read or watched. It is logged once.
    trouble: String,
    shown: ReloadSnapshot,
}

impl Reloads {
    /// `unit`: the unit of an entry's container.
    pub(super) fn new(
        settings: &[ReloadSettings],
        notifies: bool,
        unit: impl Fn(Option<&str>) -> Option<UnitId>,
    ) -> Reloads {
        let entry = |settings: &ReloadSettings| {
            // A random part of the delay, drawn once.
            let random = RandomState::new().build_hasher().finish();
            let share = u16::try_from(random >> 48).map_or(0.0, f64::from) / f64::from(u16::MAX);
            let rule = ReloadRule {
                settle: settings.settle,
                splay: settings.splay.mul_f64(share),
                poll: settings.poll.or(settings.on_limits_change.then_some(POLL)),
                timeout: settings.timeout,
                has_check: settings.check.is_some(),
                notifies,
            };
            Some(Entry {
                unit: unit(settings.container.as_deref())?,
                machine: Reload::new(rule),
                has_begun: false,
                running: None,
                watched: Vec::new(),
                looks: Arc::new(Semaphore::new(1)),
                began: Time::ZERO,
                detail: String::new(),
                trouble: String::new(),
                shown: ReloadSnapshot::new(settings.name.clone(), settings.container.clone()),
                settings: settings.clone(),
            })
        };
        Reloads { all: settings.iter().filter_map(entry).collect(), ..Reloads::default() }
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.all.iter().filter_map(|entry| entry.machine.next_at()).min()
    }

    pub(super) fn snapshots(&self) -> Vec<ReloadSnapshot> {
        let shown = |entry: &Entry| ReloadSnapshot { state: entry.machine.state_name(), ..entry.shown.clone() };
        self.all.iter().map(shown).collect()
    }

    /// The entries that an event concerns.
    fn concerned(&self, event: &InotifyEvent) -> Vec<usize> {
        let is_named = |only: &Option<_>| only.is_none() || *only == event.name;
        let is_of = |entry: &Entry| entry.watched.iter().any(|(id, only)| *id == event.wd && is_named(only));
        let is_known = self.all.iter().any(|entry| entry.watched.iter().any(|(id, _)| *id == event.wd));
        // A look that goes on has just begun to watch it.
        let all = is_overflow(event) || !is_known;
        (0..self.all.len()).filter(|index| self.all.get(*index).is_some_and(|entry| all || is_of(entry))).collect()
    }
}

/// Begins what is due, before the loop waits.
pub(super) fn update<S: Reloadable>(supervisor: &mut S) {
    for index in 0..supervisor.reloads().all.len() {
        let Some(entry) = supervisor.reloads().all.get(index) else { continue };
        let (unit, has_begun, was_allowed) = (entry.unit, entry.has_begun, entry.machine.is_allowed());
        if !has_begun && supervisor.reads_since(unit).is_some() {
            begin(supervisor, index);
        }
        let is_allowed = supervisor.may_reload(unit);
        if is_allowed != was_allowed {
            apply(supervisor, index, ReloadEvent::Allowed(is_allowed));
        }
        let now = supervisor.dispatcher().now();
        let is_due = |entry: &Entry| entry.machine.next_at().is_some_and(|at| at <= now);
        if supervisor.reloads().all.get(index).is_some_and(is_due) {
            apply(supervisor, index, ReloadEvent::TimePassed);
        }
    }
}

/// The first look, when the app has been started.
fn begin<S: Reloadable>(supervisor: &mut S, index: usize) {
    let to_loop = supervisor.dispatcher().to_loop();
    let reloads = supervisor.reloads();
    let Some(entry) = reloads.all.get_mut(index) else { return };
    entry.has_begun = true;
    if entry.settings.watch.is_empty() {
        let content = content_without_files(&entry.settings);
        return apply(supervisor, index, ReloadEvent::Baseline(Some(content)));
    }
    if reloads.watch.is_none() {
        match FileWatch::begin() {
            Ok((watch, events)) => {
                reloads.watch = Some(watch);
                crate::tasks::spawn(async move {
                    while let Some(events) = events.next().await {
                        let _ = to_loop.send(message(ReloadMessage::Events(events))).await;
                        // Files that change all the time must not keep the loop busy.
                        sleep(PAUSE).await;
                    }
                    let _ = to_loop.send(message(ReloadMessage::NoEvents)).await;
                });
            }
            Err(error) => unwatched(supervisor, index, &format!("inotify is not available: {error}")),
        }
    }
    look(supervisor, index, None);
}

/// Changes are not reported: the files are read again and again.
fn unwatched<S: Reloadable>(supervisor: &mut S, index: usize, why: &str) {
    let Some(entry) = supervisor.reloads().all.get_mut(index) else { return };
    let why = entry.describe_unwatched(why);
    entry.trouble(&why);
    let poll = entry.poll();
    apply(supervisor, index, ReloadEvent::Unwatched(poll));
}

fn apply<S: Reloadable>(supervisor: &mut S, index: usize, event: ReloadEvent) {
    let now = supervisor.dispatcher().now();
    let Some(entry) = supervisor.reloads().all.get_mut(index) else { return };
    for action in entry.machine.apply(now, event) {
        match action {
            ReloadAction::Look(run) => look(supervisor, index, Some(run)),
            ReloadAction::Check(run) => start(supervisor, index, run, true),
            ReloadAction::Apply(run) => start(supervisor, index, run, false),
            ReloadAction::Abort(_) => {
                // A stop waits for no program of a reload.
                let running = supervisor.reloads().all.get_mut(index).and_then(|entry| entry.running.take());
                running.into_iter().for_each(RunningHandler::kill);
            }
            ReloadAction::Tell(note) => tell(supervisor, index, note),
        }
    }
}

fn look<S: Reloadable>(supervisor: &mut S, index: usize, run: Option<ReloadRunId>) {
    let to_loop = supervisor.dispatcher().to_loop();
    let now = supervisor.dispatcher().now();
    let reloads = supervisor.reloads();
    let Some(entry) = reloads.all.get_mut(index) else { return };
    if entry.machine.is_settling() {
        entry.began = now;
    }
    if let Some(run) = run.filter(|_| entry.settings.watch.is_empty()) {
        let content = content_without_files(&entry.settings);
        return apply(supervisor, index, ReloadEvent::Looked(run, Some(content)));
    }
    let (paths, watch, looks) = (entry.settings.watch.clone(), reloads.watch.clone(), Arc::clone(&entry.looks));
    crate::tasks::spawn(async move {
        let work = spawn_in_slot(&looks, move || content::look(&paths, watch.as_ref()));
        let seen = timeout(LOOK_TIME, work).await.ok().and_then(Result::ok);
        let _ = to_loop.send(message(ReloadMessage::Looked(index, run, seen))).await;
    });
}

/// The limits of our own cgroup; otherwise there is nothing to look at.
fn content_without_files(settings: &ReloadSettings) -> Content {
    let mut hash = DefaultHasher::new();
    if settings.on_limits_change {
        hash.write(Cgroup::limits().as_bytes());
    }
    Content(hash.finish())
}

fn start<S: Reloadable>(supervisor: &mut S, index: usize, run: ReloadRunId, is_check: bool) {
    let now = supervisor.dispatcher().now();
    let Some(entry) = supervisor.reloads().all.get(index) else { return };
    let (id, settings) = (entry.unit, &entry.settings);
    let action = Some(settings.action.clone());
    let Some(handler) = (if is_check { settings.check.clone() } else { action }) else { return };
    let settings = supervisor.app_settings().clone();
    let Some((dispatcher, unit)) = supervisor.unit(id) else { return };
    if let (HandlerKind::Signal(signal), Some(pid)) = (&handler.kind, unit.context.app_pid())
        && receives(pid, *signal) == Some(false)
    {
        let report = HandlerReport::failed(format!(
            "the app does not handle {signal}: it was not sent, because it may end the app"
        ));
        return ended(supervisor, index, run, report);
    }
    let socket = dispatcher.listeners.socket_path();
    let env = unit.handler_env(&settings, None, &handler.name, socket, now);
    let (running, report) = handlers::start(&handler, Purpose::Probe, handler.timeout, env, &unit.context);
    let to_loop = dispatcher.to_loop();
    crate::tasks::spawn(async move {
        if let Ok(report) = report.await {
            let _ = to_loop.send(message(ReloadMessage::Ended(index, run, report))).await;
        }
    });
    if let Some(entry) = supervisor.reloads().all.get_mut(index) {
        entry.running = Some(running);
    }
}

fn ended<S: Reloadable>(supervisor: &mut S, index: usize, run: ReloadRunId, report: HandlerReport) {
    if let Some(entry) = supervisor.reloads().all.get_mut(index) {
        let output: String = report.output.iter().map(|line| format!("; {line}")).collect();
        entry.detail = format!("{}{output}", report.detail);
        entry.running = None;
    }
    apply(supervisor, index, ReloadEvent::Ended(run, report.result));
}

/// Takes the report of a task.
pub(super) fn on_message<S: Reloadable>(supervisor: &mut S, message: ReloadMessage) {
    match message {
        ReloadMessage::Events(events) => {
            let mut changed = vec![false; supervisor.reloads().all.len()];
            for event in events.iter().filter(|event| !is_end(event)) {
                for index in supervisor.reloads().concerned(event) {
                    changed.get_mut(index).into_iter().for_each(|changed| *changed = true);
                }
            }
            for index in (0..changed.len()).filter(|index| changed.get(*index) == Some(&true)) {
                apply(supervisor, index, ReloadEvent::Changed);
            }
        }
        ReloadMessage::NoEvents => {
            for index in 0..supervisor.reloads().all.len() {
                unwatched(supervisor, index, "inotify has failed");
            }
        }
        ReloadMessage::Looked(index, run, look) => looked(supervisor, index, run, look),
        ReloadMessage::Ended(index, run, report) => ended(supervisor, index, run, report),
    }
}

fn looked<S: Reloadable>(supervisor: &mut S, index: usize, run: Option<ReloadRunId>, look: Option<content::Look>) {
    let Some(unit) = supervisor.reloads().all.get(index).map(|entry| entry.unit) else { return };
    let since = supervisor.reads_since(unit).unwrap_or_default();
    let since = supervisor.dispatcher().reporter.started_at.after(since).since_1970();
    let reloads = supervisor.reloads();
    let Some(entry) = reloads.all.get_mut(index) else { return };
    let (mut unwatched, mut content) = (None, None);
    match look {
        None => {
            entry.detail = "the files could not be read in time: does a volume hang?".to_owned();
            let detail = entry.detail.clone();
            entry.trouble(&detail);
        }
        Some(look) => {
            let before = std::mem::replace(&mut entry.watched, look.watched);
            unwatched = look.unwatched.as_ref().map(|_| entry.poll());
            let why = look.unwatched.map(|why| entry.describe_unwatched(&why));
            entry.trouble(&look.error.into_iter().chain(why).collect::<Vec<_>>().join("; "));
            let newest =
                Duration::new(u64::try_from(look.newest.0).unwrap_or(0), u32::try_from(look.newest.1).unwrap_or(0));
            content = if run.is_some() { Some(look.content) } else { look.content.at_start(newest, since) };
            let is_used = |id| reloads.all.iter().any(|entry| entry.watched.iter().any(|(used, _)| *used == id));
            for (id, _) in before {
                if !is_used(id)
                    && let Some(watch) = &reloads.watch
                {
                    watch.remove(id);
                }
            }
        }
    }
    if let Some(poll) = unwatched {
        apply(supervisor, index, ReloadEvent::Unwatched(poll));
    }
    apply(supervisor, index, run.map_or(ReloadEvent::Baseline(content), |run| ReloadEvent::Looked(run, content)));
}

fn tell<S: Reloadable>(supervisor: &mut S, index: usize, note: ReloadNote) {
    let now = supervisor.dispatcher().now();
    let reloads = supervisor.reloads();
    let Some(entry) = reloads.all.get_mut(index) else { return };
    let (name, result) = (entry.settings.name.clone(), note.name());
    let took = Seconds(now.saturating_sub(entry.began));
    let detail = match note {
        ReloadNote::Aborted => "aborted by a stop, or by the end of the app".to_owned(),
        _ => entry.detail.clone(),
    };
    let took_seconds = took.to_f64();
    match note {
        ReloadNote::Succeeded => info!(reload = name, took_seconds, "reloaded: {detail}"),
        ReloadNote::CheckFailed => {
            warn!(reload = name, "not reloaded, the app keeps what it has: the check failed: {detail}");
        }
        ReloadNote::Failed(Some(pause)) => {
            warn!(reload = name, "the reload failed, next try in {} s: {detail}", Seconds(pause));
        }
        ReloadNote::Failed(None) => {
            warn!(reload = name, "the reload failed, and is not tried again until something changes: {detail}");
        }
        ReloadNote::Aborted => info!(reload = name, "the reload is {detail}"),
    }
    entry.shown.add(note, Timestamp::now(), &detail);
    let line = format!("{name}: {result}: {detail}\n");
    reloads.callers.take(index, &line, note);
    let event = LifecycleEvent::Reload { name: &name, result, detail: &detail, took_seconds: took };
    supervisor.dispatcher().reporter.publish(&event);
}

impl Entry {
    fn poll(&self) -> Duration {
        self.settings.poll.unwrap_or(POLL)
    }

    fn describe_unwatched(&self, why: &str) -> String {
        format!("{why}: its files are read every {} s instead", Seconds(self.poll()))
    }

    /// Logs why something could not be read or watched, once.
    fn trouble(&mut self, text: &str) {
        if !text.is_empty() && self.trouble != text {
            warn!(reload = self.settings.name, "{text}");
        }
        text.clone_into(&mut self.trouble);
    }
}

/// RELOADING=1 or READY=1 of the app.
pub(super) fn notified<S: Reloadable>(supervisor: &mut S, event: ReloadEvent) {
    for index in 0..supervisor.reloads().all.len() {
        apply(supervisor, index, event);
    }
}

// ---- Requests -----------------------------------------------------------------------------------

/// `bookend reload`: of one entry, or of all.
pub(super) fn on_request<S: Reloadable>(
    supervisor: &mut S,
    name: Option<&str>,
    response: oneshot::Sender<ReloadAnswer>,
) {
    let reloads = supervisor.reloads();
    let is_meant = |entry: &Entry| name.is_none_or(|name| entry.settings.name == name);
    let meant: Vec<usize> =
        reloads.all.iter().enumerate().filter(|(_, entry)| is_meant(entry)).map(|(index, _)| index).collect();
    let refused = if reloads.all.is_empty() {
        Some((404, "no [[reload]] is configured\n".to_owned()))
    } else if meant.is_empty() {
        let names: Vec<&str> = reloads.all.iter().map(|entry| entry.settings.name.as_str()).collect();
        Some((404, format!("no [[reload]] of that name; configured: {}\n", names.join(", "))))
    } else {
        None
    };
    if let Some(answer) = refused {
        return drop(response.send(answer));
    }
    // In a sidecar the apps of some entries may run while others do not.
    let (mut pending, mut answer) = (Vec::new(), (200, String::new()));
    for (index, entry) in meant.iter().filter_map(|index| Some((*index, reloads.all.get(*index)?))) {
        if entry.machine.is_allowed() {
            pending.push((index, entry.machine.is_applying()));
        } else {
            answer.0 = 500;
            answer.1.push_str(&format!(
                "{}: not reloaded: the app has not started, or a stop goes on\n",
                entry.settings.name
            ));
        }
    }
    if pending.is_empty() {
        answer.0 = 409;
    }
    let requested: Vec<usize> = pending.iter().map(|(index, _)| *index).collect();
    reloads.callers.add(pending, answer, response);
    for index in requested {
        apply(supervisor, index, ReloadEvent::Requested);
    }
}

fn message(message: ReloadMessage) -> TaskMessage {
    TaskMessage::Reload(Box::new(message))
}

/// How often files are read whose changes are not reported.
const POLL: Duration = Duration::from_secs(10);
/// The least time between two reports of changes.
const PAUSE: Duration = Duration::from_millis(50);
/// A look at 64 MB takes a tenth of that.
const LOOK_TIME: Duration = Duration::from_secs(10);
