//! The loop of a container; with a sidecar's, the only room that knows both sides: it turns signals, ends of children, handler reports,
//! hooks and alarms into events, lets the lifecycle decide, and carries out what it says.
//!
//! The order at the start is the order of the promises: all signals blocked (nothing is lost) · listener bound
//! (the hook finds its port) · app spawned (with the mask as we found it) · only then the runtime. The app
//! starts before the runtime has cost anything; preStart handlers, where configured, need it earlier.

mod boot;
mod connections;
mod handler_env;
mod job_control;
mod perform;
mod probing;
mod reap_throttle;

use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::debug;

pub(crate) use boot::run;

use connections::Connections;

use crate::compat::policy::{Leftovers, Policy};
use crate::handlers::program::Variables;
use crate::handlers::{HandlerContext, Report};
use crate::http::{HookCall, HookResponse, LifecycleEvent, Request};
use crate::process::last_resort;
use crate::process::reaper::{Ended, Reaper};
use crate::process::signals::{SigchldGuard, Signals};
use crate::report::counters::Counters;
use crate::runtime::dispatcher::{self, Dispatcher, LATE_ASKS, LOG_AGAIN, Receipts, ring};
use bookend_config::settings::Settings;
use bookend_lifecycle::notify::Message;
use bookend_lifecycle::probe::{ProbeKind, ProbeRunId};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{Action, AppStatus, ContainerLifecycle, Event, HandlerResult, Time, Timer};
use probing::Probing;
use reap_throttle::ReapThrottle;

/// What tasks tell the loop, beside what the desk's do.
#[derive(Debug)]
enum Input {
    Probed(ProbeKind, ProbeRunId, Report),
    /// What the app says of itself.
    Notified(Vec<Message>),
    /// Whether connections are left, all of them idle.
    ConnectionsIdle(bool),
}

/// The owner of the state.
struct ContainerLoop {
    settings: Settings,
    policy: Policy,
    /// The names of those who got SIGKILL because they had not gone.
    leftovers: String,
    lifecycle: ContainerLifecycle,
    dispatcher: Dispatcher,
    counters: Counters,
    timers: SmallMap<Timer, Time>,
    events: VecDeque<Event>,
    context: HandlerContext,
    /// What preStart handlers have set in the app's environment.
    set: Variables,
    /// What the app was given beside what bookend was started with; `None`: it is not started yet.
    variables: Option<Variables>,
    /// When the app was started, and when it had ended.
    app_since: Option<Time>,
    app_until: Option<Time>,
    app_ended: Option<AppStatus>,
    /// The app's connections, from the stop signal on.
    connections: Option<Connections>,
    /// The namespace's counter of new connections when the stop began; `None` where it cannot be had or counts others.
    arrivals_before: Option<u64>,
    /// The stop has begun, and that counter is still to be read.
    arrivals_due: bool,
    probing: Probing,
    reap_throttle: ReapThrottle,
    sigchld_guard: Option<SigchldGuard>,
    inputs: mpsc::Receiver<Input>,
    to_inputs: mpsc::Sender<Input>,
    log_is_late: bool,
}

impl ContainerLoop {
    /// Lives the container's life; returns the exit code.
    async fn live(&mut self, signals: &mut Signals, first: Vec<Action>) -> u8 {
        let mut actions = first;
        let mut received = None;
        loop {
            if let Some(code) = self.perform_all(actions) {
                self.answer_late_asks().await;
                return code;
            }
            if let Some(signal) = received {
                self.after_forwarding(signal);
            }
            let event = self.next_event(signals).await;
            debug!(?event, "happened");
            received = if let Event::Signal(signal) = event { Some(signal) } else { None };
            if let Some(signal) = received {
                self.before_forwarding(signal);
            }
            let before = self.lifecycle.phase();
            actions = self.lifecycle.apply(self.now(), event);
            if self.lifecycle.phase() != before {
                self.dispatcher.publish(&LifecycleEvent::Phase { phase: self.lifecycle.phase().name() });
            }
        }
    }

    /// Who was on the way when everything ended gets its answer.
    async fn answer_late_asks(&mut self) {
        let end = Instant::now() + LATE_ASKS;
        let mut receipts = Receipts::default();
        while let Some(request) = self.dispatcher.late_ask(end).await {
            match request {
                Request::Hook(called, answer) => receipts.answer(answer, self.lifecycle.late_outcome(called.hook)),
                Request::Status(show, answer) => drop(answer.send(Box::new(self.snapshot(show)))),
                // It is too late for these: they are told so by the drop of their sender.
                Request::Stop(_) | Request::Signal(..) | Request::Follow(_) => {}
            }
        }
        receipts.taken(Instant::now() + LATE_ASKS).await;
    }

