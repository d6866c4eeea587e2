//! The start, in the order that supervisor.rs promises, and the translation of settings into a plan.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tracing::info;

use super::ContainerLoop;
use super::probing::Probing;
use super::reap_throttle::ReapThrottle;
use crate::compat::policy::{Place, Policy};
use crate::handlers::program::{ProgramError, Variables, container_variables, prepare_app};
use crate::handlers::{App, DrainStatus, HandlerContext};
use crate::process::inherited::Inherited;
use crate::process::last_resort;
use crate::process::notify_socket::NotifySocket;
use crate::process::reaper::{Reaper, Target};
use crate::process::signals::Signals;
use crate::process::spawn::{Env, Home, Sockets, Spawn};
use crate::process::terminal;
use crate::report::counters::Counters;
use crate::runtime::dispatcher::{self, Dispatcher, ListenError, QUEUE};
use crate::runtime::plan::{self, stop_signals};
use bookend_config::settings::{Settings, SignalScope};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{Action, ContainerLifecycle, Event};

/// What keeps the app from being started at all. After the app is spawned, nothing does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The port is in use, or the address is not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No descriptors, no memory.
    #[error("cannot make the socket that the app is to notify (app.notify)")]
    Notify(#[source] io::Error),
    /// Neither the command line nor a file says what to run.
    #[error("there is no command to run: give one after `--`, or set app.command in the configuration")]
    NoCommand,
}

/// Runs the container's life, and ends with its exit code. What comes back is why there was none. All signals are blocked
/// already: `inherited` shows it.
pub(crate) fn run(
    settings: Settings,
    policy: Policy,
    mut inherited: Inherited,
    quiet: bool,
) -> Result<Infallible, StartError> {
    let began = Instant::now();
    if settings.app.program.command.is_empty() {
        return Err(StartError::NoCommand);
    }
    let listener = dispatcher::bind(&settings)?;
    let mut lifecycle = ContainerLifecycle::new(plan::of_app(&settings));
    inherited.leave_working_dir();
    let reaper = Reaper::new(policy.reaped);
    dispatcher::take_place(&settings, &inherited);
    let mut actions = match inherited.take_pending_among(&stop_signals(&settings)) {
        // It came before there was an app: there is not going to be one.
        Some(signal) => lifecycle.apply(began.elapsed(), Event::Signal(signal)),
        None => lifecycle.apply(began.elapsed(), Event::Begin),
    };
    let notify = match settings.app.notify {
        true => Some(NotifySocket::open().map_err(StartError::Notify)?),
        false => None,
    };
    let set: Variables = notify.iter().map(|socket| ("NOTIFY_SOCKET".into(), socket.address.clone().into())).collect();
    let mut variables = None;
    let app_since = began.elapsed();
    if actions == [Action::StartApp] {
        let started = start_app(&settings, policy, &set, &inherited, &reaper);
        inherited.let_go_of_working_dir();
        // Only now: the log costs more than the spawn does.
        crate::report::log::init(settings.log, quiet);
        let event = tell_start(&settings, policy, &reaper, &started);
        variables = started.ok();
        actions = lifecycle.apply(began.elapsed(), event);
    } else {
        crate::report::log::init(settings.log, quiet);
    }
    // From here on nothing is fatal: the app may be running.
    let runtime = dispatcher::runtime().unwrap_or_else(|error| go_on_without("build the runtime", &error));
    runtime.block_on(async {
        let signals = Signals::take(&meaningful_signals(&settings), &mut inherited);
        let mut signals = signals.unwrap_or_else(|error| go_on_without("receive signals", &error));
        let target = match settings.app.signal_scope {
            SignalScope::Process => Target::Process,
            SignalScope::ProcessGroup => Target::Group,
        };
        let context = HandlerContext {
            reaper,
            inherited: Arc::new(inherited),
            app: App::Child(target),
            drain: DrainStatus::default(),
        };
        let mut supervisor = ContainerLoop::new(settings, policy, lifecycle, began, context);
        supervisor.app_since = variables.as_ref().map(|_| app_since);
        supervisor.variables = variables;
        supervisor.set = set;
        if let Some(socket) = notify {
            supervisor.listen_to_app(socket);
        }
        if let Some(listener) = listener {
            supervisor.dispatcher.open_port(listener, &supervisor.settings);
        }
        supervisor.dispatcher.open_socket(&supervisor.settings);
        // Once round the loop: what is ready from the beginning, as sockets are, is no work of the first wait.
        tokio::task::yield_now().await;
        let code = supervisor.live(&mut signals, actions).await;
        // What we hold goes with the process: taking it apart piece by piece would be a sixth of a stop.
        std::process::exit(i32::from(code))
    })
}

