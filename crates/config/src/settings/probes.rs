//! The probes of the app.

use super::handler::Handler;
use bookend_lifecycle::probe::{ProbeKind, ProbeRule};

/// The three probes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeSet {
    /// `startupProbe`.
    pub startup: Option<ProbeSettings>,
    /// `readinessProbe`.
    pub readiness: Option<ProbeSettings>,
    /// `livenessProbe`.
    pub liveness: Option<ProbeSettings>,
    /// `livenessProbe.action = "Stop"`.
    pub stop_on_liveness: bool,
}

impl ProbeSet {
    /// The settings of one of them.
    pub fn get(&self, kind: ProbeKind) -> Option<&ProbeSettings> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// One attempt: exec, httpGet or tcpSocket, with its `timeoutSeconds`.
    pub handler: Handler,
    /// Its numbers.
    pub rule: ProbeRule,
}
