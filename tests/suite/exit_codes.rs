//! bookend exits with the app's code, 128+n for a signal, and 125, 126 or 127 if there was no app.

use crate::support::{Folder, Init, run};

#[test]
fn every_exit_code_of_the_app_is_ours() {
    for code in 0..=255 {
        assert_eq!(run(&["--", "sh", "-c", &format!("exit {code}")]).code(), code);
    }
}

#[test]
fn an_app_killed_by_signal_n_is_128_plus_n() {
    // The test covers all signals that kill by default, if their effect cannot have another cause.
    for signal in (1..=15).chain([24, 25, 26, 27, 29, 30, 31, 34, 40, 64]) {
        let finished = run(&["--", "sh", "-c", &format!("kill -{signal} $$; sleep 9")]);
        assert_eq!(finished.code(), 128 + signal, "{finished:?}");
    }
}

#[test]
fn a_core_dump_changes_no_code() {
    let folder = Folder::new();
    let script = format!("cd {}; ulimit -c unlimited; kill -QUIT $$; sleep 9", folder.shown());
    assert_eq!(run(&["--", "sh", "-c", &script]).code(), 128 + 3);
    // The machine decides the place of the core, or the program that gets it.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let mut files = std::fs::read_dir(folder.path("")).unwrap();
    assert!(pattern.starts_with(['/', '|']) || files.next().is_some(), "no core: {pattern}");
}

#[test]
fn exit_codes_are_the_same_as_pid_1() {
    assert_eq!(Init::first_process(&["--", "sh", "-c", "exit 7"]).finish().code(), 7);
    let finished = Init::first_process(&["--", "sh", "-c", "kill -9 $$"]).finish();
    assert_eq!(finished.code(), 137);
}

#[test]
fn not_found_is_127_and_not_executable_is_126() {
    let missing = run(&["--", "no-such-program"]);
    assert_eq!(missing.code(), 127);
    let expected = r#"cannot execute "no-such-program" (it is in no directory of PATH): No such file"#;
    assert!(missing.log.contains(expected), "{}", missing.log);
    let refused = run(&["--", "/etc/passwd"]);
    assert_eq!(refused.code(), 126);
    assert!(refused.log.contains(r#"cannot execute "/etc/passwd": Permission denied"#), "{}", refused.log);
    assert_eq!(run(&["--", "/etc"]).code(), 126);
}

#[test]
fn codes_are_remapped_and_a_stop_can_be_a_success() {
    let config = "app.exitCodes = { 3 = 0, 143 = 9 }";
    assert_eq!(Init::configured(config, &["--", "sh", "-c", "exit 3"]).finish().code(), 0);
    let config = "app.stopIsSuccess = true";
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 99"]);
    init.wait_for_out("up");
    init.signal(15);
    assert_eq!(init.finish().code(), 0);
}

#[test]
fn the_path_search_skips_files_that_cannot_be_executed() {
    let folder = crate::support::Folder::new();
    folder.write("true", "not executable");
    let path = format!("{}:/usr/bin:/bin", folder.shown());
    let mut command = std::process::Command::new(crate::support::bookend());
    command.args(["--", "true"]).env("PATH", path);
    assert_eq!(Init::start(crate::support::Folder::new(), command).finish().code(), 0);
}
