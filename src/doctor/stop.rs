//! The stop as bookend is configured to do it: a pause before the signal, and the budget. Pure.

use std::time::Duration;

use super::{Facts, Finding, seconds, server};
use bookend_config::settings::{Handler, HandlerKind};

pub(super) fn no_drain(facts: &Facts) -> Vec<Finding> {
    if !server::serves(facts) || facts.settings.lifecycle.pre_stop.iter().any(pauses) {
        return Vec::new();
    }
    vec![Finding::new(
        format!("no preStop handler keeps {} serving while its endpoint is removed", facts.command.program()),
        "clients still arrive for seconds after a stop has begun, and are refused",
        "app.profile for this server (docs/profiles.md), or lifecycle.preStop.drain = {}",
    )]
}

/// Whether a handler takes its time on purpose.
fn pauses(handler: &Handler) -> bool {
    match &handler.kind {
        HandlerKind::Sleep { duration } => !duration.is_zero(),
        HandlerKind::Exec(program) => program.command.iter().any(|word| word.to_string_lossy().contains("sleep")),
        kind => matches!(kind, HandlerKind::Drain(_)),
    }
}

pub(super) fn budget(facts: &Facts) -> Vec<Finding> {
    let warn = |warning: &String| {
        Finding::new(
            warning.clone(),
            "it is ended before it is done",
            "a shorter handler, or a larger terminationGracePeriodSeconds (the Pod's, too); `bookend check` adds it up",
        )
    };
    facts.budget_warnings.iter().map(warn).collect()
}

pub(super) fn no_budget(facts: &Facts) -> Vec<Finding> {
    if facts.settings.termination_grace_period.is_some() {
        return Vec::new();
    }
    let what = "terminationGracePeriodSeconds is unset: bookend does not know when the runtime's SIGKILL comes";
    let fix = "terminationGracePeriodSeconds = 30 (or what the Pod says)";
    let hooks = &facts.settings.lifecycle;
    // Something of ours would be cut by a SIGKILL we do not foresee.
    if hooks.post_stop.is_empty() {
        vec![Finding::note(what, "it never kills by itself; the report of the stop may be cut", fix)]
    } else {
        vec![Finding::new(what, "an app that does not end takes the postStop handlers with it", fix)]
    }
}

pub(super) fn no_time_for_the_app(facts: &Facts) -> Vec<Finding> {
    match facts.time_for_app {
        Some(left) if left < LEAST => vec![Finding::new(
            format!("the preStop handlers may leave the app {} of the budget", seconds(left)),
            "SIGKILL follows the stop signal before a request can be finished",
            "shorter preStop handlers (maxSeconds, timeoutSeconds), or a larger terminationGracePeriodSeconds",
        )],
        _ => Vec::new(),
    }
}

/// Less than this is no time for requests in flight.
const LEAST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::super::command::Command;
    use super::*;
    use bookend_config::settings::{FailurePolicy, Program};

    fn facts(program: &str, pre_stop: Vec<HandlerKind>) -> Facts {
        let mut facts = Facts { command: Command::new(vec![program.to_owned()]), ..Facts::default() };
        facts.settings.lifecycle.pre_stop = pre_stop.into_iter().map(handler).collect();
        facts
    }

    fn handler(kind: HandlerKind) -> Handler {
        let text = r#"lifecycle.preStop = { sleep.seconds = 1 }"#;
        let sources = bookend_config::Sources {
            files: vec![bookend_config::Document { name: "test".to_owned(), text: text.to_owned() }],
            ..Default::default()
        };
        let mut handlers = bookend_config::load(&sources).expect("it is right").settings.lifecycle.pre_stop;
        Handler { kind, failure_policy: FailurePolicy::Fail, ..handlers.remove(0) }
    }

    fn exec(words: &[&str]) -> HandlerKind {
        HandlerKind::Exec(Program { command: words.iter().map(|word| (*word).into()).collect(), ..Program::default() })
    }

    #[test]
    fn a_server_without_a_pause_before_its_stop_signal_is_found() {
        assert_eq!(no_drain(&facts("nginx", vec![])).len(), 1);
        assert_eq!(no_drain(&facts("nginx", vec![exec(&["/bin/true"])])).len(), 1);
        assert_eq!(no_drain(&facts("nginx", vec![exec(&["sh", "-c", "sleep 5; nginx -s quit"])])), []);
        assert_eq!(no_drain(&facts("nginx", vec![HandlerKind::Sleep { duration: Duration::from_secs(3) }])), []);
        assert_eq!(no_drain(&facts("backup", vec![])), [], "nobody connects to it");
    }

    #[test]
    fn an_unknown_deadline_is_a_finding_where_post_stop_would_be_lost() {
        let mut facts = facts("nginx", vec![]);
        assert_eq!(no_budget(&facts)[0].weight, Weight::Note);
        facts.settings.lifecycle.post_stop.push(handler(exec(&["true"])));
        assert_eq!(no_budget(&facts)[0].weight, Weight::Finding);
        facts.settings.termination_grace_period = Some(Duration::from_secs(30));
        assert_eq!(no_budget(&facts), []);
    }

    #[test]
    fn no_time_for_the_app_is_found() {
        let mut facts = facts("nginx", vec![]);
        facts.time_for_app = Some(Duration::from_millis(500));
        assert_eq!(no_time_for_the_app(&facts).len(), 1);
        facts.time_for_app = Some(Duration::from_secs(5));
        assert_eq!(no_time_for_the_app(&facts), []);
    }
}
