//! The door. `no_main`, because what Rust's runtime does before `main` would be seen by the app: it ignores
//! SIGPIPE for us and so for every child, opens /dev/null where stdin, stdout or stderr was closed, and
//! costs start-up time on an alternate stack that one thread with no handlers does not need.

#![no_main]
#![expect(unsafe_code, reason = "C's main: the exported symbol, and its arguments")]

use std::ffi::{c_char, c_int};

/// C's main.
///
/// # Safety
/// Called once, by the C library's start code, with the arguments of execve(2).
// SAFETY: the name is `main`, as the C library's start code expects, with main's signature.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: execve(2) passes `argc` pointers to NUL-terminated strings that live as long as we do.
    let args = unsafe { bookend::arguments(argc, argv) };
    c_int::from(bookend::main(args))
}

/// The unwinder, in place of libunwind: a panic never unwinds, and there are no tables that it could follow
/// (.cargo/no-unwinding.ld). The linker sees that a backtrace has nothing to show, and leaves out what would show it:
/// readers of debug information, of compressed sections and of mangled names, 250 kB with libunwind itself.
#[cfg(all(target_env = "musl", panic = "abort"))]
mod unwinder {
    use std::ffi::{c_int, c_void};

    /// Calls `each` for every caller. None can be found.
    // SAFETY: the name and the signature are those of the C interface that the standard library calls.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_each: *const c_void, _argument: *mut c_void) -> c_int {
        const END_OF_STACK: c_int = 5;
        END_OF_STACK
    }

    macro_rules! only_while_unwinding {
        ($($name:ident)*) => { $(
            // SAFETY: the name is the C interface's; whatever the arguments, nobody reads them and nobody returns.
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )* };
    }

    // All that the standard library names: one that was missing would bring libunwind in beside these.
    only_while_unwinding! {
        _Unwind_FindEnclosingFunction _Unwind_GetCFA _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo
        _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR
        _Unwind_SetIP
    }
}
