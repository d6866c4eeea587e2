//! `cargo fuzz run sd_notify`: see src/fuzz.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bookend::fuzz::sd_notify(bytes));
