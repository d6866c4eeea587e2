//! `struct tcp_info` (include/uapi/linux/tcp.h), as far as it shows whether a connection is busy. The struct has grown
//! with the kernel; a field that an older kernel lacks is `None` here. Any bytes are accepted.

use std::time::Duration;

/// The history of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Segments sent and not acknowledged.
    pub(crate) unacknowledged: u32,
    /// Time since the last byte that we sent, or since the handshake if we sent no byte.
    pub(crate) since_sent: Duration,
    /// Time since the last byte that we received, or since the handshake if we received no byte.
    pub(crate) since_received: Duration,
    /// Bytes received in all; `None` on kernels before 4.1.
    pub(crate) bytes_received: Option<u64>,
    /// Bytes in the send queue that were never sent; `None` on kernels before 4.6.
    pub(crate) not_sent: Option<u32>,
    /// Segments with data sent in all; `None` on kernels before 4.6.
    pub(crate) segments_sent: Option<u32>,
}

/// The meaning of a last byte in and a last byte out within one tick of the kernel's clock (1 to 10 ms): the answer to
/// that request, or the next request right after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TieBreak {
    /// An answer: right for almost every connection that lies idle.
    Answered,
    /// A request: the safe reading, if a wrong one would cost a request.
    Owed,
}

impl TcpInfo {
    /// Reads the struct; `None` if even the oldest part is cut.
    pub(crate) fn parse(bytes: &[u8]) -> Option<TcpInfo> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));
        Some(TcpInfo {
            unacknowledged: word(UNACKED)?,
            since_sent: Duration::from_millis(word(LAST_DATA_SENT)?.into()),
            since_received: Duration::from_millis(word(LAST_DATA_RECV)?.into()),
            bytes_received: long(BYTES_RECEIVED),
            not_sent: word(NOTSENT_BYTES),
            segments_sent: word(DATA_SEGS_OUT),
        })
    }

    /// Whether one side waits for the other on this connection: an answer is due, data is unsent or unacknowledged, or a
    /// byte moved a moment ago. A connection on which no byte ever came is never busy.
    pub(crate) fn is_busy(&self, tie: TieBreak) -> bool {
        if self.bytes_received == Some(0) && self.not_sent.unwrap_or(0) == 0 && self.unacknowledged == 0 {
            // Opened and silent, or just opened: the accept queue and the counter cover the new ones.
            return false;
        }
        let owes = match tie {
            // A request that came with the handshake, without an answer yet: this case is not a tie.
            _ if self.segments_sent == Some(0) => true,
            TieBreak::Answered => self.since_received < self.since_sent,
            TieBreak::Owed => self.since_received <= self.since_sent,
        };
        let moved = self.since_received.min(self.since_sent) < A_MOMENT;
        owes || moved || self.unacknowledged > 0 || self.not_sent.unwrap_or(0) > 0
    }
}

/// Longer than the pauses of a limited rate (nginx' limit_rate sends once a second).
const A_MOMENT: Duration = Duration::from_secs(2);
const UNACKED: usize = 24;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECV: usize = 52;
const BYTES_RECEIVED: usize = 128;
const NOTSENT_BYTES: usize = 144;
const DATA_SEGS_OUT: usize = 156;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info(since_received: u64, since_sent: u64) -> TcpInfo {
        TcpInfo {
            unacknowledged: 0,
            since_sent: Duration::from_millis(since_sent),
            since_received: Duration::from_millis(since_received),
            bytes_received: Some(100),
            not_sent: Some(0),
            segments_sent: Some(1),
        }
    }

    #[test]
    fn a_request_without_its_answer_is_busy_however_old() {
        assert!(info(60_000, 90_000).is_busy(TieBreak::Answered));
    }

    #[test]
    fn an_idle_keep_alive_connection_is_not_busy_after_a_moment() {
        assert!(!info(5_010, 5_000).is_busy(TieBreak::Owed));
        assert!(info(1_010, 1_000).is_busy(TieBreak::Answered));
    }

    #[test]
    fn within_one_tick_the_caller_says_which_mistake_is_the_cheaper_one() {
        assert!(!info(5_000, 5_000).is_busy(TieBreak::Answered));
        assert!(info(5_000, 5_000).is_busy(TieBreak::Owed));
    }

    #[test]
    fn a_request_that_came_with_the_handshake_waits_for_its_answer() {
        assert!(TcpInfo { segments_sent: Some(0), ..info(5_000, 5_000) }.is_busy(TieBreak::Answered));
        assert!(!TcpInfo { segments_sent: None, ..info(5_000, 5_000) }.is_busy(TieBreak::Answered));
    }

    #[test]
    fn a_silent_connection_is_never_busy() {
        assert!(!TcpInfo { bytes_received: Some(0), ..info(3, 3) }.is_busy(TieBreak::Owed));
        assert!(TcpInfo { bytes_received: None, ..info(3_000, 3_000) }.is_busy(TieBreak::Owed));
    }

    #[test]
    fn data_on_its_way_is_busy() {
        assert!(TcpInfo { unacknowledged: 1, ..info(9_000, 8_000) }.is_busy(TieBreak::Answered));
        assert!(TcpInfo { not_sent: Some(1), ..info(9_000, 8_000) }.is_busy(TieBreak::Answered));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let parsed = TcpInfo::parse(&bytes);
            assert_eq!(parsed.is_some(), bytes.len() >= 56);
            if let Some(info) = parsed {
                // A connection that is busy with `Answered` is busy with `Owed`, too.
                assert!(!info.is_busy(TieBreak::Answered) || info.is_busy(TieBreak::Owed));
            }
        }
    }
}