/// What is left when not even the loop can be had.
fn go_on_without(what: &str, error: &io::Error) -> ! {
    crate::report::log::last_words(&format!("bookend: cannot {what} ({error}): forwarding and reaping only\n"));
    last_resort::run()
}

/// Spawns the app and lets the reaper watch it. `set` is what preStart handlers have set; what comes back is
/// what the app was given beside what bookend was started with.
pub(super) fn start_app(
    settings: &Settings,
    policy: Policy,
    set: &[(OsString, OsString)],
    inherited: &Inherited,
    reaper: &Reaper,
) -> Result<Variables, ProgramError> {
    let variables = container_variables(&settings.app, set)?;
    let app = prepare_app(&settings.app, &variables)?;
    let home = match policy.place {
        Place::Group => Home::Foreground,
        Place::Session => {
            terminal::give_up();
            Home::Session
        }
        Place::Ours => Home::Ours,
    };
    let spawn = Spawn {
        command: &app.command,
        env: app.env.as_deref().map_or(Env::Inherited, Env::Own),
        fds: &[],
        home,
        parent_death: settings.app.pdeath_signal,
        sockets: Sockets::Its,
        setup: &app.setup,
    };
    let pid = spawn.start(inherited)?;
    reaper.watch_app(pid, policy.exit_signal);
    last_resort::stay_for(Some(pid));
    Inherited::close_strays();
    Ok(variables)
}

/// The event that a start was, told to the log as well.
pub(super) fn tell_start(
    settings: &Settings,
    policy: Policy,
    reaper: &Reaper,
    started: &Result<Variables, ProgramError>,
) -> Event {
    match started {
        Ok(_) => {
            let command = settings.app.program.command.first().map(|program| program.to_string_lossy());
            let pid = reaper.app().map(nix::unistd::Pid::as_raw);
            info!(pid, command = command.as_deref(), version = env!("CARGO_PKG_VERSION"), "app started");
            Event::AppStarted
        }
        Err(error) => {
            let code = crate::exit::code_of_program_error(error, policy.convention);
            match crate::compat::say_not_started(policy.convention, error) {
                Some(line) => crate::report::log::last_words(&line),
                None => tracing::error!("{}", crate::error::describe(error)),
            }
            Event::AppNotStarted { code }
        }
    }
}

impl ContainerLoop {
    fn new(
        settings: Settings,
        policy: Policy,
        lifecycle: ContainerLifecycle,
        began: Instant,
        context: HandlerContext,
    ) -> ContainerLoop {
        let mut counters = Counters::default();
        if context.reaper.app().is_some() {
            counters.app_started(began.elapsed());
        }
        let (to_inputs, inputs) = mpsc::channel(QUEUE);
        ContainerLoop {
            probing: Probing::new(&settings),
            reap_throttle: ReapThrottle::default(),
            sigchld_guard: None,
            settings,
            policy,
            leftovers: String::new(),
            lifecycle,
            dispatcher: Dispatcher::new(began),
            counters,
            timers: SmallMap::new(),
            events: VecDeque::new(),
            context,
            set: Vec::new(),
            variables: None,
            app_since: None,
            app_until: None,
            app_ended: None,
            connections: None,
            arrivals_before: None,
            arrivals_due: false,
            inputs,
            to_inputs,
            log_is_late: false,
        }
    }
}

/// The signals the configuration gives a meaning to.
fn meaningful_signals(settings: &Settings) -> Vec<Signal> {
    stop_signals(settings).into_iter().chain(settings.app.signals.keys().copied()).collect()
}
