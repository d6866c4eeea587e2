//! The state file: the next life reports how the last one ended, and does once what it has missed.

use std::path::Path;

use crate::support::{Folder, Init, wait_until};

/// A life with a state file, and a handler for an end that no life has seen.
fn life(folder: Folder, more: &str, app: &[&str]) -> Init {
    let config = format!(
        "stateFile = \"{0}/state\"\nlog.level = \"Info\"\nlifecycle.postStop = {{ name = \"leave\", on = [\"Unseen\"], exec.command = [\"sh\", \"-c\", \"echo $BOOKEND_REASON >> {0}/left{1}\"] }}\n",
        folder.shown(),
        more
    );
    Init::configured_in(folder, &config, &[&["--"], app].concat())
}

fn next(mut init: Init) -> Folder {
    init.end();
    std::mem::replace(&mut init.folder, Folder::new())
}

fn kill(init: Init) -> Folder {
    init.signal(9);
    next(init)
}

fn state(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path("state")).unwrap_or_default()
}

fn wait_for_state(init: &Init, word: &str) {
    wait_until(word, || state(&init.folder).contains(word));
}

const SLEEPS: [&str; 3] = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done"];

#[test]
fn the_next_life_reports_an_end_while_running_once() {
    let init = life(Folder::new(), "", &SLEEPS);
    wait_for_state(&init, " Running ");
    assert!(!init.log().contains("previous life"), "{}", init.log());
    let init = life(kill(init), "", &SLEEPS);
    init.wait_for_log("the previous life ended without a report, while running (last seen ");
    wait_for_state(&init, " Running ");
    init.wait_for_out("up");
    assert_eq!(init.folder.read("left"), "Unseen\n", "before the app's start");
    init.signal(9);
    let init = life(next(init), "", &["true"]);
    let folder = next(init);
    assert_eq!(folder.read("left"), "Unseen\nUnseen\n", "once for each life that was killed");
    let mut init = life(folder, "", &["true"]);
    init.end();
    assert_eq!(init.folder.read("left"), "Unseen\nUnseen\n", "the life before has reported its end");
    assert!(!init.log().contains("previous life"), "{}", init.log());
}

#[test]
fn the_next_life_reports_how_far_a_stop_had_come() {
    let init = life(Folder::new(), "", &SLEEPS);
    init.wait_for_out("up");
    init.signal(15);
    wait_for_state(&init, " Stopping 1.0");
    let mut init = life(kill(init), "", &["true"]);
    init.end();
    let log = init.log();
    assert!(log.contains("the previous life ended without a report, 1.0 s into a stop"), "{log}");
}

#[test]
fn missed_post_stop_runs_once_even_if_that_start_is_killed() {
    let init = life(Folder::new(), "", &SLEEPS);
    wait_for_state(&init, " Running ");
    let init = life(kill(init), "; sleep 1000", &SLEEPS);
    wait_until("the handler runs", || init.folder.path("left").exists());
    let mut init = life(kill(init), "", &["true"]);
    init.end();
    assert!(init.log().contains("while it ran the postStop handlers of the life before"), "{}", init.log());
    assert_eq!(init.folder.read("left"), "Unseen\n");
}

#[test]
fn a_state_file_that_is_cut_at_any_byte_is_an_unknown_past() {
    let init = life(Folder::new(), "", &SLEEPS);
    wait_for_state(&init, " Running ");
    let mut folder = kill(init);
    let whole = state(&folder).trim_end().to_owned();
    for bytes in 1..whole.len() {
        folder.write("state", &whole[..bytes]);
        let mut init = life(folder, "", &["sh", "-c", "exit 4"]);
        assert_eq!(init.end().code(), 4);
        assert!(init.log().contains("stateFile is damaged"), "{bytes}: {}", init.log());
        assert!(!init.folder.path("left").exists(), "{bytes}");
        assert!(state(&init.folder).contains(" Reported "), "it is written again: {}", state(&init.folder));
        folder = std::mem::replace(&mut init.folder, Folder::new());
    }
}

#[test]
fn a_foreign_state_file_is_left_alone() {
    let folder = Folder::new();
    folder.write("state", "mine\n");
    let mut init = life(folder, "", &["sh", "-c", "exit 4"]);
    assert_eq!(init.end().code(), 4);
    assert_eq!(init.folder.read("state"), "mine\n");
    assert!(init.log().contains("the file of another program"), "{}", init.log());
    for place in ["/proc/version", "/nowhere/state", "/dev/null"] {
        let config = format!("stateFile = \"{place}\"");
        let finished = Init::configured(&config, &["--", "sh", "-c", "exit 4"]).finish();
        assert_eq!(finished.code(), 4, "{place}: {}", finished.log);
        assert!(finished.log.contains("stateFile"), "{place}: {}", finished.log);
    }
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn a_stop_during_missed_post_stop_handlers_ends_the_start() {
    let init = life(Folder::new(), "", &SLEEPS);
    wait_for_state(&init, " Running ");
    let mut init = life(kill(init), "; sleep 1000", &SLEEPS);
    wait_until("the handler runs", || init.folder.path("left").exists());
    init.signal(15);
    assert_eq!(init.end().code(), 143);
    assert!(!init.log().contains("app started"), "{}", init.log());
    assert!(state(&init.folder).contains(" Reported "));
}
