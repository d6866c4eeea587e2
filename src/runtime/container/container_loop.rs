//! The owner of the container's state: turns inputs into events, and performs what the machine decides. One file: it is the whole table.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "reload")]
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use super::app_connections::AppConnections;
use super::auto_profile;
use super::job_control;
use super::notify_state::{self, NotifyState};
use super::probing::Probing;
use super::refusals::{self, NotSent, Refusals};
use super::remaining::{self, RemainingProcesses};
use super::spawn_app;
use super::state_file;
use crate::compat::not_started;
use crate::compat::policy::{Leftovers, Policy};
use crate::error::describe;
use crate::handlers::program::{self, PendingEnvironment, PreparedApp};
use crate::handlers::{AppHandle, DrainStatus, HandlerContext, OutputBudgets};
#[cfg(feature = "reload")]
use crate::http::ReloadAnswer;
use crate::http::{AppSnapshot, Detail, DrainSnapshot, LifecycleEvent, StatusSnapshot};
use crate::process::inherited::Inherited;
use crate::process::notify_socket::NotifySocket;
use crate::process::reaper::{Ended, Reaper, SignalTarget};
use crate::process::signals::Signals;
use crate::process::{last_resort, terminal};
use crate::report::journal::{NoteText, describe_end, describe_trigger};
use crate::report::log;
use crate::runtime::dispatcher::{Dispatcher, TaskMessage};
use crate::runtime::life_before::LifeBefore;
use crate::runtime::memory_watch::{self, MemoryWatch};
use crate::runtime::plan;
use crate::runtime::reaping::ReapThrottle;
#[cfg(feature = "reload")]
use crate::runtime::reload::{self, Reloadable, Reloads};
use crate::runtime::run_loop::{self, Supervisor};
use crate::runtime::start;
use crate::runtime::unit::{App, Unit, UnitId};
use bookend_config::AutoProfile;
#[cfg(feature = "reload")]
use bookend_config::settings::AppSettings;
use bookend_config::settings::{Settings, SignalScope};
use bookend_lifecycle::oom::OomKill;
use bookend_lifecycle::past::LifeStage;
use bookend_lifecycle::probe::{ProbeAction, ProbeConditions};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{
    Action, AppStatus, ContainerLifecycle, Event, Hook, Machine, Note, PhaseName, Remaining, Time, Timer,
};
#[cfg(feature = "reload")]
use bookend_lifecycle::{notify::Message, reload::ReloadEvent};

/// The state of a container's process.
pub(super) struct ContainerLoop {
    configured: Configured,
    unit: Unit<ContainerLifecycle>,
    dispatcher: Dispatcher,
    probing: Probing,
    notify: NotifyState,
    connections: AppConnections,
    reaping: ReapThrottle,
    refusals: Refusals,
    remaining: RemainingProcesses,
    memory: MemoryWatch,
    #[cfg(feature = "reload")]
    reloads: Reloads,
}

/// The settings, the choice of `app.profile = "auto"`, which may replace them, and the policy of the init that we stand in for.
struct Configured {
    settings: Settings,
    auto: Option<AutoProfile>,
    policy: Policy,
}

impl ContainerLoop {
    pub(super) fn new(
        mut settings: Settings,
        auto: Option<AutoProfile>,
        policy: Policy,
        inherited: Inherited,
        began: Instant,
    ) -> ContainerLoop {
        let plan = plan::of_app(&settings, policy.convention);
        last_resort::treat_signals(&plan);
        let machine = ContainerLifecycle::new(plan);
        let target = match settings.app.signal_scope {
            SignalScope::Process => SignalTarget::Process,
            SignalScope::ProcessGroup => SignalTarget::Group,
        };
        let context = HandlerContext {
            reaper: Reaper::new(policy.orphan_log),
            inherited: Arc::new(inherited),
            app: AppHandle::Child(target),
            drain: DrainStatus::default(),
            output: OutputBudgets::new(),
        };
        let lifecycle = std::mem::take(&mut settings.lifecycle);
        ContainerLoop {
            probing: Probing::new(&settings.probes),
            notify: NotifyState::new(settings.app.notify),
            connections: AppConnections::default(),
            reaping: ReapThrottle::default(),
            refusals: Refusals::default(),
            remaining: RemainingProcesses::default(),
            memory: MemoryWatch::default(),
            #[cfg(feature = "reload")]
            reloads: Reloads::new(&settings.reloads, settings.app.notify, |_| Some(UnitId::FIRST)),
            unit: Unit::new(None, machine, lifecycle, context),
            dispatcher: Dispatcher::new(began, &settings),
            configured: Configured { settings, auto, policy },
        }
    }

