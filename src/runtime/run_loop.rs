//! The loop of the container and of the sidecar. One thread, one owner of the state.
//!
//! A round: apply every queued event to its machine and perform the actions; then wait for one input, which the
//! supervisor turns into events. When a machine's `Exit` is performed, late requests are answered, the followers of
//! `/events` get the report, and the loop ends.

use std::time::{Duration, Instant};

#[cfg(feature = "reload")]
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until, timeout_at};
use tracing::debug;

use super::dispatcher::{Dispatcher, TaskMessage};
use super::followers;
use super::unit::{Unit, UnitId};
use crate::http::{
    Delivery, DeliveryGuard, Detail, HookCall, HookResponse, HookSender, LifecycleEvent, Request, StatusSnapshot,
};
use crate::process::signals::Signals;
use crate::report::timestamp::Timestamp;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, Event, Machine, Outcome, PhaseName, Time};

/// The owner of the state: [`super::container`] or [`super::sidecar`].
pub(super) trait Supervisor {
    type Machine: Machine;

    fn dispatcher(&mut self) -> &mut Dispatcher;

    /// A unit, and the dispatcher beside it.
    fn unit(&mut self, id: UnitId) -> Option<(&mut Dispatcher, &mut Unit<Self::Machine>)>;

    /// The unit whose hooks have this container name in their path.
    fn find_unit(&self, container: Option<&str>) -> Option<UnitId>;

    fn phase(&self) -> PhaseName;

    fn snapshot(&mut self, detail: Detail) -> StatusSnapshot;

    // ---- Inputs: they queue events ----

    /// `sender` is a pid, or 0 if it is not known.
    fn on_signal(&mut self, signal: Signal, sender: u32);

    /// A message that only one of the loops has tasks for.
    fn on_message(&mut self, message: TaskMessage);

    /// A hook of this unit was called. Returns the call if its event is to be queued now; `None`: it was put off.
    fn on_hook_call(&mut self, _: UnitId, call: HookCall, response: HookSender) -> Option<(HookCall, HookSender)> {
        Some((call, response))
    }

    /// Takes the calls that were put off.
    fn waiting_calls(&mut self) -> Vec<(HookCall, HookSender)> {
        Vec::new()
    }

    /// `bookend stop`.
    fn on_stop_request(&mut self);

    /// `bookend signal`; the error is for the client.
    fn on_signal_request(&mut self, signal: Signal) -> Result<(), &'static str>;

    /// `bookend reload`.
    #[cfg(feature = "reload")]
    fn on_reload_request(&mut self, name: Option<&str>, response: oneshot::Sender<crate::http::ReloadAnswer>);

    /// The time that `next_due` named has come.
    fn on_due(&mut self);

    /// Called when no input waits, if there is idle work.
    fn on_idle(&mut self) {}

    // ---- Outputs ----

    /// Carries out one action. The exit code, if that was the last one.
    fn perform(&mut self, id: UnitId, action: Action) -> Option<u8>;

    /// Called before an event is applied.
    fn before_event(&mut self, _: Event) {}

    /// Called when all actions of an event are performed.
    fn event_done(&mut self, _: Event) {}

    /// The last thing before the exit.
    fn leave(&mut self) {}

    // ---- Between the rounds ----

    /// Whether a look at the children is put off, so that no SIGCHLD is read.
    fn holds_sigchld(&self) -> bool;

    /// May queue events.
    fn before_wait(&mut self) {}

    /// The next time at which there is something to do.
    fn next_due(&self) -> Option<Time>;

    /// Whether `on_idle` has something to do.
    fn has_idle_work(&self) -> bool {
        false
    }
}

