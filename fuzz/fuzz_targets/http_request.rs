//! `cargo fuzz run http_request`: see src/fuzz.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bookend::fuzz::http_request(bytes));