    /// Sets a variable of the container, for the app and the handlers.
    pub(super) fn set_variable(&mut self, name: &str, value: &str) {
        self.unit.variables.extend(vec![(name.into(), value.into())]);
    }

    /// The first event. Without preStart handlers and files it starts the app at once, before there is a runtime.
    pub(super) fn begin(&mut self, early_stop: Option<Signal>) {
        #[cfg(feature = "otel")]
        if let Some(recorder) = self.dispatcher.reporter.trace.recorder() {
            recorder.start_began(Time::ZERO);
        }
        match early_stop {
            // The signal came before there was an app: it will not be started.
            Some(signal) => self.dispatcher.push(UnitId::FIRST, Event::Signal(signal)),
            // The state file comes first: `claim_state_file`.
            None if self.configured.settings.state_file.is_some() => {}
            None if self.unit.lifecycle.pre_start.is_empty()
                && !program::reads_files(&self.configured.settings.app.program) =>
            {
                // Not the exit: the machine answers with `StartApp` alone.
                let _ = run_loop::apply(self, UnitId::FIRST, Event::Begin);
            }
            None => self.dispatcher.push(UnitId::FIRST, Event::Begin),
        }
        log::init(self.configured.settings.log);
    }

    pub(super) fn take_signals(&mut self) -> io::Result<Signals> {
        let inherited =
            Arc::get_mut(&mut self.unit.context.inherited).expect("no task holds the context before the loop");
        Signals::take(inherited)
    }

    /// Opens the endpoint, and receives the app's own notifications.
    pub(super) fn listen(&mut self, port: Option<TcpListener>, notify: Option<NotifySocket>) {
        if let Some(socket) = notify {
            notify_state::listen(socket, self.dispatcher.to_loop());
        }
        if let Some(listener) = port {
            self.dispatcher.listeners.open_port(listener, &self.configured.settings);
        }
        self.dispatcher.listeners.open_socket(&self.configured.settings);
    }

    /// Reads the state file, if there is one, and claims it for this life. `state_file_claimed` follows.
    pub(super) fn claim_state_file(&mut self) {
        if let Some(path) =
            self.configured.settings.state_file.clone().filter(|_| self.unit.machine.phase() == PhaseName::Starting)
        {
            let has_handlers = self.unit.lifecycle.post_stop.iter().any(|handler| handler.on.unseen);
            state_file::claim_detached(path, has_handlers, None, self.dispatcher.to_loop());
        }
    }

    /// The state file has been read and written, or cannot be used: the life begins.
    fn state_file_claimed(&mut self, life: LifeBefore) {
        let event = if life.catches_up { Event::BeginUnseen } else { Event::Begin };
        self.dispatcher.reporter.life_before(self.configured.settings.state_file.clone().unwrap_or_default(), life);
        self.push(event);
    }

    fn now(&self) -> Time {
        self.dispatcher.now()
    }

    fn push(&mut self, event: Event) {
        self.dispatcher.push(UnitId::FIRST, event);
    }

    // ---- The app --------------------------------------------------------------------------------

