//! New connections by looking at the sockets of some ports again and again, where the namespace's counter is that of a whole
//! node. A connection that the app closes first stays visible for a minute. One that its client closes first is missed if it
//! begins and ends between two looks. Pure.

use std::collections::HashSet;

use super::{Socket, TcpState, ours};

/// The connections of the last look, and the number of new ones so far.
#[derive(Debug, Default)]
pub(crate) struct Newcomers {
    present: HashSet<u64>,
    arrived: u64,
}

impl Newcomers {
    /// Takes one look, and returns the number of connections seen so far.
    pub(crate) fn count(&mut self, sockets: &[Socket]) -> u64 {
        let is_client = |socket: &&Socket| {
            !matches!(socket.state, TcpState::Listen | TcpState::SynReceived)
                && !socket.local_peer.is_some_and(ours::is_ours)
        };
        let now: HashSet<u64> = sockets.iter().filter(is_client).map(|socket| socket.peer).collect();
        self.arrived += now.iter().map(|peer| u64::from(!self.present.contains(peer))).sum::<u64>();
        self.present = now;
        self.arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_new_once() {
        let socket = |peer, state| Socket {
            state,
            port: 80,
            local_peer: None,
            peer,
            unread: 0,
            unsent: 0,
            inode: 0,
            info: None,
        };
        let open = |peer| socket(peer, TcpState::Established);
        let mut newcomers = Newcomers::default();
        assert_eq!(newcomers.count(&[open(1), open(2), socket(9, TcpState::Listen)]), 2);
        assert_eq!(newcomers.count(&[open(2), open(3)]), 3);
        assert_eq!(newcomers.count(&[socket(3, TcpState::Other)]), 3, "it has ended");
        assert_eq!(newcomers.count(&[socket(4, TcpState::Other)]), 4, "it began and ended since");
    }
}
