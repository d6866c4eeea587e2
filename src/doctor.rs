//! `bookend doctor`: what in this image or pod would drop requests at a stop, and which line to change.
//!
//! ```text
//!   gather (the edge: files, /proc, `nginx -T`) ──► Facts ──► CHECKS, each a pure function ──► findings ──► print
//! ```
//!
//! A finding loses requests or the stop's own work, and is exit code 1. A note is worth knowing and counts for
//! nothing. What could not be looked at is said: a doctor who has not looked does not call anybody healthy.

mod apache;
mod command;
mod config_text;
pub(crate) mod gather;
mod gunicorn;
mod nginx;
mod php_fpm;
mod print;
mod server;
mod stop;
mod surroundings;
mod tool;
mod uwsgi;

use std::time::Duration;

use bookend_config::settings::Settings;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;

use command::Command;

/// Everything the checks look at.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// What bookend was told.
    settings: Settings,
    /// What `bookend check` warns of.
    budget_warnings: Vec<String>,
    /// From the stop signal to SIGKILL, at the least; `None`: there is no deadline.
    time_for_app: Option<Duration>,
    /// The app's command, its wrappers taken off.
    command: Command,
    /// Programs that are named and not there: by whom, which.
    missing_programs: Vec<(String, String)>,
    /// The signal this image is stopped with, where somebody told us.
    image_stop_signal: Option<Signal>,
    nginx: Option<nginx::Nginx>,
    php_fpm: Option<php_fpm::PhpFpm>,
    gunicorn: Option<gunicorn::Gunicorn>,
    uwsgi: Option<uwsgi::Uwsgi>,
    apache: Option<apache::Apache>,
    surroundings: surroundings::Surroundings,
    /// What could not be looked at, and why.
    unseen: Vec<String>,
}

/// One thing that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    weight: Weight,
    /// What is the case.
    what: String,
    /// What it does at a stop.
    why: String,
    /// What to change.
    fix: String,
    /// Where.
    at: Option<Place>,
}

/// What a finding counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Requests, or the stop's own work, are lost.
    Finding,
    /// Worth knowing.
    Note,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: String,
    /// Counted from 1; 0: the file as a whole.
    line: usize,
}

impl Finding {
    fn new(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { weight: Weight::Finding, what: what.into(), why: why.into(), fix: fix.into(), at: None }
    }

    fn note(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { weight: Weight::Note, ..Finding::new(what, why, fix) }
    }

    fn at(self, at: Option<Place>) -> Finding {
        Finding { at, ..self }
    }
}

/// One question, and how it is answered.
struct Check {
    id: &'static str,
    look: fn(&Facts) -> Vec<Finding>,
}

/// Every check. docs/doctor.md describes each by its name; a test holds it to this table.
const CHECKS: &[Check] = &[
    Check { id: "program-missing", look: command::program_missing },
    Check { id: "unreadable-file", look: surroundings::unreadable_file },
    Check { id: "daemonizes", look: server::daemonizes },
    Check { id: "shell-without-exec", look: command::shell_without_exec },
    Check { id: "npm", look: command::npm },
    Check { id: "stop-signal", look: server::stop_signal },
    Check { id: "stop-signal-of-the-image", look: server::stop_signal_of_the_image },
    Check { id: "no-drain", look: stop::no_drain },
    Check { id: "budget", look: stop::budget },
    Check { id: "no-budget", look: stop::no_budget },
    Check { id: "no-time-for-the-app", look: stop::no_time_for_the_app },
    Check { id: "nginx-worker-shutdown-timeout", look: nginx::worker_shutdown_timeout },
    Check { id: "nginx-keepalive-min-timeout", look: nginx::keepalive_min_timeout },
    Check { id: "nginx-lingering-close", look: nginx::lingering_close },
    Check { id: "nginx-master-process", look: nginx::master_process },
    Check { id: "nginx-sigwinch", look: nginx::sigwinch },
    Check { id: "nginx-worker-processes", look: nginx::worker_processes },
    Check { id: "php-fpm-process-control-timeout", look: php_fpm::process_control_timeout },
    Check { id: "gunicorn-graceful-timeout", look: gunicorn::graceful_timeout },
    Check { id: "apache-graceful-shutdown-timeout", look: apache::graceful_shutdown_timeout },
    Check { id: "uwsgi-die-on-term", look: uwsgi::die_on_term },
    Check { id: "uwsgi-worker-reload-mercy", look: uwsgi::worker_reload_mercy },
    Check { id: "loopback-only", look: server::loopback_only },
    Check { id: "hooks-on-loopback", look: surroundings::hooks_on_loopback },
    Check { id: "host-network", look: surroundings::host_network },
    Check { id: "drain-is-blind", look: surroundings::drain_is_blind },
    Check { id: "not-pid-1", look: surroundings::not_pid_1 },
    Check { id: "socket", look: surroundings::socket },
    Check { id: "termination-log", look: surroundings::termination_log },
];

/// What the checks found, in their order.
pub(crate) struct Report {
    /// Who was looked at.
    subject: String,
    findings: Vec<(&'static str, Finding)>,
    unseen: Vec<String>,
}

/// What a report means for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything was looked at, and nothing found.
    Healthy,
    /// There are findings.
    Found,
    /// Nothing was found, and not everything could be looked at.
    Unseen,
}

/// Asks every check.
pub(crate) fn examine(facts: &Facts) -> Report {
    let found = |check: &Check| (check.look)(facts).into_iter().map(|found| (check.id, found)).collect::<Vec<_>>();
    Report {
        subject: facts.command.shown(),
        findings: CHECKS.iter().flat_map(found).collect(),
        unseen: facts.unseen.clone(),
    }
}

impl Report {
    /// Findings outweigh what was not seen.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.findings.iter().any(|(_, finding)| finding.weight == Weight::Finding) {
            Verdict::Found
        } else if self.unseen.is_empty() {
            Verdict::Healthy
        } else {
            Verdict::Unseen
        }
    }
}

impl Facts {
    /// A number of seconds for a server's own limit: what the budget leaves the app, rounded down.
    fn seconds_for_app(&self) -> u64 {
        self.time_for_app.map_or(10, |time| time.as_secs().clamp(1, 60))
    }

    /// Whether a server may take so long after the stop signal.
    fn fits(&self, limit: Duration) -> bool {
        self.time_for_app.is_none_or(|time| limit <= time)
    }
}

/// Seconds for people: `10 s`, `2.5 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", Seconds(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_describes_every_check_and_no_other() {
        let docs = include_str!("../docs/doctor.md");
        let described: Vec<_> =
            docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(id, _)| id).collect();
        let checks: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(described, checks);
    }

    #[test]
    fn findings_outweigh_what_was_not_seen() {
        let report = |findings: &[Finding], unseen: &[&str]| Report {
            subject: String::new(),
            findings: findings.iter().map(|finding| ("check", finding.clone())).collect(),
            unseen: unseen.iter().map(|text| (*text).to_owned()).collect(),
        };
        let (finding, note) = (Finding::new("", "", ""), Finding::note("", "", ""));
        assert_eq!(report(&[], &[]).verdict(), Verdict::Healthy);
        assert_eq!(report(std::slice::from_ref(&note), &[]).verdict(), Verdict::Healthy);
        assert_eq!(report(&[note], &["nginx"]).verdict(), Verdict::Unseen);
        assert_eq!(report(&[finding], &["nginx"]).verdict(), Verdict::Found);
    }
}