    /// Starts the app, as soon as the files that it needs have been read.
    fn start_app(&mut self) {
        let (settings, set) = (&self.configured.settings.app, &self.unit.variables.set);
        if program::reads_files(&settings.program) {
            return spawn_app::prepare_detached(settings.clone(), set.clone(), self.dispatcher.to_loop());
        }
        let prepared = spawn_app::prepare(settings, set);
        self.spawn_app(prepared);
    }

    /// The one place that spawns the app; `AppStarted` or `AppNotStarted` follows.
    fn spawn_app(&mut self, prepared: PreparedApp) {
        let (settings, policy) = (&self.configured.settings.app, self.configured.policy);
        let started = spawn_app::spawn(settings, policy, prepared, &self.unit.context);
        if let Some(inherited) = Arc::get_mut(&mut self.unit.context.inherited) {
            inherited.release_working_dir();
        }
        // Only now, unless preStart handlers needed it: the log costs more than the spawn.
        log::init(self.configured.settings.log);
        let event = match started {
            Ok((pid, variables)) => {
                let command =
                    self.configured.settings.app.program.command.first().map(|program| program.to_string_lossy());
                let version = env!("CARGO_PKG_VERSION");
                info!(pid = pid.as_raw(), command = command.as_deref(), version, "app started");
                auto_profile::report_start(self.configured.auto.as_ref());
                let since = self.now();
                self.unit.app = App::Running { pid, since };
                self.unit.variables.given = Some(variables);
                self.unit.counters.app_started(since);
                #[cfg(feature = "otel")]
                if let Some(recorder) = self.dispatcher.reporter.trace.recorder() {
                    recorder.app_started(since, pid.as_raw().unsigned_abs());
                }
                self.dispatcher.reporter.write_life_stage(LifeStage::Running);
                Event::AppStarted
            }
            Err(error) => {
                match not_started::message(self.configured.policy.convention, &error) {
                    Some(line) => log::last_words(&line),
                    None => error!("{}", describe(&error)),
                }
                Event::AppNotStarted { code: not_started::exit_code(self.configured.policy.convention, &error) }
            }
        };
        self.push(event);
    }

    fn signal_app(&mut self, signal: Signal) {
        match self.unit.context.signal_app(signal) {
            Ok(()) => {
                last_resort::acted_upon();
                self.unit.counters.signalled(signal);
                debug!(%signal, "signal sent to the app");
                self.push(Event::SignalSent(signal));
            }
            Err(error) => {
                if let NotSent::Refused { is_news } = self.refusals.failed(signal, self.unit.app.pid(), &error) {
                    if is_news && self.unit.trigger().is_some() {
                        self.dispatcher.reporter.add_remark(format!("{signal} to the app was refused: {error}"));
                    }
                    self.push(Event::SignalRefused(signal));
                }
            }
        }
    }

    /// A signal that ends the app at once, together with the requests that it works on.
    fn cut_off_app(&mut self, signal: Signal) {
        if let Some((cut, are_all)) = self.connections.count_cut() {
            self.dispatcher.reporter.requests_cut(cut, are_all);
        }
        self.signal_app(signal);
    }

    /// Collects the ended children.
    fn reap(&mut self) {
        let round = self.reaping.reap(&self.unit.context.reaper, || self.dispatcher.now());
        last_resort::stay_for(self.unit.context.reaper.app());
        if round.orphans > 0 {
            self.dispatcher.found_orphans();
        }
        if let Some(by) = round.app_stopped {
            let is_signalled = self.unit.machine.is_signalled();
            job_control::app_stopped(self.configured.policy.suspend, &self.unit.context.reaper, by, is_signalled);
        }
        let (kill, explains) = self.memory.reaped(self.now(), &round);
        // A SIGKILL of ours is counted; the kernel's may have come before it, but then it is not what ended the app.
        let is_ours = self.unit.counters.signals.contains_key(&Signal::KILL);
        if explains && !is_ours && round.app == Some(Ended::Signalled(Signal::KILL)) {
            self.unit.oom = true;
            self.dispatcher.reporter.journal.oom = true;
        }
        if let Some(kill) = kill {
            self.out_of_memory(kill);
        }
        if let Some(ended) = round.app {
            self.push(Event::AppEnded { status: ended.into() });
        }
        self.look_for_remaining(round.others);
    }

