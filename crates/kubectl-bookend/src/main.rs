//! `kubectl-bookend`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_bookend::main(std::env::args_os())
}
