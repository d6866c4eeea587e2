//! supervisord: it stops the programs itself. Pure.

use std::time::Duration;

use crate::doctor::facts::config_text::{Separator, last_value};
use crate::doctor::facts::{Facts, seconds};
use crate::doctor::finding::Finding;

/// supervisord.org/configuration.html: nodaemon is false, stopsignal TERM, stopwaitsecs 10 by default.
const STOP_WAIT: u64 = 10;

pub(crate) fn supervisord(facts: &Facts) -> Vec<Finding> {
    if facts.command.program() != "supervisord" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let files = facts.server_files.as_deref().unwrap_or_default();
    let nodaemon = last_value(files, "nodaemon", Separator::Equals);
    let in_foreground = facts.command.has(&["-n", "--nodaemon"])
        || nodaemon.as_ref().is_some_and(|(value, _)| ["true", "1", "yes", "on"].contains(&value.as_str()));
    if !in_foreground && facts.server_files.is_some() {
        let what = "supervisord puts itself into the background";
        let found =
            Finding::new(what, "the app ends at once, and the container with it", "nodaemon = true in [supervisord]");
        findings.push(found.at(nodaemon.map(|(_, at)| at)));
    }
    let wait = last_value(files, "stopwaitsecs", Separator::Equals);
    let (at, value) = wait.map_or((None, None), |(value, at)| (Some(at), value.parse().ok()));
    let time = Duration::from_secs(value.unwrap_or(STOP_WAIT));
    let fix = format!("stopwaitsecs = {}", facts.seconds_for_app());
    let beyond = facts.beyond_budget("supervisord", "stopwaitsecs", time, &fix, at);
    findings.push(beyond.unwrap_or_else(|| {
        let what = "supervisord stops the programs itself: each gets its own stopsignal (TERM by default)";
        let why = format!(
            "a server whose graceful signal is another one cuts requests off, and each is killed after {}",
            seconds(time)
        );
        let fix = "set stopsignal for each server (QUIT for nginx), or run one server per container";
        Finding::note(what, why, fix)
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::facts::config_text::ConfigFile;
    use crate::doctor::finding::Severity;

    #[test]
    fn its_own_stop_must_be_in_the_foreground_and_fit_the_budget() {
        let found = |line: &str, text: &str, time: u64| {
            let command = AppCommand::new(line.split(' ').map(str::to_owned).collect(), |_| None);
            let files = vec![ConfigFile { path: "/etc/supervisord.conf".to_owned(), text: text.to_owned() }];
            let time_for_app = Some(Duration::from_secs(time));
            let facts = Facts { command, server_files: Some(files), time_for_app, ..Facts::default() };
            supervisord(&facts).iter().map(|found| found.severity).collect::<Vec<_>>()
        };
        assert_eq!(found("supervisord -n", "", 20), [Severity::Note]);
        assert_eq!(found("supervisord", "[supervisord]\nnodaemon=true\n", 20), [Severity::Note]);
        assert_eq!(found("supervisord", "", 20), [Severity::Finding, Severity::Note]);
        assert_eq!(found("supervisord -n", "[program:a]\nstopwaitsecs = 60\n", 20), [Severity::Finding]);
        assert_eq!(found("nginx", "", 5), []);
    }
}