    /// The OOM killer was at work.
    fn out_of_memory(&mut self, kill: OomKill) {
        self.unit.counters.oom_kills += kill.processes;
        self.dispatcher.reporter.out_of_memory(memory_watch::describe(kill));
    }

    /// They wait for our own end, and get no signal.
    fn followers(&self) -> Vec<i32> {
        self.dispatcher.reporter.subscribers.pids()
    }

    /// Reports which processes remain, if they are waited for and that has changed.
    fn look_for_remaining(&mut self, children: bool) {
        let followers = self.followers();
        let first = self.remaining.is_first();
        if let Some(remaining) = self.remaining.look(self.dispatcher.now(), children, &followers) {
            if first && remaining != Remaining::Nothing && remaining::are_refused(&followers) {
                self.push(Event::LeftoversRefused);
            }
            self.push(Event::Remaining(remaining));
        }
    }

    fn terminate_leftovers(&mut self) {
        // They are left alone in the other mode, so we do not wait for them.
        if self.configured.policy.leftovers == Leftovers::Leave {
            return self.push(Event::Remaining(Remaining::Nothing));
        }
        match self.remaining.terminate(&self.dispatcher.reporter.subscribers.pids()) {
            // All of them may have ended before.
            true => self.reap(),
            false => self.push(Event::Remaining(Remaining::Nothing)),
        }
    }

    fn watch_connections(&mut self) {
        let drain_ports = plan::drain_ports(&self.unit.lifecycle);
        let second_signal =
            self.configured.settings.app.second_signal.map(|second| (second.after, self.dispatcher.to_loop()));
        if let Some(remark) = self.connections.watch(drain_ports, self.unit.context.reaper.app(), second_signal) {
            self.dispatcher.reporter.remark(remark);
        }
    }

    // ---- Probes ---------------------------------------------------------------------------------

    /// Starts the probes that are due, and aborts those that may not run any more.
    fn update_probes(&mut self) {
        let conditions = self.probe_conditions();
        for action in self.probing.update(self.now(), &conditions) {
            match action {
                ProbeAction::Start(kind, run) => {
                    // The settings named the probe in the first place.
                    let Some(probe) = self.configured.settings.probes.get(kind) else { continue };
                    let env = self.probe_env(kind.name());
                    self.probing.start(kind, run, &probe.handler, env, &self.unit.context, self.dispatcher.to_loop());
                }
                ProbeAction::Abort(kind) => self.probing.abort(kind),
            }
        }
        let stops = self.configured.settings.probes.stop_on_liveness && !self.probing.is_live();
        if stops && self.unit.machine.phase() == PhaseName::Running {
            self.push(Event::LivenessFailed);
        }
    }

    fn probe_conditions(&self) -> ProbeConditions {
        ProbeConditions {
            app_since: self.unit.app.running_since(),
            post_start_over: self.unit.machine.has_started(),
            notified: self.notify.is_ready(),
            stopping: self.unit.trigger().is_some(),
            signalled: self.unit.trigger().is_some() && !self.unit.machine.is_serving(),
            startup_extended_to: self.notify.startup_extended_to(),
        }
    }

    fn probe_env(&self, name: &str) -> PendingEnvironment {
        let socket = self.dispatcher.listeners.socket_path();
        self.unit.handler_env(&self.configured.settings.app, None, name, socket, self.now())
    }

    // ---- Reports --------------------------------------------------------------------------------

