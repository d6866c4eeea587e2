//! Signals as names and numbers, for the configuration, the state machines and the kernel edge.
//!
//! The names are those of signal(7). `SIGRTMIN` is 34, as in glibc and kill(1), because users take real-time numbers from
//! there. (musl reserves 34 and starts at 35.)

use std::fmt;
use std::str::FromStr;

/// A signal number between 1 and 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

impl Signal {
    /// Hang-up; most servers reload their configuration.
    pub const HUP: Signal = Signal(1);
    /// Ctrl-C.
    pub const INT: Signal = Signal(2);
    /// The graceful stop of nginx and php-fpm.
    pub const QUIT: Signal = Signal(3);
    /// Kills the process; cannot be caught.
    pub const KILL: Signal = Signal(9);
    /// Sent by the kernel to a process that writes to a pipe without a reader.
    pub const PIPE: Signal = Signal(13);
    /// The default stop signal of Kubernetes and Docker.
    pub const TERM: Signal = Signal(15);
    /// A child changed its state. bookend handles it itself and never forwards it.
    pub const CHLD: Signal = Signal(17);
    /// Stops the process; cannot be caught.
    pub const STOP: Signal = Signal(19);
    /// Continues a stopped process.
    pub const CONT: Signal = Signal(18);
    /// Ctrl-Z.
    pub const TSTP: Signal = Signal(20);
    /// A background job tried to read from its terminal.
    pub const TTIN: Signal = Signal(21);
    /// A background job tried to write to its terminal.
    pub const TTOU: Signal = Signal(22);
    /// `SIGRTMIN` as in glibc.
    pub const RTMIN: Signal = Signal(34);
    /// `SIGRTMAX`.
    pub const RTMAX: Signal = Signal(64);

    /// The signal with this number; `None` unless it is between 1 and 64.
    pub fn new(number: i32) -> Option<Signal> {
        match u8::try_from(number) {
            Ok(n @ 1..=64) => Some(Signal(n)),
            _ => None,
        }
    }

    /// Every signal, ordered by number.
    pub fn all() -> impl Iterator<Item = Signal> {
        (1..=64).map(Signal)
    }

    /// The number, as kill(2) takes it.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// The exit code for a process that this signal killed: 128+n, as a shell, `docker run` and tini report it.
    pub fn exit_code(self) -> u8 {
        128 + self.0
    }

    /// SIGKILL and SIGSTOP: neither can be caught, blocked or ignored (signal(7)).
    pub fn is_uncatchable(self) -> bool {
        self == Signal::KILL || self == Signal::STOP
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, n)| *n == self.0) {
            return write!(f, "SIG{name}");
        }
        match self.0 {
            // The C library reserves 32 and 33; kill(1) has no name for them either.
            n @ 32..=33 => write!(f, "SIG{n}"),
            34 => f.write_str("SIGRTMIN"),
            64 => f.write_str("SIGRTMAX"),
            n => write!(f, "SIGRTMIN+{}", n - 34),
        }
    }
}

/// The text is neither the name nor the number of a signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a signal; accepted: a name of signal(7) like SIGTERM or TERM, SIGRTMIN+n, SIGRTMAX-n, or a number 1-64"
)]
pub struct UnknownSignal(String);

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Accepts `SIGTERM`, `TERM`, `term`, `15`, `SIGRTMIN`, `SIGRTMIN+3`, `RTMAX-1`.
    fn from_str(text: &str) -> Result<Signal, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(Signal::new).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let realtime = |rest: &str, sign: char| -> Option<u8> {
            if rest.is_empty() {
                return Some(0);
            }
            let digits = rest.strip_prefix(sign)?;
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            digits.parse().ok().filter(|n| *n <= 30)
        };
        if let Some(rest) = name.strip_prefix("RTMIN") {
            return realtime(rest, '+').map(|n| Signal(34 + n)).ok_or_else(unknown);
        }
        if let Some(rest) = name.strip_prefix("RTMAX") {
            return realtime(rest, '-').map(|n| Signal(64 - n)).ok_or_else(unknown);
        }
        NAMES.iter().chain(ALIASES).find(|(known, _)| *known == name).map(|(_, n)| Signal(*n)).ok_or_else(unknown)
    }
}

/// The names on Linux (signal(7)). x86-64 and aarch64 have the same numbers.
const NAMES: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

const ALIASES: &[(&str, u8)] = &[("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_parses_from_its_own_name() {
        assert_eq!(Signal::all().count(), 64);
        for signal in Signal::all().filter(|s| !(32..=33).contains(&s.number())) {
            assert_eq!(signal.to_string().parse(), Ok(signal), "{signal}");
            assert_eq!(signal.number().to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn names_parse_with_or_without_prefix_in_any_case() {
        for text in ["SIGTERM", "TERM", "sigterm", "term", "15"] {
            assert_eq!(text.parse(), Ok(Signal::TERM));
        }
        assert_eq!("SIGRTMIN+3".parse(), Ok(Signal(37)));
        assert_eq!("RTMAX-1".parse(), Ok(Signal(63)));
        assert_eq!("SIGCLD".parse(), Ok(Signal::CHLD));
    }

    #[test]
    fn text_that_is_not_a_signal_is_refused() {
        for text in ["", "0", "65", "SIG", "SIGFOO", "RTMIN+31", "RTMIN-1", "RTMIN+", "-1", "999999999999"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
    }
}
