//! The loop of `bookend sidecar`. It starts no app: it answers the hooks of the apps in other containers of the pod. Each
//! app has a unit of its own; an input is for one of them, and a stop signal is for all.
//!
//! An app's process is looked for when bookend starts, when one of its hooks is called, and every two seconds as long as it
//! is not known.
//!
//! One file: every input and every action of the loop stands here.

mod app;
mod container_identity;
mod find;
mod find_error;
mod observed;
mod process_tree;

use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(feature = "reload")]
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use self::app::SidecarApp;
use self::find::find;
use super::dispatcher::{Dispatcher, SearchResult, TaskMessage};
use super::listeners;
use super::plan::stop_signals;
use super::reaping::ReapThrottle;
#[cfg(feature = "reload")]
use super::reload::{self, Reloadable, Reloads};
use super::run_loop::{self, Supervisor};
use super::start::{self, StartError};
use super::unit::{Unit, UnitId};
use crate::compat::policy::Policy;
use crate::detached::spawn_blocking_detached;
use crate::error::describe;
use crate::handlers::{AppHandle, DrainStatus, HandlerContext, OutputBudgets};
#[cfg(feature = "reload")]
use crate::http::ReloadAnswer;
use crate::http::{
    AppSnapshot, ContainerSnapshot, Detail, DrainSnapshot, HookCall, HookSender, LifecycleEvent, StatusSnapshot,
};
use crate::process::inherited::Inherited;
use crate::process::pidfd::PidFd;
use crate::process::reaper::Reaper;
use crate::process::signals::Signals;
use crate::report::journal::describe_trigger;
use crate::report::log::{self, LogStart};
#[cfg(feature = "reload")]
use bookend_config::settings::AppSettings;
use bookend_config::settings::{LogLevel, Settings};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, AppStatus, Event, Machine, Note, PhaseName, SidecarLifecycle, Time, Trigger};

/// Runs the sidecar and returns its exit code. All signals are blocked already: `inherited` proves it. `log_start`: how the
/// log begins.
pub(crate) fn run(mut settings: Settings, mut inherited: Inherited, mut log_start: LogStart) -> Result<u8, StartError> {
    let began = Instant::now();
    start::check(&inherited)?;
    let listener = listeners::bind(&settings)?;
    if log_start.quiet {
        settings.log.level.get_or_insert(LogLevel::Warn);
    }
    log::init(settings.log);
    inherited.leave_working_dir();
    start::set_up_parentage(&settings, &inherited, &mut log_start.warnings)?;
    log_start.warn();
    let stop_signals = stop_signals(&settings);
    let early_stop = inherited.take_pending_among(&stop_signals);
    let runtime = start::runtime().map_err(StartError::Runtime)?;
    runtime.block_on(async {
        let mut signals = Signals::take(&mut inherited).map_err(StartError::Signals)?;
        let mut sidecar = SidecarLoop::new(settings, stop_signals, inherited, began);
        let version = env!("CARGO_PKG_VERSION");
        let names: Vec<&str> = sidecar.settings.containers.keys().map(String::as_str).collect();
        let containers = (!names.is_empty()).then(|| names.join(", "));
        info!(version, containers, "sidecar: answering hooks");
        match listener {
            Some(listener) => sidecar.dispatcher.listeners.open_port(listener, &sidecar.settings),
            None => warn!("http.listen is not set: a kubelet cannot call the hooks of this sidecar"),
        }
        sidecar.dispatcher.listeners.open_socket(&sidecar.settings);
        if let Some(signal) = early_stop {
            sidecar.on_signal(signal, 0);
        }
        for id in sidecar.ids() {
            sidecar.search(id);
        }
        Ok(run_loop::run(&mut sidecar, &mut signals).await)
    })
}

/// The owner of the state.
struct SidecarLoop {
    settings: Settings,
    dispatcher: Dispatcher,
    /// The first is the app at the top level of the configuration.
    apps: Vec<SidecarApp>,
    reaper: Reaper,
    reaping: ReapThrottle,
    stop_signals: Vec<Signal>,
    /// The trigger of our own stop.
    stop: Option<Trigger>,
    #[cfg(feature = "reload")]
    reloads: Reloads,
}