    fn now(&self) -> Time {
        self.dispatcher.now()
    }

    async fn next_event(&mut self, signals: &mut Signals) -> Event {
        loop {
            self.tend_probes();
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.log_is_late = crate::report::log::flush();
            let alarm = self.timers.iter().min_by_key(|(_, at)| **at).map(|(timer, at)| (*timer, *at));
            tokio::select! {
                biased;
                signal = signals.next() => self.on_signal(signal),
                Some(input) = self.dispatcher.inputs.recv() => self.on_desk_input(input),
                Some(input) = self.inputs.recv() => self.on_input(input),
                Some(request) = self.dispatcher.requests.recv() => self.on_ask(request),
                timer = ring(self.dispatcher.began, alarm) => {
                    self.timers.remove(&timer);
                    self.events.push_back(Event::TimerFired(timer));
                }
                () = ring(self.dispatcher.began, self.probing.next_at().map(|at| ((), at))) => {}
                () = ring(self.dispatcher.began, self.reap_throttle.due.map(|at| ((), at))) => self.reap(),
                () = sleep(LOG_AGAIN), if self.log_is_late => {}
                // When once round the loop nothing else was to be done.
                () = yield_now(), if self.arrivals_due => self.count_arrivals(),
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        if signal != Signal::CHLD {
            self.dispatcher.publish(&LifecycleEvent::Signal { signal: signal.to_string() });
            self.events.push_back(Event::Signal(signal));
        } else if self.app_ended.is_some() || self.reap_throttle.is_now(self.now()) {
            self.reap();
        } else if self.sigchld_guard.is_none() {
            self.sigchld_guard = SigchldGuard::hold();
        }
    }

    fn reap(&mut self) {
        self.sigchld_guard = None;
        let round = self.reaper().reap();
        self.reap_throttle.completed(self.now(), round.orphans > 0 && round.others);
        last_resort::stay_for(self.context.reaper.app());
        if round.orphans > 0 {
            self.dispatcher.found_orphans();
        }
        if let Some(by) = round.app_stopped {
            self.on_app_stopped(by);
        }
        // Whom nobody will end, nobody waits for.
        let others = round.others && self.policy.leftovers == Leftovers::End;
        if let Some(ended) = round.app {
            let status = match ended {
                Ended::Exited(code) => AppStatus::Exited(code),
                Ended::Signalled(signal) => AppStatus::Signalled(signal),
            };
            self.events.push_back(Event::AppEnded { status, others });
        } else if !others {
            self.events.push_back(Event::NoOthers);
        }
    }

    fn on_desk_input(&mut self, input: dispatcher::Input) {
        match input {
            dispatcher::Input::CallerDone(caller) => self.events.push_back(Event::CallerDone(caller)),
            dispatcher::Input::Reported(run, mut report) => {
                let result = report.result;
                let set = std::mem::take(&mut report.set);
                if result == HandlerResult::Succeeded {
                    for (name, value) in set {
                        crate::handlers::program::set(&mut self.set, name, value);
                    }
                }
                let trigger = self.lifecycle.stop_trigger().map(|(trigger, _)| trigger);
                self.dispatcher.reported(run, report, trigger, &mut self.counters);
                self.events.push_back(Event::HandlerEnded { run, result });
            }
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::ConnectionsIdle(true) => self.events.push_back(Event::ConnectionsIdle),
            Input::ConnectionsIdle(false) => self.events.push_back(Event::ConnectionsBusyOrGone),
            Input::Probed(kind, run, report) => self.probed(kind, run, report),
            Input::Notified(messages) => self.notified(messages),
        }
    }

    fn on_ask(&mut self, request: Request) {
        // Where nobody waits for the answer any more, nobody misses it.
        match request {
            Request::Hook(called, answer) => self.on_call(&called, answer),
            Request::Status(show, answer) => drop(answer.send(Box::new(self.snapshot(show)))),
            Request::Follow(answer) => {
                let stream = self.dispatcher.subscribers.subscribe(self.now(), self.lifecycle.phase().name());
                drop(answer.send(stream));
            }
            Request::Stop(answer) => {
                self.events.push_back(Event::StopRequested);
                let _ = answer.send(());
            }
            Request::Signal(signal, answer) => {
                self.on_signal(signal);
                let _ = answer.send(Ok(()));
            }
        }
    }

    fn on_call(&mut self, called: &HookCall, answer: oneshot::Sender<HookResponse>) {
        let (caller, gone) = self.dispatcher.enter(called, answer);
        self.events.extend(gone.into_iter().map(Event::CallerDone));
        self.events.push_back(Event::HookCalled { hook: called.hook, caller });
    }

    fn reaper(&self) -> &Reaper {
        &self.context.reaper
    }
}
