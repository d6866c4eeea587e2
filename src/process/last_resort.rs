//! The init that remains when everything else has failed: no runtime could be built, there is no memory left, or a bug
//! made us panic. PID 1 must not die as long as the app lives, so this forwards, reaps and exits with the app's code,
//! with system calls alone: no handlers, no hooks, no log beyond one line.

#![expect(unsafe_code, reason = "the global allocator, which notices that no memory is left")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use super::Pid;
use super::reaper::Ended;
use super::sys::{self, ChildNews, SignalSet};
use bookend_lifecycle::signal::Signal;

/// The app's pid, for the panic hook and the allocator, which have no other access to it. 0: no app runs.
static APP: AtomicI32 = AtomicI32::new(0);
/// Writes a last line without waiting and without allocating.
static LAST_WORDS: OnceLock<fn(&str)> = OnceLock::new();

/// Remembers the app for whose sake we stay alive. `None`: it has ended.
pub(crate) fn stay_for(app: Option<Pid>) {
    APP.store(app.map_or(0, Pid::as_raw), Ordering::SeqCst);
}

/// Makes a panic end in this init instead of in the death of PID 1. It has no effect while no app runs. `last_words`
/// writes a line without waiting and without allocating.
pub(crate) fn catch_panics(last_words: fn(&str)) {
    // A second call changes nothing.
    let _ = LAST_WORDS.set(last_words);
    std::panic::set_hook(Box::new(move |panic| {
        last_words(&format!("bookend: this is a bug, please report it: {panic}\n"));
        if APP.load(Ordering::SeqCst) != 0 {
            last_words("bookend: staying as a bare init: forwarding signals and reaping, nothing else\n");
            run();
        }
    }));
}

/// The system's allocator. Without it Rust would abort when no memory is left, and the app would die with us.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: each method calls the same method of the system's allocator with the same arguments and returns its result,
// or does not return.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on unchanged.
        or_last_resort(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; all our memory is the system allocator's.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is passed on unchanged.
        or_last_resort(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`; all our memory is the system allocator's.
        or_last_resort(unsafe { System.realloc(memory, layout, size) })
    }
}

/// If the app runs and no memory is left, stays as a bare init, which allocates nothing.
fn or_last_resort(memory: *mut u8) -> *mut u8 {
    if memory.is_null() && APP.load(Ordering::SeqCst) != 0 {
        if let Some(last_words) = LAST_WORDS.get() {
            last_words("bookend: out of memory: staying as a bare init, forwarding signals and reaping\n");
        }
        run();
    }
    memory
}

/// Forwards signals to the app, reaps, and exits with the app's code when it ends.
pub(crate) fn run() -> ! {
    sys::set_mask(SignalSet::ALL);
    // A last line that met a closed pipe left us a SIGPIPE, which must not be forwarded to the app.
    sys::take_pending(SignalSet::from_iter([Signal::PIPE]));
    loop {
        // If children end without a break, signals still have their turn.
        let is_done = !(0..ROUND).all(|_| reap_one());
        let signal =
            if is_done { sys::wait_for_signal(SignalSet::ALL).ok() } else { sys::take_pending(SignalSet::ALL) };
        if let Some(signal) = signal.filter(|signal| *signal != Signal::CHLD) {
            // An error means that the app has just ended: the next round of reaping sees that.
            let _ = sys::send(Pid::from_raw(APP.load(Ordering::SeqCst)), signal);
        }
    }
}

/// Takes one end; exits if it is the app's. `false`: no child has ended.
fn reap_one() -> bool {
    let (pid, status) = match sys::take_end(None) {
        ChildNews::Changed(pid, status) => (pid, status),
        ChildNews::Nothing => return false,
        // The app's status has been taken before, and its code is lost.
        ChildNews::NoChildren => exit(crate::exit::BOOKEND_FAILED),
    };
    if pid.as_raw() == APP.load(Ordering::SeqCst) {
        match Ended::from_wait_status(status) {
            Some(Ended::Exited(code)) => exit(code),
            Some(Ended::Signalled(signal)) => exit(signal.exit_code()),
            None => {}
        }
    }
    true
}

fn exit(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

/// How many children are reaped between two looks at the signals.
const ROUND: usize = 256;