/// Runs until the exit; returns the exit code.
pub(super) async fn run<S: Supervisor>(supervisor: &mut S, signals: &mut Signals) -> u8 {
    #[cfg(feature = "otel")]
    supervisor.dispatcher().reporter.trace.report_refusal();
    let code = 'life: loop {
        while let Some((id, event)) = supervisor.dispatcher().pop() {
            if let Some(code) = apply(supervisor, id, event) {
                break 'life code;
            }
        }
        supervisor.before_wait();
        if supervisor.dispatcher().has_events() {
            continue;
        }
        if supervisor.dispatcher().reporter.is_report_due() {
            let status = supervisor.snapshot(Detail::Report);
            supervisor.dispatcher().report_progress(&status);
        }
        let next_report = supervisor.dispatcher().reporter.next_report();
        let due = supervisor.next_due().into_iter().chain(next_report).min();
        let (holds_sigchld, has_idle_work) = (supervisor.holds_sigchld(), supervisor.has_idle_work());
        let signal = signals.next(holds_sigchld);
        match wait(supervisor.dispatcher(), signal, due, has_idle_work).await {
            Input::Signal(signal, sender) => supervisor.on_signal(signal, sender),
            Input::Message(message) => on_message(supervisor, message),
            Input::Request(request) => on_request(supervisor, request),
            Input::Due => supervisor.on_due(),
            Input::Idle => supervisor.on_idle(),
        }
    };
    answer_late_requests(supervisor).await;
    let reporter = &mut supervisor.dispatcher().reporter;
    let followers = std::mem::take(&mut reporter.followers);
    let time = reporter.delivery_time();
    #[cfg(feature = "otel")]
    let end = Instant::now() + time;
    followers::deliver(followers, time).await;
    #[cfg(feature = "otel")]
    reporter.trace.delivered(end).await;
    supervisor.leave();
    code
}

/// Lets a machine decide about one event, and performs its actions. The exit code, if that was the last event.
pub(super) fn apply<S: Supervisor>(supervisor: &mut S, id: UnitId, event: Event) -> Option<u8> {
    let before = supervisor.phase();
    supervisor.before_event(event);
    let (dispatcher, unit) = supervisor.unit(id)?;
    debug!(container = unit.name, ?event, "event");
    let actions = unit.machine.apply(dispatcher.now(), event);
    let phase = supervisor.phase();
    if phase != before {
        supervisor.dispatcher().reporter.publish(&LifecycleEvent::Phase { phase });
    }
    for action in actions {
        if let Some(code) = supervisor.perform(id, action) {
            return Some(code);
        }
    }
    supervisor.event_done(event);
    None
}

/// An input of the loop.
enum Input {
    Signal(Signal, u32),
    Message(TaskMessage),
    Request(Request),
    Due,
    Idle,
}

