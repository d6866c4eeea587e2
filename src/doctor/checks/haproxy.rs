//! haproxy: how long a soft stop may take. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::{Separator, duration, last_value};
use crate::doctor::finding::{FileLine, Finding};

pub(crate) fn hard_stop_after(facts: &Facts) -> Vec<Finding> {
    const KEY: &str = "hard-stop-after";
    let Some(files) = facts.server_files.as_ref().filter(|_| facts.command.program() == "haproxy") else {
        return Vec::new();
    };
    let set = last_value(files, KEY, Separator::Blank);
    let set_to = format!("{KEY} {}s", facts.seconds_for_app());
    // A bare number means milliseconds.
    let time = set.as_ref().and_then(|(value, _)| match value.parse() {
        Ok(millis) => Some(std::time::Duration::from_millis(millis)),
        Err(_) => duration(value),
    });
    match (set, time) {
        (None, _) => {
            let at = files.first().map(|file| FileLine { file: file.path.clone(), line: 1 });
            let what = "haproxy has no hard-stop-after";
            let why =
                "after SIGUSR1 it waits until the last client has closed its connection, and SIGKILL cuts the rest";
            vec![Finding::new(what, why, format!("add to the section global: {set_to}")).at(at)]
        }
        (Some((_, at)), Some(time)) => {
            facts.beyond_budget("haproxy", KEY, time, &set_to, Some(at)).into_iter().collect()
        }
        (Some(_), None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::facts::config_text::ConfigFile;

    #[test]
    fn the_limit_must_exist_and_fit_the_budget() {
        let found = |text: &str| {
            let command = AppCommand::new(vec!["haproxy".to_owned()], |_| None);
            let files = vec![ConfigFile { path: "/haproxy.cfg".to_owned(), text: text.to_owned() }];
            let time_for_app = Some(Duration::from_secs(20));
            hard_stop_after(&Facts { command, server_files: Some(files), time_for_app, ..Facts::default() })
        };
        assert!(found("global\n    maxconn 10\n")[0].fix.ends_with("hard-stop-after 20s"));
        assert_eq!(found("global\n    hard-stop-after 15s\n"), []);
        assert_eq!(found("global\n    hard-stop-after 15000\n"), []);
        assert_eq!(found("global\n    hard-stop-after 1m\n")[0].at.as_ref().expect("a line").line, 2);
    }
}
