//! A bookend below another bookend: `docker run --init` with bookend as Docker's init, in an image whose ENTRYPOINT is
//! bookend, too. Both find the same `BOOKEND_...` variables and the same files in /etc/bookend, and exactly one of them
//! may apply these: the outer one. It leaves its pid in [`MARK`], which reaches the inner one as the variables
//! themselves do, also through a shell. The inner one then behaves as tini.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::TcpListener;

use crate::process::procfs;
use bookend_config::settings::{Settings, ValueSource};

/// The variable with the pid of the bookend that has applied the environment's configuration.
const MARK: &str = "BOOKEND_CONFIGURED_BY";

/// The pid of the bookend above us that has applied the environment's configuration.
pub(super) fn outer() -> Option<i32> {
    above(std::env::var_os(MARK)?, procfs::descends_from)
}

/// `descends_from`: whether the first process descends from the second one; `None`: not known, as without /proc.
fn above(mark: OsString, descends_from: impl Fn(i32, i32) -> Option<bool>) -> Option<i32> {
    let outer = mark.to_str()?.parse().ok()?;
    // A variable may have been copied to a process that does not run below its bookend.
    descends_from(procfs::own_pid(), outer).unwrap_or(true).then_some(outer)
}

/// Whether another process listens on our port: the files that `-c` names may set the same port as the environment.
pub(super) fn is_port_taken(settings: &Settings) -> bool {
    let taken = |error: std::io::Error| error.kind() == ErrorKind::AddrInUse;
    settings.http.as_ref().is_some_and(|http| TcpListener::bind(http.listen).is_err_and(taken))
}

/// Marks the environment of the app and of all handlers.
pub(super) fn mark(settings: &mut Settings) {
    settings.app.program.env.push((MARK.to_owned(), ValueSource::Plain(procfs::own_pid().to_string())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bookend_above_us_counts() {
        let outer = |mark: &str, descends: Option<bool>| above(mark.into(), |_, _| descends);
        assert_eq!(outer("1", Some(true)), Some(1));
        assert_eq!(outer("1", None), Some(1));
        assert_eq!(outer("77", Some(false)), None);
        assert_eq!(outer("x", Some(true)), None);
    }

    #[test]
    fn the_mark_configures_nothing() {
        assert!(!bookend_config::is_configuration_variable(MARK.as_ref(), "1".as_ref()));
    }
}
