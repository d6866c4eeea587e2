//! Files, environment, options and command: their precedence and their origins.

use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use super::*;
use crate::settings::{LogLevel, Settings};
use bookend_lifecycle::signal::Signal;

#[test]
fn a_command_of_a_file_that_is_not_used_is_a_warning() {
    let with = |command: &str| Sources { command: vec![command.into()], ..file("app.command = [\"server\"]") };
    let warning = "app.command: not used: the command line has a command | remove it here, or the image's CMD, the \
                   Pod's args or the command after `--`";
    assert_eq!(warnings(&with("bash")), [warning]);
    assert_eq!(warnings(&with("server")), [""; 0], "the same command");
    assert_eq!(warnings(&file("app.command = [\"server\"]")), [""; 0]);
}

#[test]
fn no_sources_give_the_defaults() {
    let effective = accept(&Sources::default());
    assert_eq!(effective.settings, Settings::default());
    assert!(!effective.is_configured());
}

#[test]
fn a_command_alone_is_not_a_configuration() {
    let effective = accept(&Sources { command: vec!["a".into()], ..Sources::default() });
    assert!(!effective.is_configured());
    assert_eq!(effective.settings.app.program.command, ["a"]);
    assert!(accept(&file("subreaper = true")).is_configured());
}

#[test]
fn options_beat_variables_which_beat_later_files() {
    let level = |sources: &Sources| accept(sources).settings.log.level;
    let mut sources = Sources {
        files: vec![document("a", "log.level = \"Error\""), document("b", "log.level = \"Warn\"")],
        ..Sources::default()
    };
    assert_eq!(level(&sources), Some(LogLevel::Warn));
    sources.env = variables(&[("BOOKEND_LOG_LEVEL", "Info")]);
    assert_eq!(level(&sources), Some(LogLevel::Info));
    sources.overrides = vec![option("log.level", "Error"), option("log.level", "Debug")];
    assert_eq!(level(&sources), Some(LogLevel::Debug));
}

#[test]
fn tables_merge_by_key_and_lists_are_replaced_as_a_whole() {
    let sources = Sources {
        files: vec![
            document(
                "a",
                "app = { command = [\"a\", \"b\"], stopSignal = 3, signals = { HUP = 1, USR1 = 2 } }\n\
                 [[lifecycle.preStop]]\nname = \"one\"\nsleep.seconds = 1\n\
                 [[lifecycle.preStop]]\nname = \"two\"\nsleep.seconds = 2\n\
                 [lifecycle.postStop]\nsleep.seconds = 3",
            ),
            document(
                "b",
                "app = { command = [\"c\"], signals = { SIGHUP = \"ignore\" } }\n\
                 [lifecycle.preStop]\nsleep.seconds = 9",
            ),
        ],
        ..Sources::default()
    };
    let settings = accept(&sources).settings;
    assert_eq!(settings.app.program.command, ["c"]);
    assert_eq!(settings.app.stop_signal, Some(Signal::QUIT));
    assert_eq!(
        settings.app.signals.into_iter().collect::<Vec<_>>(),
        [(Signal::HUP, None), (Signal::new(10).expect("SIGUSR1"), Some(Signal::INT)),]
    );
    let names: Vec<&str> = settings.lifecycle.pre_stop.iter().map(|handler| handler.name.as_str()).collect();
    assert_eq!(names, ["preStop[0]"]);
    assert_eq!(settings.lifecycle.post_stop.len(), 1);
}

#[test]
fn the_command_after_the_dashes_replaces_the_files_one() {
    let odd = OsString::from_vec(vec![b'a', 0xff]);
    let mut sources = file("app.command = [\"nginx\", \"-t\"]");
    sources.command = vec!["sh".into(), odd.clone()];
    assert_eq!(accept(&sources).settings.app.program.command, [OsString::from("sh"), odd]);
}

