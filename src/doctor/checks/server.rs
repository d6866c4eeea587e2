//! The signal that the server gets, and servers that are not known. Pure.

use crate::doctor::checks::stop;
use crate::doctor::facts::Facts;
use crate::doctor::facts::known_server::{find, is_worker};
use crate::doctor::finding::Finding;
use bookend_config::profiles::of_program;
use bookend_lifecycle::signal::Signal;

pub(crate) fn unknown_server(facts: &Facts) -> Vec<Finding> {
    let program = facts.command.program();
    let is_known = find(program).is_some() || is_worker(program) || matches!(program, "npm" | "npx" | "yarn" | "pnpm");
    if program.is_empty() || is_known || stop::waits_before_signal(facts) {
        return Vec::new();
    }
    vec![Finding::note(
        format!("{program} is not a server that doctor knows, and no preStop handler drains"),
        "if clients connect to it, requests that arrive after the stop signal are lost; a worker or a Job needs no drain",
        "if it is a server: set app.profile = \"auto\", and check which signal stops it gracefully (app.stopSignal)",
    )]
}

pub(crate) fn stop_signal(facts: &Facts) -> Vec<Finding> {
    let program = facts.command.program();
    let Some(server) = find(program) else { return Vec::new() };
    let Ok(graceful) = server.graceful.parse::<Signal>() else { return Vec::new() };
    let fix = format!("app.stopSignal = \"{graceful}\"");
    match facts.settings.app.stop_signal {
        Some(signal) if signal == graceful => Vec::new(),
        Some(signal) => vec![Finding::new(
            format!("{program} is stopped with {signal}"),
            format!("its graceful signal is {graceful}; {signal} cuts requests off"),
            fix,
        )],
        // The received signal is forwarded: SIGTERM, or the image's.
        None if graceful == facts.image_stop_signal.unwrap_or(Signal::TERM) => Vec::new(),
        None => vec![Finding::new(
            format!("{program} gets the stop signal that bookend receives"),
            format!("SIGTERM {}; its graceful signal is {graceful}", server.on_sigterm),
            fix,
        )],
    }
}

