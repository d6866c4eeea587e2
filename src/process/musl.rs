//! The signals that musl takes for its own, 33 and 34. Before its first handler and its first thread it unblocks them
//! in the thread that asks, and it leaves 33 unblocked in every thread it makes (its sigaction.c, pthread_create.c).
//! 34 is everybody else's SIGRTMIN: with its default effect it would kill us, or be lost where we are PID 1.
//!
//! So they have a handler that gives them back: blocked in the thread that was interrupted, and sent again, which is
//! how the signalfd gets them. musl needs them for pthread_cancel(3) and for setuid(2) in many threads; we do neither.

#![expect(unsafe_code, reason = "a signal handler, for signals that the C library refuses to give one")]

use super::sys;
use bookend_lifecycle::signal::Signal;

/// Those of them that a handler can be given at all.
#[cfg(target_env = "musl")]
pub(super) fn taken_signals() -> impl Iterator<Item = Signal> {
    [33, 34].into_iter().filter_map(Signal::new)
}

/// None: glibc begins to count real-time signals behind its own.
#[cfg(not(target_env = "musl"))]
pub(super) fn taken_signals() -> impl Iterator<Item = Signal> {
    std::iter::empty()
}

/// From here on none of them has its default effect, in whatever thread.
pub(super) fn keep_from_default_effect() {
    for signal in taken_signals() {
        sys::set_raw_handler(signal, give_back);
    }
}

/// Blocks the signal where it has come, and sends it again.
extern "C" fn give_back(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the context it restores when we return. Both calls are async-signal-safe, and neither
    // fails: it is our own process. The signal is blocked while we are here.
    unsafe {
        block_in(context.cast(), signal);
        libc::kill(libc::getpid(), signal);
    }
}

/// Blocks the signal in what is restored.
///
/// # Safety
/// The context is live, and nobody else's meanwhile.
unsafe fn block_in(context: *mut libc::ucontext_t, signal: libc::c_int) {
    // SAFETY: the caller's promise; a mask begins with the kernel's 64 bits.
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
    fn the_signal_joins_those_that_are_blocked() {
        let mut context = MaybeUninit::<libc::ucontext_t>::zeroed();
        for signal in [33, 34, 64] {
            // SAFETY: it is ours, and a context of zeroes is one.
            unsafe { block_in(context.as_mut_ptr(), signal) };
        }
        // SAFETY: as above; numbers and pointers, which zeroes are, too.
        let mask = unsafe { (&raw const (*context.as_ptr()).uc_sigmask).cast::<u64>().read() };
        assert_eq!(mask, 1 << 32 | 1 << 33 | 1 << 63);
    }
}
