//! The start, in the supervisor's order: signals blocked, the port bound, then the runtime.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::SidecarLoop;
use super::unit::ContainerUnit;
use crate::compat::policy::Policy;
use crate::handlers::{App, DrainStatus, HandlerContext};
use crate::process::inherited::Inherited;
use crate::process::reaper::Reaper;
use crate::process::signals::Signals;
use crate::runtime::dispatcher::{self, Dispatcher, ListenError, QUEUE};
use crate::runtime::plan::stop_signals;
use bookend_config::settings::Settings;
use bookend_lifecycle::small_map::SmallMap;

/// What keeps the sidecar from answering anybody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The port is in use, or the address is not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No descriptors, no memory.
    #[error("cannot build the runtime")]
    Runtime(#[source] io::Error),
    /// The same.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// Runs the sidecar's life and returns its exit code. All signals are blocked already: `inherited` shows it.
pub(crate) fn run(settings: Settings, mut inherited: Inherited, quiet: bool) -> Result<u8, StartError> {
    let began = Instant::now();
    let listener = dispatcher::bind(&settings)?;
    crate::report::log::init(settings.log, quiet);
    inherited.leave_working_dir();
    dispatcher::take_place(&settings, &inherited);
    let stop_signals = stop_signals(&settings);
    let early = inherited.take_pending_among(&stop_signals);
    let runtime = dispatcher::runtime().map_err(StartError::Runtime)?;
    runtime.block_on(async {
        let signals = Signals::take(&stop_signals, &mut inherited).map_err(StartError::Signals)?;
        let reaper = Reaper::new(Policy::default().reaped);
        let inherited = Arc::new(inherited);
        let (app, drain) = (App::OtherContainer(None), DrainStatus::default());
        let context = HandlerContext { reaper: reaper.clone(), inherited, app, drain };
        let (to_gone, gone) = mpsc::channel(QUEUE);
        let mut sidecar = SidecarLoop {
            units: ContainerUnit::all(&settings, &context),
            dispatcher: Dispatcher::new(began),
            reaper,
            stop_signals,
            events: VecDeque::new(),
            runs: SmallMap::new(),
            callers: SmallMap::new(),
            gone,
            to_gone,
            stop: None,
            log_is_late: false,
            settings,
        };
        let version = env!("CARGO_PKG_VERSION");
        let names: Vec<&str> = sidecar.settings.containers.keys().map(String::as_str).collect();
        let containers = (!names.is_empty()).then(|| names.join(", "));
        info!(version, containers, "sidecar: answering hooks");
        match listener {
            Some(listener) => sidecar.dispatcher.open_port(listener, &sidecar.settings),
            None => warn!("there is no http.listen: a kubelet cannot call any hook here"),
        }
        sidecar.dispatcher.open_socket(&sidecar.settings);
        if let Some(signal) = early {
            sidecar.on_signal(signal);
        }
        Ok(sidecar.live(signals).await)
    })
}
