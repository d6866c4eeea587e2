//! What every loop of ours has, whatever it supervises: the handlers that run, the callers who wait, the doors they
//! come through, the story so far. Decides nothing; the loop asks its machine, and does here what that says.

mod story;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tracing::{debug, info, warn};

use crate::handlers::program::{Environment, ProgramError};
use crate::handlers::{self, HandlerContext, Purpose, Report, Running};
use crate::http::{self, ControlSocket, Endpoint, HookCall, HookResponse, LifecycleEvent, Request, Rules, Subscribers};
use crate::process::inherited::Inherited;
use crate::process::leftovers;
use crate::process::reaper::Reaper;
use crate::process::zombies::{NegligentParent, Watch};
use crate::report::counters::Counters;
use crate::report::journal::{Journal, Record, trigger_word};
use bookend_config::settings::{Handler, Settings};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{CallerId, HandlerResult, Hook, Outcome, RunId, Time, Trigger};

/// What tasks tell the loop.
#[derive(Debug)]
pub(crate) enum Input {
    Reported(RunId, Report),
    CallerDone(CallerId),
}

/// A handler run that is going on.
#[derive(Debug)]
struct Run {
    hook: Hook,
    /// Whose app it is for; `None`: the one that has no name.
    container: Option<String>,
    name: String,
    attempt: u32,
    began: Time,
    running: Running,
}

/// A handler run that is to begin.
pub(crate) struct Start<'a> {
    pub(crate) run: RunId,
    pub(crate) hook: Hook,
    pub(crate) container: Option<&'a str>,
    pub(crate) attempt: u32,
    pub(crate) timeout: Option<Duration>,
}

/// See the module.
pub(crate) struct Dispatcher {
    pub(crate) began: Instant,
    pub(crate) journal: Journal,
    zombies: Watch,
    /// What the last look for them has found.
    guilty: Vec<NegligentParent>,
    runs: SmallMap<RunId, Run>,
    callers: SmallMap<CallerId, oneshot::Sender<HookResponse>>,
    next_caller: u64,
    pub(crate) inputs: mpsc::Receiver<Input>,
    to_inputs: mpsc::Sender<Input>,
    pub(crate) requests: mpsc::Receiver<Request>,
    /// What the endpoint's tasks hold; it counts their connections.
    endpoint: Endpoint,
    /// A port was bound before everything else.
    has_port: bool,
    socket: Option<ControlSocket>,
    pub(crate) subscribers: Subscribers,
}