impl SidecarLoop {
    fn new(settings: Settings, stop_signals: Vec<Signal>, inherited: Inherited, began: Instant) -> SidecarLoop {
        let reaper = Reaper::new(Policy::default().orphan_log);
        let context = HandlerContext {
            reaper: reaper.clone(),
            inherited: Arc::new(inherited),
            app: AppHandle::OtherContainer(None),
            drain: DrainStatus::default(),
            output: OutputBudgets::new(),
        };
        let apps = SidecarApp::all(&settings, &context);
        SidecarLoop {
            #[cfg(feature = "reload")]
            reloads: Reloads::new(&settings.reloads, false, |container| {
                apps.iter().position(|app| app.unit.name.as_deref() == container).map(UnitId)
            }),
            apps,
            dispatcher: Dispatcher::new(began, &settings),
            settings,
            reaper,
            reaping: ReapThrottle::default(),
            stop_signals,
            stop: None,
        }
    }

    fn ids(&self) -> impl Iterator<Item = UnitId> + use<> {
        (0..self.apps.len()).map(UnitId)
    }

    /// A stop of our own, and of every unit.
    fn begin_stop(&mut self, trigger: Trigger, event: Event) {
        if self.stop.is_none() {
            let now = self.dispatcher.now();
            self.stop = Some(trigger);
            self.dispatcher.reporter.stop_began(None, trigger, self.settings.termination_grace_period);
            if self.apps.iter().all(|app| app.unit.app.pid().is_none()) {
                self.dispatcher.reporter.journal.resume_stop(now);
            }
            self.dispatcher.reporter.note(now, None, Note::StopBegan(trigger));
            #[cfg(feature = "otel")]
            self.dispatcher.reporter.trace.record(|recorder| recorder.note(now, None, Note::StopBegan(trigger)));
        }
        for id in self.ids() {
            // The process that a search is about to find belongs to the stop.
            match self.apps.get_mut(id.0).filter(|app| app.is_searching) {
                Some(app) if app.events.len() < MOST_EVENTS => app.events.push(event),
                Some(_) => {}
                None => self.dispatcher.push(id, event),
            }
        }
    }

    /// Collects the ended handlers, and what they left behind. The orphans of the apps go to the pod's pause container.
    fn reap(&mut self) {
        if self.reaping.reap(&self.reaper, || self.dispatcher.now()).orphans > 0 {
            self.dispatcher.found_orphans();
        }
    }

    /// Looks for the process of an app that is not known, on another thread: a pod may have thousands of processes.
    fn search(&mut self, id: UnitId) {
        let now = self.dispatcher.now();
        let Some(selector) = self.apps.get_mut(id.0).and_then(|app| app.begin_search(now)) else { return };
        let to_loop = self.dispatcher.to_loop();
        let runtime = tokio::runtime::Handle::current();
        crate::tasks::spawn(async move {
            let work = move || {
                let _inside = runtime.enter();
                find(&selector).map_err(|error| describe(&error))
            };
            let key = format!("the process of {id:?}");
            let result = match timeout(SEARCH_TIME, spawn_blocking_detached(key, work)).await {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => Err(describe(&error)),
                Err(_) => {
                    Err("the processes could not be read in two seconds: does the volume of the pid file hang?"
                        .to_owned())
                }
            };
            let _ = to_loop.send(TaskMessage::SearchEnded(id, result)).await;
        });
    }

    /// Takes the result of a search; then the hooks have their turn that were called meanwhile.
    fn search_ended(&mut self, id: UnitId, result: SearchResult) {
        let now = self.dispatcher.now();
        let Some(app) = self.apps.get_mut(id.0) else { return };
        let news = app.search_ended(now, result);
        let (calls, events) = (std::mem::take(&mut app.calls), std::mem::take(&mut app.events));
        if let Some((event, process)) = news {
            self.found(id, event, process);
        }
        for event in events {
            self.dispatcher.push(id, event);
        }
        for (call, response) in calls {
            self.dispatcher.hook_called(id, &call, response);
        }
    }

