//! The report in the termination message file: written in place, if the file exists and the app left it empty.

use std::os::unix::fs::MetadataExt;

use crate::support::{Folder, Init};

fn life(before: Option<&str>, app: &str) -> (Folder, Option<u64>) {
    let folder = Folder::new();
    let path = folder.path("message");
    let inode = before.map(|text| {
        folder.write("message", text);
        path.metadata().unwrap().ino()
    });
    let config = format!(
        "terminationMessagePath = \"{}\"\nlifecycle.postStop = {{ failurePolicy = \"Ignore\", exec.command = [\"sh\", \"-c\", \"seq 10000; exit 3\"] }}",
        path.display()
    );
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.end();
    let folder = std::mem::replace(&mut init.folder, Folder::new());
    (folder, inode)
}

#[test]
fn the_summary_is_written_in_place_within_4096_bytes() {
    let (folder, inode) = life(Some(""), "exit 7");
    let text = folder.read("message");
    assert!(text.contains("app exited with 7; exit code 7"), "{text}");
    assert!(text.contains("postStop[0]: exit code 3") && text.contains("| 10000"), "{text}");
    assert!(text.len() <= 4096);
    assert_eq!(folder.path("message").metadata().unwrap().ino(), inode.unwrap());
}

#[test]
fn a_symlink_as_termination_message_is_not_followed() {
    // An app of another user could lead a bookend that runs as root to any empty file.
    let folder = Folder::new();
    let (elsewhere, link) = (folder.write("elsewhere", ""), folder.path("message"));
    std::os::unix::fs::symlink(elsewhere, &link).unwrap();
    let config = format!("terminationMessagePath = \"{}\"", link.display());
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", "exit 7"]);
    assert_eq!(init.end().code(), 7);
    assert_eq!(init.folder.read("elsewhere"), "");
}

#[test]
fn the_apps_termination_message_is_kept() {
    let (folder, _) = life(Some("the app's own words"), "exit 7");
    assert_eq!(folder.read("message"), "the app's own words");
}

#[test]
fn a_missing_termination_message_file_is_not_created() {
    let (folder, _) = life(None, "exit 7");
    assert!(!folder.path("message").exists());
}

#[test]
fn a_fifo_as_termination_message_blocks_nothing() {
    let folder = Folder::new();
    let path = folder.path("message");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let config = format!("terminationMessagePath = \"{}\"", path.display());
    assert_eq!(Init::configured_in(folder, &config, &["--", "sh", "-c", "exit 7"]).finish().code(), 7);
}
