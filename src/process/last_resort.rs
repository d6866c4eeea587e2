//! The init that remains when everything else has failed: no runtime could be built, there is no memory left, or a bug
//! made us panic. PID 1 must not die as long as the app lives, so this forwards, reaps and exits with the app's code,
//! with system calls alone: no handlers, no hooks, no log beyond one line. A stop goes on: the app gets its stop signal at
//! once if it has not got it yet, and SIGKILL at the deadline.
//!
//! Only the loop's thread stays. Another thread that panics or finds no memory ends alone.

#![expect(unsafe_code, reason = "the global allocator, which notices that no memory is left")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::Pid;
use super::reaper::Ended;
use super::sys::{self, ChildNews, SignalSet};
use bookend_lifecycle::budget::Budget;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Plan, Time};

/// The app's pid, for the panic hook and the allocator, which have no other access to it. 0: no app runs.
static APP: AtomicI32 = AtomicI32::new(0);
/// The exit code once the app has ended; -1 before.
static CODE: AtomicI32 = AtomicI32::new(-1);
/// Whether this program is an init, and not one of its commands.
static IS_INIT: AtomicBool = AtomicBool::new(false);
/// The signal that the app gets for each signal, by number; 0: none; -1: the same, because the plan is not known yet.
static FORWARDED: [AtomicI32; 65] = [const { AtomicI32::new(-1) }; 65];
/// The signals that begin a stop, as bits.
static STOP_SIGNALS: AtomicU64 = AtomicU64::new(0);
/// From a stop signal to SIGKILL, in milliseconds; 0: no SIGKILL.
static KILL_AFTER: AtomicU64 = AtomicU64::new(0);
/// The stop signal that the stop in progress has not sent yet; 0: none.
static PENDING: AtomicI32 = AtomicI32::new(0);
/// The signal that the loop has received and not yet acted upon; 0: none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// When the stop in progress sends SIGKILL, in milliseconds of the monotonic clock; 0: never.
static KILL_AT: AtomicU64 = AtomicU64::new(0);
/// Writes a last line without waiting and without allocating.
static LAST_WORDS: OnceLock<fn(&str)> = OnceLock::new();

/// Remembers the app: we stay alive as long as it runs. `None`: it has ended.
pub(crate) fn stay_for(app: Option<Pid>) {
    APP.store(app.map_or(0, Pid::as_raw), Ordering::SeqCst);
}

/// Remembers the exit code: nothing else is left to do when the app has ended.
pub(crate) fn exit_with(code: u8) {
    CODE.store(code.into(), Ordering::SeqCst);
}

/// Remembers how signals are treated.
pub(crate) fn treat_signals(plan: &Plan) {
    for (signal, target) in Signal::all().filter_map(|signal| Some((signal, slot(signal)?))) {
        let begins_stop = plan.stop_signals.contains(&signal);
        let forwarded = plan.stop_signal.filter(|_| begins_stop).or_else(|| plan.forwarded(signal));
        target.store(forwarded.map_or(0, Signal::number), Ordering::SeqCst);
        STOP_SIGNALS.fetch_or(u64::from(begins_stop) << (signal.number() - 1), Ordering::SeqCst);
    }
    let budget = Budget::new(plan.grace, std::iter::empty());
    KILL_AFTER.store(budget.kill_at(Time::ZERO, Time::ZERO).map_or(0, millis), Ordering::SeqCst);
}

/// Remembers the stop in progress: the signal that it has still to send, and the time until SIGKILL.
pub(crate) fn remember_stop(pending: Option<Signal>, kill_in: Option<Duration>) {
    PENDING.store(pending.map_or(0, Signal::number), Ordering::SeqCst);
    KILL_AT.store(kill_in.map_or(0, |time| now() + millis(time)), Ordering::SeqCst);
}

/// Remembers a signal that the loop is about to act upon.
pub(crate) fn received(signal: Signal) {
    RECEIVED.store(signal.number(), Ordering::SeqCst);
}

/// Forgets that signal: the app has it, or the stop that it began is remembered.
pub(crate) fn acted_upon() {
    RECEIVED.store(0, Ordering::SeqCst);
}

fn slot(signal: Signal) -> Option<&'static AtomicI32> {
    FORWARDED.get(usize::try_from(signal.number()).ok()?)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2).max(1)
}

/// The monotonic clock in milliseconds.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| millis(time.into()))
}