    fn found(&mut self, id: UnitId, event: Event, process: Option<Arc<PidFd>>) {
        if let Some(process) = process {
            let to_loop = self.dispatcher.to_loop();
            crate::tasks::spawn(async move {
                process.ended().await;
                // The loop is gone only when the process is.
                let _ = to_loop.send(TaskMessage::ProcessEnded(id)).await;
            });
        }
        self.dispatcher.push(id, event);
    }

    fn tell(&mut self, id: UnitId, note: Note) {
        let Some(app) = self.apps.get_mut(id.0) else { return };
        let container = app.unit.name.as_deref();
        let now = app.unit.time_of(note, self.dispatcher.now());
        let stage = app.unit.counters.note(now, note);
        #[cfg(feature = "otel")]
        if !matches!(note, Note::StopBegan(trigger) if self.stop == Some(trigger)) {
            self.dispatcher.reporter.trace.record(|recorder| recorder.note(now, container, note));
        }
        self.dispatcher.reporter.stage_over(container, stage);
        if let Note::StopBegan(trigger) = note {
            if self.stop == Some(trigger) {
                // Our own stop, which has been reported.
                return;
            }
            self.dispatcher.reporter.stop_began(container, trigger, None);
        }
        self.dispatcher.reporter.note(now, container, note);
    }

    /// Writes the stop report, and kills the remaining processes.
    fn finish(&mut self) {
        let status = self.dispatcher.reporter.wants_report().then(|| self.snapshot(Detail::Report));
        self.dispatcher.finish(0, status.as_ref());
        start::kill_remaining_children(&self.reaper);
    }

    fn view(&self, app: &SidecarApp) -> ContainerSnapshot {
        let unit = &app.unit;
        ContainerSnapshot {
            phase: unit.machine.phase(),
            watches_process: app.is_searched(),
            pid: pid(unit),
            stopped_by: unit.trigger().map(describe_trigger),
            grace_left_seconds: unit.grace_left(self.dispatcher.now()).map(Seconds),
            drain: unit.context.drain.borrow().map(DrainSnapshot::of),
            counters: unit.counters.clone(),
        }
    }
}

impl Supervisor for SidecarLoop {
    type Machine = SidecarLifecycle;

    fn dispatcher(&mut self) -> &mut Dispatcher {
        &mut self.dispatcher
    }

    fn unit(&mut self, id: UnitId) -> Option<(&mut Dispatcher, &mut Unit<SidecarLifecycle>)> {
        Some((&mut self.dispatcher, &mut self.apps.get_mut(id.0)?.unit))
    }

    fn find_unit(&self, container: Option<&str>) -> Option<UnitId> {
        self.apps.iter().position(|app| app.unit.name.as_deref() == container).map(UnitId)
    }

    /// The phase of the pod, as far as it is known here: a stop of any app is one.
    fn phase(&self) -> PhaseName {
        let is_over = |app: &SidecarApp| matches!(app.unit.machine.phase(), PhaseName::Finishing | PhaseName::Exited);
        match self.stop {
            Some(_) if self.apps.iter().all(is_over) => PhaseName::Finishing,
            Some(_) => PhaseName::Stopping,
            None if self.apps.iter().any(|app| app.unit.trigger().is_some()) => PhaseName::Stopping,
            None => PhaseName::Running,
        }
    }