/// Waits for one input; the order is their priority.
async fn wait(
    dispatcher: &mut Dispatcher,
    signal: impl Future<Output = (Signal, u32)>,
    due: Option<Time>,
    has_idle_work: bool,
) -> Input {
    let mut signal = std::pin::pin!(signal);
    loop {
        let log_is_late = crate::report::log::flush();
        let due = due.map(|at| dispatcher.began() + at);
        tokio::select! {
            biased;
            (signal, sender) = &mut signal => return Input::Signal(signal, sender),
            Some(message) = dispatcher.messages.recv() => return Input::Message(message),
            Some(request) = dispatcher.requests.recv() => return Input::Request(request),
            () = at(due) => return Input::Due,
            () = sleep(LOG_RETRY), if log_is_late => {}
            () = yield_now(), if has_idle_work => return Input::Idle,
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn on_message<S: Supervisor>(supervisor: &mut S, message: TaskMessage) {
    match message {
        TaskMessage::HandlerEnded(run, report) => {
            let id = supervisor.dispatcher().unit_of(run);
            if let Some((id, (dispatcher, unit))) = id.and_then(|id| Some((id, supervisor.unit(id)?))) {
                dispatcher.handler_ended(id, unit, run, report);
            }
        }
        TaskMessage::ZombiesFound(found) => {
            for response in supervisor.dispatcher().scanned(found) {
                drop(response.send(Box::new(supervisor.snapshot(Detail::Everything))));
            }
        }
        TaskMessage::CallerDone(id, caller) => supervisor.dispatcher().push(id, Event::CallerDone(caller)),
        message => supervisor.on_message(message),
    }
}

fn on_request<S: Supervisor>(supervisor: &mut S, request: Request) {
    // The client may have hung up; a failed send is harmless.
    match request {
        Request::Hook(call, response) => {
            // The endpoint refuses the names of other containers.
            let Some(id) = supervisor.find_unit(call.container.as_deref()) else { return };
            if let Some((call, response)) = supervisor.on_hook_call(id, call, response) {
                supervisor.dispatcher().hook_called(id, &call, response);
            }
        }
        Request::Status(Detail::Everything, response) => {
            if let Some(response) = supervisor.dispatcher().defer_status(response) {
                drop(response.send(Box::new(supervisor.snapshot(Detail::Everything))));
            }
        }
        Request::Status(detail, response) => drop(response.send(Box::new(supervisor.snapshot(detail)))),
        Request::Follow(peer, response) => {
            let phase = supervisor.phase();
            let dispatcher = supervisor.dispatcher();
            let now = dispatcher.now();
            drop(response.send(dispatcher.reporter.subscribers.subscribe(now, Timestamp::now(), phase, peer)));
        }
        Request::Stop(response) => {
            supervisor.on_stop_request();
            let _ = response.send(());
        }
        Request::Signal(signal, response) => {
            let _ = response.send(supervisor.on_signal_request(signal));
        }
        #[cfg(feature = "reload")]
        Request::Reload(name, response) => supervisor.on_reload_request(name.as_deref(), response),
    }
}

/// Answers the clients that connected before the end.
async fn answer_late_requests<S: Supervisor>(supervisor: &mut S) {
    let end = Instant::now() + LATE_REQUESTS;
    let mut answers = LateAnswers::default();
    let answer = |supervisor: &mut S, answers: &mut LateAnswers, call: HookCall, response| {
        let id = supervisor.find_unit(call.container.as_deref());
        if let Some((_, unit)) = id.and_then(|id| supervisor.unit(id)) {
            answers.answer(response, unit.machine.late_outcome(call.hook));
        }
    };
    for (call, response) in supervisor.waiting_calls() {
        answer(supervisor, &mut answers, call, response);
    }
    let mut turns = LATE_TURNS;
    while let Some(request) = supervisor.dispatcher().late_request(end, &mut turns).await {
        match request {
            Request::Hook(call, response) => answer(supervisor, &mut answers, call, response),
            Request::Status(detail, response) => drop(response.send(Box::new(supervisor.snapshot(detail)))),
            // Too late: the drop of the sender is the answer.
            Request::Stop(_) | Request::Signal(..) | Request::Follow(..) => {}
            #[cfg(feature = "reload")]
            Request::Reload(..) => {}
        }
    }
    let time = supervisor.dispatcher().reporter.delivery_time().max(LATE_REQUESTS);
    answers.delivered(Instant::now() + time).await;
}

/// The answers to callers that came when everything was over.
#[derive(Debug, Default)]
struct LateAnswers(Vec<Delivery>);

impl LateAnswers {
    fn answer(&mut self, response: HookSender, outcome: Outcome) {
        let (guard, delivery) = DeliveryGuard::new();
        if response.send(HookResponse { outcome, guard }).is_ok() {
            self.0.push(delivery);
        }
    }

    /// Waits until all are delivered, or it is too late.
    async fn delivered(self, end: Instant) {
        for delivery in self.0 {
            let _ = timeout_at(end.into(), delivery.finished()).await;
        }
    }
}

/// How long the exit waits for late requests, and then for the delivery of their answers.
const LATE_REQUESTS: Duration = Duration::from_millis(20);
/// The least number of turns of the loop for late requests, however long they take.
const LATE_TURNS: u32 = 10;
/// The interval at which log lines are retried that the reader of stderr did not take.
const LOG_RETRY: Duration = Duration::from_millis(50);
