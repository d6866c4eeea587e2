//! Carrying out what the lifecycle has decided. Nothing here decides, and nothing waits.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::boot::{start_app, tell_start};
use super::connections::Connections;
use super::surroundings::{find_handler, handler_env};
use super::{Input, Run, Supervisor};
use crate::handler::{self, Purpose};
use crate::http::{Answer, AppStatusView, DrainView, Happening, Seconds, Show, Status, Unfinished, ZombieParent};
use crate::journal::{Record, describe_note, describe_status, describe_trigger, trigger_word};
use crate::lifecycle::{Action, CallerId, Event, Hook, Note, Outcome, RunId};
use crate::net::eye::{Eye, is_host_network};
use crate::policy::Leftovers;
use crate::process::leftovers;
use crate::process::terminal;
use crate::process::zombies::{self, Guilty};
use crate::signal::Signal;

impl Supervisor {
    /// Carries out all of them, in order. The exit code, if the last act is among them.
    pub(super) fn perform_all(&mut self, actions: Vec<Action>) -> Option<u8> {
        actions.into_iter().find_map(|action| self.perform(action))
    }

    fn perform(&mut self, action: Action) -> Option<u8> {
        match action {
            Action::StartApp => {
                let started =
                    start_app(&self.settings, self.policy, &self.set, &self.surroundings.inherited, self.reaper());
                let event = tell_start(&self.settings, self.policy, self.reaper(), &started);
                self.app_since = started.is_ok().then(|| self.now());
                self.variables = started.ok();
                if event == Event::AppStarted {
                    self.tally.app_started(self.now());
                }
                self.events.push_back(event);
            }
            Action::StartHandler { run, hook, index, attempt, timeout } => {
                self.start_handler(run, hook, index, attempt, timeout);
            }
            Action::AbortHandler(id) => {
                if let Some(run) = self.runs.remove(&id) {
                    self.record(&run, "Aborted", "aborted".to_owned(), Vec::new());
                    run.running.abort();
                }
            }
            Action::SignalApp(signal) => self.signal_app(signal),
            Action::WatchConnections => self.watch_connections(),
            Action::HurryApp(signal) => {
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
                self.tally.answered(hook, outcome);
                self.answer(caller, outcome);
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
        let Some(handler) = find_handler(&self.settings.lifecycle, hook, index) else {
            // The plan was made from these very settings.
            self.events.push_back(Event::HandlerEnded { run: id, result: crate::lifecycle::HandlerResult::Failed });
            return;
        };
        debug!(hook = hook.name(), handler = handler.name, ?timeout, "handler started");
        let (running, report) = match handler_env(self, Some(hook), &handler.name) {
            Ok(env) => handler::start(handler, Purpose::Hook(hook), timeout, env, &self.surroundings),
            Err(error) => handler::failed(&error),
        };
        self.audience.tell(self.began.elapsed(), &Happening::HandlerStarted { hook: hook.name(), name: &handler.name });
        let run = Run { hook, name: handler.name.clone(), attempt, began: self.now(), running };
        self.runs.insert(id, run);
        let inputs = self.to_inputs.clone();
        tokio::spawn(async move {
            if let Ok(report) = report.await {
                // The loop is gone only when the process is.
                let _ = inputs.send(Input::Reported(id, report)).await;
            }
        });
    }

    fn signal_app(&mut self, signal: Signal) {
        match self.reaper().signal_app(signal, self.surroundings.target) {
            Ok(()) => {
                self.tally.signalled(signal);
                debug!(%signal, "forwarded");
            }
            // It has just ended; its status is on the way.
            Err(error) => debug!(%signal, %error, "could not be forwarded"),
        }
    }

    fn answer(&mut self, caller: CallerId, outcome: Outcome) {
        let (receipt, taken) = oneshot::channel();
        let sent = self.callers.remove(&caller).map(|sender| sender.send(Answer { outcome, receipt }));
        if !matches!(sent, Some(Ok(()))) {
            // The caller hung up.
            self.events.push_back(Event::CallerDone(caller));
            return;
        }
        let inputs = self.to_inputs.clone();
        tokio::spawn(async move {
            // The receipt is never sent, only dropped: with the last byte of the connection.
            let _ = taken.await;
            let _ = inputs.send(Input::CallerDone(caller)).await;
        });
    }

    pub(super) fn record(&mut self, run: &Run, result: &'static str, detail: String, output: Vec<String>) {
        let took = self.now().saturating_sub(run.began);
        let hook = run.hook.name();
        match result {
            "Succeeded" => debug!(hook, handler = run.name, took_ms = millis(took), "handler succeeded"),
            "Aborted" => info!(hook, handler = run.name, took_ms = millis(took), "handler aborted"),
            _ => warn!(hook, handler = run.name, took_ms = millis(took), "handler failed: {detail}"),
        }
        let record = Record {
            hook,
            name: run.name.clone(),
            attempt: run.attempt,
            trigger: trigger_word(run.hook, self.lifecycle.stop_trigger().map(|(trigger, _)| trigger)),
            started_ms: millis(run.began),
            took_ms: millis(took),
            result,
            detail,
            output,
        };
        self.tell_followers(&Happening::HandlerEnded(&record));
        self.tally.ran(hook, &run.name, result, took);
        self.journal.record(self.now(), record);
    }

    fn tell(&mut self, note: Note) {
        let text = describe_note(note);
        self.tell_followers(&Happening::Note { text: &text });
        if let Note::AppEnded(status) = note {
            self.app_ended = Some(status);
            self.count_resets();
            self.app_until = Some(self.now());
        }
        match note {
            Note::StopBegan(trigger) => {
                let grace = self.settings.termination_grace_period.map(|grace| grace.as_secs_f64());
                self.arrivals_before = if is_host_network() { None } else { Eye::arrivals() };
                info!(trigger = describe_trigger(trigger), grace_seconds = grace, "stopping");
            }
            Note::Started => info!("{text}"),
            Note::HookOver(_, Outcome::Failed) | Note::NoTimeLeft(..) | Note::Rearmed | Note::Killed => warn!("{text}"),
            Note::LeftoversKilled | Note::LeftoversRemain => match std::mem::take(&mut self.leftovers) {
                names if names.is_empty() => warn!("{text}"),
                names => warn!("{text}: {names}"),
            },
            Note::AnswerNotTaken => warn!("{text}"),
            // Told in the timeline, when the stop is over.
            _ => debug!("{text}"),
        }
        self.journal.note(self.now(), note);
        self.tally.note(self.now(), note);
    }

    /// The last act: the story told, once in the log and once in the termination message.
    fn finish(&mut self, code: u8) {
        let now = self.now();
        self.tell_followers(&Happening::Exited { exit_code: code });
        self.audience.dismiss();
        if let Some(socket) = &self.socket {
            socket.remove();
        }
        info!("{}", self.journal.headline(now, code));
        if self.journal.was_a_stop() {
            for row in self.journal.timeline() {
                info!("  {row}");
            }
        }
        let path = self.settings.termination_message_path.as_deref().unwrap_or(Path::new(TERMINATION_LOG));
        write_termination_message(path, || self.journal.summary(now, code, TERMINATION_BYTES));
        crate::log::flush();
        terminal::take_back();
        let to_be_ended = self.policy.leftovers == Leftovers::End && !crate::process::is_first_process();
        if to_be_ended && self.reaper().reap().others {
            // Nobody else ends what we have begun; PID 1's namespace dies with it.
            leftovers::signal_all(Signal::KILL);
        }
    }

    /// The state as it is now, for whoever asks.
    pub(super) fn snapshot(&mut self, show: Show) -> Status {
        let story = if show == Show::Everything { self.story() } else { Status::default() };
        let machine = &self.lifecycle;
        Status {
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
            stop_began_seconds: self.journal.origin().map(Seconds),
            termination_grace_period_seconds: self.settings.termination_grace_period.map(Seconds),
            grace_left_seconds: machine.deadline().map(|end| Seconds(end.saturating_sub(self.now()))),
            orphans_reaped: self.reaper().orphans(),
            lost: self.connections.as_ref().map(Connections::lost),
            ..story
        }
    }

    /// What a status tells besides how things stand.
    fn story(&mut self) -> Status {
        let guilty = self.look_for_zombies();
        let shown = guilty.iter().take(MOST_PARENTS);
        let shown = shown.map(|one| ZombieParent { pid: one.pid, name: one.name.clone(), zombies: one.zombies });
        Status {
            zombies: guilty.iter().map(|one| one.zombies).sum(),
            zombie_parents: shown.collect(),
            tally: self.tally.clone(),
            handlers: self.journal.records().cloned().collect(),
            running: self.unfinished(),
            timeline: self.journal.timeline().collect(),
            profile: self.settings.app.profile.clone(),
            new_connections: self.new_connections(),
            drain: self.surroundings.drain.borrow().map(DrainView::of),
            ..Status::default()
        }
    }

    /// Those that only their own parents can reap; a parent that does not is told of once.
    pub(super) fn look_for_zombies(&mut self) -> Vec<Guilty> {
        let guilty = zombies::guilty_parents();
        for Guilty { pid, name, zombies } in self.zombies.look(self.began.elapsed(), &guilty) {
            warn!(pid, name, zombies, "a process does not wait for its children: only it can reap these zombies");
        }
        guilty
    }

    /// Connections that have come since the stop began.
    fn new_connections(&self) -> Option<u64> {
        self.lifecycle.stop_trigger()?;
        Some(Eye::arrivals()?.saturating_sub(self.arrivals_before?))
    }

    /// The handlers that run, the oldest first.
    fn unfinished(&self) -> Vec<Unfinished> {
        let mut runs: Vec<_> = self.runs.values().collect();
        runs.sort_by_key(|run| run.began);
        let shown =
            |run: &Run| Unfinished { hook: run.hook.name(), name: run.name.clone(), started_ms: millis(run.began) };
        runs.into_iter().map(shown).collect()
    }
}

/// Kubernetes reads the file when the container has ended; an app that wrote its own message keeps it.
/// Written in place: the file is a bind mount, which a rename would replace. Opened without waiting: a FIFO in
/// its place would wait for a reader.
fn write_termination_message(path: &Path, summary: impl FnOnce() -> String) {
    let Ok(mut file) = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) else { return };
    let is_empty_file = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0);
    if is_empty_file && let Err(error) = file.write_all(summary().as_bytes()) {
        warn!(%error, path = %path.display(), "cannot write the termination message");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `/status` names so many parents of zombies.
const MOST_PARENTS: usize = 10;
/// Kubernetes' default `terminationMessagePath`.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Kubernetes keeps this much of it.
const TERMINATION_BYTES: usize = 4096;
