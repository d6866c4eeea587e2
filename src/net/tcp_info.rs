//! `struct tcp_info` (include/uapi/linux/tcp.h), as far as it shows whether a connection may have a request in flight. The
//! struct has grown with the kernel; a field that an older kernel lacks is absent here. Total on bytes.

use std::time::Duration;

use bookend_lifecycle::connection::ConnectionHistory;

/// The parts of the struct that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Bytes in the send queue that were not sent, or segments that were not acknowledged.
    pub(crate) is_sending: bool,
    /// Its history.
    pub(crate) history: ConnectionHistory,
}

impl TcpInfo {
    /// Reads the struct; `None` if even the oldest part is cut.
    pub(crate) fn parse(bytes: &[u8]) -> Option<TcpInfo> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));
        let history = ConnectionHistory {
            since_sent: Duration::from_millis(word(LAST_DATA_SENT)?.into()),
            since_received: Duration::from_millis(word(LAST_DATA_RECV)?.into()),
            bytes_received: long(BYTES_RECEIVED),
            segments_sent: word(DATA_SEGS_OUT),
        };
        // The second one exists since Linux 4.6.
        let is_sending = word(UNACKED)? > 0 || word(NOTSENT_BYTES).is_some_and(|bytes| bytes > 0);
        Some(TcpInfo { is_sending, history })
    }
}

const UNACKED: usize = 24;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECV: usize = 52;
/// Since Linux 4.1.
const BYTES_RECEIVED: usize = 128;
const NOTSENT_BYTES: usize = 144;
/// Since Linux 4.6.
const DATA_SEGS_OUT: usize = 156;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kernel_without_the_newer_fields_shows_none_of_them() {
        let info = TcpInfo::parse(&[0; 104]).unwrap();
        assert_eq!((info.history.bytes_received, info.history.segments_sent, info.is_sending), (None, None, false));
        let info = TcpInfo::parse(&[1; 200]).unwrap();
        assert!(info.is_sending && info.history.bytes_received.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            assert_eq!(TcpInfo::parse(&bytes).is_some(), bytes.len() >= 56);
        }
    }
}
