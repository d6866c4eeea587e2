//! An init without an app: it reaps every orphan, and ends with SIGTERM or SIGINT. `bookend pause` holds the namespaces
//! of a pod with it, and `bookend sleep` a container. System calls only; nothing but a signal wakes it up.

use std::time::{Duration, Instant};

use super::inherited::Inherited;
use super::sys::{self, ChildNews, SignalSet};
use bookend_lifecycle::signal::Signal;

/// Waits for one of these signals, and returns it. `None`: the time is over. All signals are blocked.
pub(crate) fn run(mut inherited: Inherited, time: Option<Duration>) -> Option<Signal> {
    // A time beyond the clock's range has no end.
    let end = time.and_then(|time| Instant::now().checked_add(time));
    if !sys::is_first_process() {
        // Orphans are its only purpose. If the kernel refuses, they go to PID 1 as before.
        let _ = sys::become_subreaper();
    }
    inherited.leave_working_dir();
    inherited.release_working_dir();
    Inherited::close_inherited_descriptors();
    loop {
        // Signals are handled even if children end without a break.
        let is_done = !(0..ROUND).all(|_| matches!(sys::take_end(None), ChildNews::Changed(..)));
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let signal = sys::wait_for_signal(SignalSet::ALL, if is_done { left } else { Some(Duration::ZERO) });
        if let Some(Signal::TERM | Signal::INT) = signal {
            return signal;
        }
        if left == Some(Duration::ZERO) {
            return None;
        }
    }
}

/// How many children are reaped between two checks for signals.
const ROUND: usize = 256;
