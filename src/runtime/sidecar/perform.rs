//! Carrying out what a machine has decided, and looking for its process. Nothing here decides, and nothing waits.

use std::io;
use std::sync::Arc;

use tracing::{debug, info, warn};

use super::find::find;
use super::set::{Set, SetId};
use super::{Gone, Sidecar};
use crate::handlers::describe;
use crate::report::journal::describe_trigger;
use crate::runtime::dispatcher::{Start, end_what_is_left};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Action, Event, HandlerResult, Note};

impl Sidecar {
    pub(super) fn perform(&mut self, id: SetId, action: Action) {
        let Some(set) = self.sets.get_mut(id.0) else { return };
        match action {
            Action::StartHandler { run, hook, index, attempt, timeout } => {
                let Some(handler) = set.handler(hook, index) else {
                    // The plan was made from these very settings.
                    self.events.push_back((id, Event::HandlerEnded { run, result: HandlerResult::Failed }));
                    return;
                };
                let env =
                    set.handler_env(&self.settings, hook, &handler.name, self.desk.socket_path(), self.desk.now());
                let start = Start { run, hook, container: set.name.as_deref(), attempt, timeout };
                self.runs.insert(run, id);
                self.desk.start(start, handler, env, &set.surroundings);
            }
            Action::AbortHandler(run) => {
                self.runs.remove(&run);
                self.desk.abort(run, set.trigger(), &mut set.tally);
            }
            Action::SignalApp(signal) => self.signal_app(id, signal),
            Action::Answer { caller, hook, outcome } => {
                set.tally.answered(hook, outcome);
                if !self.desk.answer(caller, outcome) {
                    self.callers.remove(&caller);
                    self.events.push_back((id, Event::CallerDone(caller)));
                }
            }
            Action::SetTimer { timer, at } => drop(set.timers.insert(timer, at)),
            Action::Tell(note) => {
                set.tally.note(self.desk.now(), note);
                if let Note::StopBegan(trigger) = note {
                    if self.stop == Some(trigger) {
                        // It is our own stop, which has been told.
                        return;
                    }
                    info!(container = set.name, trigger = describe_trigger(trigger), "stopping");
                }
                self.desk.tell(set.name.as_deref(), note);
            }
            Action::Exit(_) => {
                set.has_exited = true;
                set.timers.clear();
            }
            // What only an app of our own needs: the machine says none of it.
            Action::StartApp
            | Action::WatchConnections
            | Action::HurryApp(_)
            | Action::KillApp
            | Action::TerminateLeftovers
            | Action::KillLeftovers => {}
        }
    }

    fn signal_app(&mut self, id: SetId, signal: Signal) {
        let Some(set) = self.sets.get_mut(id.0) else { return };
        let Some(held) = &set.held else { return };
        match held.signal(signal) {
            Ok(()) => {
                set.tally.signalled(signal);
                debug!(%signal, pid = held.pid().as_raw(), "sent to the app");
            }
            // Its end is on the way.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(container = set.name, %error, "cannot send {signal} to the app: the rest is the kubelet's");
                self.events.push_back((id, Event::NotSignalled));
            }
        }
    }

    /// Looks for the app's process, where one is wanted and none is held.
    pub(super) fn look(&mut self, id: SetId) {
        let Some(set) = self.sets.get_mut(id.0) else { return };
        let Some(wanted) = set.looks_for(self.desk.now()) else { return };
        match find(wanted) {
            Ok(Some(held)) => {
                info!(container = set.name, pid = held.pid().as_raw(), "the app's process is found");
                let held = Arc::new(held);
                set.hold(Arc::clone(&held));
                let to_gone = self.to_gone.clone();
                tokio::spawn(async move {
                    held.ended().await;
                    // The loop is gone only when the process is.
                    let _ = to_gone.send(Gone(id)).await;
                });
                self.events.push_back((id, Event::AppStarted));
            }
            // Not there, or not yet.
            Ok(None) => {}
            Err(error) => {
                let why = describe(&error);
                if set.not_found.as_ref() != Some(&why) {
                    warn!(container = set.name, "cannot tell which process is the app: {why}");
                    set.not_found = Some(why);
                    self.events.push_back((id, Event::AppUnseen));
                }
            }
        }
    }

    /// Where every stop is over and life goes on, the next one is another story.
    pub(super) fn close_story(&mut self) {
        if self.stop.is_none() && self.sets.iter().all(Set::is_quiet) {
            self.desk.journal.stop_over();
        }
    }

    pub(super) fn finish(&mut self) {
        self.desk.finish(0, self.settings.termination_message_path.as_deref());
        end_what_is_left(&self.reaper);
    }
}