    fn tell(&mut self, note: Note) {
        let now = self.unit.time_of(note, self.now());
        let mut text = NoteText::Usual(note);
        match note {
            Note::AppEnded(status) => {
                if status == AppStatus::StillRunning {
                    refusals::report_app_left(self.unit.app.pid());
                }
                self.unit.app.has_ended(status, now);
                text = NoteText::AppEnded { status, oom: self.unit.oom };
            }
            Note::CaughtUp => {
                let path = self.configured.settings.state_file.clone().unwrap_or_default();
                let content = self.dispatcher.reporter.take_state();
                state_file::claim_detached(path, false, Some(content), self.dispatcher.to_loop());
            }
            Note::LeftoversRemain => remaining::report_survivors(&self.followers()),
            Note::LeftoversTerminated => text = NoteText::Other(remaining::describe(note, &self.followers())),
            Note::LeftoversRefused => {
                text = NoteText::Other(remaining::describe(note, &self.followers()));
                warn!("{text}: {}", remaining::why_refused());
            }
            Note::LeftoversKilled => text = NoteText::Other(self.remaining.take_killed()),
            Note::StopBegan(trigger) => {
                let grace = self.configured.settings.termination_grace_period;
                self.dispatcher.reporter.stop_began(None, trigger, grace);
                self.connections.stop_began();
            }
            _ => {}
        }
        self.dispatcher.reporter.note_as(now, note, text);
        #[cfg(feature = "otel")]
        self.dispatcher.reporter.trace.record(|recorder| recorder.note(now, None, note));
        let stage = self.unit.counters.note(now, note);
        self.dispatcher.reporter.stage_over(None, stage);
        if let Note::AppEnded(_) = note
            && let Some(remark) = self.connections.app_ended()
        {
            self.dispatcher.reporter.remark(remark);
        }
    }

    /// The stop report. Its followers get it before the end.
    fn finish(&mut self, code: u8) {
        let status = self.dispatcher.reporter.wants_report().then(|| self.snapshot(Detail::Report));
        self.dispatcher.finish(code, status.as_ref());
    }
}

impl Supervisor for ContainerLoop {
    type Machine = ContainerLifecycle;

    fn dispatcher(&mut self) -> &mut Dispatcher {
        &mut self.dispatcher
    }

    fn unit(&mut self, _: UnitId) -> Option<(&mut Dispatcher, &mut Unit<ContainerLifecycle>)> {
        Some((&mut self.dispatcher, &mut self.unit))
    }

    fn find_unit(&self, _: Option<&str>) -> Option<UnitId> {
        Some(UnitId::FIRST)
    }

    fn phase(&self) -> PhaseName {
        self.unit.machine.phase()
    }

    fn snapshot(&mut self, detail: Detail) -> StatusSnapshot {
        let now = self.now();
        let status = self.dispatcher.status(detail);
        let status = match detail {
            Detail::Health => status,
            Detail::Everything | Detail::Report => StatusSnapshot {
                counters: self.unit.counters.clone(),
                profile: self.configured.settings.app.profile.clone(),
                new_connections: self.connections.new_connections(),
                open: self.unit.app.pid().filter(|_| detail == Detail::Report).and_then(|_| self.connections.open()),
                drain: self.unit.context.drain.borrow().map(DrainSnapshot::of),
                #[cfg(feature = "reload")]
                reloads: self.reloads.snapshots(),
                ..status
            },
        };
        let (unit, probing, notify) = (&self.unit, &self.probing, &self.notify);
        let probed = probing.has_started() && notify.is_ready();
        let serving = probed && probing.is_ready();
        StatusSnapshot {
            phase: unit.machine.phase(),
            post_start_over: unit.machine.has_started(),
            started: unit.machine.has_started() && probed,
            ready: unit.machine.is_ready() && serving && !notify.is_stopping(),
            serving: unit.machine.is_serving() && serving,
            probes: probing.views(),
            notify: notify.view(),
            app: AppSnapshot {
                pid: unit.app.pid().map(nix::unistd::Pid::as_raw),
                ended: unit.app.status().map(|status| describe_end(status, unit.oom)),
                reason: unit.machine.reason(),
                signal: unit.app.status().and_then(AppStatus::signal).map(|signal| signal.to_string()),
                oom: unit.oom,
            },
            stopped_by: unit.trigger().map(describe_trigger),
            termination_grace_period_seconds: self.configured.settings.termination_grace_period.map(Seconds),
            grace_left_seconds: unit.grace_left(now).map(Seconds),
            orphans_reaped: unit.context.reaper.orphans(),
            lost: self.connections.lost(),
            ..status
        }
    }

