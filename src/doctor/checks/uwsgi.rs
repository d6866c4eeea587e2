//! uWSGI: its handling of SIGTERM, and how long it waits for its workers. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::duration;
use crate::doctor::finding::Finding;
use bookend_lifecycle::signal::Signal;

pub(crate) fn die_on_term(facts: &Facts) -> Vec<Finding> {
    let Some(uwsgi) = &facts.uwsgi else { return Vec::new() };
    // With another signal, as in the profile, the drain waits for the requests.
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
                format!("replace die-on-term by {fix}; or app.profile = \"uwsgi\""),
            )
            .at(at),
        ],
        _ => vec![
            Finding::new(
                "SIGTERM makes uWSGI reload",
                "it restarts instead of ending, and SIGKILL cuts the requests off",
                format!("in [uwsgi]: {fix}; or app.profile = \"uwsgi\""),
            )
            .at(uwsgi.first_line()),
        ],
    }
}

/// uWSGI's own default: its option reference, worker-reload-mercy.
const WORKER_RELOAD_MERCY: u64 = 60;

pub(crate) fn worker_reload_mercy(facts: &Facts) -> Vec<Finding> {
    let Some(uwsgi) = facts.uwsgi.as_ref().filter(|uwsgi| uwsgi.has_hook()) else { return Vec::new() };
    let set = uwsgi.value("worker-reload-mercy");
    let (text, at) = set.clone().unwrap_or_else(|| (WORKER_RELOAD_MERCY.to_string(), None));
    let Some(time) = duration(&text) else { return Vec::new() };
    let limit = if set.is_some() { "worker-reload-mercy" } else { "worker-reload-mercy by default" };
    let fix = format!("worker-reload-mercy = {}", facts.seconds_for_app());
    facts.beyond_budget("uWSGI", limit, time, &fix, at).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::config_text::ConfigFile;
    use crate::doctor::facts::uwsgi::Uwsgi;

    fn facts(args: &[&str], ini: &str) -> Facts {
        let files = vec![ConfigFile { path: "/app/uwsgi.ini".to_owned(), text: ini.to_owned() }];
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let time_for_app = Some(Duration::from_secs(20));
        Facts { uwsgi: Some(Uwsgi { args, files }), time_for_app, ..Facts::default() }
    }

    const HOOK: &str = "[uwsgi]\nhook-master-start = unix_signal:15 gracefully_kill_them_all\n";

    #[test]
    fn sigterm_must_end_uwsgi_gracefully() {
        assert!(die_on_term(&facts(&[], "[uwsgi]\nmaster = true\n"))[0].what.contains("reload"));
        let found = die_on_term(&facts(&[], "[uwsgi]\ndie-on-term = true\n"));
        assert_eq!(found[0].at.as_ref().expect("a place").line, 2);
        assert!(die_on_term(&facts(&["--die-on-term"], ""))[0].what.contains("dies"));
        assert_eq!(die_on_term(&facts(&[], HOOK)), []);
    }

    #[test]
    fn the_reload_mercy_must_fit_the_budget() {
        assert!(worker_reload_mercy(&facts(&[], HOOK))[0].what.contains("by default is 60 s"));
        assert_eq!(worker_reload_mercy(&facts(&[], &format!("{HOOK}worker-reload-mercy = 15\n"))), []);
    }
}
