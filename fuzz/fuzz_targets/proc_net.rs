//! `cargo fuzz run proc_net`: see src/fuzz.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bookend::fuzz::proc_net(bytes));
