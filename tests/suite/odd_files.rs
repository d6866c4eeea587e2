//! The termination message and the state file as files of every kind: read-only, of another user, on a full disk, on a file system
//! that hangs, and no files at all. The exit code is kept, nothing waits, and no file of another program is changed.

use crate::support::{Finished, Folder, Init, is_root};

/// One kind: its name, shell code that makes `m/message` and `m/state` as PID 1 before bookend, what the log says, and what the
/// message and the state must contain afterwards.
const KINDS: &[(&str, &str, &[&str], [&str; 2])] = &[
    (
        "a read-only file system",
        "mount -t tmpfs none m; : > m/message; : > m/state; mount -o remount,ro m",
        &[
            "cannot write the termination message error=Read-only file system",
            "cannot use stateFile: Read-only file system",
        ],
        ["", ""],
    ),
    (
        "a full disk",
        "mount -t tmpfs -o size=4k none m; : > m/message; : > m/state; head -c 8192 /dev/zero > m/filler",
        &[
            "cannot write the termination message error=No space left on device",
            "cannot use stateFile: No space left on device",
        ],
        ["", ""],
    ),
    (
        "files of another user",
        "chmod 755 .; : > m/message; : > m/state; chmod 600 m/*; set -- setpriv --reuid 1234 --regid 1234 --clear-groups \"$0\" \"$@\"; exec \"$@\"",
        &["cannot write the termination message error=Permission denied", "cannot use stateFile: Permission denied"],
        ["", ""],
    ),
    (
        "a message that cannot be read",
        "chmod 755 .; : > m/message; chmod 622 m/message; chmod 777 m; set -- setpriv --reuid 1234 --regid 1234 --clear-groups \"$0\" \"$@\"; exec \"$@\"",
        &[],
        ["\"exitCode\":4", " Reported "],
    ),
    ("pipes", "mkfifo m/message m/state", &["cannot use stateFile: not a regular file"], ["", ""]),
    (
        "folders",
        "mkdir m/message m/state",
        &["cannot write the termination message", "cannot use stateFile: Is a directory"],
        ["", ""],
    ),
    (
        "links",
        ": > m/other; ln -s other m/message; ln -s other m/state",
        &["cannot write the termination message", "cannot use stateFile: "],
        ["", ""],
    ),
    ("devices", "mknod m/message c 1 3; mknod m/state c 1 3", &["cannot use stateFile: not a regular file"], ["", ""]),
    (
        "files of other programs",
        "echo mine > m/message; echo mine > m/state",
        &["the file of another program"],
        ["mine", "mine"],
    ),
    ("empty files", ": > m/message; : > m/state", &[], ["\"exitCode\":4", " Reported "]),
];

/// A life below a folder that `prelude` fills.
fn life(prelude: &str) -> (Folder, Finished) {
    let folder = Folder::new();
    let config = format!(
        "terminationMessagePath = \"{0}/m/message\"\nstateFile = \"{0}/m/state\"\nterminationGracePeriodSeconds = 30\nlog.level = \"Info\"\n",
        folder.shown()
    );
    // A mount there is seen only inside.
    let prelude = format!("cd {}; mkdir m; {prelude}", folder.shown());
    let mut init = Init::in_a_pod(folder, &config, &prelude, &["--", "sh", "-c", "exit 4"]);
    let finished = init.end();
    (std::mem::replace(&mut init.folder, Folder::new()), finished)
}

#[test]
fn files_of_every_kind_change_no_exit_code() {
    if !is_root("files_of_every_kind_change_no_exit_code") {
        return;
    }
    for (kind, prelude, warnings, expected) in KINDS {
        let (folder, finished) = life(prelude);
        assert_eq!(finished.code(), 4, "{kind}: {}", finished.log);
        for warning in *warnings {
            assert!(finished.log.contains(warning), "{kind}: {warning}: {}", finished.log);
        }
        for (name, part) in ["m/message", "m/state"].iter().zip(expected) {
            let path = folder.path(name);
            // A pipe would wait for a writer.
            let is_file = path.symlink_metadata().is_ok_and(|file| file.is_file());
            let text = if is_file { folder.read(name) } else { String::new() };
            assert!(if part.is_empty() { text.is_empty() } else { text.contains(part) }, "{kind}: {name}: {text}");
        }
        assert_eq!(
            std::fs::read_to_string(folder.path("m/other")).unwrap_or_default(),
            "",
            "{kind}: no link is followed"
        );
    }
}

#[test]
fn a_fuse_that_hangs_holds_neither_the_start_nor_the_exit() {
    if !is_root("a_fuse_that_hangs_holds_neither_the_start_nor_the_exit") {
        return;
    }
    let (_folder, finished) = life(&hung_mount());
    assert_eq!(finished.code(), 4, "{}", finished.log);
    assert!(finished.log.contains("cannot use stateFile: the file system does not answer"), "{}", finished.log);
}

/// Mounts a file system whose server does not answer even the first request.
fn hung_mount() -> String {
    let server = r#"
import ctypes, os, signal, sys
fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
assert libc.mount(b"hung", sys.argv[1].encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
signal.pause()
"#;
    format!(
        "python3 -c '{server}' \"$PWD/m\" >&2 & until grep -q \"$PWD/m fuse\" /proc/self/mounts; do sleep 0.01; done"
    )
}

#[test]
fn a_socket_on_a_volume_that_hangs_holds_nothing() {
    if !is_root("a_socket_on_a_volume_that_hangs_holds_nothing") {
        return;
    }
    let folder = Folder::new();
    let prelude = format!("cd {}; mkdir m; {}", folder.shown(), hung_mount());
    let socket = format!("socket={}/m/s", folder.shown());
    let app = "trap 'exit 4' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done";
    let mut init = Init::in_a_pod(folder, "", &prelude, &["--set", &socket, "--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.signal(1);
    init.wait_for_out("hup");
    init.wait_for_log("does not answer: exec hooks and commands");
    init.signal(15);
    assert_eq!(init.end().code(), 4, "{}", init.log());
}
