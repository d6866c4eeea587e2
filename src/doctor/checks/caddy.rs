//! Caddy: how long it waits for requests. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::duration;
use crate::doctor::finding::{FileLine, Finding};

/// `grace_period 10s` of a Caddyfile's global options, or `"grace_period": "10s"` of its JSON. Without it Caddy waits for
/// ever: caddyserver.com/docs/caddyfile/options.
pub(crate) fn grace_period(facts: &Facts) -> Vec<Finding> {
    const KEY: &str = "grace_period";
    let Some(files) = facts.server_files.as_ref().filter(|_| facts.command.program() == "caddy") else {
        return Vec::new();
    };
    let lines = files.iter().flat_map(|file| (1..).zip(file.text.lines()).map(move |(line, text)| (file, line, text)));
    let set = lines.into_iter().find_map(|(file, line, text)| {
        let rest = text.trim().trim_start_matches('"').strip_prefix(KEY)?.trim_matches(|c: char| "\": ,".contains(c));
        Some((rest.to_owned(), FileLine { file: file.path.clone(), line }))
    });
    let time = set.as_ref().and_then(|(value, _)| duration(value)).unwrap_or_default();
    let at = set.map(|(_, at)| at);
    let set_to = format!("{KEY} {}s", facts.seconds_for_app());
    if time.is_zero() {
        let why = "Caddy waits without a limit for the last request, and SIGKILL cuts the rest";
        let at = at.or_else(|| files.first().map(|file| FileLine { file: file.path.clone(), line: 1 }));
        let fix = format!("add to the global options: {set_to}");
        return vec![Finding::new("Caddy has no grace_period", why, fix).at(at)];
    }
    facts.beyond_budget("Caddy", KEY, time, &set_to, at).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::facts::config_text::ConfigFile;

    #[test]
    fn the_grace_period_must_be_set_and_fit_the_budget() {
        let found = |text: &str| {
            let command = AppCommand::new(vec!["caddy".to_owned(), "run".to_owned()], |_| None);
            let files = vec![ConfigFile { path: "/etc/caddy/Caddyfile".to_owned(), text: text.to_owned() }];
            let time_for_app = Some(Duration::from_secs(20));
            grace_period(&Facts { command, server_files: Some(files), time_for_app, ..Facts::default() })
        };
        assert_eq!(found(":80 {\n  respond hi\n}\n").len(), 1);
        assert_eq!(found("{\n  grace_period 0\n}\n")[0].at.as_ref().expect("a line").line, 2);
        assert_eq!(found("{\n  grace_period 10s\n}\n"), []);
        assert_eq!(found("{\"apps\": {\"http\": {\n\"grace_period\": \"10s\",\n}}}"), []);
        assert!(found("{\n  grace_period 1m\n}\n")[0].what.contains("60 s"));
    }
}
