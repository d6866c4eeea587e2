//! The entry point. `no_main`, because the app would see what Rust's runtime does before `main`: it ignores SIGPIPE for
//! us and so for every child, and opens /dev/null in place of a closed stdin, stdout or stderr. It also costs start-up
//! time for an alternate stack that one thread without a SIGSEGV handler does not need.

#![no_main]
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "C's main: the exported symbol, and its arguments"))]

#[cfg(not(target_os = "linux"))]
compile_error!("bookend is an init for Linux containers: build it for a Linux target, e.g. x86_64-unknown-linux-musl");

/// C's main.
///
/// # Safety
/// Called once, by the C library's start code, with the arguments of execve(2).
// SAFETY: the name is `main`, as the C library's start code expects, with main's signature.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: std::ffi::c_int, argv: *const *const std::ffi::c_char) -> std::ffi::c_int {
    // SAFETY: execve(2) passes `argc` pointers to NUL-terminated strings that live as long as we do.
    let args = unsafe { bookend::arguments(argc, argv) };
    std::ffi::c_int::from(bookend::main(args))
}

/// Takes the place of libunwind in the release configuration (.cargo/release.toml), which leaves out the tables for
/// unwinding: a panic aborts and never unwinds. The linker then also leaves out what would print a backtrace: readers of
/// debug information, of compressed sections and of mangled names. An ordinary build has none of this.
#[cfg(bookend_release)]
mod unwinder {
    use std::ffi::{c_int, c_void};

    /// Would call `_each` for every caller. Without tables it can find none.
    // SAFETY: the name and the signature are those of the C interface that the standard library calls.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_each: *const c_void, _argument: *mut c_void) -> c_int {
        const END_OF_STACK: c_int = 5;
        END_OF_STACK
    }

    macro_rules! only_while_unwinding {
        ($($name:ident)*) => { $(
            // SAFETY: the name is the C interface's. The arguments are never read, and the function never returns.
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )* };
    }

    // Every function that the standard library names: if one is missing, the linker takes all of libunwind, whose
    // functions then collide with these.
    only_while_unwinding! {
        _Unwind_FindEnclosingFunction _Unwind_GetCFA _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo
        _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR
        _Unwind_SetIP
    }
}
