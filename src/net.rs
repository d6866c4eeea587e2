//! The connections of this network namespace, as the kernel shows them. The parsers are pure and accept any bytes; one
//! file (`tcp_monitor`) reads. Nothing here decides what a number means for a stop.
//!
//! | file        | source                          | tells                                                     |
//! | ----------- | ------------------------------- | --------------------------------------------------------- |
//! | `snmp`      | /proc/net/snmp                  | connections accepted and resets sent, by the whole namespace |
//! | `sock_diag` | netlink (sock_diag(7))          | every connection of a port, with `tcp_info`               |
//! | `proc_tcp`  | /proc/net/tcp, /proc/net/tcp6   | the same without `tcp_info`, where netlink is forbidden   |
//! | `tcp_info`  | part of a sock_diag message     | whether a connection is busy                              |
//! | `udp`       | /proc/net/snmp, snmp6           | datagrams that arrived, by the whole namespace            |
//! | `ports`     | /proc/PID/fd                    | the ports a process and its descendants listen on         |

pub(crate) mod accepted;
pub(crate) mod ports;
pub(crate) mod proc_tcp;
pub(crate) mod snmp;
pub(crate) mod sock_diag;
pub(crate) mod tcp_info;
pub(crate) mod tcp_monitor;
pub(crate) mod udp;

use bookend_lifecycle::drain::ConnectionCounts;

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
    /// Whether one side still waits for the other on this connection. `None`: the source does not show it.
    pub(crate) fn is_busy(&self, tie: tcp_info::TieBreak) -> Option<bool> {
        if self.unread > 0 || self.unsent > 0 {
            return Some(true);
        }
        // We have closed it and everything is sent: only the client's FIN is still to come.
        if self.state == TcpState::Closing {
            return Some(false);
        }
        self.info.map(|info| info.is_busy(tie))
    }
}

/// Counts connections by state.
pub(crate) fn count<'a>(sockets: impl IntoIterator<Item = &'a Socket>, tie: tcp_info::TieBreak) -> ConnectionCounts {
    let mut counts = ConnectionCounts { busy: Some(0), ..ConnectionCounts::default() };
    for socket in sockets {
        match socket.state {
            TcpState::Listen => counts.queue = counts.queue.saturating_add(socket.unread),
            TcpState::SynReceived | TcpState::Other => continue,
            TcpState::Established | TcpState::CloseWait => counts.connections += 1,
            TcpState::Closing => {}
        }
        if socket.state != TcpState::Listen {
            let busy = socket.is_busy(tie);
            counts.busy = counts.busy.zip(busy).map(|(count, busy)| count + u32::from(busy));
        }
    }
    counts
}
