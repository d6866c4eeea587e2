//! The size of the shipped binary. A debug build, which other test runs
//! start, has no promised size.

use std::path::{Path, PathBuf};

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
