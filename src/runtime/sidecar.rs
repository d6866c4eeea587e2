//! `bookend sidecar`: starts no app, and answers the hooks of those in other containers. Its loop is the supervisor's
//! with many machines in place of one: each set of hooks has its own, and what happens is for one of them; a stop
//! signal is for all.
//!
//! A process is looked for when bookend starts, when a hook is called and none is held, and, only while none is held,
//! every two seconds.

mod boot;
mod container;
mod facts;
mod find;
mod perform;
mod snapshot;
mod unit;

use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::{debug, info};

pub(crate) use boot::run;

use crate::http::{HookCall, HookResponse, LifecycleEvent, Request};
use crate::process::reaper::Reaper;
use crate::process::signals::Signals;
use crate::report::journal::describe_trigger;
use crate::runtime::dispatcher::{self, Dispatcher, LATE_ASKS, LOG_AGAIN, Receipts, ring};
use bookend_config::settings::Settings;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{AppStatus, CallerId, Event, Note, RunId, Time, Timer, Trigger};
use unit::{ContainerUnit, UnitId};

/// A process that was held has ended.
#[derive(Debug)]
struct Gone(UnitId);

/// What may ring.
#[derive(Debug, Clone, Copy)]
enum Alarm {
    /// A machine's.
    Of(UnitId, Timer),
    /// It is time to look for the process again.
    Look(UnitId),
}

/// The owner of the state.
struct SidecarLoop {
    settings: Settings,
    dispatcher: Dispatcher,
    /// The one without a name first.
    units: Vec<ContainerUnit>,
    reaper: Reaper,
    stop_signals: Vec<Signal>,
    events: VecDeque<(UnitId, Event)>,
    runs: SmallMap<RunId, UnitId>,
    callers: SmallMap<CallerId, UnitId>,
    gone: mpsc::Receiver<Gone>,
    to_gone: mpsc::Sender<Gone>,
    /// What began our own stop.
    stop: Option<Trigger>,
    log_is_late: bool,
}

impl SidecarLoop {
    /// Lives until it is stopped; returns the exit code.
    async fn live(&mut self, mut signals: Signals) -> u8 {
        for unit in self.set_ids() {
            self.look(unit);
        }
        while self.units.iter().any(|unit| !unit.has_exited) {
            let (id, event) = self.next_event(&mut signals).await;
            debug!(unit = self.name(id), ?event, "happened");
            let before = self.phase();
            let now = self.dispatcher.now();
            let actions = self.set(id).map(|unit| unit.machine.apply(now, event)).unwrap_or_default();
            for action in actions {
                self.perform(id, action);
            }
            self.close_story();
            if self.phase() != before {
                let phase = self.phase().name();
                self.dispatcher.publish(&LifecycleEvent::Phase { phase });
            }
        }
        self.finish();
        self.answer_late_asks().await;
        0
    }