    fn on_signal(&mut self, signal: Signal, sender: u32) {
        if signal == Signal::CHLD {
            let app_has_ended = self.unit.app.status().is_some();
            if self.reaping.is_due_after_sigchld(self.now(), app_has_ended) {
                self.reap();
            }
            return;
        }
        last_resort::received(signal);
        self.dispatcher.reporter.publish(&LifecycleEvent::Signal { signal });
        job_control::before_forwarding(&self.unit.context.reaper, signal);
        let of_handler = self.unit.trigger().is_some() && self.dispatcher.is_from_handler(Hook::PreStop, sender);
        self.push(if of_handler { Event::SignalFromPreStop(signal) } else { Event::Signal(signal) });
    }

    fn on_message(&mut self, message: TaskMessage) {
        match message {
            TaskMessage::ConnectionsIdle => self.push(Event::ConnectionsIdle),
            TaskMessage::ProbeEnded(kind, run, report) => {
                let conditions = self.probe_conditions();
                if let Some(text) = self.probing.ended(self.now(), &conditions, (kind, run, report)) {
                    self.dispatcher.reporter.publish(&LifecycleEvent::Note { text: &text });
                }
            }
            TaskMessage::Notified(messages) => {
                let now = self.now();
                #[cfg(feature = "reload")]
                for message in &messages {
                    match message {
                        Message::Reloading => reload::notified(self, ReloadEvent::Reloading),
                        Message::Ready => reload::notified(self, ReloadEvent::Ready),
                        _ => {}
                    }
                }
                for text in messages.into_iter().filter_map(|message| self.notify.take(now, message)) {
                    info!("{text}");
                    self.dispatcher.reporter.publish(&LifecycleEvent::Note { text });
                }
            }
            TaskMessage::LifeBefore(life) => self.state_file_claimed(*life),
            // A stop may have come before.
            TaskMessage::AppPrepared(prepared) if self.phase() == PhaseName::Starting => self.spawn_app(*prepared),
            #[cfg(feature = "reload")]
            TaskMessage::Reload(message) => reload::on_message(self, *message),
            TaskMessage::MemoryEvents => {
                if let Some(kill) = self.memory.look(self.now()) {
                    self.out_of_memory(kill);
                }
            }
            // Of the loop itself, and of a sidecar.
            TaskMessage::AppPrepared(_)
            | TaskMessage::HandlerEnded(..)
            | TaskMessage::CallerDone(..)
            | TaskMessage::ZombiesFound(_)
            | TaskMessage::SearchEnded(..)
            | TaskMessage::ProcessEnded(_) => {}
        }
    }

    fn on_stop_request(&mut self) {
        self.push(Event::StopRequested);
    }

