//! The start of a program does not hold bookend, whatever happens to the program's file.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::held_file::HeldFile;
use crate::support::{Folder, Init, code, free_port, wait_until};

/// A file on which a process holds a write lease (fcntl(2), F_SETLEASE) and does not give it up: an execve(2) of the file
/// waits for lease-break-time, 45 seconds.
fn leased(folder: &Folder, name: &str) -> HeldFile {
    let program = r#"
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open(sys.argv[2], "w").close()
signal.pause()
"#;
    HeldFile::new(program, folder, name)
}

fn program(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.write(name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_handler_program_that_cannot_run_yet_delays_nothing() {
    let (folder, port) = (Folder::new(), free_port());
    let handler = program(&folder, "handler", "#!/bin/sh\necho ran\n");
    let lease = leased(&folder, "handler");
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 20\n\
         lifecycle.preStop = {{ timeoutSeconds = 2, exec.command = [\"{handler}\"] }}"
    );
    let app = "trap 'exit 6' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done";
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    let began = Instant::now();
    init.signal(15);
    init.wait_for_log("stopping");
    // The handler is on its way to its program; everything else goes on.
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(code(port, "/livez"), 200, "{}", init.log());
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    init.signal(1);
    init.wait_for_out("hup");
    assert_eq!(init.end().code(), 6, "{}", init.log());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(
        init.log().contains("timed out after 2.000 s: its program could not be executed in that time"),
        "{}",
        init.log()
    );
    drop(lease);
}

#[test]
fn a_handler_stopped_before_its_exec_delays_nothing() {
    let (folder, port) = (Folder::new(), free_port());
    let handler = program(&folder, "handler", "#!/bin/sh\necho ran\n");
    // The child waits for the lease in execve(2), so the test can stop it before it runs the handler's program.
    let lease = leased(&folder, "handler");
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\n\
         lifecycle.postStart = {{ timeoutSeconds = 2, failurePolicy = \"Ignore\", exec.command = [\"{handler}\"] }}"
    );
    let app = "trap 'exit 6' TERM; echo up $$; while :; do sleep 0.02; done";
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    let children = || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", init.pid())).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    };
    wait_until("the handler is forked", || children().len() == 2);
    let handler = *children().last().unwrap();
    crate::support::signal(handler, 19);
    assert_eq!(code(port, "/livez"), 200, "{}", init.log());
    init.wait_for_log("timed out after 2.000 s");
    wait_until("it is killed", || children().len() == 1);
    init.signal(15);
    assert_eq!(init.end().code(), 6, "{}", init.log());
    drop(lease);
}

#[test]
fn an_app_that_cannot_be_executed_yet_is_stopped_in_time() {
    let (folder, port) = (Folder::new(), free_port());
    let app = program(&folder, "app", "#!/bin/sh\nexec sleep 1000\n");
    let lease = leased(&folder, "app");
    let config = format!("http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 2");
    let mut init = Init::configured_in(folder, &config, &["--", &app]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let began = Instant::now();
    init.signal(15);
    assert_eq!(init.end().code(), 143, "{}", init.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(lease);
}
