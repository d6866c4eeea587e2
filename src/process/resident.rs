//! What of our own file stays in memory while nothing happens.

#![expect(unsafe_code, reason = "the program's own segments, as the kernel has mapped them")]

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use libc::{Elf64_Phdr, c_void, dl_phdr_info, size_t};

/// Where we are: the start goes on; it is over; what it needed is given back.
static STAGE: AtomicU8 = AtomicU8::new(STARTING);
const STARTING: u8 = 0;
const STARTED: u8 = 1;
const GIVEN_BACK: u8 = 2;

/// To be said when everything has begun: what comes next is mostly waiting.
pub(crate) fn start_is_over() {
    move_on(STARTING, STARTED);
}

/// Gives back the pages of code and constants that the start has touched, once, after it is over: an idle init needs few
/// of them. They are clean pages of the file; what is touched again is mapped again from the page cache.
pub(crate) fn before_waiting() {
    if !move_on(STARTED, GIVEN_BACK) {
        return;
    }
    // SAFETY: the callback is called here and nowhere else, and is given no data.
    unsafe { libc::dl_iterate_phdr(Some(give_back_program), ptr::null_mut()) };
}

fn move_on(from: u8, to: u8) -> bool {
    STAGE.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// The first object is the program; the others, if any, are shared with other processes.
unsafe extern "C" fn give_back_program(program: *mut dl_phdr_info, _: size_t, _: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr(3) passes an object that is loaded, with so many program headers.
    let (base, segments) = unsafe {
        let program = &*program;
        (program.dlpi_addr, std::slice::from_raw_parts(program.dlpi_phdr, usize::from(program.dlpi_phnum)))
    };
    let is_read_only = |segment: &&Elf64_Phdr| segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0;
    for segment in segments.iter().filter(is_read_only) {
        let start = base + segment.p_vaddr;
        let before = start % page();
        let (Ok(address), Ok(length)) = (usize::try_from(start - before), usize::try_from(before + segment.p_memsz))
        else {
            continue;
        };
        // SAFETY: nothing is ever written to these pages, so the kernel maps the same ones again (madvise(2)). Where it
        // refuses, because they are locked in memory, they stay.
        unsafe { libc::madvise(ptr::with_exposed_provenance_mut(address), length, libc::MADV_DONTNEED) };
    }
    DONE
}

/// The size of a page.
fn page() -> u64 {
    // SAFETY: sysconf(3) takes a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Anything but 0 ends the iteration.
const DONE: c_int = 1;
