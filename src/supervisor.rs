//! The loop, and the only room that knows both sides: it turns signals, ends of children, handler reports,
//! hooks and alarms into events, lets the lifecycle decide, and carries out what it says.
//!
//! The order at the start is the order of the promises: all signals blocked (nothing is lost) · listener bound
//! (the hook finds its port) · app spawned (with the mask as we found it) · only then the runtime. The app
//! starts before the runtime has cost anything; preStart handlers, where configured, need it earlier.

mod boot;
mod connections;
mod job_control;
mod perform;
mod probing;
mod surroundings;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, sleep_until, timeout_at};
use tracing::debug;

pub(crate) use boot::run;

use connections::Connections;

use crate::config::settings::Settings;
use crate::handler::{Report, Running, Surroundings};
use crate::http::{Answer, Ask, Audience, Doors, Happening, Socket};
use crate::journal::Journal;
use crate::lifecycle::{Action, AppStatus, CallerId, Event, HandlerResult, Hook, Lifecycle, RunId, Time, Timer};
use crate::notify::Message;
use crate::policy::{Leftovers, Policy};
use crate::probe;
use crate::process::last_resort;
use crate::process::reaper::{Ended, Reaper};
use crate::process::signals::Signals;
use crate::process::zombies::Watch;
use crate::program::Variables;
use crate::signal::Signal;
use crate::tally::Tally;
use probing::Probing;

/// What tasks tell the loop.
#[derive(Debug)]
enum Input {
    Reported(RunId, Report),
    Probed(probe::Kind, probe::RunId, Report),
    /// What the app says of itself.
    Notified(Vec<Message>),
    CallerDone(CallerId),
    /// Whether connections are left, all of them idle.
    ConnectionsIdle(bool),
}

/// A handler run as the loop keeps it.
#[derive(Debug)]
struct Run {
    hook: Hook,
    name: String,
    attempt: u32,
    began: Time,
    running: Running,
}

/// The owner of the state.
struct Supervisor {
    settings: Settings,
    policy: Policy,
    zombies: Watch,
    /// The names of those who got SIGKILL because they had not gone.
    leftovers: String,
    lifecycle: Lifecycle,
    journal: Journal,
    tally: Tally,
    began: Instant,
    timers: BTreeMap<Timer, Time>,
    events: VecDeque<Event>,
    surroundings: Surroundings,
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
    probing: Probing,
    runs: HashMap<RunId, Run>,
    callers: HashMap<CallerId, oneshot::Sender<Answer>>,
    next_caller: u64,
    inputs: mpsc::Receiver<Input>,
    to_inputs: mpsc::Sender<Input>,
    asks: mpsc::Receiver<Ask>,
    /// What the endpoint's tasks hold; it counts their connections.
    doors: Doors,
    /// A port was bound before everything else.
    has_port: bool,
    socket: Option<Socket>,
    audience: Audience,
    log_is_late: bool,
}

