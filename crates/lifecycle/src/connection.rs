//! How a stop reads the connections of an app. The kernel shows bytes and times of a TCP connection, not
//! requests.
//!
//! | the kernel shows                              | end of a drain            | second signal              |
//! | --------------------------------------------- | ------------------------- | -------------------------- |
//! | bytes not read, not sent or not acknowledged  | busy                      | waits                      |
//! | not one byte received: silent                 | idle                      | after `afterSeconds`       |
//! | last byte out; HTTP/1.1: answered             | idle after [`A_MOMENT`]   | after [`LONG_IDLE`]        |
//! | last byte out, on a multiplexed port          | idle after [`LONG_IDLE`]  | after [`LONG_IDLE`]        |
//! | last byte in: a request without its answer    | busy                      | waits                      |
//! | no history (no netlink)                       | may be busy               | waits                      |
//!
//! On a multiplexed connection (HTTP/2, gRPC) anything that the server sends looks like an answer: a SETTINGS frame, the answer to
//! another stream, the GOAWAY that follows the stop signal. TLS hides which protocol is spoken.

use std::time::Duration;

/// One TCP connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The app has closed it. The kernel sends what is left, and needs no app for it.
    pub closed: bool,
    /// Bytes that the app has not read, or that are not sent or not acknowledged.
    pub pending: bool,
    /// `None`: the source does not show it.
    pub history: Option<ConnectionHistory>,
}

/// The history of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionHistory {
    /// Since the last byte was sent; since the handshake, if there was none.
    pub since_sent: Duration,
    /// Since the last byte was received; since the handshake, if there was none.
    pub since_received: Duration,
    /// Bytes received in all; `None` if the kernel does not show it.
    pub bytes_received: Option<u64>,
    /// Segments with data sent in all; `None` if the kernel does not show it.
    pub segments_sent: Option<u32>,
}

impl Connection {
    /// Not one byte has been received, so that no request can be in flight.
    pub fn is_silent(&self) -> bool {
        !self.pending && self.history.is_some_and(|history| history.bytes_received == Some(0))
    }

    /// Whether the end of a drain must wait for it; `None` if the source does not show that.
    pub fn is_busy(&self, multiplexed: bool) -> Option<bool> {
        if self.pending {
            return Some(true);
        }
        if self.closed || self.is_silent() {
            return Some(false);
        }
        let history = self.history?;
        Some(match multiplexed {
            true => !history.is_long_idle(LONG_IDLE),
            false => history.owes_answer() || history.idle() < A_MOMENT,
        })
    }

    /// Whether a signal that ends the app at once may cut a request on it.
    pub fn may_be_cut(&self) -> bool {
        !self.closed && !self.is_silent()
    }

    /// Whether it does not hold back the second signal.
    fn is_given_up(&self, after: Duration) -> bool {
        if self.pending {
            return false;
        }
        let Some(history) = self.history else { return self.closed };
        match history.bytes_received {
            _ if self.closed => true,
            Some(0) => history.since_received >= after,
            _ => history.is_long_idle(after.max(LONG_IDLE)),
        }
    }
}

impl ConnectionHistory {
    /// Whether the last byte came from the client. Both within one tick of the kernel's clock (1 to 10 ms) are a request and
    /// its answer, except in a connection on which nothing was ever sent: its request came with the handshake.
    fn owes_answer(&self) -> bool {
        self.segments_sent == Some(0) || self.since_received < self.since_sent
    }

    /// No byte has moved for this long, and the server sent the last one. If both last bytes are within one tick, the last one may have been a request.
    fn is_long_idle(&self, long: Duration) -> bool {
        !self.owes_answer() && self.since_received != self.since_sent && self.idle() >= long
    }

    fn idle(&self) -> Duration {
        self.since_received.min(self.since_sent)
    }
}

/// Whether connections are left and none of them can have a request in flight: then they alone keep the app running, and it may
/// get its second signal. `queue` counts connections that the app has not accepted. `after` is `afterSeconds`.
pub fn only_idle<'a>(connections: impl Iterator<Item = &'a Connection>, queue: u32, after: Duration) -> bool {
    let mut open = false;
    for connection in connections {
        if !connection.is_given_up(after) {
            return false;
        }
        open |= !connection.closed;
    }
    open && queue == 0
}

