//! The requirements of a test on the machine. A test that cannot run says so by name; under CI that is a failure.

use std::io::Write;
use std::process::Command;

/// Reports that a test did not run, in output that libtest does not hide, and returns false.
///
/// # Panics
/// With `CI` set: nothing may be skipped there.
pub fn not_run(test: &str, reason: &str) -> bool {
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!ci, "NOT RUN: {test}: {reason}; in CI nothing may be skipped");
    // Written directly: libtest hides what a passing test prints.
    writeln!(std::io::stderr(), "NOT RUN: {test}: {reason}").ok();
    false
}

/// Whether the test runs as root. If not, it reports that it did not run.
pub fn is_root(test: &str) -> bool {
    nix::unistd::geteuid().is_root() || not_run(test, "it needs root")
}

/// Whether the test runs as root and the program is installed. If not, it reports that it did not run.
pub fn has(test: &str, program: &str) -> bool {
    if !is_root(test) {
        return false;
    }
    let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output().unwrap().status.success();
    found || not_run(test, &format!("{program} is not installed"))
}
