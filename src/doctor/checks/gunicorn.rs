//! gunicorn: how long it waits for its workers. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::duration;
use crate::doctor::finding::Finding;

/// gunicorn's own default: docs.gunicorn.org, graceful_timeout.
const GRACEFUL_TIMEOUT: u64 = 30;

pub(crate) fn graceful_timeout(facts: &Facts) -> Vec<Finding> {
    let Some(gunicorn) = &facts.gunicorn else { return Vec::new() };
    let set = gunicorn.setting("graceful_timeout", &["--graceful-timeout"]);
    let (text, at) = set.clone().unwrap_or_else(|| (GRACEFUL_TIMEOUT.to_string(), None));
    let Some(time) = duration(&text) else { return Vec::new() };
    let limit = if set.is_some() { "graceful_timeout" } else { "graceful_timeout by default" };
    let fix = format!("--graceful-timeout {}", facts.seconds_for_app());
    facts.beyond_budget("gunicorn", limit, time, &fix, at).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::config_text::ConfigFile;
    use crate::doctor::facts::gunicorn::Gunicorn;

    fn gunicorn(args: &[&str], file: &str) -> Gunicorn {
        let files = vec![ConfigFile { path: "gunicorn.conf.py".to_owned(), text: file.to_owned() }];
        Gunicorn { args: args.iter().map(|arg| (*arg).to_owned()).collect(), files }
    }

    fn facts(gunicorn: Gunicorn) -> Facts {
        Facts { gunicorn: Some(gunicorn), time_for_app: Some(Duration::from_secs(20)), ..Facts::default() }
    }

    #[test]
    fn the_graceful_timeout_must_fit_the_budget() {
        let found = graceful_timeout(&facts(gunicorn(&["app:app"], "")));
        assert!(found[0].what.contains("by default is 30 s"), "{found:?}");
        let found = graceful_timeout(&facts(gunicorn(&["app:app"], "workers = 2\ngraceful_timeout = 25\n")));
        assert_eq!(found[0].at.as_ref().expect("a place").line, 2);
        assert_eq!(graceful_timeout(&facts(gunicorn(&["--graceful-timeout=15"], "graceful_timeout = 25\n"))), []);
        assert_eq!(graceful_timeout(&facts(gunicorn(&["--graceful-timeout", "15"], ""))), []);
    }
}
