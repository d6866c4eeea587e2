//! Carrying out what the lifecycle has decided. Nothing here decides, and nothing waits.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::ContainerLoop;
use super::boot::{start_app, tell_start};
use super::connections::Connections;
use super::handler_env::handler_env;
use crate::compat::policy::Leftovers;
use crate::http::{AppStatusView, Detail, DrainView, StatusView};
use crate::net::tcp_monitor::{TcpMonitor, is_host_network};
use crate::process::leftovers;
use crate::process::terminal;
use crate::report::journal::{describe_note, describe_status, describe_trigger};
use crate::runtime::dispatcher::{Start, end_what_is_left};
use crate::runtime::plan::handler_list;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, Event, HandlerResult, Hook, Note, RunId};

impl ContainerLoop {
    /// Carries out all of them, in order. The exit code, if the last act is among them.
    pub(super) fn perform_all(&mut self, actions: Vec<Action>) -> Option<u8> {
        self.arrivals_due |= actions.iter().any(|action| matches!(action, Action::Tell(Note::StopBegan(_))));
        actions.into_iter().find_map(|action| self.perform(action))
    }

    /// Where counting new connections begins. A look into /proc, which neither the app's signal nor its end waits for.
    pub(super) fn count_arrivals(&mut self) {
        self.arrivals_due = false;
        self.arrivals_before = if is_host_network() { None } else { TcpMonitor::arrivals() };
    }

    fn perform(&mut self, action: Action) -> Option<u8> {
        match action {
            Action::StartApp => {
                let started = start_app(&self.settings, self.policy, &self.set, &self.context.inherited, self.reaper());
                let event = tell_start(&self.settings, self.policy, self.reaper(), &started);
                self.app_since = started.is_ok().then(|| self.now());
                self.variables = started.ok();
                if event == Event::AppStarted {
                    self.counters.app_started(self.now());
                }
                self.events.push_back(event);
            }
            Action::StartHandler { run, hook, index, attempt, timeout } => {
                self.start_handler(run, hook, index, attempt, timeout);
            }
            Action::AbortHandler(id) => {
                let trigger = self.lifecycle.stop_trigger().map(|(trigger, _)| trigger);
                self.dispatcher.abort(id, trigger, &mut self.counters);
            }
            Action::SignalApp(signal) => self.signal_app(signal),
            Action::WatchConnections => self.watch_connections(),
            Action::SendSecondSignal(signal) => {
                self.count_cut();
                self.signal_app(signal);
            }
            Action::KillApp => {
                self.count_cut();
                self.signal_app(Signal::KILL);
            }
            Action::TerminateLeftovers => {
                leftovers::signal_all(Signal::TERM);
                // One that is stopped would take SIGTERM only when somebody continues it.
                leftovers::signal_all(Signal::CONT);
                // They may all have gone before: then there is nobody to wait for.
                self.on_signal(Signal::CHLD);
            }
            Action::KillLeftovers => {
                // Now: afterwards they have no names.
                self.leftovers = leftovers::names();
                leftovers::signal_all(Signal::KILL);
            }
            Action::Answer { caller, hook, outcome } => {
                self.counters.answered(hook, outcome);
                if !self.dispatcher.answer(caller, outcome) {
                    self.events.push_back(Event::CallerDone(caller));
                }
            }
            Action::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
            Action::Tell(note) => self.tell(note),
            Action::Exit(code) => {
                self.finish(code);
                return Some(code);
            }
        }
        None
    }

    fn start_handler(&mut self, id: RunId, hook: Hook, index: usize, attempt: u32, timeout: Option<Duration>) {
        let Some(handler) = handler_list(&self.settings.lifecycle, hook).get(index) else {
            // The plan was made from these very settings.
            self.events.push_back(Event::HandlerEnded { run: id, result: HandlerResult::Failed });
            return;
        };
        let env = handler_env(self, Some(hook), &handler.name);
        let start = Start { run: id, hook, container: None, attempt, timeout };
        self.dispatcher.start(start, handler, env, &self.context);
    }

    fn signal_app(&mut self, signal: Signal) {
        match self.context.signal_app(signal) {
            Ok(()) => {
                self.counters.signalled(signal);
                debug!(%signal, "forwarded");
            }
            // It has just ended; its status is on the way.
            Err(error) => debug!(%signal, %error, "could not be forwarded"),
        }
    }

    fn tell(&mut self, note: Note) {
        match note {
            Note::AppEnded(status) => {
                self.app_ended = Some(status);
                self.app_until = Some(self.now());
            }
            Note::StopBegan(trigger) => {
                let grace = self.settings.termination_grace_period.map(|grace| grace.as_secs_f64());
                info!(trigger = describe_trigger(trigger), grace_seconds = grace, "stopping");
            }
            Note::LeftoversKilled | Note::LeftoversRemain => match std::mem::take(&mut self.leftovers) {
                names if names.is_empty() => warn!("{}", describe_note(note)),
                names => warn!("{}: {names}", describe_note(note)),
            },
            _ => {}
        }
        self.dispatcher.tell(None, note);
        self.counters.note(self.now(), note);
        if let Note::AppEnded(_) = note {
            self.count_resets();
        }
    }

    /// The last act: the story told, once in the log and once in the termination message.
    fn finish(&mut self, code: u8) {
        self.dispatcher.finish(code, self.settings.termination_message_path.as_deref());
        terminal::take_back();
        if self.policy.leftovers == Leftovers::End {
            end_what_is_left(self.reaper());
        }
    }

    /// The state as it is now, for whoever asks.
    pub(super) fn snapshot(&mut self, show: Detail) -> StatusView {
        let story = if show == Detail::Everything { self.story() } else { StatusView::default() };
        let machine = &self.lifecycle;
        StatusView {
            version: env!("CARGO_PKG_VERSION"),
            phase: machine.phase().name(),
            uptime_seconds: Seconds(self.now()),
            post_start_over: machine.has_started(),
            started: machine.has_started() && self.probing.has_started(),
            ready: machine.is_ready() && self.probing.is_serving() && !self.probing.is_stopping(),
            serving: machine.is_serving() && self.probing.is_serving(),
            probes: self.probing.views(),
            notify: self.probing.notify_view(),
            app: AppStatusView {
                pid: self.reaper().app().map(nix::unistd::Pid::as_raw),
                ended: self.app_ended.map(describe_status),
            },
            stopped_by: machine.stop_trigger().map(|(trigger, _)| describe_trigger(trigger)),
            stop_began_seconds: self.dispatcher.journal.origin().map(Seconds),
            termination_grace_period_seconds: self.settings.termination_grace_period.map(Seconds),
            grace_left_seconds: machine.deadline().map(|end| Seconds(end.saturating_sub(self.now()))),
            orphans_reaped: self.reaper().orphans(),
            lost: self.connections.as_ref().map(Connections::lost),
            ..story
        }
    }

    /// What a status tells besides how things stand.
    fn story(&mut self) -> StatusView {
        let drain = self.context.drain.borrow().map(DrainView::of);
        StatusView {
            counters: self.counters.clone(),
            profile: self.settings.app.profile.clone(),
            new_connections: self.new_connections(),
            ..self.dispatcher.story(drain)
        }
    }

    /// Connections that have come since the stop began.
    fn new_connections(&self) -> Option<u64> {
        self.lifecycle.stop_trigger()?;
        Some(TcpMonitor::arrivals()?.saturating_sub(self.arrivals_before?))
    }
}
