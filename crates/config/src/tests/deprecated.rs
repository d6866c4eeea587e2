//! Deprecated keys are read for one more version, with a warning that names the new key.

use super::*;
use crate::settings::Settings;
use bookend_lifecycle::signal::Signal;

const WARNING: &str = "app.hurry: deprecated key, removed in the next version; use app.secondSignal | ";

#[track_caller]
fn is_second_signal(settings: &Settings) {
    assert_eq!(settings.app.second_signal.map(|second| second.signal), Some(Signal::TERM));
}

#[test]
fn an_old_key_is_read_with_a_warning() {
    let sources = file("[app.hurry]\nsignal = \"SIGTERM\"\nafterSeconds = 2\n");
    is_second_signal(&accept(&sources).settings);
    assert_eq!(warnings(&sources), [WARNING]);
    let printed = accept(&sources).to_string();
    assert!(printed.contains("secondSignal.signal = \"SIGTERM\"  # bookend.toml:2"), "{printed}");
    assert!(printed.contains("# warning: app.hurry: deprecated key"), "{printed}");
    let line = accept(&sources).warnings.iter().next().unwrap().one_line();
    assert_eq!(line, "app.hurry: deprecated key, removed in the next version; use app.secondSignal (bookend.toml:1:6)");
}

#[test]
fn an_old_variable_is_read_with_a_warning() {
    let sources = env(&[("BOOKEND_APP_HURRY_SIGNAL", "TERM"), ("BOOKEND_APP_HURRY_AFTER_SECONDS", "2")]);
    is_second_signal(&accept(&sources).settings);
    assert_eq!(
        warnings(&sources),
        [
            format!("{WARNING}the new variable is BOOKEND_APP_SECOND_SIGNAL_SIGNAL"),
            format!("{WARNING}the new variable is BOOKEND_APP_SECOND_SIGNAL_AFTER_SECONDS"),
        ]
    );
}

#[test]
fn the_new_variable_is_stronger_than_the_old_one() {
    let (old, new) = (("BOOKEND_APP_HURRY_SIGNAL", "INT"), ("BOOKEND_APP_SECOND_SIGNAL_SIGNAL", "TERM"));
    for pairs in [[old, new], [new, old]] {
        is_second_signal(&accept(&env(&pairs)).settings);
    }
}

#[test]
fn an_old_option_is_read_with_a_warning() {
    let sources = Sources { overrides: vec![option("app.hurry.signal", "TERM")], ..Sources::default() };
    is_second_signal(&accept(&sources).settings);
    assert_eq!(warnings(&sources), [WARNING]);
}

#[test]
fn an_old_key_beside_the_new_one_is_an_error() {
    let text = "app.hurry.signal = \"SIGINT\"\napp.secondSignal.signal = \"SIGTERM\"";
    assert_eq!(sentences(&file(text)), ["app.hurry: set twice: it is the old name of app.secondSignal"]);
}

#[test]
fn layers_merge_under_the_new_name() {
    let files = vec![
        document("a", "app.hurry = { signal = \"INT\", afterSeconds = 9 }"),
        document("b", "app.secondSignal.signal = \"TERM\""),
    ];
    let settings = accept(&Sources { files, ..Sources::default() }).settings;
    is_second_signal(&settings);
    assert_eq!(settings.app.second_signal.unwrap().after.as_secs(), 9);
}

#[test]
fn the_schema_marks_an_old_key_as_deprecated() {
    let schema: serde_json::Value = serde_json::from_str(&crate::schema()).unwrap();
    let app = &schema["$defs"]["app"]["properties"];
    assert_eq!(app["hurry"]["deprecated"], true);
    assert_eq!(app["hurry"]["$ref"], app["secondSignal"]["$ref"]);
}