/// Longer than the pauses of a limited rate (nginx' limit_rate sends once a second).
pub const A_MOMENT: Duration = Duration::from_secs(2);
/// A connection that may have a request in flight is idle if no byte has moved for this long: a proxy gives such a request up (nginx'
/// `proxy_read_timeout` and the idle timeouts of load balancers are 60 s).
pub const LONG_IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    const AFTER: Duration = Duration::from_secs(1);

    fn connection(since_received: u64, since_sent: u64) -> Connection {
        let history = ConnectionHistory {
            since_sent: millis(since_sent),
            since_received: millis(since_received),
            bytes_received: Some(100),
            segments_sent: Some(1),
        };
        Connection { closed: false, pending: false, history: Some(history) }
    }

    fn silent(age: u64) -> Connection {
        let history = ConnectionHistory {
            bytes_received: Some(0),
            segments_sent: Some(0),
            ..connection(age, age).history.unwrap()
        };
        Connection { history: Some(history), ..connection(age, age) }
    }

    fn idle(connections: &[Connection]) -> bool {
        only_idle(connections.iter(), 0, AFTER)
    }

    #[test]
    fn an_answered_connection_is_idle_from_the_end_of_the_moment_on() {
        let moment = u64::try_from(A_MOMENT.as_millis()).unwrap();
        assert_eq!(connection(60_000, moment - 1).is_busy(false), Some(true));
        assert_eq!(connection(60_000, moment).is_busy(false), Some(false));
    }

    #[test]
    fn a_request_without_its_answer_is_busy_however_old() {
        let owed = connection(60_000, 90_000);
        assert_eq!(owed.is_busy(false), Some(true));
        assert_eq!(connection(600_000, 900_000).is_busy(true), Some(true));
        assert!(!idle(&[connection(600_000, 900_000)]), "the second signal must not cut it");
    }

    #[test]
    fn an_answered_request_is_idle_after_a_moment() {
        assert_eq!(connection(1_010, 1_000).is_busy(false), Some(true));
        assert_eq!(connection(5_010, 5_000).is_busy(false), Some(false));
        // Within one tick of the kernel's clock it counts as answered.
        assert_eq!(connection(5_000, 5_000).is_busy(false), Some(false));
    }

    #[test]
    fn on_a_multiplexed_port_the_last_sent_byte_is_not_an_answer() {
        assert_eq!(connection(5_010, 5_000).is_busy(true), Some(true));
        assert_eq!(connection(61_000, 60_000).is_busy(true), Some(false));
        assert_eq!(silent(5_000).is_busy(true), Some(false));
    }

    #[test]
    fn a_request_that_came_with_the_handshake_is_owed_its_answer() {
        let with = |segments_sent| {
            let history =
                connection(5_000, 5_000).history.map(|history| ConnectionHistory { segments_sent, ..history });
            Connection { history, ..connection(0, 0) }
        };
        assert_eq!(with(Some(0)).is_busy(false), Some(true));
        assert_eq!(with(None).is_busy(false), Some(false));
    }

    #[test]
    fn data_on_its_way_is_busy() {
        let pending = Connection { pending: true, ..connection(90_000, 80_000) };
        assert_eq!(pending.is_busy(false), Some(true));
        assert!(!idle(&[pending]));
        // A greeting that the client has not acknowledged.
        assert!(!idle(&[Connection { pending: true, ..silent(5_000) }]));
    }

    #[test]
    fn only_a_silent_connection_lets_the_second_signal_out_early() {
        assert!(idle(&[silent(1_000), silent(9_000)]));
        assert!(!idle(&[silent(1_000), silent(999)]), "one has not been silent for long enough");
        assert!(!idle(&[silent(9_000), connection(20_000, 19_000)]), "it may be an HTTP/2 request in flight");
        assert!(idle(&[silent(9_000), connection(61_000, 60_000)]), "after the long time");
        assert!(!idle(&[connection(90_000, 90_000)]), "within one tick it may be a request");
    }

    #[test]
    fn the_second_signal_needs_a_connection_and_an_empty_queue() {
        assert!(!idle(&[]), "no connection keeps this app running");
        assert!(!only_idle([silent(9_000)].iter(), 1, AFTER));
        let closed = Connection { closed: true, ..connection(0, 0) };
        assert!(!idle(&[closed]), "closed by the app");
        assert!(idle(&[closed, silent(9_000)]));
    }

    #[test]
    fn a_connection_without_history_is_not_silent() {
        let unseen = Connection { history: None, ..connection(0, 0) };
        assert!(!idle(&[unseen]) && !unseen.is_silent() && unseen.may_be_cut());
        assert_eq!(unseen.is_busy(false), None);
        // A kernel that does not count received bytes.
        let old = connection(5_010, 5_000).history.map(|history| ConnectionHistory { bytes_received: None, ..history });
        assert!(!idle(&[Connection { history: old, ..unseen }]));
    }

    #[test]
    fn every_open_connection_that_is_not_silent_may_be_cut() {
        assert!(connection(20_000, 19_000).may_be_cut());
        assert!(!silent(10).may_be_cut());
        assert!(!Connection { closed: true, ..connection(0, 0) }.may_be_cut());
    }

    proptest! {
        #[test]
        fn the_second_signal_waits_for_all_busy_connections(
            since_received in 0..200_000u64, since_sent in 0..200_000u64, bytes in proptest::option::of(0..3u64),
            segments in proptest::option::of(0..3u32), pending: bool, closed: bool, seen: bool, after in 0..200_000u64,
        ) {
            let history = ConnectionHistory {
                since_sent: millis(since_sent),
                since_received: millis(since_received),
                bytes_received: bytes,
                segments_sent: segments,
            };
            let connection = Connection { closed, pending, history: seen.then_some(history) };
            if only_idle([connection].iter(), 0, millis(after)) {
                prop_assert_eq!(connection.is_busy(false), Some(false));
                prop_assert_eq!(connection.is_busy(true), Some(false));
                prop_assert!(connection.is_silent() || since_received.min(since_sent) >= after.max(60_000));
                prop_assert!(!connection.is_silent() || since_received >= after);
            }
            // A connection of a plain port is never busier than one of a multiplexed port.
            prop_assert!(connection.is_busy(false) != Some(true) || connection.is_busy(true) == Some(true));
        }
    }
}
