//! The part that both loops share: the queue of events, the handler runs, the callers of hooks, the endpoint and the reports. It
//! decides nothing: the machines decide, and the dispatcher carries out the actions that are the same for every app.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use litemap::LiteMap;

use tokio::sync::mpsc;
use tokio::time::timeout_at;
use tracing::{debug, info, warn};

use super::life_before::LifeBefore;
use super::listeners::Listeners;
use super::process_scans::{self, ProcessScans, StatusSender};
use super::reporter::Reporter;
use super::unit::{Unit, UnitId};
use crate::handlers::program::PreparedApp;
use crate::handlers::{self, HandlerReport, Purpose, RunningHandler};
use crate::http::{
    DeliveryGuard, Detail, Endpoint, HookCall, HookResponse, HookSender, LifecycleEvent, PreviousLife, Request,
    RunningHandlerSnapshot, StatusSnapshot,
};
use crate::process::pidfd::PidFd;
use crate::process::zombies::NegligentParent;
use crate::report::journal::{Record, handler_label, trigger_word};
use crate::report::timestamp::Timestamp;
use bookend_config::settings::{AppSettings, Settings};
use bookend_lifecycle::notify::Message;
use bookend_lifecycle::probe::{ProbeKind, ProbeRunId};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::sorted::collect_map;
use bookend_lifecycle::{Action, CallerId, Event, HandlerResult, Hook, Machine, Outcome, RunId, Time};

/// The process in another container, if it is there, or the reason why it cannot be found.
pub(super) type SearchResult = Result<Option<PidFd>, String>;

/// The report of a task to the loop.
#[derive(Debug)]
pub(super) enum TaskMessage {
    HandlerEnded(RunId, HandlerReport),
    /// The caller has its answer, or has gone away.
    CallerDone(UnitId, CallerId),
    ProbeEnded(ProbeKind, ProbeRunId, HandlerReport),
    /// The app has sent these with sd_notify.
    Notified(Vec<Message>),
    /// Only idle connections are left.
    ConnectionsIdle,
    /// The app's process in another container has ended.
    ProcessEnded(UnitId),
    /// The processes have been read: the parents that do not wait for their children.
    ZombiesFound(Vec<NegligentParent>),
    /// The search for the app's process in another container is over.
    SearchEnded(UnitId, SearchResult),
    /// The state file has been read: the life before.
    LifeBefore(Box<LifeBefore>),
    /// The files that the app needs have been read.
    AppPrepared(Box<PreparedApp>),
    /// The counters of the memory cgroup have changed.
    MemoryEvents,
    /// Of a reload.
    #[cfg(feature = "reload")]
    Reload(Box<super::reload::message::ReloadMessage>),
}

pub(super) struct Dispatcher {
    /// Events that the machines have not seen yet.
    events: VecDeque<(UnitId, Event)>,
    pub(super) messages: mpsc::Receiver<TaskMessage>,
    to_loop: mpsc::Sender<TaskMessage>,
    pub(super) requests: mpsc::Receiver<Request>,
    runs: LiteMap<RunId, ActiveRun>,
    callers: LiteMap<CallerId, Caller>,
    next_caller: u64,
    scans: ProcessScans,
    pub(super) listeners: Listeners,
    pub(super) reporter: Reporter,
}

/// A handler run that has not ended.
#[derive(Debug)]
struct ActiveRun {
    unit: UnitId,
    /// The name of the unit.
    container: Option<String>,
    hook: Hook,
    name: String,
    attempt: u32,
    started_at: Timestamp,
    began: Time,
    running: RunningHandler,
}

/// A caller that waits for the outcome of a hook.
#[derive(Debug)]
struct Caller {
    unit: UnitId,
    response: HookSender,
}

