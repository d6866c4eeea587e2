//! Profiles: the weakest layer, each value visible and overridable.

use super::*;
use crate::profiles;
use crate::settings::{Handler, HandlerKind};
use bookend_lifecycle::drain::{Drain, Until};
use bookend_lifecycle::signal::Signal;

fn profiled(rest: &str) -> Effective {
    accept(&file(&format!("app.profile = \"nginx\"\n{rest}")))
}

#[test]
fn every_profile_has_a_stop_signal_and_a_drain() {
    for name in profiles::NAMES {
        let settings = accept(&file(&format!("app.profile = \"{name}\""))).settings;
        assert!(settings.app.stop_signal.is_some(), "{name}");
        let handlers = &settings.lifecycle.pre_stop;
        assert!(matches!(handlers[..], [Handler { kind: HandlerKind::Drain(_), .. }]), "{name}: {handlers:?}");
        let is_graceful = settings.app.second_signal.is_some();
        let HandlerKind::Drain(drain) = &handlers[0].kind else { panic!() };
        let until = if is_graceful { Until::Quiet } else { Until::NoBusyConnections };
        assert_eq!(drain.until, until, "{name}: without a graceful signal the drain waits for requests");
    }
}

#[test]
fn every_other_source_is_stronger_than_a_profile() {
    let settings = profiled("app.stopSignal = \"SIGTERM\"").settings;
    assert_eq!(settings.app.stop_signal, Some(Signal::TERM));
    assert_eq!(
        settings.app.second_signal.map(|second_signal| second_signal.signal),
        Some(Signal::TERM),
        "the rest stays"
    );
    assert_eq!(profiled("lifecycle.stopSignal = \"SIGINT\"").settings.app.stop_signal, Some(Signal::INT));
    let sources = Sources { env: variables(&[("BOOKEND_APP_STOP_SIGNAL", "INT")]), ..file("app.profile = \"nginx\"") };
    assert_eq!(accept(&sources).settings.app.stop_signal, Some(Signal::INT));
    assert_eq!(profiled("app.secondSignal.signal = \"ignore\"").settings.app.second_signal, None);
}

#[test]
fn the_users_pre_stop_replaces_the_profiles_drain() {
    let drain = |rest: &str| profiled(rest).settings.lifecycle.pre_stop;
    assert_eq!(drain("lifecycle.preStop = []"), []);
    assert_eq!(drain("lifecycle.preStop.sleep.seconds = 1").len(), 1);
    let own = drain("lifecycle.preStop.drain.ports = [80]");
    assert_eq!(own[0].kind, HandlerKind::Drain(Drain { ports: vec![80], ..Drain::default() }));
}

#[test]
fn check_shows_the_values_of_a_profile_with_their_origin() {
    let shown = profiled("").to_toml();
    for line in [
        "stopSignal = \"SIGQUIT\"  # profile nginx",
        "secondSignal.signal = \"SIGTERM\"  # profile nginx",
        "drain.minSeconds = 3  # default",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn the_environment_alone_can_name_a_profile() {
    let sources = Sources { env: variables(&[("BOOKEND_APP_PROFILE", "haproxy")]), ..Sources::default() };
    assert_eq!(accept(&sources).settings.app.stop_signal, Some("SIGUSR1".parse().unwrap()));
}

#[test]
fn an_unknown_profile_is_an_error_that_lists_the_known_ones() {
    assert_eq!(
        sentences(&file("app.profile = \"ngnix\"")),
        [
            "app.profile: \"ngnix\" is not one of nginx, php-fpm, gunicorn, uwsgi, unicorn, node, java, envoy, haproxy, apache, postgres"
        ]
    );
}
