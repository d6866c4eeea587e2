//! How large the shipped binary is, and how much of it stays in memory. A debug build, which is what other runs of the tests
//! start, promises nothing of its size.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, Init, bookend, wait_until};

fn static_binary() -> Option<PathBuf> {
    let binary = std::env::var_os("BOOKEND_BIN")?;
    Path::new(&binary).ends_with("x86_64-unknown-linux-musl/release/bookend").then(|| binary.into())
}

#[test]
fn the_static_binary_has_at_most_1_6_megabytes_and_2_5_with_tls() {
    let Some(binary) = static_binary() else { return };
    is_at_most(&binary, 2_500_000);
    // `make build-without-tls` puts it there, as `make test` does.
    let Some(target) = binary.ancestors().nth(3) else { return };
    let without_tls = target.join("without-tls/x86_64-unknown-linux-musl/release/bookend");
    if !without_tls.exists() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {without_tls:?} is not there");
        return eprintln!("NOT RUN: {without_tls:?} is not there: make build-without-tls");
    }
    is_at_most(&without_tls, 1_600_000);
}

fn is_at_most(binary: &Path, most: u64) {
    let bytes = std::fs::metadata(binary).unwrap().len();
    assert!(
        bytes <= most,
        "{}: {bytes} bytes: a new dependency, or the tables for unwinding or the backtraces are back?",
        binary.display()
    );
}

#[test]
fn the_static_binary_tells_nothing_of_who_has_built_it() {
    let Some(binary) = static_binary() else { return };
    let bytes = std::fs::read(&binary).unwrap();
    let there = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(there("/tokio-1."), "a panic says where: the file, and the package with its version");
    assert!(!there("/registry/src/"), "paths of a home: does another RUSTC_WRAPPER stand in for .cargo/rustc?");
}

#[test]
fn the_functions_of_a_life_stand_side_by_side_in_the_static_binary() {
    let Some(binary) = static_binary() else { return };
    let output = Command::new("readelf").args(["-SW"]).arg(&binary).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let section = text.lines().find_map(|line| line.split_once(" .text.life ")).map(|(_, rest)| rest);
    let size = section.and_then(|rest| u64::from_str_radix(rest.split_whitespace().nth(3)?, 16).ok());
    assert!(size > Some(300_000), "{size:?} bytes: other names than in .cargo/life.ld? `make order` writes it anew");
}

#[test]
fn what_only_the_start_has_needed_does_not_stay_in_memory() {
    let folder = Folder::new();
    let file = folder.write("bookend.toml", "http.listen = \"127.0.0.1:0\"\nlifecycle.postStart.sleep.seconds = 0\n");
    // A copy in single pages: of a file whose cache is in larger pieces, as a whole read leaves it, Linux 6.18 and later
    // map the whole piece where one byte is touched. Another process writes it: we may fork while it is being written.
    let copy = folder.path("bookend");
    let mut dd = Command::new("dd");
    dd.args(["bs=4k", "status=none", &format!("if={}", bookend().display()), &format!("of={}", copy.display())]);
    assert!(dd.status().unwrap().success());
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(copy);
    command.arg("-c").arg(file).args(["--", "sleep", "1000"]);
    let init = Init::start(folder, command);
    // Before that nothing is given back, and at first little is mapped, too.
    init.wait_for_log("bookend: started");
    wait_until("little of its code is mapped", || mapped_code(init.pid()) < 900);
}

/// So many kB of its own code a process has in memory: 2 MB and more at its start.
fn mapped_code(pid: i32) -> u64 {
    let mappings = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut is_of_file = false;
    let mut kilobytes = 0;
    for line in mappings.lines() {
        match line.strip_prefix("Rss:") {
            Some(rss) if is_of_file => kilobytes += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap(),
            Some(_) => {}
            None if line.contains('-') => is_of_file = line.ends_with("/bookend") && line.contains(" r-xp "),
            None => {}
        }
    }
    kilobytes
}
