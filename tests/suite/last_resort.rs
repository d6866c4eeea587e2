//! After the app is spawned nothing is fatal. Without descriptors for a runtime bookend still forwards signals, reaps and
//! exits with the app's code.

use std::process::Command;

use crate::support::{Folder, Init, bookend, pipe_without_reader};

fn few_descriptors(most: u32, script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {most}; exec \"$@\""), "sh"])
        .arg(bookend())
        .args(["--", "sh", "-c", script]);
    command
}

fn with_few_descriptors(most: u32, script: &str) -> Init {
    Init::start(Folder::new(), few_descriptors(most, script))
}

#[test]
fn without_descriptors_signals_are_forwarded_and_the_code_is_kept() {
    for most in 4..12 {
        let init = with_few_descriptors(most, "trap 'exit 6' TERM; echo up; while :; do sleep 0.02; done");
        init.wait_for_out("up");
        init.signal(15);
        assert_eq!(init.finish().code(), 6, "{most} descriptors");
    }
}

#[test]
fn without_descriptors_orphans_are_reaped() {
    let init = with_few_descriptors(4, "(sleep 0.1 & sleep 0.1 &) ; sleep 0.5; exit 3");
    assert_eq!(init.finish().code(), 3);
}

#[test]
fn unread_last_words_do_not_end_the_app() {
    let command = few_descriptors(4, "sleep 0.3; exit 3");
    let init = Init::start_with_log(Folder::new(), command, pipe_without_reader());
    assert_eq!(init.finish().code(), 3);
}
