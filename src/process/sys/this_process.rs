//! This process as the kernel and the C library know it: arguments, environment, terminal, place in the process tree.

#![expect(unsafe_code, reason = "C's arguments and environment, ioctls, and prctl(2) with real-time signals")]

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use libc::c_int;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::time::{ClockId, clock_gettime};

use bookend_lifecycle::signal::Signal;

/// The time since the boot, from which /proc counts the start of a process: clock_gettime(2), CLOCK_BOOTTIME.
pub(crate) fn since_boot() -> Duration {
    // Every kernel since 2.6.39 has this clock.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// The arguments that C's main was given.
///
/// # Safety
/// `argv` has `argc` pointers to NUL-terminated strings.
pub unsafe fn arguments(argc: c_int, argv: *const *const libc::c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    let arg = |index| {
        // SAFETY: `index` is below `argc`, and the caller promises that many pointers to NUL-terminated strings.
        let arg = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsString::from_vec(arg.to_bytes().to_vec())
    };
    (0..count).map(arg).collect()
}

/// The environment that we were started with, as execve(2) takes it. It never changes: setenv(3) is never called.
pub(in crate::process) fn environ() -> *const *const libc::c_char {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: the C library has set this variable before main, and nothing in this program writes it.
    unsafe { environ }
}

/// Sets the umask and returns the one before. It fails only if a seccomp profile refuses umask(2).
pub(crate) fn set_umask(mask: libc::mode_t) -> Result<libc::mode_t, Errno> {
    // SAFETY: umask(2) takes an integer.
    let before = unsafe { libc::umask(mask) };
    if before > 0o777 { Err(Errno::last()) } else { Ok(before) }
}

/// The number of columns of the terminal on stdout: ioctl_tty(2), TIOCGWINSZ.
pub(crate) fn terminal_width() -> Option<u16> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: for TIOCGWINSZ the kernel writes a winsize, and the pointer is to live memory of that type.
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: all bytes are initialized (zero, or written by the kernel), and a winsize consists of integers.
    let columns = unsafe { size.assume_init() }.ws_col;
    (result == 0 && columns > 0).then_some(columns)
}

/// The path that execve(2) was given for this program: getauxval(3), AT_EXECFN.
pub(crate) fn executed_path() -> Option<PathBuf> {
    // SAFETY: getauxval(3) takes an integer; 0 means that the kernel passed no such entry.
    let text = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if text.is_null() {
        return None;
    }
    // SAFETY: AT_EXECFN is the address of a NUL-terminated string, which the kernel has put above our stack, where it
    // stays unchanged for the life of the process.
    let text = unsafe { CStr::from_ptr(text) };
    Some(PathBuf::from(OsStr::from_bytes(text.to_bytes())))
}

/// Makes us the parent of orphaned descendants: prctl(2), PR_SET_CHILD_SUBREAPER.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Whether orphans below us become our children: we are PID 1 or a subreaper.
pub(crate) fn gets_orphans() -> bool {
    is_first_process() || prctl::get_child_subreaper().unwrap_or(false)
}

/// Whether we are PID 1 of a PID namespace: then we get every orphan, and kill(-1) means this container.
pub(crate) fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Asks for this signal at the death of our parent: prctl(2), PR_SET_PDEATHSIG. nix has no real-time signals here.
pub(in crate::process) fn set_parent_death_signal(signal: Signal) -> io::Result<()> {
    // SAFETY: prctl(2) with PR_SET_PDEATHSIG takes integers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0) })?;
    Ok(())
}

/// Gives up the controlling terminal, if stdin is that terminal: ioctl_tty(2), TIOCNOTTY.
pub(in crate::process) fn give_up_terminal() -> io::Result<()> {
    // SAFETY: ioctl(2) with TIOCNOTTY takes integers and no pointer.
    Errno::result(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) })?;
    Ok(())
}

// Everything here with a pointer that works without a kernel: `make memory` runs it under miri.
#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn arguments_are_read_to_the_byte_and_may_be_empty() {
        let texts = [c"bookend", c"", c"\xff "].map(CString::from);
        let argv: Vec<_> = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        // SAFETY: `argv` has at least `argc` pointers to live NUL-terminated strings.
        let read = |argc| unsafe { arguments(argc, argv.as_ptr()) };
        assert_eq!(read(3), ["bookend".into(), "".into(), OsString::from_vec(b"\xff ".to_vec())]);
        assert!(read(0).is_empty());
    }

    #[test]
    fn environ_has_as_many_entries_as_std_reports() {
        let mut entry = environ();
        let mut seen = 0;
        // SAFETY: a null pointer ends the array (environ(7)), so every entry that is read exists.
        while unsafe { !(*entry).is_null() } {
            // SAFETY: this entry is not the last one, so the next one is in the array.
            entry = unsafe { entry.add(1) };
            seen += 1;
        }
        assert_eq!(seen, std::env::vars_os().count());
    }
}
