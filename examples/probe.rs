//! The application of the benchmarks: tells when its main began, on stdout, and ends.
#![no_main]
#![expect(unsafe_code, reason = "C's main, and the clock")]

/// C's main.
// SAFETY: the name is `main`, as the C library's start code expects.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> i32 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the timespec is live.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    println!("{}", now.tv_sec * 1_000_000_000 + now.tv_nsec);
    0
}
