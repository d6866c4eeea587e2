//! No test leaves a process behind, whether it passed, failed or was killed.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Folder, Init, wait_until};

/// It leads a session of its own, and no parent waits for it.
const STRAY: &str = "setsid sh -c 'echo pid-$$; exec sleep 1000' & wait";

fn stray_of(out: &str) -> Option<PathBuf> {
    let pid = out.lines().find_map(|line| line.split_once("pid-"))?.1.trim();
    Some(format!("/proc/{pid}/cwd").into())
}

#[test]
fn a_test_leaves_no_process_behind() {
    let init = Init::ordinary(Folder::new(), &["--", "sh", "-c", STRAY]);
    wait_until("it is there", || stray_of(&init.out()).is_some_and(|stray| stray.read_link().is_ok()));
    let stray = stray_of(&init.out()).unwrap();
    drop(init);
    assert!(stray.read_link().is_err(), "it lives");
}

/// It never ends by itself, so a plain run ignores it: the next test starts it in a separate process and kills that process.
#[test]
#[ignore = "it waits to be killed: killed_tests_leave_no_process_behind runs it"]
fn helper_that_waits_to_be_killed() {
    let init = Init::ordinary(Folder::new(), &["--", "sh", "-c", STRAY]);
    wait_until("it is there", || stray_of(&init.out()).is_some());
    print!("\n{}", init.out());
    wait_until("the end", || false);
}

#[test]
fn killed_tests_leave_no_process_behind() {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--ignored", "--exact", "left_behind::helper_that_waits_to_be_killed", "--nocapture"]);
    let mut tests = tests.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = String::new();
    let mut byte = [0];
    while stray_of(&out).is_none() || !out.ends_with('\n') {
        tests.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        out.push(char::from(byte[0]));
    }
    let stray = stray_of(&out).unwrap();
    assert!(stray.read_link().is_ok(), "it lives");
    tests.kill().unwrap();
    tests.wait().unwrap();
    wait_until("it is gone, too", || stray.read_link().is_err());
}
