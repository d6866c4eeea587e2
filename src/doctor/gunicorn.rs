//! gunicorn: its command line, GUNICORN_CMD_ARGS and its configuration file, in this order of strength. Pure. The file
//! is Python; what is assigned plainly is read, what is computed is not.

use super::config_text::{File, Separator, duration, last_value};
use super::{Facts, Finding, Place, command, seconds};

/// gunicorn as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Gunicorn {
    /// Its arguments, those of GUNICORN_CMD_ARGS first.
    pub(super) args: Vec<String>,
    /// gunicorn.conf.py, or what `-c` names.
    pub(super) files: Vec<File>,
}

impl Gunicorn {
    /// A setting and where it was said; `None`: gunicorn's default.
    pub(super) fn setting(&self, name: &str, options: &[&str]) -> Option<(String, Option<Place>)> {
        let said = command::option(self.args.iter().map(String::as_str), options);
        said.map(|value| (value.to_owned(), None))
            .or_else(|| last_value(&self.files, name, Separator::Equals).map(|(value, at)| (value, Some(at))))
    }

    pub(super) fn daemonizes(&self) -> bool {
        self.args.iter().any(|arg| arg == "-D" || arg == "--daemon")
            || last_value(&self.files, "daemon", Separator::Equals).is_some_and(|(value, _)| value == "True")
    }

    /// Where it listens.
    pub(super) fn binds(&self) -> Vec<String> {
        let is_bind = |arg: &&str| ["-b", "--bind"].contains(arg);
        let mut binds = Vec::new();
        let mut args = self.args.iter().map(String::as_str).peekable();
        while let Some(arg) = args.next() {
            if is_bind(&arg) {
                binds.extend(args.peek().map(|value| (*value).to_owned()));
            } else if let Some(value) = arg.strip_prefix("--bind=").or_else(|| arg.strip_prefix("-b")) {
                binds.push(value.to_owned());
            }
        }
        if binds.is_empty()
            && let Some((value, _)) = last_value(&self.files, "bind", Separator::Equals)
        {
            let is_mark = |c: char| matches!(c, '[' | ']' | '"' | '\'' | ' ' | ',');
            // A list of strings, or one string; an IPv6 address has brackets of its own inside the quotes.
            binds.extend(value.split(',').map(|part| part.trim().trim_matches(is_mark).to_owned()));
        }
        binds
    }
}

/// gunicorn's own default: docs.gunicorn.org, graceful_timeout.
const GRACEFUL_TIMEOUT: u64 = 30;

pub(super) fn graceful_timeout(facts: &Facts) -> Vec<Finding> {
    let Some(gunicorn) = &facts.gunicorn else { return Vec::new() };
    let said = gunicorn.setting("graceful_timeout", &["--graceful-timeout"]);
    let (text, at) = said.clone().unwrap_or_else(|| (GRACEFUL_TIMEOUT.to_string(), None));
    let Some(time) = duration(&text) else { return Vec::new() };
    if facts.fits(time) {
        return Vec::new();
    }
    let by_default = if said.is_some() { "" } else { " (the default)" };
    let left = facts.time_for_app.map(seconds).unwrap_or_default();
    let found = Finding::new(
        format!("gunicorn's graceful_timeout is {}{by_default}, the budget leaves it {left}", seconds(time)),
        "SIGKILL comes while gunicorn still waits for its workers",
        format!("--graceful-timeout {} or a larger terminationGracePeriodSeconds", facts.seconds_for_app()),
    );
    vec![found.at(at)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gunicorn(args: &[&str], file: &str) -> Gunicorn {
        let files = vec![File { path: "gunicorn.conf.py".to_owned(), text: file.to_owned() }];
        Gunicorn { args: args.iter().map(|arg| (*arg).to_owned()).collect(), files }
    }

    fn facts(gunicorn: Gunicorn) -> Facts {
        Facts { gunicorn: Some(gunicorn), time_for_app: Some(Duration::from_secs(20)), ..Facts::default() }
    }

    #[test]
    fn the_graceful_timeout_must_fit_the_budget_and_its_default_does_not_always() {
        let found = graceful_timeout(&facts(gunicorn(&["app:app"], "")));
        assert!(found[0].what.contains("30 s (the default)"), "{found:?}");
        let found = graceful_timeout(&facts(gunicorn(&["app:app"], "workers = 2\ngraceful_timeout = 25\n")));
        assert_eq!(found[0].at.as_ref().expect("a place").line, 2);
        assert_eq!(graceful_timeout(&facts(gunicorn(&["--graceful-timeout=15"], "graceful_timeout = 25\n"))), []);
        assert_eq!(graceful_timeout(&facts(gunicorn(&["--graceful-timeout", "15"], ""))), []);
    }

    #[test]
    fn it_is_known_where_it_listens_and_whether_it_daemonizes() {
        assert_eq!(
            gunicorn(&["-b", "0.0.0.0:80", "--bind=[::]:80", "app"], "bind = 'x'").binds(),
            ["0.0.0.0:80", "[::]:80"]
        );
        assert_eq!(gunicorn(&["app"], "bind = \"127.0.0.1:9\"\n").binds(), ["127.0.0.1:9"]);
        assert_eq!(gunicorn(&["app"], "bind = [\"127.0.0.1:9\", \"unix:/x\"]\n").binds(), ["127.0.0.1:9", "unix:/x"]);
        assert!(gunicorn(&["-D"], "").daemonizes());
        assert!(gunicorn(&[], "daemon = True\n").daemonizes());
        assert!(!gunicorn(&[], "daemon = False\n").daemonizes());
    }
}