/// Makes a panic end in this init instead of in the death of PID 1. It has no effect while no app runs. `last_words`
/// writes a line without waiting and without allocating.
pub(crate) fn catch_panics(last_words: fn(&str)) {
    // A second call changes nothing.
    let _ = LAST_WORDS.set(last_words);
    IS_INIT.store(true, Ordering::SeqCst);
    std::panic::set_hook(Box::new(move |panic| {
        last_words(&format!("bookend: this is a bug, please report it: {panic}\n"));
        leave_to_the_loop();
        if APP.load(Ordering::SeqCst) != 0 {
            last_words("bookend: staying as a bare init: forwarding signals and reaping, nothing else\n");
            run();
        }
        exit_if_over();
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

/// Ends this thread if it is not the loop's: there is one reaper. Those that wait for its work have a deadline.
fn leave_to_the_loop() {
    if !IS_INIT.load(Ordering::SeqCst) || nix::unistd::gettid() == nix::unistd::getpid() {
        return;
    }
    // SAFETY: exit(2) ends this thread alone and touches no memory of ours. Its stack and what it owns are never freed.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Exits with the app's code if the app has ended and only the exit was left to do.
fn exit_if_over() {
    if let Ok(code) = u8::try_from(CODE.load(Ordering::SeqCst)) {
        exit(code);
    }
}

/// If the app runs and no memory is left, stays as a bare init, which allocates nothing.
fn or_last_resort(memory: *mut u8) -> *mut u8 {
    if !memory.is_null() {
        return memory;
    }
    leave_to_the_loop();
    exit_if_over();
    if APP.load(Ordering::SeqCst) != 0 {
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
    if let Some(signal) = Signal::new(PENDING.load(Ordering::SeqCst)) {
        send(signal);
    } else if let Some(signal) = Signal::new(RECEIVED.load(Ordering::SeqCst)) {
        // There was no memory for the work that this signal begins.
        forward(signal);
    }
    loop {
        // Signals are handled even if children end without a break.
        let is_done = !(0..ROUND).all(|_| reap_one());
        let signal = match time_until_kill() {
            Some(Duration::ZERO) => {
                KILL_AT.store(0, Ordering::SeqCst);
                send(Signal::KILL);
                None
            }
            time => sys::wait_for_signal(SignalSet::ALL, if is_done { time } else { Some(Duration::ZERO) }),
        };
        if let Some(signal) = signal.filter(|signal| *signal != Signal::CHLD) {
            forward(signal);
        }
    }
}

fn forward(signal: Signal) {
    let begins_stop = STOP_SIGNALS.load(Ordering::SeqCst) & 1 << (signal.number() - 1) != 0;
    let kill_after = KILL_AFTER.load(Ordering::SeqCst);
    if begins_stop && kill_after != 0 && KILL_AT.load(Ordering::SeqCst) == 0 {
        KILL_AT.store(now() + kill_after, Ordering::SeqCst);
    }
    // Before the configuration is known (-1) a signal is passed on as it is.
    match slot(signal).map_or(-1, |target| target.load(Ordering::SeqCst)) {
        -1 => send(signal),
        target => Signal::new(target).into_iter().for_each(send),
    }
}

/// An error means that the app has just ended, which the next round of reaping detects, or that the kernel refuses.
fn send(signal: Signal) {
    let _ = sys::send(Pid::from_raw(APP.load(Ordering::SeqCst)), signal);
}

/// Zero: SIGKILL is due. `None`: there is no deadline.
fn time_until_kill() -> Option<Duration> {
    let at = KILL_AT.load(Ordering::SeqCst);
    (at != 0).then(|| Duration::from_millis(at.saturating_sub(now())))
}

/// Takes the status of one ended child; exits if the child is the app. `false`: no child has ended.
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

/// How many children are reaped between two checks for signals.
const ROUND: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_the_loops_ends_alone() {
        let (sender, tid) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            IS_INIT.store(true, Ordering::SeqCst);
            sender.send(nix::unistd::gettid()).unwrap();
            leave_to_the_loop();
            panic!("it has ended");
        });
        let task = format!("/proc/self/task/{}", tid.recv().unwrap());
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while std::path::Path::new(&task).exists() {
            assert!(std::time::Instant::now() < end, "it still runs");
            std::thread::yield_now();
        }
        IS_INIT.store(false, Ordering::SeqCst);
    }
}
