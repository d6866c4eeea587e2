//! `kubectl-bookend` as a program: manifests go in, manifests and messages come out, and what they say is run with the real bookend.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]

mod cluster;
mod commands;
mod golden;
mod manifests;
mod pods;

use std::process::{Command, Output};

use bookend_test_support::output_with_input;
use serde_json::Value;

/// The tool with these arguments.
fn tool(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-bookend")).args(args).output().unwrap()
}

/// The tool with a manifest on stdin: exit code, stdout, stderr.
fn fed(args: &[&str], manifest: &str) -> (i32, String, String) {
    shown(&output_with_input(Command::new(env!("CARGO_BIN_EXE_kubectl-bookend")).args(args), manifest))
}

/// The exit code, stdout, stderr.
fn shown(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The documents of a text, by another reader than the tool's own.
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A manifest with bookend in it; there is nothing to complain about.
fn injected(args: &[&str], manifest: &str) -> String {
    let args = [&["inject", "--engine", "none"], args, &["-"]].concat();
    let (code, out, errors) = fed(&args, manifest);
    assert_eq!(code, 0, "{errors}");
    out
}
