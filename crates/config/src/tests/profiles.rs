//! Profiles: the weakest layer, each value visible and overridable.

use std::time::Duration;

use super::*;
use crate::profiles::{self, AppProcess};
use crate::settings::{Handler, HandlerKind};
use bookend_lifecycle::drain::{Drain, Until};
use bookend_lifecycle::signal::Signal;

fn profiled(rest: &str) -> Effective {
    accept(&file(&format!("app.profile = \"nginx\"\n{rest}")))
}

#[test]
fn every_profile_drains_and_those_of_a_server_name_a_signal() {
    for name in profiles::NAMES.iter().filter(|name| **name != profiles::AUTO) {
        let settings = accept(&file(&format!("app.profile = \"{name}\""))).settings;
        // An unknown server gets the signal that bookend receives.
        assert_eq!(settings.app.stop_signal.is_some(), *name != profiles::HTTP, "{name}");
        let handlers = &settings.lifecycle.pre_stop;
        assert!(matches!(handlers[..], [Handler { kind: HandlerKind::Drain(_), .. }]), "{name}: {handlers:?}");
    }
}

#[test]
fn each_profile_begins_a_stop_with_the_signal_of_the_image() {
    for (name, image) in [
        ("apache", "SIGWINCH"),
        ("haproxy", "SIGUSR1"),
        ("nginx", "SIGQUIT"),
        ("php-fpm", "SIGQUIT"),
        ("postgres", "SIGINT"),
        ("java", "SIGTERM"),
    ] {
        let begins = |text: &str| {
            let app = accept(&file(text)).settings.app;
            let signals = app.stop_signals.unwrap_or_else(|| vec![Signal::TERM, Signal::INT, Signal::QUIT]);
            let signal: Signal = image.parse().unwrap();
            signals.contains(&signal) && app.signals.get(&signal) != Some(&None)
        };
        assert!(begins(&format!("app.profile = \"{name}\"")), "{name}");
        let own = format!("app = {{ profile = \"{name}\", stopSignals = [\"SIGUSR2\"] }}");
        assert!(!begins(&own), "{name}: the user's are stronger");
    }
    let java = accept(&file("app.profile = \"java\"")).settings.app.stop_signals.unwrap();
    assert!(!java.contains(&Signal::QUIT), "a thread dump");
}

