//! Carrying out what a machine has decided, and looking for its process. Nothing here decides, and nothing waits.

use std::io;
use std::sync::Arc;

use tracing::{debug, info, warn};

use super::find::find;
use super::unit::{ContainerUnit, UnitId};
use super::{Gone, SidecarLoop};
use crate::error::describe;
use crate::report::journal::describe_trigger;
use crate::runtime::dispatcher::{Start, end_what_is_left};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, Event, HandlerResult, Note};

impl SidecarLoop {
    pub(super) fn perform(&mut self, id: UnitId, action: Action) {
        let Some(unit) = self.units.get_mut(id.0) else { return };
        match action {
            Action::StartHandler { run, hook, index, attempt, timeout } => {
                let Some(handler) = unit.handler(hook, index) else {
                    // The plan was made from these very settings.
                    self.events.push_back((id, Event::HandlerEnded { run, result: HandlerResult::Failed }));
                    return;
                };
                let env = unit.handler_env(
                    &self.settings,
                    hook,
                    &handler.name,
                    self.dispatcher.socket_path(),
                    self.dispatcher.now(),
                );
                let start = Start { run, hook, container: unit.name.as_deref(), attempt, timeout };
                self.runs.insert(run, id);
                self.dispatcher.start(start, handler, env, &unit.context);
            }
            Action::AbortHandler(run) => {
                self.runs.remove(&run);
                self.dispatcher.abort(run, unit.trigger(), &mut unit.counters);
            }
            Action::SignalApp(signal) => self.signal_app(id, signal),
            Action::Answer { caller, hook, outcome } => {
                unit.counters.answered(hook, outcome);
                if !self.dispatcher.answer(caller, outcome) {
                    self.callers.remove(&caller);
                    self.events.push_back((id, Event::CallerDone(caller)));
                }
            }
            Action::SetTimer { timer, at } => drop(unit.timers.insert(timer, at)),
            Action::Tell(note) => {
                unit.counters.note(self.dispatcher.now(), note);
                if let Note::StopBegan(trigger) = note {
                    if self.stop == Some(trigger) {
                        // It is our own stop, which has been told.
                        return;
                    }
                    info!(container = unit.name, trigger = describe_trigger(trigger), "stopping");
                }
                self.dispatcher.tell(unit.name.as_deref(), note);
            }
            Action::Exit(_) => {
                unit.has_exited = true;
                unit.timers.clear();
            }
            // What only an app of our own needs: the machine says none of it.
            Action::StartApp
            | Action::WatchConnections
            | Action::SendSecondSignal(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers => {}
        }
    }

    fn signal_app(&mut self, id: UnitId, signal: Signal) {
        let Some(unit) = self.units.get_mut(id.0) else { return };
        let Some(pidfd) = &unit.pidfd else { return };
        match pidfd.signal(signal) {
            Ok(()) => {
                unit.counters.signalled(signal);
                debug!(%signal, pid = pidfd.pid().as_raw(), "sent to the app");
            }
            // Its end is on the way.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(container = unit.name, %error, "cannot send {signal} to the app: the rest is the kubelet's");
                self.events.push_back((id, Event::NotSignalled));
            }
        }
    }

    /// Looks for the app's process, where one is wanted and none is held.
    pub(super) fn look(&mut self, id: UnitId) {
        let Some(unit) = self.units.get_mut(id.0) else { return };
        let Some(wanted) = unit.looks_for(self.dispatcher.now()) else { return };
        match find(wanted) {
            Ok(Some(pidfd)) => {
                info!(container = unit.name, pid = pidfd.pid().as_raw(), "the app's process is found");
                let pidfd = Arc::new(pidfd);
                unit.hold(Arc::clone(&pidfd));
                let to_gone = self.to_gone.clone();
                tokio::spawn(async move {
                    pidfd.ended().await;
                    // The loop is gone only when the process is.
                    let _ = to_gone.send(Gone(id)).await;
                });
                self.events.push_back((id, Event::AppStarted));
            }
            // Not there, or not yet.
            Ok(None) => {}
            Err(error) => {
                let why = describe(&error);
                if unit.not_found.as_ref() != Some(&why) {
                    warn!(container = unit.name, "cannot tell which process is the app: {why}");
                    unit.not_found = Some(why);
                    self.events.push_back((id, Event::AppUnseen));
                }
            }
        }
    }

    /// Where every stop is over and life goes on, the next one is another story.
    pub(super) fn close_story(&mut self) {
        if self.stop.is_none() && self.units.iter().all(ContainerUnit::is_quiet) {
            self.dispatcher.journal.stop_over();
        }
    }

    pub(super) fn finish(&mut self) {
        self.dispatcher.finish(0, self.settings.termination_message_path.as_deref());
        end_what_is_left(&self.reaper);
    }
}
