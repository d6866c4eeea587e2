//! `cargo fuzz run wait_status`: see src/fuzz.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bookend::fuzz::wait_status(bytes));