impl Supervisor {
    /// Lives the container's life; returns the exit code.
    async fn live(&mut self, mut signals: Signals, first: Vec<Action>) -> u8 {
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
            let event = self.next_event(&mut signals).await;
            debug!(?event, "happened");
            received = if let Event::Signal(signal) = event { Some(signal) } else { None };
            if let Some(signal) = received {
                self.before_forwarding(signal);
            }
            let before = self.lifecycle.phase();
            actions = self.lifecycle.apply(self.now(), event);
            if self.lifecycle.phase() != before {
                self.tell_followers(&Happening::Phase { phase: self.lifecycle.phase().name() });
            }
        }
    }

    /// Who was on the way when everything ended: in the port's backlog, in the queue. The early bind invites
    /// them, so they are not to find a reset.
    async fn answer_late_asks(&mut self) {
        let end = Instant::now() + LATE_ASKS;
        let mut receipts = Vec::new();
        // Where there is no port, everybody is known.
        while (self.has_port || self.doors.connections() > 0) && Instant::now() < end {
            match timeout_at((Instant::now() + LATE_LOOK).min(end).into(), self.asks.recv()).await {
                Ok(Some(Ask::Hook(hook, answer))) => {
                    let (receipt, taken) = oneshot::channel();
                    let outcome = self.lifecycle.late_outcome(hook);
                    if answer.send(Answer { outcome, receipt }).is_ok() {
                        receipts.push(taken);
                    }
                }
                Ok(Some(Ask::Status(show, answer))) => drop(answer.send(Box::new(self.snapshot(show)))),
                // It is too late for these: they are told so by the drop of their sender.
                Ok(Some(Ask::Stop(_) | Ask::Signal(..) | Ask::Follow(_)) | None) | Err(_) => {}
            }
        }
        let end = Instant::now() + LATE_ASKS;
        for taken in receipts {
            // The receipt is only ever dropped: with the last byte, or with the caller.
            let _ = timeout_at(end.into(), taken).await;
        }
    }

    fn now(&self) -> Time {
        self.began.elapsed()
    }

    async fn next_event(&mut self, signals: &mut Signals) -> Event {
        loop {
            self.tend_probes();
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.log_is_late = crate::log::flush();
            let alarm = self.timers.iter().min_by_key(|(_, at)| **at).map(|(timer, at)| (*timer, *at));
            tokio::select! {
                biased;
                signal = signals.next() => self.on_signal(signal),
                Some(input) = self.inputs.recv() => self.on_input(input),
                Some(ask) = self.asks.recv() => self.on_ask(ask),
                timer = ring(self.began, alarm) => {
                    self.timers.remove(&timer);
                    self.events.push_back(Event::Rang(timer));
                }
                () = probing::due(self.began, self.probing.next_at()) => {}
                () = sleep(LOG_AGAIN), if self.log_is_late => {}
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        if signal != Signal::CHLD {
            self.tell_followers(&Happening::Signal { signal: signal.to_string() });
            self.events.push_back(Event::Signal(signal));
            return;
        }
        let round = self.reaper().reap();
        last_resort::stay_for(self.surroundings.reaper.app());
        if round.orphans > 0 && self.zombies.is_due(self.now()) {
            self.look_for_zombies();
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

    fn on_input(&mut self, input: Input) {
        match input {
            Input::CallerDone(caller) => self.events.push_back(Event::CallerDone(caller)),
            Input::ConnectionsIdle(true) => self.events.push_back(Event::ConnectionsIdle),
            Input::ConnectionsIdle(false) => self.events.push_back(Event::ConnectionsBusyOrGone),
            Input::Probed(kind, run, report) => self.probed(kind, run, report),
            Input::Notified(messages) => self.notified(messages),
            Input::Reported(id, report) => {
                let result = report.result;
                if result == HandlerResult::Succeeded {
                    for (name, value) in report.set {
                        crate::program::set(&mut self.set, name, value);
                    }
                }
                if let Some(run) = self.runs.remove(&id) {
                    self.record(&run, crate::journal::result_word(result), report.detail, report.output);
                }
                self.events.push_back(Event::HandlerEnded { run: id, result });
            }
        }
    }

    fn on_ask(&mut self, ask: Ask) {
        // Where nobody waits for the answer any more, nobody misses it.
        match ask {
            Ask::Hook(hook, answer) => self.on_call(hook, answer),
            Ask::Status(show, answer) => drop(answer.send(Box::new(self.snapshot(show)))),
            Ask::Follow(answer) => {
                let stream = self.audience.join(self.began.elapsed(), self.lifecycle.phase().name());
                drop(answer.send(stream));
            }
            Ask::Stop(answer) => {
                self.events.push_back(Event::StopRequested);
                let _ = answer.send(());
            }
            Ask::Signal(signal, answer) => {
                self.on_signal(signal);
                let _ = answer.send(());
            }
        }
    }

    fn on_call(&mut self, hook: Hook, answer: oneshot::Sender<Answer>) {
        self.tell_followers(&Happening::HookCalled { hook: hook.name() });
        for (gone, _) in self.callers.extract_if(|_, answer| answer.is_closed()) {
            // Its caller hung up: there are never more entries than connections.
            self.events.push_back(Event::CallerDone(gone));
        }
        self.next_caller += 1;
        let caller = CallerId(self.next_caller);
        self.callers.insert(caller, answer);
        self.events.push_back(Event::HookCalled { hook, caller });
    }

    fn tell_followers(&mut self, happening: &Happening<'_>) {
        self.audience.tell(self.began.elapsed(), happening);
    }

    fn reaper(&self) -> &Reaper {
        &self.surroundings.reaper
    }
}

/// Waits for the next alarm; for ever, if none is set.
async fn ring(began: Instant, alarm: Option<(Timer, Time)>) -> Timer {
    match alarm {
        Some((timer, at)) => {
            sleep_until((began + at).into()).await;
            timer
        }
        None => std::future::pending().await,
    }
}

/// How long the exit waits for those who are on their way, and then for their answers to be taken.
const LATE_ASKS: Duration = Duration::from_millis(20);
/// How often it looks meanwhile whether anybody is left.
const LATE_LOOK: Duration = Duration::from_millis(2);
/// How often a log that nobody read is tried again; no wake-up happens while nothing is kept.
const LOG_AGAIN: Duration = Duration::from_millis(50);
