//! uvicorn: how long it waits for requests. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::config_text::duration;
use crate::doctor::finding::Finding;

/// Without `--timeout-graceful-shutdown` uvicorn waits for ever: www.uvicorn.org/settings.
pub(crate) fn graceful_timeout(facts: &Facts) -> Vec<Finding> {
    const OPTION: &str = "--timeout-graceful-shutdown";
    if facts.command.program() != "uvicorn" {
        return Vec::new();
    }
    let fix = format!("{OPTION} {}", facts.seconds_for_app());
    match facts.command.option(&[OPTION]).and_then(duration) {
        None => vec![Finding::new(
            format!("uvicorn has no {OPTION}"),
            "it waits without a limit for the last connection (an event stream, a WebSocket), and SIGKILL cuts the rest",
            fix,
        )],
        Some(time) => facts.beyond_budget("uvicorn", OPTION, time, &fix, None).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::command::AppCommand;

    #[test]
    fn the_timeout_must_be_set_and_fit_the_budget() {
        let found = |line: &str| {
            let command = AppCommand::new(line.split(' ').map(str::to_owned).collect(), |_| None);
            graceful_timeout(&Facts { command, time_for_app: Some(Duration::from_secs(20)), ..Facts::default() }).len()
        };
        assert_eq!(found("uvicorn app:app"), 1);
        assert_eq!(found("python -m uvicorn app:app --timeout-graceful-shutdown 60"), 1);
        assert_eq!(found("uvicorn app:app --timeout-graceful-shutdown=15"), 0);
        assert_eq!(found("gunicorn app:app"), 0);
    }
}
