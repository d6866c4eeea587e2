//! The init of a pod's pause container: it holds the namespaces, reaps every orphan, and ends with SIGTERM or SIGINT.
//! System calls only; nothing but a signal wakes it up.

use super::inherited::Inherited;
use super::sys::{self, ChildNews, SignalSet};
use bookend_lifecycle::signal::Signal;

/// Waits for the end. All signals are blocked.
pub(crate) fn run(mut inherited: Inherited) {
    if !sys::is_first_process() {
        // Orphans are its only purpose. If the kernel refuses, they go to PID 1 as before.
        let _ = sys::become_subreaper();
    }
    inherited.leave_working_dir();
    inherited.release_working_dir();
    Inherited::close_inherited_descriptors();
    loop {
        // If children end without a break, signals still have their turn.
        let is_done = !(0..ROUND).all(|_| matches!(sys::take_end(None), ChildNews::Changed(..)));
        let signal =
            if is_done { sys::wait_for_signal(SignalSet::ALL).ok() } else { sys::take_pending(SignalSet::ALL) };
        if let Some(Signal::TERM | Signal::INT) = signal {
            return;
        }
    }
}

/// How many children are reaped between two looks at the signals.
const ROUND: usize = 256;
