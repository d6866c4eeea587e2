//! The connections of this network namespace, as the kernel shows them. The parsers are pure and accept any bytes; one
//! file (`tcp_monitor`) reads. Nothing here decides what a number means for a stop.
//!
//! | file        | source                          | tells                                                     |
//! | ----------- | ------------------------------- | --------------------------------------------------------- |
//! | `snmp`      | /proc/net/snmp                  | connections accepted and resets sent, by the whole namespace |
//! | `sock_diag` | netlink (sock_diag(7))          | every connection of a port, with `tcp_info`               |
//! | `proc_tcp`  | /proc/net/tcp, /proc/net/tcp6   | the same without `tcp_info`, where netlink is forbidden   |
//! | `tcp_info`  | part of a sock_diag message     | the history of a connection                               |
//! | `newcomers` | the sockets, looked at again    | new connections, where the counter is that of a node      |
//! | `udp`       | /proc/net/snmp, snmp6           | datagrams that arrived, by the whole namespace            |
//! | `ports`     | /proc/PID/fd                    | the ports a process and its descendants listen on         |
//! | `ours`      | our own accept and connect      | which connections are bookend's own                       |

pub(crate) mod newcomers;
pub(crate) mod ours;
pub(crate) mod ports;
pub(crate) mod proc_tcp;
pub(crate) mod snmp;
pub(crate) mod sock_diag;
pub(crate) mod tcp_info;
pub(crate) mod tcp_monitor;
pub(crate) mod udp;

use bookend_lifecycle::connection::{Connection, ConnectionHistory};
use bookend_lifecycle::drain::{ConnectionCounts, Drain};

/// State of a TCP socket as the kernel numbers it (include/net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TcpState {
    /// A connection that both sides may use, accepted or still in the accept queue.
    Established,
    /// A handshake that is not complete.
    SynReceived,
    /// The client has closed its side, and may still wait for an answer.
    CloseWait,
    /// We have closed it; the kernel may still be sending the rest.
    Closing,
    /// Waits for connections.
    Listen,
    /// Any other state: no side waits for the other.
    Other,
}

impl TcpState {
    /// From the kernel's number.
    pub(crate) fn from_number(number: u8) -> TcpState {
        match number {
            1 => TcpState::Established,
            3 | 12 => TcpState::SynReceived,
            4 | 9 | 11 => TcpState::Closing,
            8 => TcpState::CloseWait,
            10 => TcpState::Listen,
            _ => TcpState::Other,
        }
    }
}

/// One TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Its state.
    pub(crate) state: TcpState,
    /// The local port.
    pub(crate) port: u16,
    /// The peer's port, if the peer has the same address.
    pub(crate) local_peer: Option<u16>,
    /// A number for the peer's address and port.
    pub(crate) peer: u64,
    /// Bytes the app has not read; for a listening socket the length of its accept queue.
    pub(crate) unread: u32,
    /// Bytes that are unsent or unacknowledged; nothing for a listening socket.
    pub(crate) unsent: u32,
    /// Its inode: the same that /proc/PID/fd shows; 0 for a connection that is not accepted yet.
    pub(crate) inode: u64,
    /// The history of the connection; only sock_diag shows it.
    pub(crate) info: Option<tcp_info::TcpInfo>,
}

impl Socket {
    /// The connection that it is; `None` for a listening socket and for one that is not a client's.
    pub(crate) fn connection(&self) -> Option<Connection> {
        // The end of the client's data counts as a byte, received and not read.
        let end = match self.state {
            TcpState::Listen | TcpState::SynReceived | TcpState::Other => return None,
            TcpState::CloseWait => 1,
            TcpState::Established | TcpState::Closing => 0,
        };
        if self.local_peer.is_some_and(ours::is_ours) {
            return None;
        }
        let history = self.info.map(|info| {
            let received = info.history.bytes_received.map(|bytes| bytes.saturating_sub(end.into()));
            ConnectionHistory { bytes_received: received, ..info.history }
        });
        let is_sending = self.unsent > 0 || self.info.is_some_and(|info| info.is_sending);
        Some(Connection { closed: self.state == TcpState::Closing, pending: self.unread > end || is_sending, history })
    }
}

/// The connections among these sockets, and the number of connections in the accept queues.
pub(crate) fn connections(sockets: &[Socket]) -> (Vec<Connection>, u32) {
    let listeners = sockets.iter().filter(|socket| socket.state == TcpState::Listen);
    let queue = listeners.fold(0u32, |queue, socket| queue.saturating_add(socket.unread));
    (sockets.iter().filter_map(Socket::connection).collect(), queue)
}

/// Counts connections for a drain.
pub(crate) fn count(sockets: &[Socket], drain: &Drain) -> ConnectionCounts {
    let mut counts = ConnectionCounts { busy: Some(0), ..ConnectionCounts::default() };
    for socket in sockets {
        match socket.connection() {
            Some(connection) => counts.add(&connection, drain.is_multiplexed(socket.port)),
            None if socket.state == TcpState::Listen => counts.queue = counts.queue.saturating_add(socket.unread),
            None => {}
        }
    }
    counts
}
