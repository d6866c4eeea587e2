//! uWSGI: its command line and its ini files. Pure.

use super::command::option;
use super::config_text::{ConfigFile, Separator, last_value};
use crate::doctor::finding::FileLine;

/// uWSGI as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Uwsgi {
    pub(crate) args: Vec<String>,
    pub(crate) files: Vec<ConfigFile>,
}

impl Uwsgi {
    /// The value of an option and its place. An option without a value is `true`.
    pub(crate) fn value(&self, name: &str) -> Option<(String, Option<FileLine>)> {
        let flag = format!("--{name}");
        let given = option(self.args.iter().map(String::as_str), &[flag.as_str()]).map(str::to_owned);
        let given = given.or_else(|| self.args.contains(&flag).then(|| "true".to_owned()));
        given
            .map(|value| (value, None))
            .or_else(|| last_value(&self.files, name, Separator::Equals).map(|(value, at)| (value, Some(at))))
    }

    pub(crate) fn daemonizes(&self) -> Option<Option<FileLine>> {
        self.value("daemonize").map(|(_, at)| at)
    }

    pub(crate) fn first_line(&self) -> Option<FileLine> {
        self.files.first().map(|file| FileLine { file: file.path.clone(), line: 1 })
    }

    /// Whether a hook makes SIGTERM graceful.
    pub(crate) fn has_hook(&self) -> bool {
        let hook = |text: &str| text.contains("unix_signal:15") && text.contains("gracefully_kill_them_all");
        self.files
            .iter()
            .any(|file| file.text.lines().any(|line| !line.trim_start().starts_with(['#', ';']) && hook(line)))
            || self.args.iter().any(|arg| hook(arg))
    }
}
