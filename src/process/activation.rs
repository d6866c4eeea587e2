//! systemd's socket activation: the descriptors from 3 up are the app's as we found them, but `LISTEN_PID`
//! names us, who were exec'ed first, and sd_listen_fds(3) takes sockets only where it names the caller itself.
//! Only the child knows its own pid, between clone and exec, where nothing may be allocated: so the variable
//! is made beforehand, with room for the digits. `LISTEN_PIDFDID`, if it is there, names us as well; without it
//! the pid alone counts. `LISTEN_FDS` and `LISTEN_FDNAMES` are right as they are.

use std::ffi::CString;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// Whether `LISTEN_PID` is there and names us.
pub(super) fn names_us() -> bool {
    std::env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id()))
}

/// Points the entry of `LISTEN_PID` to the one that the child fills in, and leaves out `LISTEN_PIDFDID`.
/// `pointers` are those of `env`, and a null pointer more.
pub(super) fn correct(env: &[CString], pointers: &mut Vec<AtomicPtr<libc::c_char>>, own: &ListenPid) {
    let is = |variable: &CString, name: &[u8]| variable.as_bytes().starts_with(name);
    for (variable, pointer) in env.iter().zip(pointers.iter()) {
        if is(variable, NAME) {
            pointer.store(own.0.as_ptr().cast_mut().cast(), Ordering::SeqCst);
        }
    }
    if let Some(index) = env.iter().position(|variable| is(variable, b"LISTEN_PIDFDID=")) {
        pointers.remove(index);
    }
}

/// `LISTEN_PID=` with room for a pid, and a NUL behind it.
pub(super) struct ListenPid([AtomicU8; NAME.len() + DIGITS + 1]);

impl ListenPid {
    pub(super) fn new() -> ListenPid {
        let text = std::array::from_fn(|index| AtomicU8::new(NAME.get(index).copied().unwrap_or(0)));
        ListenPid(text)
    }

    /// Writes the number. Between clone and exec: no allocation, no lock.
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
/// Of the largest u32.
const DIGITS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(variable: &ListenPid) -> String {
        let bytes = variable.0.iter().map(|byte| byte.load(Ordering::SeqCst)).take_while(|byte| *byte != 0);
        String::from_utf8(bytes.collect()).unwrap()
    }

    #[test]
    fn every_length_of_a_pid_is_written() {
        for pid in [0, 1, 9, 10, 99, 100, 32768, 4_194_304, i32::MAX] {
            let variable = ListenPid::new();
            variable.fill(pid);
            assert_eq!(text(&variable), format!("LISTEN_PID={pid}"));
        }
    }

    #[test]
    fn the_pid_is_pointed_to_and_what_named_the_stand_in_is_left_out() {
        let env = ["A=1", "LISTEN_PIDFDID=77", "LISTEN_PID=1", "LISTEN_FDS=1"].map(|text| CString::new(text).unwrap());
        let own = ListenPid::new();
        let mut pointers: Vec<_> = env.iter().map(|text| AtomicPtr::new(text.as_ptr().cast_mut())).collect();
        correct(&env, &mut pointers, &own);
        let found: Vec<_> = pointers.iter().map(|pointer| pointer.load(Ordering::SeqCst).cast_const()).collect();
        assert_eq!(found, [env[0].as_ptr(), own.0.as_ptr().cast(), env[3].as_ptr()]);
    }
}
