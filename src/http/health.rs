//! The responses of `/livez`, `/readyz`, `/startupz` and `/lbz`, in the format of Kubernetes' own: `ok`, or with
//! `?verbose` and in every failure one line for each check. `?exclude=NAME` leaves a check out. Pure.

use super::status::{ProbeSnapshot, StatusSnapshot};
use bookend_config::settings::ReadyzDuringStop;
use bookend_lifecycle::PhaseName;
use bookend_lifecycle::probe::ProbeState;

/// A health endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Livez,
    Readyz,
    Startupz,
    Lbz,
}

/// A named check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// `ping`, `postStart`, `readinessProbe`.
    pub(crate) name: &'static str,
    /// Why it failed; `None`: it passed.
    pub(crate) failed: Option<String>,
}

impl HealthCheck {
    fn new(name: &'static str, passed: bool, why_not: &str) -> HealthCheck {
        HealthCheck { name, failed: (!passed).then(|| why_not.to_owned()) }
    }
}

impl Health {
    fn name(self) -> &'static str {
        match self {
            Health::Livez => "livez",
            Health::Readyz => "readyz",
            Health::Startupz => "startupz",
            Health::Lbz => "lbz",
        }
    }

    fn checks(self, status: &StatusSnapshot, during_stop: ReadyzDuringStop) -> Vec<HealthCheck> {
        let mut checks = vec![HealthCheck::new("ping", true, "")];
        let mut probe = |name: &str| {
            if self == Health::Livez && status.phase == PhaseName::Held {
                // A kubelet must not end the container while somebody looks at it.
                return;
            }
            checks.extend(status.probes.iter().find(|probe| probe.name == name).map(probe_check));
        };
        if self == Health::Livez {
            probe("livenessProbe");
            return checks;
        }
        probe("startupProbe");
        if matches!(self, Health::Readyz | Health::Lbz) {
            probe("readinessProbe");
        }
        if let Some(notify) = &status.notify {
            checks.push(HealthCheck::new("notify", notify.ready, "the app has not sent READY=1"));
        }
        checks.insert(1, HealthCheck::new("postStart", status.post_start_over, "postStart has not succeeded yet"));
        if matches!(self, Health::Readyz | Health::Lbz) {
            // If another check has failed already, this one would only repeat it; but the app's end is reported always.
            let is_reported = status.app.ended.is_none() && checks.iter().any(|check| check.failed.is_some());
            checks.push(HealthCheck::new("app", status.serving || is_reported, "the app cannot serve requests"));
        }
        if self == Health::Lbz || self == Health::Readyz && during_stop == ReadyzDuringStop::Failing {
            let app_stops = status.notify.as_ref().is_some_and(|notify| notify.stopping);
            checks.push(HealthCheck::new("stop", status.stopped_by.is_none() && !app_stops, "a stop has begun"));
        }
        checks
    }

    /// Whether all checks passed, and the body of the response.
    pub(super) fn answer(self, status: &StatusSnapshot, during_stop: ReadyzDuringStop, query: &str) -> (bool, String) {
        let mut excluded: Vec<&str> = values(query, "exclude").collect();
        let mut lines = String::new();
        let mut passed = true;
        for check in self.checks(status, during_stop) {
            let name = check.name;
            if let Some(at) = excluded.iter().position(|excluded| *excluded == name) {
                excluded.swap_remove(at);
                lines.push_str(&format!("[+]{name} excluded: ok\n"));
            } else if let Some(why) = check.failed {
                passed = false;
                lines.push_str(&format!("[-]{name} failed: {why}\n"));
            } else {
                lines.push_str(&format!("[+]{name} ok\n"));
            }
        }
        let is_verbose = values(query, "verbose").next().is_some();
        if passed && !is_verbose {
            return (true, "ok\n".to_owned());
        }
        if !excluded.is_empty() {
            // Their names are not repeated: they came from the caller.
            lines.push_str("warn: some health checks cannot be excluded: no check has that name\n");
        }
        let word = if passed { "passed" } else { "failed" };
        (passed, format!("{lines}{} check {word}\n", self.name()))
    }
}

