//! uWSGI: its command line and its ini files. Pure.

use super::config_text::{File, Separator, duration, last_value};
use super::{Facts, Finding, Place, command, seconds};
use bookend_lifecycle::signal::Signal;

/// uWSGI as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Uwsgi {
    pub(super) args: Vec<String>,
    pub(super) files: Vec<File>,
}

impl Uwsgi {
    /// The value of an option, and where it stands; an option without a value is `true`.
    fn value(&self, name: &str) -> Option<(String, Option<Place>)> {
        let flag = format!("--{name}");
        let given = command::option(self.args.iter().map(String::as_str), &[flag.as_str()]).map(str::to_owned);
        let given = given.or_else(|| self.args.contains(&flag).then(|| "true".to_owned()));
        given
            .map(|value| (value, None))
            .or_else(|| last_value(&self.files, name, Separator::Equals).map(|(value, at)| (value, Some(at))))
    }

    pub(super) fn daemonizes(&self) -> Option<Option<Place>> {
        self.value("daemonize").map(|(_, at)| at)
    }

    fn first_line(&self) -> Option<Place> {
        self.files.first().map(|file| Place { file: file.path.clone(), line: 1 })
    }

    /// What SIGTERM does is said in a hook.
    fn has_hook(&self) -> bool {
        let hook = |text: &str| text.contains("unix_signal:15") && text.contains("gracefully_kill_them_all");
        self.files
            .iter()
            .any(|file| file.text.lines().any(|line| !line.trim_start().starts_with(['#', ';']) && hook(line)))
            || self.args.iter().any(|arg| hook(arg))
    }
}

pub(super) fn die_on_term(facts: &Facts) -> Vec<Finding> {
    let Some(uwsgi) = &facts.uwsgi else { return Vec::new() };
    // Another signal, as the profile's: then a drain has to wait for the requests, and does.
    let gets_sigterm = facts.settings.app.stop_signal.is_none_or(|signal| signal == Signal::TERM);
    if uwsgi.has_hook() || !gets_sigterm {
        return Vec::new();
    }
    let fix = "hook-master-start = unix_signal:15 gracefully_kill_them_all";
    match uwsgi.value("die-on-term") {
        Some((value, at)) if value != "false" => vec![
            Finding::new(
                "uWSGI dies on SIGTERM",
                "it ends its workers in the middle of their requests",
                format!("instead of die-on-term: {fix}; or app.profile = \"uwsgi\""),
            )
            .at(at),
        ],
        _ => vec![
            Finding::new(
                "SIGTERM makes uWSGI reload",
                "it starts again instead of ending, and SIGKILL cuts the requests off",
                format!("in [uwsgi]: {fix}; or app.profile = \"uwsgi\""),
            )
            .at(uwsgi.first_line()),
        ],
    }
}

/// uWSGI's own default: its option reference, worker-reload-mercy.
const WORKER_RELOAD_MERCY: u64 = 60;

pub(super) fn worker_reload_mercy(facts: &Facts) -> Vec<Finding> {
    let Some(uwsgi) = facts.uwsgi.as_ref().filter(|uwsgi| uwsgi.has_hook()) else { return Vec::new() };
    let said = uwsgi.value("worker-reload-mercy");
    let (text, at) = said.clone().unwrap_or_else(|| (WORKER_RELOAD_MERCY.to_string(), None));
    let Some(time) = duration(&text).filter(|time| !facts.fits(*time)) else { return Vec::new() };
    let by_default = if said.is_some() { "" } else { " (the default)" };
    let left = facts.time_for_app.map(seconds).unwrap_or_default();
    let found = Finding::new(
        format!("worker-reload-mercy is {}{by_default}, the budget leaves uWSGI {left}", seconds(time)),
        "SIGKILL comes while uWSGI still waits for its workers",
        format!("worker-reload-mercy = {}", facts.seconds_for_app()),
    );
    vec![found.at(at)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn facts(args: &[&str], ini: &str) -> Facts {
        let files = vec![File { path: "/app/uwsgi.ini".to_owned(), text: ini.to_owned() }];
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let time_for_app = Some(Duration::from_secs(20));
        Facts { uwsgi: Some(Uwsgi { args, files }), time_for_app, ..Facts::default() }
    }

    const HOOK: &str = "[uwsgi]\nhook-master-start = unix_signal:15 gracefully_kill_them_all\n";

    #[test]
    fn sigterm_must_end_uwsgi_and_gracefully() {
        assert!(die_on_term(&facts(&[], "[uwsgi]\nmaster = true\n"))[0].what.contains("reload"));
        let found = die_on_term(&facts(&[], "[uwsgi]\ndie-on-term = true\n"));
        assert_eq!(found[0].at.as_ref().expect("a place").line, 2);
        assert!(die_on_term(&facts(&["--die-on-term"], ""))[0].what.contains("dies"));
        assert_eq!(die_on_term(&facts(&[], HOOK)), []);
    }

    #[test]
    fn its_mercy_must_fit_the_budget() {
        assert!(worker_reload_mercy(&facts(&[], HOOK))[0].what.contains("60 s (the default)"));
        assert_eq!(worker_reload_mercy(&facts(&[], &format!("{HOOK}worker-reload-mercy = 15\n"))), []);
    }
}
