//! The init that remains when everything else has failed: no runtime could be built, there is no memory left, or
//! a bug made us panic. PID 1 may not die as long as the app lives, so this forwards, reaps and exits with the app's
//! code, on nothing but system calls: no handlers, no hooks, no log beyond one line.

#![expect(unsafe_code, reason = "the allocator, which has to say that there is no memory left")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, Ordering};

use super::Pid;
use super::reaper::Ended;
use super::sys::{self, SignalSet, Waited};
use bookend_lifecycle::signal::Signal;

/// The app's pid, for the panic hook, which has nothing else to hold on to. 0: there is none.
static APP: AtomicI32 = AtomicI32::new(0);

/// Remembers whom to stay alive for. `None`: the app has ended.
pub(crate) fn stay_for(app: Option<Pid>) {
    APP.store(app.map_or(0, Pid::as_raw), Ordering::SeqCst);
}

/// Makes a panic end here instead of in the death of PID 1. Returns without effect when no app runs.
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::report::log::last_words(&format!("bookend: this is a bug, please report it: {panic}\n"));
        if APP.load(Ordering::SeqCst) != 0 {
            crate::report::log::last_words(
                "bookend: staying as a bare init: forwarding signals and reaping, nothing else\n",
            );
            run();
        }
    }));
}

/// The system's allocator. Where it has no memory left Rust would abort, and the app with us.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: each call goes to the system's allocator as it came, and its answer comes back as it is.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        or_last_resort(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        or_last_resort(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        or_last_resort(unsafe { System.realloc(memory, layout, size) })
    }
}

/// Stays as a bare init, which allocates nothing, if the app runs and there is no memory left.
fn or_last_resort(memory: *mut u8) -> *mut u8 {
    if memory.is_null() && APP.load(Ordering::SeqCst) != 0 {
        crate::report::log::last_words(
            "bookend: out of memory: staying as a bare init, forwarding signals and reaping\n",
        );
        run();
    }
    memory
}

/// Forwards signals to the app, reaps, and exits with its code when it ends.
pub(crate) fn run() -> ! {
    sys::set_mask(SignalSet::ALL);
    // Our last words may have met a closed pipe: that is no message for the app, which would die of it.
    sys::take_pending(Signal::PIPE);
    loop {
        loop {
            match sys::wait_changed(None) {
                Waited::Changed(pid, status) if pid.as_raw() == APP.load(Ordering::SeqCst) => {
                    match Ended::from_wait_status(status) {
                        Some(Ended::Exited(code)) => exit(code),
                        Some(Ended::Signalled(signal)) => exit(signal.exit_code()),
                        // Stopped or continued: it lives.
                        None => {}
                    }
                }
                Waited::Changed(..) => {}
                Waited::Nothing => break,
                // The app's status has been taken already; its code died with whoever took it.
                Waited::NoChildren => exit(crate::exit::BOOKEND_FAILED),
            }
        }
        match sys::wait_for_signal(SignalSet::ALL) {
            Ok(Signal::CHLD) | Err(_) => {}
            Ok(signal) => {
                // It may have ended just now: then the next round of reaping says so.
                let _ = sys::send(Pid::from_raw(APP.load(Ordering::SeqCst)), signal);
            }
        }
    }
}

fn exit(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