impl Dispatcher {
    pub(crate) fn new(began: Instant) -> Dispatcher {
        let (to_inputs, inputs) = mpsc::channel(QUEUE);
        let (endpoint, requests) = Endpoint::new();
        Dispatcher {
            began,
            journal: Journal::default(),
            zombies: Watch::default(),
            guilty: Vec::new(),
            runs: SmallMap::new(),
            callers: SmallMap::new(),
            next_caller: 0,
            inputs,
            to_inputs,
            requests,
            endpoint,
            has_port: false,
            socket: None,
            subscribers: Subscribers::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.began.elapsed()
    }

    pub(crate) fn publish(&mut self, happening: &LifecycleEvent<'_>) {
        self.subscribers.publish(self.began.elapsed(), happening);
    }

    // ---- The doors ------------------------------------------------------------------------------

    /// Begins to answer what has been waiting in the listener's backlog.
    pub(crate) fn open_port(&mut self, listener: TcpListener, settings: &Settings) {
        let Some(http) = &settings.http else { return };
        let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
        match listener {
            Ok(listener) => {
                self.has_port = true;
                let rules = Rules::of_port(http, settings);
                tokio::spawn(http::serve_port(listener, self.endpoint.clone(), rules));
            }
            Err(error) => warn!(%error, "cannot serve HTTP: going on without"),
        }
    }

    /// Opens the door of the command line. The app runs already, or preStart handlers are about to.
    pub(crate) fn open_socket(&mut self, settings: &Settings) {
        let Some((path, was_asked_for)) = settings.socket.path() else { return };
        let opened = ControlSocket::open(path).map_err(|error| crate::error::describe(&error));
        let served = opened.and_then(|(listener, socket)| {
            let listener = tokio::net::UnixListener::from_std(listener).map_err(|error| error.to_string())?;
            Ok((listener, socket))
        });
        match served {
            Ok((listener, socket)) => {
                self.socket = Some(socket);
                let rules = Rules::of_socket(settings);
                tokio::spawn(http::serve_socket(listener, self.endpoint.clone(), rules));
            }
            Err(error) if was_asked_for => warn!("{error}: going on without a socket for the command line"),
            // No root, a read-only /run: an init that nobody configured has nothing to say about that.
            Err(error) => info!("{error}: going on without a socket for the command line"),
        }
    }

    /// Where the command line can reach us.
    pub(crate) fn socket_path(&self) -> Option<&Path> {
        self.socket.as_ref().map(ControlSocket::path)
    }

    // ---- Callers --------------------------------------------------------------------------------

    /// Takes in somebody who called a hook; and who has hung up meanwhile: there are never more of them than connections.
    pub(crate) fn enter(
        &mut self,
        called: &HookCall,
        answer: oneshot::Sender<HookResponse>,
    ) -> (CallerId, Vec<CallerId>) {
        let container = called.container.as_deref();
        self.publish(&LifecycleEvent::HookCalled { hook: called.hook.name(), container });
        let gone: Vec<_> =
            self.callers.iter().filter(|(_, answer)| answer.is_closed()).map(|(gone, _)| *gone).collect();
        self.callers.retain(|caller| gone.binary_search(caller).is_err());
        self.next_caller += 1;
        let caller = CallerId(self.next_caller);
        self.callers.insert(caller, answer);
        (caller, gone)
    }

    /// `CallerDone` follows when the answer is taken. False: the caller hung up.
    pub(crate) fn answer(&mut self, caller: CallerId, outcome: Outcome) -> bool {
        let (receipt, taken) = oneshot::channel();
        let sent = self.callers.remove(&caller).map(|sender| sender.send(HookResponse { outcome, receipt }));
        if !matches!(sent, Some(Ok(()))) {
            return false;
        }
        let inputs = self.to_inputs.clone();
        tokio::spawn(async move {
            // The receipt is never sent, only dropped: with the last byte of the connection.
            let _ = taken.await;
            let _ = inputs.send(Input::CallerDone(caller)).await;
        });
        true
    }

    /// Who was on the way when everything ended: in the port's backlog, in the queue. The early bind invites them, so
    /// they are not to find a reset. `None`: nobody comes any more, or it is too late.
    pub(crate) async fn late_ask(&mut self, end: Instant) -> Option<Request> {
        while self.somebody_may_come().await && Instant::now() < end {
            if let Ok(Some(request)) =
                timeout_at((Instant::now() + LATE_LOOK).min(end).into(), self.requests.recv()).await
            {
                return Some(request);
            }
        }
        None
    }

    /// Whether somebody is there, or not to be seen yet: a kubelet's postStart hook, soon after the start.
    async fn somebody_may_come(&self) -> bool {
        if self.has_port && self.now() < FIRST_HOOK {
            return true;
        }
        // Once round the loop for the kernel to say who waits in a backlog, and once for the listener to take them in.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        self.endpoint.connections() > 0
    }

    // ---- Handlers -------------------------------------------------------------------------------

    /// Starts a handler; its report arrives among the inputs.
    pub(crate) fn start(
        &mut self,
        start: Start<'_>,
        handler: &Handler,
        env: Result<Environment, ProgramError>,
        context: &HandlerContext,
    ) {
        let Start { run: id, hook, container, attempt, timeout } = start;
        debug!(hook = hook.name(), container, handler = handler.name, ?timeout, "handler started");
        // Before it is there: a program may be well on its way when its start returns.
        let began = self.now();
        let (running, report) = match env {
            Ok(env) => handlers::start(handler, Purpose::Hook(hook), timeout, env, context),
            Err(error) => handlers::failed(&error),
        };
        self.publish(&LifecycleEvent::HandlerStarted { hook: hook.name(), container, name: &handler.name });
        let container = container.map(str::to_owned);
        self.runs.insert(id, Run { hook, container, name: handler.name.clone(), attempt, began, running });
        let inputs = self.to_inputs.clone();
        tokio::spawn(async move {
            if let Ok(report) = report.await {
                // The loop is gone only when the process is.
                let _ = inputs.send(Input::Reported(id, report)).await;
            }
        });
    }

    /// Takes down a run that is over by itself. `trigger`: what began the stop that is going on.
    pub(crate) fn reported(&mut self, id: RunId, report: Report, trigger: Option<Trigger>, counters: &mut Counters) {
        if let Some(run) = self.runs.remove(&id) {
            self.record(&run, report.result, report.detail, report.output, trigger, counters);
        }
    }

    /// Ends a run; nothing more is heard of it.
    pub(crate) fn abort(&mut self, id: RunId, trigger: Option<Trigger>, counters: &mut Counters) {
        if let Some(run) = self.runs.remove(&id) {
            self.record(&run, HandlerResult::Aborted, "aborted".to_owned(), Vec::new(), trigger, counters);
            run.running.abort();
        }
    }

    fn record(
        &mut self,
        run: &Run,
        result: HandlerResult,
        detail: String,
        output: Vec<String>,
        trigger: Option<Trigger>,
        counters: &mut Counters,
    ) {
        let took = self.now().saturating_sub(run.began);
        let hook = run.hook.name();
        let container = run.container.as_deref();
        match result {
            HandlerResult::Succeeded => {
                debug!(hook, container, handler = run.name, took_ms = millis(took), "handler succeeded")
            }
            HandlerResult::Aborted => {
                info!(hook, container, handler = run.name, took_ms = millis(took), "handler aborted")
            }
            HandlerResult::Failed | HandlerResult::TimedOut => {
                warn!(hook, container, handler = run.name, took_ms = millis(took), "handler failed: {detail}")
            }
        }
        let record = Record {
            container: run.container.clone(),
            hook,
            name: run.name.clone(),
            attempt: run.attempt,
            trigger: trigger_word(run.hook, trigger),
            started_ms: millis(run.began),
            took_ms: millis(took),
            result,
            detail,
            output,
        };
        self.publish(&LifecycleEvent::HandlerEnded(&record));
        counters.ran(hook, &run.name, result, took);
        self.journal.record(self.began.elapsed(), record);
    }
}

/// Answers to those who came when everything was over; they are taken, or it is too late.
#[derive(Debug, Default)]
pub(crate) struct Receipts(Vec<oneshot::Receiver<std::convert::Infallible>>);

impl Receipts {
    pub(crate) fn answer(&mut self, answer: oneshot::Sender<HookResponse>, outcome: Outcome) {
        let (receipt, taken) = oneshot::channel();
        if answer.send(HookResponse { outcome, receipt }).is_ok() {
            self.0.push(taken);
        }
    }