    fn snapshot(&mut self, detail: Detail) -> StatusSnapshot {
        let now = self.dispatcher.now();
        let status = self.dispatcher.status(detail);
        let phase = self.phase();
        let first = self.apps.first().map(|app| &app.unit);
        // Before its postStart hook an app counts as started: other containers must not wait for a hook that may never come.
        let started = self.apps.iter().all(|app| app.unit.machine.has_started());
        let trigger = self.stop.or_else(|| self.apps.iter().find_map(|app| app.unit.trigger()));
        let left = self.apps.iter().filter_map(|app| app.unit.grace_left(now)).min();
        let named = self.apps.iter().filter_map(|app| Some((app.unit.name.clone()?, self.view(app))));
        let status = match (detail, first) {
            (Detail::Everything | Detail::Report, Some(first)) => StatusSnapshot {
                counters: first.counters.clone(),
                drain: first.context.drain.borrow().map(DrainSnapshot::of),
                ..status
            },
            (_, None) | (Detail::Health, _) => status,
        };
        StatusSnapshot {
            phase,
            post_start_over: started,
            started,
            ready: started && phase == PhaseName::Running,
            serving: started && phase != PhaseName::Finishing,
            app: AppSnapshot { pid: first.and_then(pid), ..AppSnapshot::default() },
            containers: Some(named.collect()),
            stopped_by: trigger.map(describe_trigger),
            termination_grace_period_seconds: self.settings.termination_grace_period.map(Seconds),
            grace_left_seconds: left.map(Seconds),
            orphans_reaped: self.reaper.orphans(),
            #[cfg(feature = "reload")]
            reloads: self.reloads.snapshots(),
            ..status
        }
    }

    fn on_signal(&mut self, signal: Signal, _: u32) {
        if signal == Signal::CHLD {
            if self.reaping.is_due_after_sigchld(self.dispatcher.now(), false) {
                self.reap();
            }
            return;
        }
        self.dispatcher.reporter.publish(&LifecycleEvent::Signal { signal });
        if self.stop_signals.contains(&signal) {
            self.begin_stop(Trigger::Signal(signal), Event::Signal(signal));
        } else {
            debug!(%signal, "signal ignored: a sidecar has no app of its own");
        }
    }

    fn on_message(&mut self, message: TaskMessage) {
        match message {
            TaskMessage::SearchEnded(id, result) => self.search_ended(id, result),
            TaskMessage::ProcessEnded(id) => {
                let now = self.dispatcher.now();
                if let Some(app) = self.apps.get_mut(id.0) {
                    app.process_ended(now);
                }
                self.dispatcher.push(id, Event::AppEnded { status: AppStatus::Unknown });
            }
            // Of the loop itself, and of a container.
            TaskMessage::HandlerEnded(..)
            | TaskMessage::CallerDone(..)
            | TaskMessage::ZombiesFound(_)
            | TaskMessage::ProbeEnded(..)
            | TaskMessage::Notified(_)
            | TaskMessage::ConnectionsIdle
            | TaskMessage::LifeBefore(_)
            | TaskMessage::AppPrepared(_)
            | TaskMessage::MemoryEvents => {}
            #[cfg(feature = "reload")]
            TaskMessage::Reload(message) => reload::on_message(self, *message),
        }
    }

    /// If the app's process is not known, the call waits for the search.
    fn on_hook_call(&mut self, id: UnitId, call: HookCall, response: HookSender) -> Option<(HookCall, HookSender)> {
        self.search(id);
        match self.apps.get_mut(id.0).filter(|app| app.is_searching) {
            Some(app) => {
                app.calls.retain(|(_, response)| !response.is_closed());
                app.calls.push((call, response));
                None
            }
            None => Some((call, response)),
        }
    }

    fn waiting_calls(&mut self) -> Vec<(HookCall, HookSender)> {
        self.apps.iter_mut().flat_map(|app| std::mem::take(&mut app.calls)).collect()
    }

    fn on_stop_request(&mut self) {
        self.begin_stop(Trigger::Request, Event::StopRequested);
    }

