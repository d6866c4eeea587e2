//! systemd's socket activation: the descriptors from 3 up are the app's as we found them, but `LISTEN_PID` names us, and
//! sd_listen_fds(3) takes sockets only if it names the calling process. Only the child knows its own pid, between clone
//! and exec, where nothing may be allocated: so the variable is made beforehand, with room for the digits.
//! `LISTEN_PIDFDID`, if present, names us as well; it is left out, and then the pid alone counts. `LISTEN_FDS` and
//! `LISTEN_FDNAMES` are right as they are.

use std::ffi::CString;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether `LISTEN_PID` is set and names us.
pub(super) fn names_us() -> bool {
    std::env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id()))
}

/// Points the entry of `LISTEN_PID` to the one that the child fills in, and removes `LISTEN_PIDFDID`.
/// `pointers` are those of `env`, followed by a null pointer.
pub(super) fn correct(env: &[CString], pointers: &mut Vec<*const libc::c_char>, own: &ListenPid) {
    let is = |variable: &CString, name: &[u8]| variable.as_bytes().starts_with(name);
    for (variable, pointer) in env.iter().zip(pointers.iter_mut()) {
        if is(variable, NAME) {
            *pointer = own.0.as_ptr().cast();
        }
    }
    if let Some(index) = env.iter().position(|variable| is(variable, b"LISTEN_PIDFDID=")) {
        pointers.remove(index);
    }
}

/// `LISTEN_PID=` with room for a pid, and a NUL behind it.
/// Boxed: its address must not change when it is moved.
#[derive(Debug)]
pub(super) struct ListenPid(Box<[AtomicU8; NAME.len() + DIGITS + 1]>);

impl ListenPid {
    pub(super) fn new() -> ListenPid {
        let text = std::array::from_fn(|index| AtomicU8::new(NAME.get(index).copied().unwrap_or(0)));
        ListenPid(Box::new(text))
    }

    /// Writes the number. Called between clone and exec: it allocates nothing and takes no lock.
    pub(super) fn fill(&self, pid: i32) {
        let pid = pid.unsigned_abs();
        let length = pid.checked_ilog10().unwrap_or(0);
        for (place, exponent) in self.0.iter().skip(NAME.len()).zip((0..=length).rev()) {
            // One decimal digit always fits.
            let digit = u8::try_from(pid / 10u32.pow(exponent) % 10).unwrap_or(0);
            place.store(b'0' + digit, Ordering::SeqCst);
        }
    }
}

const NAME: &[u8] = b"LISTEN_PID=";
/// The digits of the largest u32.
const DIGITS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(variable: &ListenPid) -> String {
        let bytes = variable.0.iter().map(|byte| byte.load(Ordering::SeqCst)).take_while(|byte| *byte != 0);
        String::from_utf8(bytes.collect()).unwrap()
    }

    #[test]
    fn pids_of_every_length_are_written() {
        for pid in [0, 1, 9, 10, 99, 100, 32768, 4_194_304, i32::MAX] {
            let variable = ListenPid::new();
            variable.fill(pid);
            assert_eq!(text(&variable), format!("LISTEN_PID={pid}"));
        }
    }

    #[test]
    fn listen_pid_names_the_child_and_listen_pidfdid_is_removed() {
        let env = ["A=1", "LISTEN_PIDFDID=77", "LISTEN_PID=1", "LISTEN_FDS=1"].map(|text| CString::new(text).unwrap());
        let own = ListenPid::new();
        let mut pointers: Vec<_> = env.iter().map(|text| text.as_ptr()).collect();
        correct(&env, &mut pointers, &own);
        assert_eq!(pointers, [env[0].as_ptr(), own.0.as_ptr().cast(), env[3].as_ptr()]);
    }
}
