//! The signals that musl reserves for itself, 33 and 34. Before its first handler and its first thread it unblocks them
//! in the calling thread, and it leaves 33 unblocked in every thread it makes (its sigaction.c, pthread_create.c).
//! For other programs 34 is SIGRTMIN: with its default effect it would kill us, or be lost if we are PID 1.
//!
//! So they have a handler that blocks them in the thread that was interrupted and sends them again: then the signalfd
//! gets them. musl needs them for pthread_cancel(3) and for setuid(2) with several threads; we do neither.

#![expect(unsafe_code, reason = "a signal handler, for signals that the C library refuses to give one")]

use super::sys;
use bookend_lifecycle::signal::Signal;

/// The signals that need the handler.
#[cfg(target_env = "musl")]
pub(super) fn taken_signals() -> impl Iterator<Item = Signal> {
    [33, 34].into_iter().filter_map(Signal::new)
}

/// No signal: glibc counts real-time signals from after its own.
#[cfg(not(target_env = "musl"))]
pub(super) fn taken_signals() -> impl Iterator<Item = Signal> {
    std::iter::empty()
}

/// The signals whose effect the C library changes with the first thread: children get the one before.
pub(super) fn changed_signals() -> impl Iterator<Item = Signal> {
    let of_glibc = if cfg!(target_env = "musl") { None } else { Signal::new(33) };
    taken_signals().chain(of_glibc)
}

/// Installs the handler: from here on they have no default effect, in any thread.
pub(super) fn keep_from_default_effect() {
    for signal in taken_signals() {
        sys::set_raw_handler(signal, give_back);
    }
}

/// Blocks the signal in the interrupted thread, and sends it again.
extern "C" fn give_back(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the ucontext_t that it restores when the handler returns, and uses it no earlier.
    unsafe { block_in(context.cast(), signal) };
    // SAFETY: both calls take integers and are async-signal-safe. The signal is blocked while the handler runs.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Blocks the signal in the context that is restored.
///
/// # Safety
/// `context` points to a live ucontext_t, which no other code uses meanwhile.
unsafe fn block_in(context: *mut libc::ucontext_t, signal: libc::c_int) {
    // SAFETY: the caller promises a live context that we may write. In both C libraries a sigset_t begins with the
    // kernel's 64 bits, aligned for a u64.
    unsafe {
        let mask = (&raw mut (*context).uc_sigmask).cast::<u64>();
        *mask |= 1 << (signal - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::block_in;

    #[test]
    fn the_signal_is_added_to_the_blocked_ones() {
        let mut context = MaybeUninit::<libc::ucontext_t>::zeroed();
        for signal in [33, 34, 64] {
            // SAFETY: the context is a local variable, and all-zero bytes are a valid ucontext_t.
            unsafe { block_in(context.as_mut_ptr(), signal) };
        }
        // SAFETY: the mask is in the live context, and its first 64 bits are initialized.
        let mask = unsafe { (&raw const (*context.as_ptr()).uc_sigmask).cast::<u64>().read() };
        assert_eq!(mask, 1 << 32 | 1 << 33 | 1 << 63);
    }
}