    fn on_signal_request(&mut self, signal: Signal) -> Result<(), &'static str> {
        self.on_signal(signal, 0);
        Ok(())
    }

    #[cfg(feature = "reload")]
    fn on_reload_request(&mut self, name: Option<&str>, response: oneshot::Sender<ReloadAnswer>) {
        reload::on_request(self, name, response);
    }

    fn on_due(&mut self) {
        let now = self.now();
        if let Some(timer) = self.unit.take_due_timer(now) {
            self.push(Event::TimerFired(timer));
        } else if self.reaping.due().is_some_and(|due| due <= now) || self.remaining.due().is_some_and(|due| due <= now)
        {
            self.reap();
        }
        // Probes that are due are started before every wait.
    }

    fn on_idle(&mut self) {
        if self.connections.awaits_arrivals() {
            return self.connections.count_arrivals();
        }
        self.memory.begin(self.dispatcher.to_loop());
        AppConnections::prepare();
    }

    fn perform(&mut self, id: UnitId, action: Action) -> Option<u8> {
        match action {
            Action::StartApp => self.start_app(),
            Action::SignalApp(signal) => self.signal_app(signal),
            Action::ContinueApp => {
                job_control::continue_stopped(self.configured.policy.suspend, &self.unit.context.reaper)
            }
            Action::WatchConnections => self.watch_connections(),
            Action::SendSecondSignal(signal) => self.cut_off_app(signal),
            Action::KillApp => self.cut_off_app(Signal::KILL),
            Action::TerminateLeftovers => self.terminate_leftovers(),
            Action::KillLeftovers => self.remaining.kill(&self.dispatcher.reporter.subscribers.pids()),
            Action::Tell(note) => self.tell(note),
            Action::StartHandler { .. } | Action::AbortHandler(_) | Action::Answer { .. } | Action::SetTimer { .. } => {
                self.dispatcher.perform(id, &mut self.unit, &self.configured.settings.app, action)
            }
            Action::Exit(code) => {
                self.finish(code);
                return Some(code);
            }
        }
        None
    }

    fn before_event(&mut self, event: Event) {
        if let Event::StopRequested | Event::LivenessFailed = event {
            // This stop has no signal. If there is no memory for it, the app gets SIGTERM.
            last_resort::received(Signal::TERM);
        }
        if let Some(auto) = self.configured.auto.as_mut().filter(|_| auto_profile::may_begin_stop(event)) {
            auto_profile::choose(
                auto,
                &mut self.configured.settings,
                &mut self.unit,
                self.configured.policy.convention,
            );
        }
    }

    fn event_done(&mut self, event: Event) {
        if let Event::Signal(signal) = event {
            job_control::after_forwarding(self.configured.policy.suspend, signal);
        }
        let machine = &self.unit.machine;
        if let Some(code) = machine.exit_code() {
            last_resort::exit_with(code);
        } else if machine.phase() == PhaseName::Stopping {
            let kill_at = self.unit.timers.get(&Timer::Kill);
            let kill_in = kill_at.map(|at| at.saturating_sub(self.dispatcher.now()));
            last_resort::remember_stop(machine.pending_stop_signal(), kill_in);
        }
        // The stop that it began is remembered by now.
        last_resort::acted_upon();
    }

    /// The terminal, the remaining processes.
    fn leave(&mut self) {
        terminal::take_back();
        if self.configured.policy.leftovers == Leftovers::End {
            start::kill_remaining_children(&self.unit.context.reaper);
        }
    }

    fn before_wait(&mut self) {
        if self.probing.any_configured() {
            self.update_probes();
        }
        #[cfg(feature = "reload")]
        reload::update(self);
    }

    fn holds_sigchld(&self) -> bool {
        self.reaping.due().is_some()
    }

    fn next_due(&self) -> Option<Time> {
        let due = [self.unit.next_timer(), self.reaping.due(), self.remaining.due(), self.probing.next_at()];
        #[cfg(feature = "reload")]
        let due = due.into_iter().chain([self.reloads.next_at()]);
        due.into_iter().flatten().min()
    }

    fn has_idle_work(&self) -> bool {
        self.connections.awaits_arrivals() || self.memory.is_to_begin()
    }
}

#[cfg(feature = "reload")]
impl Reloadable for ContainerLoop {
    fn reloads(&mut self) -> &mut Reloads {
        &mut self.reloads
    }

    fn app_settings(&self) -> &AppSettings {
        &self.configured.settings.app
    }

    /// Not before the app has started, not during a stop, and not after the app's end.
    fn may_reload(&self, _: UnitId) -> bool {
        let probed = self.probing.has_started() && self.notify.is_ready();
        let is_running = self.unit.machine.phase() == PhaseName::Running && self.unit.app.pid().is_some();
        is_running && self.unit.machine.has_started() && probed && self.unit.trigger().is_none()
    }

    fn reads_since(&self, _: UnitId) -> Option<Time> {
        self.unit.app.running_since()
    }
}
