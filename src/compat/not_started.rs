//! An app that could not be started: the exit code and the message, as each init has them.

use std::io::ErrorKind;

use super::policy::Convention;
use crate::exit;
use crate::handlers::program::ProgramError;
use crate::process::spawn_error::SpawnError;

/// The exit code.
pub(crate) fn exit_code(convention: Convention, error: &ProgramError) -> u8 {
    match error {
        ProgramError::Spawn(SpawnError::Exec { source, .. }) => code_of_exec(convention, source.kind()),
        ProgramError::Spawn(_) if convention != Convention::Env => 1,
        ProgramError::Spawn(_) | ProgramError::File { .. } | ProgramError::User { .. } | ProgramError::Files(_) => {
            exit::BOOKEND_FAILED
        }
    }
}

fn code_of_exec(convention: Convention, error: ErrorKind) -> u8 {
    match (convention, error) {
        (Convention::DumbInit, _) => 2,
        (Convention::Env | Convention::Tini, ErrorKind::NotFound) => exit::NOT_FOUND,
        (Convention::Env, ErrorKind::NotADirectory) => exit::NOT_FOUND,
        (Convention::Env, _) | (Convention::Tini, ErrorKind::PermissionDenied) => exit::NOT_EXECUTABLE,
        (Convention::Tini, _) => 1,
    }
}

/// The message of another init; `None`: bookend's own.
pub(crate) fn message(convention: Convention, error: &ProgramError) -> Option<String> {
    let ProgramError::Spawn(SpawnError::Exec { program, source } | SpawnError::Clone { program, source }) = error
    else {
        return None;
    };
    // As strerror(3) has it, without the number that Rust adds.
    let (program, why) = (program.display(), source.to_string());
    let why = why.split(" (os error").next().unwrap_or_default();
    match convention {
        Convention::Env => None,
        Convention::Tini => Some(format!("[FATAL tini ({})] exec {program} failed: {why}\n", std::process::id())),
        Convention::DumbInit => Some(format!("[dumb-init] {program}: {why}\n")),
    }
}
