//! The settings that the program works with, after every layer has been read, merged and checked. Plain values that carry
//! their units and meanings in their types: an invalid value cannot be expressed here.

mod app;
mod handler;
mod http;
mod lifecycle;
mod log;
mod probes;
mod program;
#[cfg(feature = "reload")]
mod reload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use litemap::LiteMap;

pub use app::{AppSettings, CommandFrom, RLIMITS, ResourceLimit, SignalScope};
pub use handler::*;
pub use http::{HttpSettings, ReadyzDuringStop, TlsSettings};
pub use lifecycle::{ContainerSettings, LifecycleSettings, ProcessSelector};
pub use log::{LogFormat, LogLevel, LogSettings};
pub use probes::{ProbeSet, ProbeSettings};
pub use program::{FileValue, Id, Program, User, ValueSource};
#[cfg(feature = "reload")]
pub use reload::ReloadSettings;

use bookend_lifecycle::probe::ProbeKind;
use bookend_lifecycle::signal::Signal;

/// Everything that is configured. `Settings::default()` is the zero config mode: a correct init.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `terminationGracePeriodSeconds`; `None`: bookend never kills the app by itself.
    pub termination_grace_period: Option<Duration>,
    /// `leftoversSeconds`; `None`: the rest of a stop's budget, otherwise two seconds.
    pub leftovers: Option<Duration>,
    /// `terminationMessagePath`: the file for the last summary; `None`: /dev/termination-log.
    pub termination_message_path: Option<PathBuf>,
    /// `terminationMessageBytes`: its length at most; `None`: 1024.
    pub termination_message_bytes: Option<usize>,
    /// `stateFile`: the file that tells the next life how this one ended.
    pub state_file: Option<PathBuf>,
    /// `subreaper`: whether bookend adopts orphans of its descendants although it is not PID 1.
    pub subreaper: Option<bool>,
    /// `socket`: the unix socket for the command line.
    pub socket: SocketPath,
    /// `pdeathSignal`: the kernel sends it to bookend when the process that started bookend dies.
    pub pdeath_signal: Option<Signal>,
    /// `app`: the main process.
    pub app: AppSettings,
    /// `ports`: their names.
    pub ports: LiteMap<String, u16>,
    /// `http`: the pod-facing listener; `None`: no listener, no cost.
    pub http: Option<HttpSettings>,
    /// `lifecycle`: the handlers before and after the app.
    pub lifecycle: LifecycleSettings,
    /// `containers`: the named apps of a sidecar.
    pub containers: LiteMap<String, ContainerSettings>,
    /// The probes of the app.
    pub probes: ProbeSet,
    /// `log`.
    pub log: LogSettings,
    /// `reload`: the files whose changes the app reads again.
    #[cfg(feature = "reload")]
    pub reloads: Vec<ReloadSettings>,
    /// `otel.enabled`: a trace of each start and stop is sent.
    #[cfg(feature = "otel")]
    pub otel: bool,
}

impl Settings {
    /// Takes over what a profile can set; the program is the one that was started.
    pub fn adopt(&mut self, chosen: Settings) {
        let (program, command_from) = (std::mem::take(&mut self.app.program), self.app.command_from);
        self.app = AppSettings { program, command_from, ..chosen.app };
        self.lifecycle = chosen.lifecycle;
    }

    /// The handlers of the hooks, and those of the probes.
    pub fn handlers(&self) -> impl Iterator<Item = &Handler> {
        let hooks = &self.lifecycle;
        let of_hooks = [&hooks.pre_start, &hooks.post_start, &hooks.pre_stop, &hooks.post_stop].into_iter().flatten();
        let probes = ProbeKind::ALL.into_iter().filter_map(|kind| self.probes.get(kind));
        of_hooks.chain(probes.map(|probe| &probe.handler))
    }

    /// The apps of a sidecar: the one of the top level, which has no name, and those of `containers`.
    pub fn of_sidecar(&self) -> Vec<(Option<String>, ContainerSettings)> {
        let first = ContainerSettings {
            lifecycle: self.lifecycle.clone(),
            stop_signal: self.app.stop_signal,
            process: self.app.process.clone(),
        };
        let named = self.containers.iter().map(|(name, container)| (Some(name.clone()), container.clone()));
        std::iter::once((None, first)).chain(named).collect()
    }
}

/// `socket`: the unix socket for the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SocketPath {
    /// /run/bookend.sock, if it can be created.
    #[default]
    Default,
    /// The configured path.
    At(PathBuf),
    /// No socket.
    None,
}

impl SocketPath {
    /// The path, and whether it was configured: then a failure to create it is reported.
    pub fn path(&self) -> Option<(&Path, bool)> {
        match self {
            SocketPath::Default => Some((Path::new("/run/bookend.sock"), false)),
            SocketPath::At(path) => Some((path, true)),
            SocketPath::None => None,
        }
    }
}