impl Dispatcher {
    pub(super) fn new(began: Instant, settings: &Settings) -> Dispatcher {
        let (to_loop, messages) = mpsc::channel(QUEUE);
        let (endpoint, requests) = Endpoint::new();
        Dispatcher {
            events: VecDeque::new(),
            messages,
            to_loop,
            requests,
            runs: LiteMap::new(),
            callers: LiteMap::new(),
            next_caller: 0,
            scans: ProcessScans::default(),
            listeners: Listeners::new(endpoint),
            reporter: Reporter::new(began, settings),
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.reporter.began()
    }

    /// The time since bookend began.
    pub(super) fn now(&self) -> Time {
        self.reporter.now()
    }

    pub(super) fn push(&mut self, unit: UnitId, event: Event) {
        self.events.push_back((unit, event));
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<(UnitId, Event)> {
        self.events.pop_front()
    }

    /// For a task that reports to the loop.
    pub(super) fn to_loop(&self) -> mpsc::Sender<TaskMessage> {
        self.to_loop.clone()
    }

    /// Carries out an action that is the same for every app; the loop does the others itself.
    pub(super) fn perform<M: Machine>(
        &mut self,
        id: UnitId,
        unit: &mut Unit<M>,
        settings: &AppSettings,
        action: Action,
    ) {
        match action {
            Action::StartHandler { run, hook, index, attempt, timeout } => {
                self.start_handler(id, unit, settings, HandlerStart { run, hook, index, attempt, timeout });
            }
            Action::AbortHandler(run) => self.abort_handler(unit, run),
            Action::Answer { caller, hook, outcome } => {
                unit.counters.answered(hook, outcome);
                self.answer(id, caller, outcome);
            }
            Action::SetTimer { timer, at } => drop(unit.timers.insert(timer, at)),
            Action::StartApp
            | Action::SignalApp(_)
            | Action::ContinueApp
            | Action::WatchConnections
            | Action::SendSecondSignal(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers
            | Action::Tell(_)
            | Action::Exit(_) => {}
        }
    }

    // ---- Callers of hooks -----------------------------------------------------------------------

    pub(super) fn hook_called(&mut self, unit: UnitId, call: &HookCall, response: HookSender) {
        let container = call.container.as_deref();
        self.reporter.publish(&LifecycleEvent::HookCalled { hook: call.hook.name(), container });
        self.forget_callers_that_hung_up();
        self.next_caller += 1;
        let caller = CallerId(self.next_caller);
        self.callers.insert(caller, Caller { unit, response });
        self.push(unit, Event::HookCalled { hook: call.hook, caller });
    }

    /// Keeps the number of callers below the number of connections.
    fn forget_callers_that_hung_up(&mut self) {
        let gone = self.callers.iter().filter(|(_, caller)| caller.response.is_closed());
        let gone: Vec<(CallerId, UnitId)> = gone.map(|(id, caller)| (*id, caller.unit)).collect();
        for (id, unit) in gone {
            self.callers.remove(&id);
            self.push(unit, Event::CallerDone(id));
        }
    }

    /// Sends a caller its answer. `CallerDone` follows when the answer is delivered, or at once if the caller hung up.
    fn answer(&mut self, unit: UnitId, id: CallerId, outcome: Outcome) {
        let (guard, delivery) = DeliveryGuard::new();
        let sent = self.callers.remove(&id).map(|caller| caller.response.send(HookResponse { outcome, guard }));
        if !matches!(sent, Some(Ok(()))) {
            return self.push(unit, Event::CallerDone(id));
        }
        let to_loop = self.to_loop();
        crate::tasks::spawn(async move {
            delivery.finished().await;
            let _ = to_loop.send(TaskMessage::CallerDone(unit, id)).await;
        });
    }

    /// The next request of a client that connected before the end, perhaps still in the port's backlog. The early bind
    /// invites such calls, so they must not find a reset. `None`: no client is left, or it is too late.
    ///
    /// A loop that has much else to do gets some turns more: a request may be behind other work.
    pub(super) async fn late_request(&mut self, end: Instant, turns: &mut u32) -> Option<Request> {
        let latest = end + self.reporter.delivery_time();
        while self.expects_clients().await && (Instant::now() < end || (*turns > 0 && Instant::now() < latest)) {
            *turns = turns.saturating_sub(1);
            let next = self.requests.recv();
            if let Ok(Some(request)) = timeout_at((Instant::now() + LATE_REQUEST_CHECK).into(), next).await {
                return Some(request);
            }
        }
        None
    }

    /// Whether a client is there, or may be about to come: a kubelet's postStart hook, soon after the start.
    async fn expects_clients(&self) -> bool {
        (self.listeners.has_port() && self.now() < FIRST_HOOK) || self.listeners.has_clients().await
    }

    // ---- Handlers -------------------------------------------------------------------------------

    /// Starts a handler; `HandlerEnded` follows.
    fn start_handler<M: Machine>(&mut self, id: UnitId, unit: &Unit<M>, settings: &AppSettings, start: HandlerStart) {
        let HandlerStart { run, hook, index, attempt, timeout } = start;
        let Some(handler) = unit.handler(hook, index) else {
            // Does not happen: the machine's plan was made from the same settings.
            return self.push(id, Event::HandlerEnded { run, result: HandlerResult::Failed });
        };
        let container = unit.name.as_deref();
        debug!(hook = hook.name(), container, handler = handler.name, ?timeout, "handler started");
        // Taken before the start: when that returns, the program may already be running.
        let (began, started_at) = (self.now(), Timestamp::now());
        let env = unit.handler_env(settings, Some(hook), &handler.name, self.listeners.socket_path(), began);
        #[cfg(feature = "otel")]
        let env = self.reporter.trace.attempt_began(began, container, hook, handler, env);
        let (running, report) = handlers::start(handler, Purpose::Hook(hook), timeout, env, &unit.context);
        self.reporter.publish(&LifecycleEvent::HandlerStarted { hook: hook.name(), container, name: &handler.name });
        let name = handler.name.clone();
        self.runs.insert(
            run,
            ActiveRun { unit: id, container: unit.name.clone(), hook, name, attempt, started_at, began, running },
        );
        let to_loop = self.to_loop();
        crate::tasks::spawn(async move {
            if let Ok(report) = report.await {
                // The loop is gone only when the process is.
                let _ = to_loop.send(TaskMessage::HandlerEnded(run, report)).await;
            }
        });
    }

    /// The unit whose handler this run is; `None` if the run was aborted.
    pub(super) fn unit_of(&self, run: RunId) -> Option<UnitId> {
        self.runs.get(&run).map(|run| run.unit)
    }

    /// Whether this process belongs to an exec handler of this hook that runs.
    pub(super) fn is_from_handler(&self, hook: Hook, pid: u32) -> bool {
        let pid = i32::try_from(pid).unwrap_or(0);
        pid > 0 && self.runs.iter().any(|(_, run)| run.hook == hook && run.running.includes(pid))
    }

    /// Records a run that ended by itself.
    pub(super) fn handler_ended<M: Machine>(
        &mut self,
        id: UnitId,
        unit: &mut Unit<M>,
        run: RunId,
        report: HandlerReport,
    ) {
        let HandlerReport { result, detail, output, set } = report;
        if let Some(ended) = self.runs.remove(&run) {
            self.record(unit, ended, result, detail, output);
        }
        if result == HandlerResult::Succeeded {
            unit.variables.extend(set);
        }
        self.push(id, Event::HandlerEnded { run, result });
    }

    /// Ends a run; no report of it follows.
    fn abort_handler<M: Machine>(&mut self, unit: &mut Unit<M>, run: RunId) {
        if let Some(run) = self.runs.remove(&run) {
            let running = self.record(unit, run, HandlerResult::Aborted, "aborted".to_owned(), Vec::new());
            running.abort();
        }
    }

    fn record<M: Machine>(
        &mut self,
        unit: &mut Unit<M>,
        run: ActiveRun,
        result: HandlerResult,
        detail: String,
        output: Vec<String>,
    ) -> RunningHandler {
        let ActiveRun { hook, name, attempt, started_at, began, running, .. } = run;
        let took = self.now().saturating_sub(began);
        let (container, took_seconds) = (unit.name.as_deref(), Seconds(took).to_f64());
        match result {
            HandlerResult::Succeeded => {
                debug!(hook = hook.name(), container, handler = name, took_seconds, "handler succeeded");
            }
            HandlerResult::Aborted => {
                info!(hook = hook.name(), container, handler = name, took_seconds, "handler aborted")
            }
            HandlerResult::Failed | HandlerResult::TimedOut => {
                warn!(hook = hook.name(), container, handler = name, took_seconds, "handler failed: {detail}");
            }
        }
        unit.counters.ran(hook.name(), &name, result, took);
        let record = Record {
            container: unit.name.clone(),
            hook: hook.name(),
            name,
            attempt,
            trigger: trigger_word(hook, unit.trigger()),
            started_at,
            started_seconds: Seconds(began),
            took_seconds: Seconds(took),
            result,
            detail,
            output,
        };
        self.reporter.publish(&LifecycleEvent::HandlerEnded(&record));
        #[cfg(feature = "otel")]
        self.reporter.trace.attempt_ended(&record);
        self.reporter.journal.record(self.now(), record);
        running
    }

    // ---- Status ---------------------------------------------------------------------------------

    /// Called after a round of reaping that found orphans.
    pub(super) fn found_orphans(&mut self) {
        if self.reporter.is_scan_due() {
            self.scan();
        }
    }

    fn scan(&mut self) {
        if self.scans.begin() {
            let to_loop = self.to_loop();
            crate::tasks::spawn(async move {
                let _ = to_loop.send(TaskMessage::ZombiesFound(process_scans::scan().await)).await;
            });
        }
    }

    /// Puts a full status off if it needs a newer look at the processes. Returns the sender of one that need not wait.
    pub(super) fn defer_status(&mut self, response: StatusSender) -> Option<StatusSender> {
        if !self.reporter.is_scan_stale() {
            return Some(response);
        }
        self.scans.wait(response);
        self.scan();
        None
    }

    /// Takes the result of a scan. Returns the requests that waited for it.
    pub(super) fn scanned(&mut self, found: Vec<NegligentParent>) -> Vec<StatusSender> {
        self.reporter.scanned(found);
        self.scans.completed()
    }

    /// The part of `/status` that does not depend on the kind of the loop.
    pub(super) fn status(&mut self, detail: Detail) -> StatusSnapshot {
        let status = StatusSnapshot {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.reporter.started_at,
            uptime_seconds: Seconds(self.now()),
            previous_life: self.reporter.past.as_ref().and_then(PreviousLife::of),
            stop_began_at: self.reporter.journal.origin().map(|began| self.reporter.wall_clock(began)),
            stop_began_seconds: self.reporter.journal.origin().map(Seconds),
            ..StatusSnapshot::default()
        };
        match detail {
            Detail::Health | Detail::Report => status,
            Detail::Everything => {
                let (zombies, zombie_parents) = self.reporter.zombies();
                StatusSnapshot {
                    zombies,
                    zombie_parents,
                    handlers: self.reporter.journal.records().cloned().collect(),
                    running: self.unfinished(),
                    timeline: self.reporter.journal.timeline().collect(),
                    ..status
                }
            }
        }
    }

    /// The handlers that run, the oldest first.
    fn unfinished(&self) -> Vec<RunningHandlerSnapshot> {
        let runs = collect_map(self.runs.iter().map(|(id, run)| ((run.began, *id), run)));
        let shown = |run: &ActiveRun| RunningHandlerSnapshot {
            container: run.container.clone(),
            hook: run.hook.name(),
            name: run.name.clone(),
            started_at: run.started_at,
            started_seconds: Seconds(run.began),
        };
        runs.values().copied().map(shown).collect()
    }

    /// Writes how far the stop has come.
    pub(super) fn report_progress(&mut self, status: &StatusSnapshot) {
        let oldest = self.runs.values().min_by_key(|run| run.began);
        let runs = oldest.map(|run| handler_label(run.container.as_deref(), run.hook.name(), &run.name));
        self.reporter.report_progress(status, runs.as_deref());
    }

    /// Closes the socket, and writes the stop report.
    pub(super) fn finish(&mut self, code: u8, status: Option<&StatusSnapshot>) {
        self.listeners.remove_socket();
        self.reporter.finish(code, status);
    }
}

/// The content of [`Action::StartHandler`].
struct HandlerStart {
    run: RunId,
    hook: Hook,
    index: usize,
    attempt: u32,
    timeout: Option<Duration>,
}

/// By then a kubelet's postStart hook has come: 3 to 15 ms after the container's start, and 100 ms where many start at once.
const FIRST_HOOK: Duration = Duration::from_millis(100);
/// How often the exit checks whether a client is left.
const LATE_REQUEST_CHECK: Duration = Duration::from_millis(2);
/// The length of the queue of messages. Each task has one message at a time.
const QUEUE: usize = 64;

#[cfg(test)]
mod tests;
