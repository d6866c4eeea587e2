//! Ctrl-C and SIGTERM: the rehearsal cleans up and ends. As PID 1 of a container it would not even get a signal without a handler.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on, SIGINT, SIGTERM and SIGHUP are noted.
pub(crate) fn listen() {
    let received = Arc::clone(RECEIVED.get_or_init(Arc::default));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        let number = usize::try_from(signal).unwrap_or_default();
        // Registering fails only for signals that cannot be handled; these signals can.
        let _ = signal_hook::flag::register_usize(signal, Arc::clone(&received), number);
    }
}

/// The exit code of an interrupted rehearsal.
pub(crate) fn code() -> Option<u8> {
    let signal = RECEIVED.get()?.load(Ordering::Relaxed);
    if signal == 0 { None } else { u8::try_from(128 + signal).ok() }
}

/// An error if a signal came.
pub(crate) fn check() -> Result<(), String> {
    code().map_or(Ok(()), |code| Err(format!("interrupted by signal {}", code - 128)))
}