    fn on_signal_request(&mut self, signal: Signal) -> Result<(), &'static str> {
        if !self.stop_signals.contains(&signal) {
            return Err("a sidecar does not forward signals: its apps run in other containers");
        }
        self.on_signal(signal, 0);
        Ok(())
    }

    #[cfg(feature = "reload")]
    fn on_reload_request(&mut self, name: Option<&str>, response: oneshot::Sender<ReloadAnswer>) {
        reload::on_request(self, name, response);
    }

    #[cfg(feature = "reload")]
    fn before_wait(&mut self) {
        reload::update(self);
    }

    fn on_due(&mut self) {
        let now = self.dispatcher.now();
        if self.reaping.due().is_some_and(|due| due <= now) {
            self.reap();
        }
        let next = self.apps.iter().zip(self.ids()).filter_map(|(app, id)| Some((app.unit.next_timer()?, id))).min();
        if let Some((at, id)) = next
            && at <= now
            && let Some(timer) = self.apps.get_mut(id.0).and_then(|app| app.unit.take_due_timer(now))
        {
            return self.dispatcher.push(id, Event::TimerFired(timer));
        }
        for id in self.ids().filter(|_| self.stop.is_none()).collect::<Vec<_>>() {
            if self.apps.get(id.0).and_then(SidecarApp::search_at).is_some_and(|at| at <= now) {
                self.search(id);
            }
        }
    }

    fn perform(&mut self, id: UnitId, action: Action) -> Option<u8> {
        let app = self.apps.get_mut(id.0)?;
        match action {
            Action::SignalApp(signal) => {
                if let Some(event) = app.signal(signal) {
                    self.dispatcher.push(id, event);
                }
            }
            Action::Tell(note) => self.tell(id, note),
            Action::StartHandler { .. } | Action::AbortHandler(_) | Action::Answer { .. } | Action::SetTimer { .. } => {
                self.dispatcher.perform(id, &mut app.unit, &self.settings.app, action)
            }
            Action::Exit(_) => {
                app.has_exited = true;
                app.unit.timers.clear();
                if self.apps.iter().all(|app| app.has_exited) {
                    self.finish();
                    return Some(0);
                }
            }
            // Only for an app of our own; the sidecar's machine has no such action.
            Action::StartApp
            | Action::ContinueApp
            | Action::WatchConnections
            | Action::SendSecondSignal(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers => {}
        }
        None
    }

    fn event_done(&mut self, _: Event) {
        if self.stop.is_none() && self.apps.iter().all(SidecarApp::is_quiet) {
            // Every stop is over, and bookend lives on: the next stop has a timeline of its own.
            if self.dispatcher.reporter.journal.has_timeline() {
                let status = self.snapshot(Detail::Report);
                self.dispatcher.reporter.app_stop_over(&status);
            }
        }
    }

    fn holds_sigchld(&self) -> bool {
        self.reaping.due().is_some()
    }

    fn next_due(&self) -> Option<Time> {
        let timers = self.apps.iter().filter_map(|app| app.unit.next_timer());
        // During our own stop, a process that is not known counts as gone.
        let searches = self.apps.iter().filter(|_| self.stop.is_none()).filter_map(SidecarApp::search_at);
        let due = timers.chain(searches).chain(self.reaping.due());
        #[cfg(feature = "reload")]
        let due = due.chain(self.reloads.next_at());
        due.min()
    }
}

#[cfg(feature = "reload")]
impl Reloadable for SidecarLoop {
    fn reloads(&mut self) -> &mut Reloads {
        &mut self.reloads
    }

    fn app_settings(&self) -> &AppSettings {
        &self.settings.app
    }

    /// An app whose process is looked for must be there; of another one only its hooks are known.
    fn may_reload(&self, id: UnitId) -> bool {
        self.apps.get(id.0).is_some_and(|app| {
            let is_there = app.unit.app.pid().is_some() || !app.is_searched();
            is_there && app.is_quiet() && app.unit.machine.has_started() && self.stop.is_none()
        })
    }

    /// The app may have been started before.
    fn reads_since(&self, _: UnitId) -> Option<Time> {
        Some(Time::ZERO)
    }
}

/// One begins the stop, another one hurries it; more change nothing.
const MOST_EVENTS: usize = 4;
/// After that the hooks that wait for a search go on without it.
const SEARCH_TIME: Duration = Duration::from_secs(2);

fn pid(unit: &Unit<SidecarLifecycle>) -> Option<i32> {
    unit.app.pid().map(nix::unistd::Pid::as_raw)
}
