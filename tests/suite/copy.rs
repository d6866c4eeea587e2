//! `bookend copy`: the file is complete and executable, or it does not exist.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend, copy_program, run};

fn run_with(program: &str, args: &[&str]) -> Finished {
    let mut command = Command::new(program);
    command.args(args);
    Init::start(Folder::new(), command).finish()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_copy_is_the_binary_and_runs() {
    let folder = Folder::new();
    let copy = folder.path("init");
    let finished = run(&["copy", copy.to_str().unwrap()]);
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.out.contains(copy.to_str().unwrap()), "{finished:?}");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(bookend()).unwrap());
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(names_in(copy.parent().unwrap()), ["init"], "nothing else is left there");
    assert_eq!(run_with(copy.to_str().unwrap(), &["--", "sh", "-c", "exit 7"]).code(), 7);
}

#[test]
fn a_directory_gets_a_file_named_bookend() {
    for tail in ["", "/"] {
        let folder = Folder::new();
        assert_eq!(run(&["copy", &format!("{}{tail}", folder.shown())]).code(), 0);
        assert_eq!(names_in(Path::new(folder.shown())), ["bookend"]);
    }
}

#[test]
fn a_copy_replaces_a_running_binary() {
    let folder = Folder::new();
    let place = folder.path("bookend");
    assert_eq!(run(&["copy", folder.shown()]).code(), 0);
    let shown = place.to_str().unwrap();
    let mut command = Command::new(&place);
    command.args(["--", "sleep", "1000"]);
    let life = Init::start(Folder::new(), command);
    let before = place.metadata().unwrap().ino();
    // Writing to the running file would fail with ETXTBSY. The source is /proc/self/exe.
    assert_eq!(run_with(shown, &["copy", shown]).code(), 0);
    assert_ne!(place.metadata().unwrap().ino(), before);
    assert_eq!(fs::read(&place).unwrap(), fs::read(bookend()).unwrap());
    life.signal(15);
    assert_eq!(life.finish().code(), 143);
}

#[test]
fn a_copy_is_executable_whatever_umask_and_user() {
    let folder = Folder::new();
    fs::set_permissions(folder.shown(), fs::Permissions::from_mode(0o777)).unwrap();
    // The build folder may be closed to other users.
    let copy = folder.path("first");
    assert_eq!(run(&["copy", copy.to_str().unwrap()]).code(), 0);
    let script = format!("umask 077; exec {0}/first copy {0}/second", folder.shown());
    let finished = match nix::unistd::geteuid().is_root() {
        true => run_with("setpriv", &["--reuid=12345", "--regid=12345", "--clear-groups", "sh", "-c", &script]),
        false => run_with("sh", &["-c", &script]),
    };
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!(folder.path("second").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
}

/// A shell script as root of a mount namespace of its own, with a small tmpfs at $1/small and a copy at $1/it.
fn in_own_mounts(folder: &Folder, script: &str) -> Finished {
    fs::create_dir(folder.path("small")).unwrap();
    let script = format!("set -e; cd {}; mount -t tmpfs -o size=64k tmpfs small; {script}", folder.shown());
    let mut args = vec!["--mount"];
    if !nix::unistd::geteuid().is_root() {
        args.extend(["--user", "--map-root-user"]);
    }
    let binary = bookend();
    args.extend(["sh", "-c", &script, "sh", binary.to_str().unwrap()]);
    run_with("unshare", &args)
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = Folder::new();
    let finished = in_own_mounts(&folder, "code=0; $1 copy small || code=$?; ls -A small; exit $code");
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert!(finished.log.contains("small/bookend: No space left"), "{finished:?}");
    assert_eq!(finished.out, "", "the directory is empty");
}

#[test]
fn nothing_but_the_destination_is_written() {
    let folder = Folder::new();
    fs::create_dir(folder.path("out")).unwrap();
    // Every mount is read-only except one.
    let script = "mount -t tmpfs -o size=100m tmpfs out; cd /; mount -o remount,ro,bind /; exec $1 copy $OLDPWD/out";
    let finished = in_own_mounts(&folder, script);
    assert_eq!(finished.code(), 0, "{finished:?}");
}

#[test]
fn without_proc_copy_uses_its_own_command_name() {
    let folder = Folder::new();
    copy_program(bookend(), folder.path("it"));
    let is_static = !fs::read(bookend()).unwrap().windows(9).any(|window| window == b"ld-linux-");
    if !is_static {
        // A root without libraries can start the static build only, so hide /proc instead.
        let finished = in_own_mounts(&folder, "mount -t tmpfs tmpfs /proc; PATH=$PWD:$PATH; it copy small/../copied");
        assert_eq!(finished.code(), 0, "{finished:?}");
    } else {
        let finished = in_own_mounts(&folder, "exec chroot . /it copy /copied");
        assert_eq!(finished.code(), 0, "{finished:?}");
    }
    assert_eq!(fs::read(folder.path("copied")).unwrap(), fs::read(bookend()).unwrap());
}

#[test]
fn copy_reports_a_noexec_mount() {
    let folder = Folder::new();
    let finished = in_own_mounts(&folder, "mount -t tmpfs -o size=100m,noexec tmpfs small; $1 copy small");
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.log.contains("noexec"), "{finished:?}");
}

#[test]
fn copy_names_the_path_that_fails() {
    let finished = run(&["copy", "/no/such/directory/bookend"]);
    assert_eq!(finished.code(), 1);
    assert!(
        finished.log.contains("cannot copy to /no/such/directory/bookend: No such file or directory"),
        "{finished:?}"
    );
}

#[test]
fn copy_replaces_only_a_regular_file() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let link = folder.path("link");
    std::os::unix::fs::symlink("fifo", &link).unwrap();
    for place in [&fifo, &link] {
        let finished = run(&["copy", place.to_str().unwrap()]);
        assert!(finished.code() == 1 && finished.log.contains("is not a regular file"), "{finished:?}");
        assert!(fs::metadata(place).unwrap().file_type().is_fifo());
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}
