//! `[lifecycle]` and `[containers.NAME]`: the lists of handlers, and the app of another container.

use std::path::PathBuf;

use super::handler::Handler;
use bookend_lifecycle::signal::Signal;

/// `[lifecycle]`: the four lists, each run in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifecycleSettings {
    /// Before the app is started.
    pub pre_start: Vec<Handler>,
    /// Beside the app, once it is started.
    pub post_start: Vec<Handler>,
    /// Before the stop signal.
    pub pre_stop: Vec<Handler>,
    /// After the app has ended, for whatever reason.
    pub post_stop: Vec<Handler>,
}

/// `[containers.NAME]`: an app in another container, for a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSettings {
    /// Its handlers; no preStart.
    pub lifecycle: LifecycleSettings,
    /// `stopSignal`: sent to its process after the preStop handlers; `None`: no signal.
    pub stop_signal: Option<Signal>,
    /// `process`: how to find it; `None`: it is not searched for.
    pub process: Option<ProcessSelector>,
}

/// `process`: how the app's process is found in a shared PID namespace; every condition that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessSelector {
    /// `executable`: the path as the app's own root has it, symbolic links resolved; without a slash the file's name
    /// alone.
    pub executable: Option<PathBuf>,
    /// `commandLine`: a part of the arguments, joined by single spaces.
    pub command_line: Option<String>,
    /// `pidFile`: a file of ours, on a volume, whose first line is the pid.
    pub pid_file: Option<PathBuf>,
    /// `container`: its name in Kubernetes, or the runtime's id, of which twelve digits are enough.
    pub container: Option<String>,
}
