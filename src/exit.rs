//! The one place where an error becomes a number: the convention of env(1), timeout(1) and `docker run`.
//!
//! | code    | meaning                                                        |
//! | ------- | -------------------------------------------------------------- |
//! | 0-255   | the app's own                                                  |
//! | 1       | a subcommand (`hook`, `probe`, `wait`, `copy`, ...) did not succeed |
//! | 125     | bookend itself failed: usage, configuration, preStart, postStart |
//! | 126     | the app was found and could not be executed                    |
//! | 127     | the app was not found                                          |
//! | 128+n   | the app died of signal n, or a stop came before it was started |

use std::io::ErrorKind;

use crate::compat::policy::Convention;
use crate::handlers::program::ProgramError;
use crate::process::spawn::SpawnError;

/// A subcommand (`hook`, `probe`, `wait`, `copy`, ...) did not succeed.
pub(crate) const FAILURE: u8 = 1;
/// bookend itself failed: usage, configuration, preStart, postStart.
pub(crate) const BOOKEND_FAILED: u8 = 125;
/// The program was found and could not be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// What an app that could not be started means.
pub(crate) fn code_of_program_error(error: &ProgramError, convention: Convention) -> u8 {
    match error {
        ProgramError::Spawn(error) => code_of_spawn_error(error, convention),
        ProgramError::File { .. } | ProgramError::User { .. } => BOOKEND_FAILED,
    }
}

fn code_of_spawn_error(error: &SpawnError, convention: Convention) -> u8 {
    let exec = if let SpawnError::Exec { source, .. } = error { Some(source) } else { None };
    match (convention, exec) {
        (Convention::DumbInit, Some(_)) => 2,
        (Convention::DumbInit | Convention::Tini, None) => 1,
        (Convention::Env, None) => BOOKEND_FAILED,
        (_, Some(source)) if source.kind() == ErrorKind::NotFound => NOT_FOUND,
        (Convention::Tini, Some(source)) if source.kind() != ErrorKind::PermissionDenied => 1,
        (_, Some(_)) => NOT_EXECUTABLE,
    }
}
