//! The reaction to a failed accept(2). Pure.
//!
//! An error may concern the one connection, which is gone then (accept(2): ECONNABORTED and others), or all of them: a
//! security module's EPERM, a lack of descriptors or of memory. The second kind comes again at once, because the
//! connection stays in the backlog: a pause that doubles keeps the loop from spinning, and one line in the log reports it.

use std::time::Duration;

use nix::errno::Errno;

/// The failures since the last connection that was accepted.
#[derive(Debug, Default)]
pub(super) struct AcceptBackoff {
    failures: u32,
    is_reported: bool,
}

impl AcceptBackoff {
    /// A connection was accepted.
    pub(super) fn succeeded(&mut self) {
        *self = AcceptBackoff::default();
    }

    /// accept(2) failed: how long to wait, and whether to log it. `made_room`: a connection has given its descriptor.
    pub(super) fn failed(&mut self, errno: Errno, made_room: bool) -> (Duration, bool) {
        self.failures = self.failures.saturating_add(1);
        let is_shortage = is_shortage(errno);
        let reports = !self.is_reported && (is_shortage || self.failures >= REPORTED_AFTER);
        self.is_reported |= reports;
        let longest = if is_shortage { LONGEST_IN_SHORTAGE } else { LONGEST };
        let doubled = SHORTEST.saturating_mul(1 << (self.failures - 1).min(10)).min(longest);
        (if made_room { SHORTEST } else { doubled }, reports)
    }
}

/// Whether descriptors or memory are missing: the end of another connection helps.
pub(super) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(1);
/// A shortage may end at any moment, and a hook may be among those that wait.
const LONGEST_IN_SHORTAGE: Duration = Duration::from_millis(100);
/// One error, or two, may be those of connections that are gone.
const REPORTED_AFTER: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_good_backs_off_to_a_second_and_is_logged_once() {
        let mut backoff = AcceptBackoff::default();
        let steps: Vec<_> = (0..12).map(|_| backoff.failed(Errno::EPERM, false)).collect();
        let pauses: Vec<u128> = steps.iter().map(|(pause, _)| pause.as_millis()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
        let reported: Vec<usize> = (0..12).filter(|n| steps[*n].1).collect();
        assert_eq!(reported, [2]);
        for _ in 0..100 {
            assert_eq!(backoff.failed(Errno::EPERM, false), (LONGEST, false));
        }
        backoff.succeeded();
        assert_eq!(backoff.failed(Errno::ECONNABORTED, false), (SHORTEST, false));
    }

    #[test]
    fn a_shortage_is_logged_at_once_and_tried_again_often() {
        let mut backoff = AcceptBackoff::default();
        assert_eq!(backoff.failed(Errno::EMFILE, true), (SHORTEST, true));
        for _ in 0..100 {
            let (pause, reports) = backoff.failed(Errno::EMFILE, false);
            assert!(pause <= LONGEST_IN_SHORTAGE && !reports);
        }
        assert_eq!(backoff.failed(Errno::EMFILE, true), (SHORTEST, false));
    }
}
