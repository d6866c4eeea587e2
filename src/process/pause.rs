//! The init of a pod's pause container: it holds the namespaces, reaps whoever comes to it, and ends with SIGTERM or
//! SIGINT. System calls only; it wakes up for nothing but a signal.

use super::inherited::Inherited;
use super::sys::{self, SignalSet, Waited};
use bookend_lifecycle::signal::Signal;

/// Waits for the end. All signals are blocked.
pub(crate) fn run(mut inherited: Inherited) {
    if !sys::is_first_process() {
        // Orphans are all it is there for. A kernel that refuses leaves them to PID 1.
        let _ = sys::become_subreaper();
    }
    inherited.leave_working_dir();
    inherited.let_go_of_working_dir();
    Inherited::close_strays();
    loop {
        while matches!(sys::wait_changed(None), Waited::Changed(..)) {}
        if let Ok(Signal::TERM | Signal::INT) = sys::wait_for_signal(SignalSet::ALL) {
            return;
        }
    }
}
