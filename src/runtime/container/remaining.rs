//! The processes that the app leaves behind.

use tracing::warn;

use crate::compat::policy::{Leftovers, Policy};
use crate::process::leftovers;
use crate::report::journal::describe_note;
use bookend_lifecycle::Note;
use bookend_lifecycle::signal::Signal;

/// Sends SIGTERM to all of them, if this init ends them at all.
pub(super) fn terminate(policy: Policy) {
    if policy.leftovers == Leftovers::Leave {
        return;
    }
    leftovers::signal_all(Signal::TERM);
    // A stopped process takes SIGTERM only when it is continued.
    leftovers::signal_all(Signal::CONT);
}

/// Sends SIGKILL to all of them, and names them in the log.
pub(super) fn kill() {
    // Read before the kill: afterwards they have no names.
    let names = leftovers::names();
    leftovers::signal_all(Signal::KILL);
    match describe_note(Note::LeftoversKilled) {
        text if names.is_empty() => warn!("{text}"),
        text => warn!("{text}: {names}"),
    }
}

/// Logs why some of them survived SIGKILL.
pub(super) fn report() {
    let (text, names) = (describe_note(Note::LeftoversRemain), leftovers::names());
    if leftovers::some_are_refused() {
        warn!("{text}: {names}: bookend may not signal processes of another user, it needs CAP_KILL for that");
    } else {
        warn!("{text}: {names}: they are in uninterruptible sleep, or a tracer holds them");
    }
}
