//! With a terminal the app has the foreground; without one nothing is missed.

use std::process::Command;

use crate::support::{Folder, Init, bookend};

/// Runs a script under bookend on a pseudo-terminal of its own.
fn on_a_terminal(script: &str) -> String {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} -- sh -c '{script}'", bookend().display()), "/dev/null"]);
    Init::start(Folder::new(), command).finish().out
}

#[test]
fn the_apps_group_has_the_foreground() {
    let out = on_a_terminal("ps -o pgid=,tpgid= -p $$");
    let groups: Vec<_> = out.split_whitespace().collect();
    assert_eq!(groups.len(), 2, "{out}");
    assert_eq!(groups[0], groups[1], "its own group and the terminal's");
}

#[test]
fn ctrl_c_reaches_the_app_once() {
    // What is typed is what comes through the pipe; it is typed when the app is ready for it.
    let typist = r#"(until grep -q up "$OUT"; do sleep 0.05; done; printf '\003'; until grep -q caught "$OUT"; do sleep 0.05; done)"#;
    let app = r#"trap "echo caught; exit 5" INT; echo up; while :; do sleep 0.05; done"#;
    let folder = Folder::new();
    let out = folder.path("out");
    let mut command = Command::new("sh");
    let line = format!("{typist} | script -qfec \"$BOOKEND -- sh -c '$APP'\" /dev/null");
    command.args(["-c", &line]).env("APP", app).env("BOOKEND", bookend()).env("OUT", &out);
    let mut init = Init::start(folder, command);
    let finished = init.end();
    assert_eq!(finished.code(), 5, "{finished:?}");
    assert_eq!(finished.out.matches("caught").count(), 1, "{finished:?}");
}
