//! `[[reload]]`: the files whose changes the app reads again.

use std::path::PathBuf;
use std::time::Duration;

use super::handler::Handler;

/// One entry of `[[reload]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadSettings {
    /// `name`.
    pub name: String,
    /// `container`: of a sidecar; `None`: the app of the top level.
    pub container: Option<String>,
    /// `watch`: files and directories.
    pub watch: Vec<PathBuf>,
    /// `onLimitsChange`.
    pub on_limits_change: bool,
    /// `settleSeconds`.
    pub settle: Duration,
    /// `splaySeconds`.
    pub splay: Duration,
    /// `pollSeconds`; `None`: only if changes are not reported.
    pub poll: Option<Duration>,
    /// `timeoutSeconds`: of the check, and of the action.
    pub timeout: Duration,
    /// `check`.
    pub check: Option<Handler>,
    /// `exec`, `httpGet` or `signal`.
    pub action: Handler,
}