pub(crate) fn stop_signal_of_the_image(facts: &Facts) -> Vec<Finding> {
    let app = &facts.settings.app;
    let is_dropped = |signal: Signal| app.signals.get(&signal) == Some(&None);
    let begins_stop = |signal: Signal| {
        !is_dropped(signal)
            && match &app.stop_signals {
                Some(signals) => signals.contains(&signal),
                None => [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal),
            }
    };
    let why = "bookend forwards it to the app: no preStop handler runs, and the budget does not begin";
    let profile = of_program(facts.command.program()).filter(|name| app.profile.as_deref() != Some(*name));
    let fix = |signal: Signal| match profile {
        _ if is_dropped(signal) => {
            format!("remove {signal} from app.signals, or write STOPSIGNAL SIGTERM in the Dockerfile")
        }
        Some(name) => format!("app.profile = {name:?} takes it; or add {signal} to app.stopSignals"),
        None => format!("add {signal} to app.stopSignals, or write STOPSIGNAL SIGTERM in the Dockerfile"),
    };
    if let Some(signal) = facts.image_stop_signal {
        let what = format!("the image's STOPSIGNAL {signal} does not begin a stop");
        return if begins_stop(signal) { Vec::new() } else { vec![Finding::new(what, why, fix(signal))] };
    }
    let usual = find(facts.command.program()).and_then(|server| server.image_signal?.parse::<Signal>().ok());
    match usual.filter(|signal| !begins_stop(*signal)) {
        Some(signal) => vec![Finding::note(
            format!(
                "official images of {} have STOPSIGNAL {signal}, which does not begin a stop",
                facts.command.program()
            ),
            format!("if this image has it, too, {why}"),
            format!("{}; tell doctor the image's with --stop-signal", fix(signal)),
        )],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checks::{stop, uwsgi};
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::facts::uwsgi::Uwsgi;
    use crate::doctor::finding::Severity;

    fn facts(words: &[&str]) -> Facts {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Facts { command: AppCommand::new(words, |_| None), ..Facts::default() }
    }

    #[test]
    fn nginx_needs_sigquit_from_bookend_or_from_the_image() {
        let mut nginx = facts(&["nginx", "-g", "daemon off;"]);
        assert!(stop_signal(&nginx)[0].fix.contains("SIGQUIT"));
        nginx.image_stop_signal = Some(Signal::QUIT);
        assert_eq!(stop_signal(&nginx), []);
        nginx.settings.app.stop_signal = Some(Signal::TERM);
        assert_eq!(stop_signal(&nginx).len(), 1);
        nginx.settings.app.stop_signal = Some(Signal::QUIT);
        assert_eq!(stop_signal(&nginx), []);
        assert_eq!(stop_signal(&facts(&["gunicorn", "app"])), []);
        assert!(stop_signal(&facts(&["php-fpm8.2"]))[0].fix.contains("SIGQUIT"));
        assert!(stop_signal(&facts(&["lighttpd", "-D"]))[0].fix.contains("SIGINT"));
    }

    #[test]
    fn a_profile_leaves_no_wrong_signal_and_no_missing_drain() {
        for (profile, program) in [
            ("nginx", "nginx"),
            ("php-fpm", "php-fpm8.4"),
            ("gunicorn", "gunicorn"),
            ("uwsgi", "uwsgi"),
            ("unicorn", "unicorn"),
            ("node", "node"),
            ("java", "java"),
            ("envoy", "envoy"),
            ("haproxy", "haproxy"),
            ("apache", "apache2ctl"),
            ("postgres", "postgres"),
            ("lighttpd", "lighttpd"),
            ("uvicorn", "uvicorn"),
            ("waitress", "waitress-serve"),
            ("puma", "puma"),
            ("caddy", "caddy"),
            ("varnish", "varnishd"),
        ] {
            let text = format!("app.profile = {profile:?}");
            let files = vec![bookend_config::Document { name: "test".to_owned(), text }];
            let sources = bookend_config::Sources { files, ..Default::default() };
            let mut facts = facts(&[program]);
            facts.settings = bookend_config::load(&sources).expect("it is valid").settings;
            facts.uwsgi = (program == "uwsgi").then(Uwsgi::default);
            assert_eq!(stop_signal(&facts), [], "{profile}");
            assert_eq!(stop::no_drain(&facts), [], "{profile}");
            assert_eq!(uwsgi::die_on_term(&facts), [], "{profile}");
        }
    }

    #[test]
    fn a_stopsignal_that_does_not_begin_a_stop_is_found() {
        let mut apache = facts(&["httpd-foreground"]);
        assert_eq!(stop_signal_of_the_image(&apache)[0].severity, Severity::Note, "the official image's");
        apache.image_stop_signal = "SIGWINCH".parse().ok();
        assert_eq!(stop_signal_of_the_image(&apache)[0].severity, Severity::Finding);
        apache.image_stop_signal = Some(Signal::QUIT);
        assert_eq!(stop_signal_of_the_image(&apache), []);
        apache.image_stop_signal = "SIGWINCH".parse().ok();
        let fix_with = |app: &str, facts: &mut Facts| {
            let files = vec![bookend_config::Document { name: "test".to_owned(), text: format!("app = {{ {app} }}") }];
            let sources = bookend_config::Sources { files, ..Default::default() };
            facts.settings = bookend_config::load(&sources).expect("it is valid").settings;
            stop_signal_of_the_image(facts).first().map(|found| found.fix.clone())
        };
        assert_eq!(fix_with("profile = \"apache\"", &mut apache), None, "the profile takes it");
        assert!(
            fix_with("stopSignal = \"SIGTERM\"", &mut apache).expect("found").contains("profile = \"apache\" takes it")
        );
        let dropped = "profile = \"apache\", signals.SIGWINCH = \"ignore\"";
        assert!(fix_with(dropped, &mut apache).expect("found").starts_with("remove SIGWINCH"));
        assert_eq!(stop_signal_of_the_image(&facts(&["node", "x.js"])), []);
    }

    #[test]
    fn an_unknown_server_without_a_drain_is_a_note() {
        let found = unknown_server(&facts(&["/app/server"]));
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        for known in [&["nginx"][..], &["celery", "worker"], &["python3", "-m", "uvicorn", "a:b"], &[]] {
            assert_eq!(unknown_server(&facts(known)), [], "{known:?}");
        }
    }
}