    pub(crate) async fn taken(self, end: Instant) {
        for taken in self.0 {
            // The receipt is only ever dropped: with the last byte, or with the caller.
            let _ = timeout_at(end.into(), taken).await;
        }
    }
}

/// The port is in use, or the address is not ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (http.listen)")]
pub(crate) struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// The pod-facing port, if there is to be one; before everything else, so that a hook finds it.
pub(crate) fn bind(settings: &Settings) -> Result<Option<TcpListener>, ListenError> {
    let Some(http) = &settings.http else { return Ok(None) };
    // std sets SO_REUSEADDR and close-on-exec; the backlog holds what comes before the runtime does.
    let bound = TcpListener::bind(http.listen);
    bound.map(Some).map_err(|source| ListenError { address: http.listen, source })
}

/// What a loop runs in.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().event_interval(TASKS_AT_ONCE).build()
}

/// Who tells us of the end of whom, as the settings say.
pub(crate) fn take_place(settings: &Settings, inherited: &Inherited) {
    if let Some(signal) = settings.pdeath_signal {
        // A kernel that refuses it is older than every container.
        let _ = inherited.ask_for_parent_death(signal);
    }
    if settings.subreaper.unwrap_or(!crate::process::is_first_process()) {
        // Refused by nobody; a kernel without it leaves orphans to PID 1, as they always were.
        let _ = crate::process::become_subreaper();
    }
}

