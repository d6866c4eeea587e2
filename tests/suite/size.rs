//! The size limits of the shipped binaries, and what they contain. Debug builds, which other test runs start, have no such limits.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary of `make build`.
fn static_binary() -> Option<PathBuf> {
    let binary = std::env::var_os("BOOKEND_BIN")?;
    Path::new(&binary).ends_with("x86_64-unknown-linux-musl/release/bookend").then(|| binary.into())
}

/// The binary of `make build-minimal`. If it is missing, that is reported, and in CI it is a failure.
fn minimal_binary(test: &str) -> Option<PathBuf> {
    let binary = PathBuf::from(std::env::var_os("MINIMAL_BIN")?);
    if binary.exists() {
        return Some(binary);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {test}: {binary:?} does not exist");
    eprintln!("NOT RUN: {test}: {binary:?} does not exist: make build-minimal");
    None
}

#[test]
fn the_static_binary_has_at_most_2_5_megabytes() {
    let Some(binary) = static_binary() else { return };
    assert_at_most(&binary, 2_500_000);
}

#[test]
fn the_minimal_binary_has_at_most_1_45_megabytes() {
    let Some(binary) = minimal_binary("the_minimal_binary_has_at_most_1_45_megabytes") else { return };
    assert_at_most(&binary, 1_450_000);
}

fn assert_at_most(binary: &Path, most: u64) {
    let bytes = std::fs::metadata(binary).unwrap().len();
    assert!(
        bytes <= most,
        "{}: {bytes} bytes, {most} are allowed: a new dependency, or not built with .cargo/release.toml?",
        binary.display()
    );
}

#[test]
fn the_minimal_binary_runs_an_app_and_has_no_doctor() {
    let Some(binary) = minimal_binary("the_minimal_binary_runs_an_app_and_has_no_doctor") else { return };
    let status = Command::new(&binary).args(["--", "sh", "-c", "exit 7"]).status().unwrap();
    assert_eq!(status.code(), Some(7));
    let doctor = Command::new(&binary).arg("doctor").output().unwrap();
    let message = String::from_utf8_lossy(&doctor.stderr);
    assert!(!doctor.status.success() && message.contains("built without `doctor`"), "{doctor:?}");
    let help = Command::new(&binary).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("doctor"), "{help:?}");
}

#[test]
fn the_minimal_binary_names_the_feature_of_a_reload() {
    let Some(binary) = minimal_binary("the_minimal_binary_names_the_feature_of_a_reload") else { return };
    let folder = crate::support::Folder::new();
    let config = folder.write("bookend.toml", "[[reload]]\nname = \"tls\"\nsignal.name = \"SIGHUP\"\n");
    let check = Command::new(&binary).arg("check").arg(config).output().unwrap();
    let message = String::from_utf8_lossy(&check.stderr);
    assert!(!check.status.success() && message.contains("built without the feature \"reload\""), "{message}");
    let reload = Command::new(&binary).arg("reload").output().unwrap();
    assert!(String::from_utf8_lossy(&reload.stderr).contains("built without `reload`"), "{reload:?}");
}

#[test]
fn the_static_binary_reveals_no_path_of_its_builder() {
    let Some(binary) = static_binary() else { return };
    let bytes = std::fs::read(&binary).unwrap();
    let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("/tokio-1."), "a panic names the package with its version, and the file");
    assert!(!contains("/registry/src/"), "it names files of a home: does RUSTC_WRAPPER replace .cargo/remap-paths?");
}
