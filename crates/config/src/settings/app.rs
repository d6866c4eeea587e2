//! `[app]`: the main process.

use std::time::Duration;

use litemap::LiteMap;

use super::lifecycle::ProcessSelector;
use super::program::Program;
use crate::words::words;
use bookend_lifecycle::SecondSignal;
use bookend_lifecycle::signal::Signal;

/// `[app]`: the main process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppSettings {
    /// `profile`: the name of the one in effect; its values are in the other settings.
    pub profile: Option<String>,
    /// The program; its command is never empty once `run` starts.
    pub program: Program,
    /// The source of the command, which decides whether `$(VAR)` is expanded in it.
    pub command_from: CommandFrom,
    /// `umask`; `None`: bookend's own.
    pub umask: Option<u32>,
    /// `rlimits`, by their names in [`RLIMITS`].
    pub rlimits: LiteMap<String, ResourceLimit>,
    /// `oomScoreAdj`; `None`: bookend's own.
    pub oom_score_adj: Option<i16>,
    /// `stopSignal`: sent to the app instead of the stop signal that was received.
    pub stop_signal: Option<Signal>,
    /// `stopSignals`: the signals that begin a stop; `None`: SIGTERM, SIGINT, SIGQUIT.
    pub stop_signals: Option<Vec<Signal>>,
    /// `signals`: rewrite (`Some`) or drop (`None`); signals not named here are forwarded as they are.
    pub signals: LiteMap<Signal, Option<Signal>>,
    /// `signalScope`: the receivers of forwarded signals.
    pub signal_scope: SignalScope,
    /// `exitCodes`: the app's exit code (128+n for a signal) on the left becomes the one on the right.
    pub exit_codes: LiteMap<u8, u8>,
    /// `pdeathSignal`: the kernel sends it to the app if bookend dies first.
    pub pdeath_signal: Option<Signal>,
    /// `secondSignal`: for an app that only idle connections keep running.
    pub second_signal: Option<SecondSignal>,
    /// `notify`: the app reports its start with sd_notify(3).
    pub notify: bool,
    /// `stopIsSuccess`: if the stop signal that bookend sent ends the app, the exit code is 0.
    pub stop_is_success: bool,
    /// `holdOnFailureSeconds`: how long the container stays when the app has failed by itself.
    pub hold_on_failure: Option<Duration>,
    /// `process`: the app of another container, for a sidecar.
    pub process: Option<ProcessSelector>,
}

/// A resource limit (setrlimit(2)); `u64::MAX`: unlimited. A half that is `None` stays, as far as the other allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceLimit {
    /// The limit that the kernel enforces.
    pub soft: Option<u64>,
    /// The limit up to which the app may raise the soft one.
    pub hard: Option<u64>,
}

/// The resources that can be limited, as docker's `--ulimit` and limits.conf(5) name them.
pub const RLIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The source of the app's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommandFrom {
    /// After `--`: passed on byte for byte, as every init does; Kubernetes has expanded it already.
    #[default]
    CommandLine,
    /// `app.command`: `$(VAR)` is expanded, as in a Pod spec's `command`.
    Configuration,
}

words! {
    /// `signalScope`: the receivers of a forwarded signal.
    #[derive(Default)]
    pub enum SignalScope {
        /// The main process only.
        #[default]
        Process = "Process",
        /// The main process' group.
        ProcessGroup = "ProcessGroup",
    }
}
