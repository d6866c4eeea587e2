//! The stop as it is configured: a pause before the signal, and the budget. Pure.

use std::time::Duration;

use crate::doctor::facts::known_server::find;
use crate::doctor::facts::{Facts, seconds};
use crate::doctor::finding::Finding;
use bookend_config::profiles::of_program;
use bookend_config::settings::{Handler, HandlerKind};

pub(crate) fn no_drain(facts: &Facts) -> Vec<Finding> {
    let program = facts.command.program();
    let Some(_) = find(program).filter(|_| !waits_before_signal(facts)) else { return Vec::new() };
    let profile =
        of_program(program).map(|name| format!("app.profile = \"{name}\" (docs/profiles.md), or ")).unwrap_or_default();
    vec![Finding::new(
        format!("no preStop handler keeps {program} serving while its endpoint is removed"),
        "clients still connect for seconds after a stop has begun, and are refused",
        format!("{profile}lifecycle.preStop.drain = {{}}"),
    )]
}

/// Whether a preStop handler delays the stop signal.
pub(crate) fn waits_before_signal(facts: &Facts) -> bool {
    facts.settings.lifecycle.pre_stop.iter().any(pauses)
}

/// Whether a handler takes time on purpose.
fn pauses(handler: &Handler) -> bool {
    match &handler.kind {
        HandlerKind::Sleep { duration } => !duration.is_zero(),
        HandlerKind::Exec(program) => program.command.iter().any(|word| word.to_string_lossy().contains("sleep")),
        kind => matches!(kind, HandlerKind::Drain(_)),
    }
}

pub(crate) fn budget(facts: &Facts) -> Vec<Finding> {
    let warn = |warning: &String| {
        Finding::new(
            warning.clone(),
            "it is stopped before it has finished",
            "shorten the handler, or raise terminationGracePeriodSeconds (the Pod's, too); `bookend check` adds it up",
        )
    };
    facts.budget_warnings.iter().map(warn).collect()
}

pub(crate) fn no_budget(facts: &Facts) -> Vec<Finding> {
    if facts.settings.termination_grace_period.is_some() {
        return Vec::new();
    }
    let what = "terminationGracePeriodSeconds is not set: bookend does not know when the runtime sends SIGKILL";
    let fix = "terminationGracePeriodSeconds = 30 (or the value of the Pod)";
    let hooks = &facts.settings.lifecycle;
    if hooks.post_stop.is_empty() {
        vec![Finding::note(what, "bookend never kills the app; the report of the stop may be lost", fix)]
    } else {
        vec![Finding::new(what, "if the app does not end, SIGKILL ends the postStop handlers, too", fix)]
    }
}

pub(crate) fn no_time_for_the_app(facts: &Facts) -> Vec<Finding> {
    match facts.time_for_app {
        Some(left) if left < LEAST => vec![Finding::new(
            format!("the preStop handlers may leave the app {} of the budget", seconds(left)),
            "SIGKILL follows the stop signal before a request can finish",
            "shorten the preStop handlers (maxSeconds, timeoutSeconds), or raise terminationGracePeriodSeconds",
        )],
        _ => Vec::new(),
    }
}

/// Less than this is not enough for requests in flight.
const LEAST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::finding::Severity;
    use bookend_config::settings::{FailurePolicy, Program};

    fn facts(program: &str, pre_stop: Vec<HandlerKind>) -> Facts {
        let mut facts = Facts { command: AppCommand::new(vec![program.to_owned()], |_| None), ..Facts::default() };
        facts.settings.lifecycle.pre_stop = pre_stop.into_iter().map(handler).collect();
        facts
    }

    fn handler(kind: HandlerKind) -> Handler {
        let text = r#"lifecycle.preStop = { sleep.seconds = 1 }"#;
        let sources = bookend_config::Sources {
            files: vec![bookend_config::Document { name: "test".to_owned(), text: text.to_owned() }],
            ..Default::default()
        };
        let mut handlers = bookend_config::load(&sources).expect("it is valid").settings.lifecycle.pre_stop;
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
        assert_eq!(no_drain(&facts("backup", vec![])), [], "no client connects to it");
    }

    #[test]
    fn a_profile_is_recommended_only_if_it_exists() {
        assert!(no_drain(&facts("nginx", vec![]))[0].fix.contains("app.profile = \"nginx\""));
        assert_eq!(no_drain(&facts("mongod", vec![]))[0].fix, "lifecycle.preStop.drain = {}");
    }

    #[test]
    fn an_unknown_deadline_is_a_finding_where_post_stop_would_be_lost() {
        let mut facts = facts("nginx", vec![]);
        assert_eq!(no_budget(&facts)[0].severity, Severity::Note);
        facts.settings.lifecycle.post_stop.push(handler(exec(&["true"])));
        assert_eq!(no_budget(&facts)[0].severity, Severity::Finding);
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
