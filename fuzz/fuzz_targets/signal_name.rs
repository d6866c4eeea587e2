//! `cargo fuzz run signal_name`: see src/fuzz.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bookend::fuzz::signal_name(bytes));
