//! The container's loop: its app is our child.
//!
//! The order of the start matters: block all signals (none is lost), bind the listener (an early hook finds its port),
//! spawn the app (with the signal mask as we found it), and only then build the runtime and begin to log. So the app does
//! not wait for the runtime. preStart handlers and the state file need the runtime, so with them the app starts later.
//!
//! | file              | has                                                               |
//! | ----------------- | ----------------------------------------------------------------- |
//! | `container_loop`  | the owner of the state: every input, and every action             |
//! | `spawn_app`       | the start of the app                                              |
//! | `job_control`     | a terminal's stops and continues                                  |
//! | `notify_state`    | what the app reports with sd_notify                               |
//! | `probing`         | the runs of the app's probes                                      |
//! | `app_connections` | the app's connections during a stop                               |
//! | `remaining`       | the processes that remain after the app's end                     |
//! | `refusals`        | signals that the kernel refuses                                   |
//! | `state_file`      | the state file: read, and claimed for this life                   |
//! | `auto_profile`    | `app.profile = "auto"`: the profile, chosen when a stop may begin |
//! | `running_server`  | which server a running process is                                 |

mod app_connections;
mod auto_profile;
mod container_loop;
mod job_control;
mod notify_state;
mod probing;
mod refusals;
mod remaining;
#[cfg(feature = "auto")]
mod running_server;
mod spawn_app;
mod state_file;

use std::convert::Infallible;
use std::io;
use std::time::Instant;

use self::container_loop::ContainerLoop;
use super::listeners;
use super::plan::stop_signals;
use super::run_loop;
use super::start::{self, StartError};
use crate::compat::policy::Policy;
use crate::process::inherited::Inherited;
use crate::process::last_resort;
use crate::process::notify_socket::NotifySocket;
use crate::report::log::{self, LogStart};
use bookend_config::AutoProfile;
use bookend_config::settings::{LogLevel, Settings};

/// Runs the container, and ends the process with its exit code. It returns only if the app could not be started at all.
/// All signals are blocked already: `inherited` proves it. `log_start`: how the log begins.
pub(crate) fn run(
    mut settings: Settings,
    auto: Option<AutoProfile>,
    policy: Policy,
    mut inherited: Inherited,
    mut log_start: LogStart,
) -> Result<Infallible, StartError> {
    let began = Instant::now();
    start::check(&inherited)?;
    if settings.app.program.command.is_empty() {
        return Err(StartError::NoCommand);
    }
    let listener = listeners::bind(&settings)?;
    if log_start.quiet {
        settings.log.level.get_or_insert(LogLevel::Warn);
    }
    inherited.leave_working_dir();
    start::set_up_parentage(&settings, &inherited, &mut log_start.warnings)?;
    let early_stop = inherited.take_pending_among(&stop_signals(&settings));
    let notify = if settings.app.notify { Some(NotifySocket::open().map_err(StartError::Notify)?) } else { None };
    let mut container = ContainerLoop::new(settings, auto, policy, inherited, began);
    if let Some(socket) = &notify {
        container.set_variable("NOTIFY_SOCKET", &socket.address);
    }
    container.begin(early_stop);
    log_start.warn();
    // From here on nothing is fatal: the app may be running.
    let runtime = start::runtime().unwrap_or_else(|error| go_on_without("build the runtime", &error));
    runtime.block_on(async {
        let signals = container.take_signals();
        let mut signals = signals.unwrap_or_else(|error| go_on_without("receive signals", &error));
        container.listen(listener, notify);
        container.claim_state_file();
        // One turn for the new tasks: sockets are ready from the beginning, so the first wait need not handle them.
        tokio::task::yield_now().await;
        let code = run_loop::run(&mut container, &mut signals).await;
        // The kernel frees what the process holds. To do it here, piece by piece, would take a sixth of a stop.
        std::process::exit(i32::from(code))
    })
}

/// Remains a minimal init if not even the loop can run.
fn go_on_without(what: &str, error: &io::Error) -> ! {
    log::last_words(&format!("bookend: cannot {what} ({error}): continuing with forwarding and reaping only\n"));
    last_resort::run()
}
