//! Other inits' names. Called as one of them, bookend takes its options and behaves as it does: a personality
//! translates the command line into the same settings, and into a policy for the rest. There is no second
//! implementation.
//!
//! | name                              | translated by | differs from bookend in                                        |
//! | --------------------------------- | ------------- | -------------------------------------------------------------- |
//! | `tini`, `tini-...`, `docker-init` | `tini`        | no signal begins a stop; remaining processes are not ended     |
//! | `dumb-init`                       | `dumb_init`   | the same; the app leads a session, and its group is signalled  |
//!
//! A drop-in is silent: it reads no file and writes only what that init would have written. One exception:
//! `docker run --init` can pass nothing but the environment, so for PID 1 a `BOOKEND_...` variable switches the
//! personality off: bookend behaves as bookend, and the options on the command line still count.

mod c_number;
mod drop_in;
mod dumb_init;
pub(crate) mod not_started;
pub(crate) mod policy;
mod tini;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(crate) use self::drop_in::{DropInRun, Invocation, OutputStream};
use bookend_config::is_configuration_variable;

/// The init whose name we were called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Personality {
    /// tini, docker-init.
    Tini,
    /// dumb-init.
    DumbInit,
}

impl Personality {
    /// Chosen by the name of the program, without its directory.
    pub(crate) fn of(program: Option<&OsString>) -> Option<Personality> {
        match Path::new(program?).file_name()?.as_bytes() {
            b"tini" | b"docker-init" => Some(Personality::Tini),
            name if name.starts_with(b"tini-") => Some(Personality::Tini),
            b"dumb-init" => Some(Personality::DumbInit),
            _ => None,
        }
    }

    /// Reads that init's command line and environment.
    pub(crate) fn read(self, args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Invocation {
        match self {
            Personality::Tini => tini::read(args, variable),
            Personality::DumbInit => dumb_init::read(args, variable),
        }
    }
}

/// Whether the environment configures bookend. An empty variable counts as unset.
pub(crate) fn asks_for_bookend(mut variables: impl Iterator<Item = (OsString, OsString)>) -> bool {
    variables.any(|(name, value)| !value.is_empty() && is_configuration_variable(&name, &value))
}

/// A program to run as tini does without options.
pub(crate) fn tini_run(command: Vec<OsString>) -> DropInRun {
    tini::run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_whatever_the_directory() {
        let of = |name: &str| Personality::of(Some(&name.into()));
        for name in ["tini", "/sbin/tini", "tini-static", "/usr/bin/tini-static-amd64", "/sbin/docker-init"] {
            assert_eq!(of(name), Some(Personality::Tini), "{name}");
        }
        assert_eq!(of("./dumb-init"), Some(Personality::DumbInit));
        for name in ["bookend", "/bookend", "tiny", "init", "", "/"] {
            assert_eq!(of(name), None, "{name}");
        }
        assert_eq!(Personality::of(None), None);
    }

    #[test]
    fn variables_that_bookend_sets_configure_nothing() {
        let asks = |name: &str| asks_for_bookend(std::iter::once((OsString::from(name), OsString::from("x"))));
        assert!(asks("BOOKEND_CONFIG") && asks("BOOKEND_HTTP_LISTEN"));
        assert!(!asks("BOOKEND_HOOK") && !asks("BOOKEND_BIN") && !asks("BOOKEND_VERSION") && !asks("PATH"));
    }
}
