//! Variables: which are read, which are ignored, which are a warning.

use std::os::unix::ffi::OsStringExt;

use super::*;
use crate::is_configuration_variable;
use crate::settings::{LogFormat, LogLevel, Settings};

#[test]
fn an_unknown_variable_is_a_warning_that_suggests_a_key() {
    let effective = accept(&env(&[("BOOKEND_LOG_LEVL", "hunter2")]));
    assert_eq!(effective.settings, Settings::default());
    assert_eq!(
        effective.warnings.to_string(),
        "warning: BOOKEND_LOG_LEVL: unknown variable
  --> environment variable BOOKEND_LOG_LEVL
  = did you mean BOOKEND_LOG_LEVEL?

1 warning"
    );
}

#[test]
fn the_end_of_one_variable_suggests_that_variable() {
    for (name, meant) in [
        ("BOOKEND_LISTEN", "did you mean BOOKEND_HTTP_LISTEN?"),
        ("BOOKEND_STOP_SIGNAL", "did you mean BOOKEND_APP_STOP_SIGNAL?"),
        ("BOOKEND_GRACE_PERIOD_SECONDS", "did you mean BOOKEND_TERMINATION_GRACE_PERIOD_SECONDS?"),
        // A key that no variable sets is not suggested.
        ("BOOKEND_CONTAINERS_WEB_STOP_SIGNAL", "accepted: BOOKEND_ and a key path"),
        ("BOOKEND_LIFECYCLE_PRE_STOP_EXEC_COMAND", "did you mean BOOKEND_LIFECYCLE_PRE_STOP?"),
        // Many end like this.
        ("BOOKEND_TIMEOUT_SECONDS", "accepted: BOOKEND_ and a key path"),
    ] {
        let warnings = warnings(&env(&[(name, "x")]));
        assert!(warnings[0].contains(meant), "{warnings:?}");
    }
}

#[test]
fn a_wrong_value_of_a_known_variable_is_an_error() {
    assert_eq!(sentences(&env(&[("BOOKEND_SUBREAPER", "maybe")])), ["subreaper: \"maybe\" is not true or false"]);
}

#[test]
fn a_value_that_is_not_utf8_is_refused() {
    let sources =
        Sources { env: vec![("BOOKEND_LOG_LEVEL".into(), OsString::from_vec(vec![0xff]))], ..Sources::default() };
    assert_eq!(sentences(&sources), ["BOOKEND_LOG_LEVEL: the value is not UTF-8"]);
}

#[test]
fn a_suggestion_is_never_a_variable_of_handlers() {
    for name in ["BOOKEND_FOO", "BOOKEND_HOOKS"] {
        let warnings = warnings(&env(&[(name, "x")]));
        assert!(warnings[0].contains("accepted: BOOKEND_ and a key path"), "{warnings:?}");
    }
    let warnings = warnings(&env(&[("BOOKEND_CONFG", "x")]));
    assert!(warnings[0].contains("did you mean BOOKEND_CONFIG?"), "{warnings:?}");
}

#[test]
fn an_empty_variable_is_not_set() {
    assert_eq!(accept(&env(&[("BOOKEND_LOG_LEVEL", "")])).settings, Settings::default());
}

#[test]
fn variables_of_an_image_build_are_ignored() {
    for name in [
        "BOOKEND_VERSION",
        "BOOKEND_SHA256",
        "BOOKEND_HOME",
        "BOOKEND_IMAGE",
        "BOOKEND_SHA256_AMD64",
        "BOOKEND_DOWNLOAD_URL",
        "BOOKEND_IMAGE_TAG",
        "BOOKEND_BUILD_DATE",
        "BOOKEND_GPG_KEY",
    ] {
        assert_eq!(warnings(&env(&[(name, "x")])), Vec::<String>::new(), "{name}");
        assert!(!is_configuration_variable(name.as_ref(), "x".as_ref()), "{name}");
    }
    for name in ["BOOKEND_CONFIG", "BOOKEND_HTTP_LISTEN", "BOOKEND_APP_HURRY_SIGNAL", "BOOKEND_FOO"] {
        assert!(is_configuration_variable(name.as_ref(), "x".as_ref()), "{name}");
    }
    assert!(!is_configuration_variable("PATH".as_ref(), "x".as_ref()));
}

#[test]
fn reserved_variables_and_those_of_others_are_ignored() {
    let mut pairs: Vec<(&str, &str)> = crate::RESERVED_VARIABLES.iter().map(|name| (*name, "x")).collect();
    pairs.push(("PATH", "/bin"));
    pairs.push(("bookend_log_level", "x"));
    let effective = accept(&env(&pairs));
    assert_eq!(effective.settings, Settings::default());
    assert!(effective.warnings.is_empty(), "{}", effective.warnings);
}

#[test]
fn words_of_a_choice_may_be_in_lower_or_upper_case() {
    let settings = accept(&env(&[
        ("BOOKEND_LOG_LEVEL", "debug"),
        ("BOOKEND_LOG_FORMAT", "JSON"),
        ("BOOKEND_APP_NOTIFY", "True"),
        ("BOOKEND_APP_PROFILE", "NGINX"),
        ("BOOKEND_SOCKET", "none"),
    ]))
    .settings;
    assert_eq!((settings.log.level, settings.log.format), (Some(LogLevel::Debug), LogFormat::Json));
    assert!(settings.app.notify);
    assert_eq!(settings.app.profile.as_deref(), Some("nginx"));
    assert_eq!(settings.socket, crate::settings::SocketPath::None);
    accept(&file("log.level = \"debug\"\napp.signals.HUP = \"Ignore\"\napp.rlimits.NOFILE = \"Unlimited\""));
}

#[test]
fn a_service_called_bookend_does_not_break_the_container() {
    let effective = accept(&env(&[
        ("BOOKEND_SERVICE_HOST", "10.0.0.11"),
        ("BOOKEND_SERVICE_PORT", "9797"),
        ("BOOKEND_SERVICE_PORT_HTTP", "9797"),
        ("BOOKEND_PORT", "tcp://10.0.0.11:9797"),
        ("BOOKEND_PORT_9797_TCP", "tcp://10.0.0.11:9797"),
        ("BOOKEND_PORT_9797_TCP_PROTO", "tcp"),
        ("BOOKEND_PORT_9797_TCP_PORT", "9797"),
        ("BOOKEND_PORT_9797_TCP_ADDR", "10.0.0.11"),
        ("BOOKEND_HTTP_SERVICE_HOST", "10.0.0.12"),
        ("BOOKEND_HTTP_SERVICE_PORT", "80"),
        ("BOOKEND_HTTP_PORT", "udp://10.0.0.12:80"),
        ("BOOKEND_HTTP_PORT_80_UDP_ADDR", "10.0.0.12"),
    ]));
    assert_eq!(effective.settings, Settings::default());
    assert!(effective.warnings.is_empty(), "{}", effective.warnings);
    assert!(warnings(&env(&[("BOOKEND_HTTP_PORT", "80")]))[0].starts_with("BOOKEND_HTTP_PORT: unknown variable"));
}