/// Nobody else ends what we have begun; PID 1's namespace dies with it.
pub(crate) fn end_what_is_left(reaper: &Reaper) {
    if !crate::process::is_first_process() && reaper.reap().others {
        leftovers::signal_all(Signal::KILL);
    }
}

/// Waits for the next alarm; for ever, if none is set.
pub(crate) async fn ring<T>(began: Instant, alarm: Option<(T, Time)>) -> T {
    match alarm {
        Some((timer, at)) => {
            tokio::time::sleep_until((began + at).into()).await;
            timer
        }
        None => std::future::pending().await,
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// So many tasks have a turn before it is looked whether a signal has come: any client may make one work for
/// milliseconds, with the hello of a TLS handshake.
const TASKS_AT_ONCE: u32 = 2;
/// How long the exit waits for those who are on their way, and then for their answers to be taken.
pub(crate) const LATE_ASKS: Duration = Duration::from_millis(20);
/// By then a kubelet's postStart hook has come: 3 to 15 ms after the container's start, and 100 ms where many start at once.
const FIRST_HOOK: Duration = Duration::from_millis(100);
/// How often it looks meanwhile whether anybody is left.
const LATE_LOOK: Duration = Duration::from_millis(2);
/// How often a log that nobody read is tried again; no wake-up happens while nothing is kept.
pub(crate) const LOG_AGAIN: Duration = Duration::from_millis(50);
/// Tasks that have something to say wait here; each has one thing to say.
pub(crate) const QUEUE: usize = 64;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;
    use bookend_config::{Document, Sources};

    fn in_runtime<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    /// A desk with a port, in a life that began then.
    fn dispatcher(began: Instant) -> (Dispatcher, SocketAddr) {
        let file = Document { name: "file".to_owned(), text: "http.listen = \"127.0.0.1:0\"".to_owned() };
        let settings = bookend_config::load(&Sources { files: vec![file], ..Sources::default() }).unwrap().settings;
        let listener = bind(&settings).unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        let mut dispatcher = Dispatcher::new(began);
        dispatcher.open_port(listener, &settings);
        (dispatcher, address)
    }

    fn long_ago() -> Instant {
        Instant::now().checked_sub(FIRST_HOOK).unwrap()
    }

    #[test]
    fn where_nobody_is_on_the_way_nobody_is_waited_for() {
        in_runtime(async {
            let (mut dispatcher, _) = dispatcher(long_ago());
            let began = Instant::now();
            assert!(dispatcher.late_ask(began + Duration::from_secs(60)).await.is_none());
            assert!(began.elapsed() < Duration::from_secs(30));
        });
    }

    #[test]
    fn who_waits_in_the_backlog_is_waited_for() {
        in_runtime(async {
            let (mut dispatcher, address) = dispatcher(long_ago());
            let mut caller = TcpStream::connect(address).unwrap();
            caller.write_all(b"GET /lifecycle/preStop HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let request = dispatcher.late_ask(Instant::now() + Duration::from_secs(60)).await;
            assert!(matches!(request, Some(Request::Hook(..))), "{request:?}");
        });
    }

    #[test]
    fn soon_after_the_start_a_post_start_hook_is_waited_for_that_nobody_has_seen() {
        in_runtime(async {
            // A beginning in the future: this life stays young however slow the machine is.
            let (mut dispatcher, address) = dispatcher(Instant::now() + Duration::from_secs(60));
            let caller = std::thread::spawn(move || {
                let mut caller = TcpStream::connect(address).unwrap();
                caller.write_all(b"GET /lifecycle/postStart HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                caller
            });
            let request = dispatcher.late_ask(Instant::now() + Duration::from_secs(60)).await;
            assert!(matches!(request, Some(Request::Hook(..))), "{request:?}");
            drop(caller.join().unwrap());
        });
    }
}