/// A liveness probe passes until it fails, the others from their first success on.
fn probe_check(probe: &ProbeSnapshot) -> HealthCheck {
    let passed = if probe.name == "livenessProbe" {
        probe.state != ProbeState::Failed
    } else {
        probe.state == ProbeState::Succeeded
    };
    let why = match &probe.detail {
        Some(last) => format!("the last attempt: {last}"),
        None => "no attempt yet".to_owned(),
    };
    HealthCheck::new(probe.name, passed, &why)
}

/// The values of a parameter in a query: `verbose`, `exclude=a&exclude=b`.
fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::super::status::AppSnapshot;
    use super::*;
    use bookend_config::settings::ReadyzDuringStop::{Failing, Serving};

    fn stopping() -> StatusSnapshot {
        let stopped_by = Some("SIGTERM".to_owned());
        StatusSnapshot { post_start_over: true, started: true, serving: true, stopped_by, ..StatusSnapshot::default() }
    }

    #[test]
    fn a_passed_check_is_ok_and_lists_all_with_verbose() {
        assert_eq!(Health::Readyz.answer(&stopping(), Serving, ""), (true, "ok\n".to_owned()));
        let (passed, text) = Health::Readyz.answer(&stopping(), Serving, "verbose");
        assert!(passed);
        assert_eq!(text, "[+]ping ok\n[+]postStart ok\n[+]app ok\nreadyz check passed\n");
        assert_eq!(Health::Readyz.answer(&stopping(), Serving, "verbose=1").1, text);
    }

    #[test]
    fn a_failed_check_reports_the_reason_without_verbose() {
        let (passed, text) = Health::Lbz.answer(&stopping(), Serving, "");
        assert!(!passed);
        assert_eq!(
            text,
            "[+]ping ok\n[+]postStart ok\n[+]app ok\n[-]stop failed: a stop has begun\nlbz check failed\n"
        );
    }

    #[test]
    fn readiness_can_fail_from_the_beginning_of_a_stop() {
        assert!(!Health::Readyz.answer(&stopping(), Failing, "").0);
        assert!(Health::Livez.answer(&stopping(), Failing, "").0);
    }

    #[test]
    fn an_excluded_check_cannot_fail_the_endpoint() {
        let (passed, text) = Health::Lbz.answer(&stopping(), Serving, "verbose&exclude=stop&exclude=other");
        assert!(passed);
        assert!(text.contains("[+]stop excluded: ok\nwarn: some health checks cannot be excluded"), "{text}");
    }

    #[test]
    fn a_stop_and_the_apps_end_show_beside_a_failing_readiness() {
        let probe = ProbeSnapshot { name: "readinessProbe", state: ProbeState::Failed, ..ProbeSnapshot::default() };
        let stopping = StatusSnapshot { serving: false, probes: vec![probe], ..stopping() };
        let (passed, text) = Health::Lbz.answer(&stopping, Serving, "exclude=readinessProbe");
        assert!(!passed && text.contains("[-]stop failed: a stop has begun\n"), "{text}");
        assert!(!Health::Readyz.answer(&stopping, Failing, "exclude=readinessProbe").0);
        assert!(Health::Readyz.answer(&stopping, Serving, "exclude=readinessProbe").0);
        let app = AppSnapshot { ended: Some("exited with 0".to_owned()), ..AppSnapshot::default() };
        let ended = StatusSnapshot { app, ..stopping };
        assert!(!Health::Readyz.answer(&ended, Serving, "exclude=readinessProbe").0);
    }

    #[test]
    fn the_app_is_not_ready_before_it_has_started() {
        let fresh = StatusSnapshot::default();
        assert!(Health::Livez.answer(&fresh, Serving, "").0);
        for health in [Health::Startupz, Health::Readyz, Health::Lbz] {
            assert!(!health.answer(&fresh, Serving, "").0);
        }
    }
}
