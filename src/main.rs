//! The door. `no_main`, because what Rust's runtime does before `main` would be seen by the app: it ignores
//! SIGPIPE for us and so for every child, opens /dev/null where stdin, stdout or stderr was closed, and
//! costs start-up time on an alternate stack that one thread with no handlers does not need.

#![no_main]
#![expect(unsafe_code, reason = "C's main: the exported symbol, and its arguments")]

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

/// C's main.
///
/// # Safety
/// Called once, by the C library's start code, with the arguments of execve(2).
// SAFETY: the name is `main`, as the C library's start code expects, with main's signature.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let args = (0..count)
        .map(|index| {
            // SAFETY: execve(2) passes `argc` pointers to NUL-terminated strings that live as long as we do.
            let arg = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsString::from_vec(arg.to_bytes().to_vec())
        })
        .collect();
    c_int::from(bookend::main(args))
}