#[test]
fn a_signal_that_the_user_redefines_begins_no_stop() {
    for meaning in ["ignore", "SIGHUP"] {
        let text =
            format!("app = {{ profile = \"apache\", signals.WINCH = {meaning:?}, signals.SIGTERM = \"SIGQUIT\" }}");
        let effective = accept(&file(&text));
        assert_eq!(
            effective.settings.app.stop_signals,
            Some(vec![Signal::TERM, Signal::INT, Signal::QUIT]),
            "{meaning}: a rewritten SIGTERM still begins a stop"
        );
        assert_eq!(effective.warnings.iter().count(), 0);
    }
    let own = "app = { stopSignals = [\"SIGTERM\", \"SIGWINCH\"], signals.SIGWINCH = \"ignore\" }";
    let warnings = accept(&file(own)).warnings;
    assert_eq!(warnings.iter().count(), 1, "the user's own contradiction is reported");
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn auto_knows_a_server_by_its_command() {
    for (line, profile) in [
        ("nginx -g x", Some("nginx")),
        ("/usr/sbin/php-fpm8.2 -F", Some("php-fpm")),
        ("/docker-entrypoint.sh nginx -g x", Some("nginx")),
        ("docker-php-entrypoint apache2-foreground", Some("apache")),
        ("env A=b nice -n 5 setpriv --reuid 33 gunicorn app", Some("gunicorn")),
        ("tini -- dumb-init python3 -u -m uvicorn a:b", Some("uvicorn")),
        ("bundle exec puma -p 80", Some("puma")),
        ("python3.11 /usr/local/bin/waitress-serve a:b", Some("waitress")),
        ("node server.js", Some("node")),
        ("/app/server --port 80", None),
        ("python3 manage.py runserver", None),
    ] {
        assert_eq!(profiles::of_command(&words(line)), profile, "{line}");
    }
}

#[test]
fn auto_knows_a_server_by_its_running_process() {
    let process = |executable: &str, line: &[&str], name: &str| AppProcess {
        executable: Some(executable.to_owned()).filter(|path| !path.is_empty()),
        command_line: line.iter().map(|word| (*word).to_owned()).collect(),
        name: name.to_owned(),
    };
    for (process, profile) in [
        (process("/usr/sbin/nginx", &["nginx: master process nginx"], "nginx"), Some("nginx")),
        (process("/usr/sbin/nginx (deleted)", &[], ""), Some("nginx")),
        (process("/usr/bin/python3.11", &["/usr/bin/python3", "/usr/bin/gunicorn", "a"], "gunicorn"), Some("gunicorn")),
        (process("/usr/bin/python3.11", &["gunicorn: master [app]"], "gunicorn: maste"), Some("gunicorn")),
        (process("/usr/bin/ruby3.1", &["puma 5.6.5 (tcp://0.0.0.0:80)"], "ruby"), Some("puma")),
        (process("", &["php-fpm: master process"], "php-fpm8.2"), Some("php-fpm")),
        (process("/usr/bin/qemu-aarch64", &["/usr/bin/qemu-aarch64", "/usr/sbin/haproxy"], "haproxy"), Some("haproxy")),
        // busybox' httpd is not Apache's, and a shell that has started nginx is not nginx.
        (process("/bin/busybox", &["httpd", "-f"], "httpd"), Some("http")),
        (process("/bin/dash", &["/bin/sh", "/entrypoint.sh", "nginx"], "entrypoint.sh"), Some("http")),
        (process("/usr/bin/python3.11", &["python3", "manage.py"], "python3"), None),
    ] {
        assert_eq!(profiles::of_process(&process), profile, "{process:?}");
    }
}

#[test]
fn auto_chooses_at_the_start_and_again_when_a_stop_begins() {
    let sources =
        Sources { command: vec!["/start".into()], ..file("app.profile = \"auto\"\napp.stopSignals = [\"SIGHUP\"]") };
    let mut effective = accept(&sources);
    assert_eq!(effective.settings.app.profile.as_deref(), Some("http"));
    assert!(effective.to_toml().contains("# profile http (auto)"), "{effective}");
    assert!(effective.to_string().contains("\"auto\": http by the command"), "{effective}");
    let again = effective.auto.as_mut().unwrap().choose("haproxy");
    assert_eq!(again.app.profile.as_deref(), Some("haproxy"));
    assert_eq!(again.app.stop_signal, Some("SIGUSR1".parse().unwrap()));
    assert_eq!(again.app.stop_signals.unwrap().len(), 1, "the user's are stronger");
    let nginx = accept(&Sources { command: vec!["nginx".into()], ..file("app.profile = \"auto\"") });
    assert_eq!(nginx.settings.app.stop_signal, Some(Signal::QUIT));
}

#[test]
fn an_unknown_server_drains_shortly_without_a_grace_period() {
    let longest = |more: &str| {
        let settings = accept(&file(&format!("app.profile = \"http\"\n{more}"))).settings;
        let HandlerKind::Drain(drain) = &settings.lifecycle.pre_stop[0].kind else { panic!() };
        assert!(drain.only_if_listening && drain.until == Until::NoBusyConnections);
        drain.max.as_secs()
    };
    assert_eq!((longest(""), longest("terminationGracePeriodSeconds = 30")), (5, 20));
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
fn without_a_budget_a_drain_takes_half_of_dockers_ten_seconds() {
    for name in profiles::NAMES {
        let longest = |rest: &str| {
            let settings = accept(&file(&format!("app.profile = \"{name}\"\n{rest}"))).settings;
            match settings.lifecycle.pre_stop.as_slice() {
                [Handler { kind: HandlerKind::Drain(drain), .. }] => drain.longest(),
                other => panic!("{name}: {other:?}"),
            }
        };
        assert_eq!(longest(""), Duration::from_secs(5), "{name}");
        assert!(longest("terminationGracePeriodSeconds = 30") > Duration::from_secs(5), "{name}");
        let own = "lifecycle.preStop = { drain = { maxSeconds = 7 } }";
        assert_eq!(longest(own), Duration::from_secs(7), "{name}: a user's drain is not changed");
    }
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
            "app.profile: \"ngnix\" is not one of auto, nginx, php-fpm, gunicorn, uwsgi, unicorn, node, java, envoy, haproxy, apache, postgres, \
             uvicorn, hypercorn, granian, waitress, daphne, puma, caddy, traefik, lighttpd, varnish, go, prometheus, http"
        ]
    );
}