    async fn next_event(&mut self, signals: &mut Signals) -> (UnitId, Event) {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.log_is_late = crate::report::log::flush();
            let alarm = self.next_alarm();
            tokio::select! {
                biased;
                signal = signals.next() => self.on_signal(signal),
                Some(Gone(unit)) = self.gone.recv() => self.lost(unit),
                Some(input) = self.dispatcher.inputs.recv() => self.on_input(input),
                Some(request) = self.dispatcher.requests.recv() => self.on_ask(request),
                alarm = ring(self.dispatcher.began, alarm) => match alarm {
                    Alarm::Look(unit) => self.look(unit),
                    Alarm::Of(id, timer) => {
                        self.set(id).map(|unit| unit.timers.remove(&timer));
                        self.events.push_back((id, Event::TimerFired(timer)));
                    }
                },
                () = sleep(LOG_AGAIN), if self.log_is_late => {}
            }
        }
    }

    fn next_alarm(&self) -> Option<(Alarm, Time)> {
        let alarms = self.set_ids().zip(&self.units).flat_map(|(id, unit)| {
            // With a stop of our own, who is not seen is taken to be gone.
            let look = unit.look_at.filter(|_| self.stop.is_none()).map(|at| (Alarm::Look(id), at));
            unit.timers.iter().map(move |(timer, at)| (Alarm::Of(id, *timer), *at)).chain(look)
        });
        alarms.min_by_key(|(_, at)| *at)
    }

    fn on_signal(&mut self, signal: Signal) {
        if signal == Signal::CHLD {
            // At no pace, as a container's loop has one in a storm: the apps' orphans come to the pause, and here to us
            // none but those that our handlers leave.
            if self.reaper.reap().orphans > 0 {
                self.dispatcher.found_orphans();
            }
            return;
        }
        self.dispatcher.publish(&LifecycleEvent::Signal { signal: signal.to_string() });
        if self.stop_signals.contains(&signal) {
            self.begin_stop(Trigger::Signal(signal));
            self.tell_all(Event::Signal(signal));
        } else {
            debug!(%signal, "nobody here could get it: ignored");
        }
    }

    fn begin_stop(&mut self, trigger: Trigger) {
        if self.stop.is_none() {
            self.stop = Some(trigger);
            let grace = self.settings.termination_grace_period.map(|grace| grace.as_secs_f64());
            info!(trigger = describe_trigger(trigger), grace_seconds = grace, "stopping");
            self.dispatcher.tell(None, Note::StopBegan(trigger));
        }
    }

    fn tell_all(&mut self, event: Event) {
        let all = self.set_ids().map(|id| (id, event));
        self.events.extend(all);
    }

    fn on_input(&mut self, input: dispatcher::Input) {
        match input {
            dispatcher::Input::CallerDone(caller) => {
                if let Some(id) = self.callers.remove(&caller) {
                    self.events.push_back((id, Event::CallerDone(caller)));
                }
            }
            dispatcher::Input::Reported(run, report) => {
                let Some(id) = self.runs.remove(&run) else { return };
                let result = report.result;
                if let Some(unit) = self.units.get_mut(id.0) {
                    self.dispatcher.reported(run, report, unit.trigger(), &mut unit.counters);
                }
                self.events.push_back((id, Event::HandlerEnded { run, result }));
            }
        }
    }

    fn on_ask(&mut self, request: Request) {
        // Where nobody waits for the answer any more, nobody misses it.
        match request {
            Request::Hook(called, answer) => self.on_call(&called, answer),
            Request::Status(show, answer) => drop(answer.send(Box::new(self.snapshot(show)))),
            Request::Follow(answer) => {
                let stream = self.dispatcher.subscribers.subscribe(self.dispatcher.now(), self.phase().name());
                drop(answer.send(stream));
            }
            Request::Stop(answer) => {
                self.begin_stop(Trigger::Request);
                self.tell_all(Event::StopRequested);
                let _ = answer.send(());
            }
            Request::Signal(signal, answer) if self.stop_signals.contains(&signal) => {
                self.on_signal(signal);
                let _ = answer.send(Ok(()));
            }
            Request::Signal(_, answer) => {
                let _ = answer.send(Err("a sidecar passes no signal on: its apps are other containers'"));
            }
        }
    }

    fn on_call(&mut self, called: &HookCall, answer: oneshot::Sender<HookResponse>) {
        // The endpoint knows no other names than these.
        let Some(id) = self.find_set(called.container.as_deref()) else { return };
        let (caller, gone) = self.dispatcher.enter(called, answer);
        for gone in gone {
            if let Some(id) = self.callers.remove(&gone) {
                self.events.push_back((id, Event::CallerDone(gone)));
            }
        }
        self.look(id);
        self.callers.insert(caller, id);
        self.events.push_back((id, Event::HookCalled { hook: called.hook, caller }));
    }

    /// The process of a set has ended.
    fn lost(&mut self, id: UnitId) {
        let now = self.dispatcher.now();
        if let Some(unit) = self.set(id) {
            unit.release(now);
        }
        self.events.push_back((id, Event::AppEnded { status: AppStatus::Unknown, others: false }));
    }

    /// Who was on the way when everything ended gets its answer.
    async fn answer_late_asks(&mut self) {
        let end = Instant::now() + LATE_ASKS;
        let mut receipts = Receipts::default();
        while let Some(request) = self.dispatcher.late_ask(end).await {
            match request {
                Request::Hook(called, answer) => {
                    if let Some(unit) = self.find_set(called.container.as_deref()).and_then(|id| self.set(id)) {
                        receipts.answer(answer, unit.machine.late_outcome(called.hook));
                    }
                }
                Request::Status(show, answer) => drop(answer.send(Box::new(self.snapshot(show)))),
                // It is too late for these: they are told so by the drop of their sender.
                Request::Stop(_) | Request::Signal(..) | Request::Follow(_) => {}
            }
        }
        receipts.taken(Instant::now() + LATE_ASKS).await;
    }

    fn set_ids(&self) -> impl Iterator<Item = UnitId> + use<> {
        (0..self.units.len()).map(UnitId)
    }

    fn set(&mut self, id: UnitId) -> Option<&mut ContainerUnit> {
        self.units.get_mut(id.0)
    }

    fn name(&self, id: UnitId) -> Option<&str> {
        self.units.get(id.0)?.name.as_deref()
    }

    fn find_set(&self, name: Option<&str>) -> Option<UnitId> {
        self.units.iter().position(|unit| unit.name.as_deref() == name).map(UnitId)
    }
}