#[test]
fn every_scalar_can_be_set_by_a_variable() {
    let settings = accept(&env(&[
        ("BOOKEND_HTTP_LISTEN", "0.0.0.0:9797"),
        ("BOOKEND_TERMINATION_GRACE_PERIOD_SECONDS", "2.5"),
        ("BOOKEND_TERMINATION_MESSAGE_PATH", "/m"),
        ("BOOKEND_SUBREAPER", "false"),
        ("BOOKEND_APP_STOP_SIGNAL", "3"),
        ("BOOKEND_APP_STOP_IS_SUCCESS", "true"),
        ("BOOKEND_LOG_LEVEL", "Debug"),
    ]))
    .settings;
    assert_eq!(settings.http.map(|http| http.listen.port()), Some(9797));
    assert_eq!(settings.termination_grace_period, Some(Duration::from_millis(2500)));
    assert_eq!(settings.termination_message_path, Some("/m".into()));
    assert_eq!(settings.subreaper, Some(false));
    assert_eq!(settings.app.stop_signal, Some(Signal::QUIT));
    assert!(settings.app.stop_is_success);
    assert_eq!(settings.log.level, Some(LogLevel::Debug));
}

#[test]
fn lists_and_tables_are_set_by_a_variable_in_toml() {
    let settings = accept(&env(&[
        ("BOOKEND_APP_COMMAND", "[\"nginx\", \"-g\", \"daemon off;\"]"),
        ("BOOKEND_APP_SIGNALS", "{ HUP = \"ignore\" }"),
        ("BOOKEND_LIFECYCLE_PRE_STOP", "[{ sleep.seconds = 1 }, { exec.command = [\"a\"] }]"),
    ]))
    .settings;
    assert_eq!(settings.app.program.command, ["nginx", "-g", "daemon off;"]);
    assert_eq!(settings.app.signals.len(), 1);
    assert_eq!(settings.lifecycle.pre_stop.len(), 2);
}

#[test]
fn options_reach_into_tables_of_the_users_names() {
    let mut sources = file("app.signals = { HUP = 1 }");
    sources.overrides = vec![option("app.signals.SIGHUP", "ignore"), option("app.exitCodes.143", "0")];
    let settings = accept(&sources).settings;
    assert_eq!(settings.app.signals.get(&Signal::HUP), Some(&None));
    assert_eq!(settings.app.exit_codes.get(&143), Some(&0));
}

#[test]
fn options_with_a_wrong_path_are_refused() {
    let sources = Sources {
        overrides: vec![
            option("app.stopSignl", "3"),
            option("lifecycle.preStop.name", "x"),
            option("app.stopSignal.x", "3"),
            option("app.signals.FOO", "3"),
            option("", "3"),
        ],
        ..Sources::default()
    };
    assert_eq!(
        sentences(&sources),
        [
            "app.stopSignl: unknown key",
            "lifecycle.preStop.name: lifecycle.preStop is a list and can only be set as a whole",
            "app.stopSignal.x: app.stopSignal is not a table",
            "app.signals.FOO: \"FOO\" is not a signal; accepted: a name of signal(7) like SIGTERM or TERM, SIGRTMIN+n, SIGRTMAX-n, or a number 1-64",
            "\"\": unknown key",
        ]
    );
}

#[test]
fn each_value_keeps_its_origin() {
    let mut sources = file("subreaper = true\n\n[app]\nstopSignal = 3\n");
    sources.env = variables(&[("BOOKEND_LOG_LEVEL", "Info")]);
    sources.overrides = vec![option("http.listen", "127.0.0.1:1")];
    sources.command = vec!["a".into()];
    let effective = accept(&sources);
    for (path, origin) in [
        ("subreaper", "bookend.toml:1"),
        ("app.stopSignal", "bookend.toml:4"),
        ("log.level", "BOOKEND_LOG_LEVEL"),
        ("http.listen", "command line --set http.listen"),
        ("app.command", "command line --"),
        ("log.format", "default"),
    ] {
        assert_eq!(effective.origin(path).to_string(), origin, "{path}");
    }
}

#[test]
fn zero_config_equals_loading_nothing() {
    let command: Vec<OsString> = vec!["nginx".into(), "-v".into()];
    let loaded = load(&Sources { command: command.clone(), ..Sources::default() }).unwrap();
    assert_eq!(Effective::of_command(command).settings, loaded.settings);
}
