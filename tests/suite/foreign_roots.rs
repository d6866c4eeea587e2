//! Roots that no container runtime has set up: a plain chroot(2) without /proc, /dev or a namespace of its own,
//! and systemd-nspawn.

use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend, child_of, copy_program, has, is_root, signal, wait_until};

/// Starts, runs every kind of hook, and stops.
const CONFIG: &str = r#"
    terminationGracePeriodSeconds = 20
    [app]
    command = ["sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done"]
    [[lifecycle.preStart]]
    exec.command = ["sh", "-c", "echo 'ROOT = \"foreign\"' >&3"]
    [[lifecycle.preStop]]
    exec.command = ["sh", "-c", "echo prepared in a $ROOT root"]
    [[lifecycle.postStop]]
    exec.command = ["sh", "-c", "echo over: $BOOKEND_REASON $BOOKEND_EXIT_CODE"]
"#;

/// The machine's programs and libraries, mounted inside.
const SHOWN: [&str; 4] = ["/usr", "/bin", "/lib", "/lib64"];

fn root() -> Folder {
    let folder = Folder::new();
    for name in ["usr", "bin", "lib", "lib64", "etc", "tmp"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    folder.write("etc/bookend.toml", CONFIG);
    copy_program(bookend(), folder.path("bookend"));
    folder
}

#[track_caller]
fn stopped_as_ever(finished: &Finished) {
    assert_eq!(finished.code(), 7, "{}", finished.log);
    assert_eq!(finished.out.trim_end(), "up\nbye");
    for expected in ["prepared in a foreign root", "over: Stopped 7", "SIGTERM sent to the app"] {
        assert!(finished.log.contains(expected), "{expected}: {}", finished.log);
    }
}

#[test]
fn a_plain_chroot_without_proc_works() {
    if !is_root("a_plain_chroot_without_proc_works") {
        return;
    }
    let folder = root();
    let shown = SHOWN.map(|path| format!("mount --bind {path} .{path} && ")).concat();
    let script = format!("cd \"$0\" && {shown} exec chroot . /bookend -c /etc/bookend.toml");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(folder.path("."));
    let mut init = Init::start(folder, command);
    init.wait_for_out("up");
    init.signal(15);
    stopped_as_ever(&init.end());
}

/// systemd-nspawn on a machine that need not run systemd; it ends with its payload.
fn nspawn(options: &[&str]) -> Init {
    let folder = root();
    let mut command = Command::new("systemd-nspawn");
    command.args(["--quiet", "--register=no", "--keep-unit", "--console=pipe", "--kill-signal=SIGTERM"]);
    command.args(SHOWN.map(|path| format!("--bind-ro={path}"))).args(options);
    command.arg("--directory").arg(folder.path(".")).args(["/bookend", "-c", "/etc/bookend.toml"]);
    let init = Init::start(folder, command);
    init.wait_for_out("up");
    init
}

#[test]
fn systemd_nspawn_runs_bookend_as_init() {
    let test = "systemd_nspawn_runs_bookend_as_init";
    if !has(test, "systemd-nspawn") {
        return;
    }
    for options in [&[][..], &["--private-network"]] {
        // On SIGTERM, systemd-nspawn sends the payload the signal of --kill-signal.
        let mut init = nspawn(options);
        init.signal(15);
        stopped_as_ever(&init.end());
    }
}

#[test]
fn a_signal_to_bookend_itself_stops_a_systemd_nspawn_container() {
    let test = "a_signal_to_bookend_itself_stops_a_systemd_nspawn_container";
    if !has(test, "systemd-nspawn") {
        return;
    }
    let mut init = nspawn(&[]);
    let below = |pid: i32| child_of(u32::try_from(pid).unwrap());
    let mut first = None;
    wait_until("nspawn has its child", || {
        first = below(init.pid());
        first.is_some()
    });
    let is_bookend = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "bookend"
    };
    let found = std::iter::successors(first, |pid| below(*pid)).find(is_bookend).expect("it is below nspawn");
    signal(found, 15);
    stopped_as_ever(&init.end());
}
