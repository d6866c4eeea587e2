//! Which connection ends when a listener has no place for another one. Pure: connections are numbers, peers are
//! addresses.
//!
//! | state       | ends for a new connection                                                                |
//! | ----------- | ---------------------------------------------------------------------------------------- |
//! | `Reading`   | the oldest of the address that has the most of them, at once                             |
//! | `Answering` | likewise, but only when these alone take more than their share: clients that do not read |
//! | `Waiting`   | never; for another waiting one, the newest of the address that has more of them          |
//!
//! So a flood ends its own connections, and no new one waits for a place. A kubelet sends its request in the packet after
//! the handshake: it is read before its place is taken, even if the flood comes from the same address (a node's, behind
//! which other clients may be), because all places are used once between two evictions of one connection's neighbours.

use std::net::{IpAddr, Ipv6Addr};

use litemap::LiteMap;

/// The connections of a listener, each with a value whose drop ends it.
#[derive(Debug)]
pub(super) struct ConnectionTable<T> {
    limit: ConnectionLimit,
    /// By number: the oldest first.
    connections: LiteMap<u64, ConnectionSlot<T>>,
    last: u64,
}

/// The number of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionLimit {
    /// For connections whose request is read or whose response is written.
    pub(super) busy: usize,
    /// For hooks, and for subscribers of events.
    pub(super) waiting: usize,
}

impl ConnectionLimit {
    /// A kubelet, load balancers and Prometheus need a handful. If descriptors are scarce there are fewer places, so that
    /// handlers always find theirs.
    pub(super) fn of_descriptors(limit: u64) -> ConnectionLimit {
        let share = usize::try_from(limit.saturating_sub(RESERVED_DESCRIPTORS) / 4).unwrap_or(usize::MAX);
        ConnectionLimit { busy: share.clamp(LEAST, 128), waiting: (share / 2).clamp(LEAST, 64) }
    }
}

/// There are as many waiting connections as places, and no address holds more of them than the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyWaiting;

#[derive(Debug)]
struct ConnectionSlot<T> {
    peer: IpAddr,
    state: ConnectionState,
    end: T,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    /// Its request is not complete.
    Reading,
    /// Its response is made or written.
    Answering,
    /// It is a hook or a subscriber of events.
    Waiting,
}

impl<T> ConnectionTable<T> {
    pub(super) fn new(limit: ConnectionLimit) -> ConnectionTable<T> {
        ConnectionTable { limit, connections: LiteMap::new(), last: 0 }
    }

    /// Takes a connection in. Returns its number, and the connection that has to end for it.
    pub(super) fn enter(&mut self, peer: IpAddr, end: T) -> (u64, Option<T>) {
        self.last += 1;
        let slot = ConnectionSlot { peer: network_of(peer), state: ConnectionState::Reading, end };
        self.connections.insert(self.last, slot);
        let is_full = self.count(ConnectionState::Reading) + self.count(ConnectionState::Answering) > self.limit.busy;
        (self.last, if is_full { self.evict() } else { None })
    }

    /// The request of a connection is complete.
    pub(super) fn answer(&mut self, id: u64) {
        if let Some(slot) = self.connections.get_mut(&id) {
            slot.state = ConnectionState::Answering;
        }
    }

    /// Moves a connection to the places of those that wait. Returns the connection that has to end for it.
    pub(super) fn wait(&mut self, id: u64) -> Result<Option<T>, TooManyWaiting> {
        const WAITING: ConnectionState = ConnectionState::Waiting;
        let slot = self.connections.get(&id).ok_or(TooManyWaiting)?;
        if slot.state == WAITING {
            return Ok(None);
        }
        let (peer, mut evicted) = (slot.peer, None);
        if self.count(WAITING) >= self.limit.waiting {
            let (other, most) = self.peer_with_most(WAITING).ok_or(TooManyWaiting)?;
            let own = self.connections.values().filter(|slot| slot.state == WAITING && slot.peer == peer).count();
            if own + 1 >= most {
                return Err(TooManyWaiting);
            }
            let newest = self.connections.iter().rev().find(|(_, slot)| slot.state == WAITING && slot.peer == other);
            let newest = newest.map(|(id, _)| *id);
            evicted = newest.and_then(|id| self.leave(id));
        }
        if let Some(slot) = self.connections.get_mut(&id) {
            slot.state = WAITING;
        }
        Ok(evicted)
    }

    /// Takes a connection out.
    pub(super) fn leave(&mut self, id: u64) -> Option<T> {
        self.connections.remove(&id).map(|slot| slot.end)
    }

    /// Takes out the connection that has to end for a new one, or for a descriptor.
    pub(super) fn evict(&mut self) -> Option<T> {
        let share = self.limit.busy * 3 / 4;
        let (reading, answering) = (self.count(ConnectionState::Reading), self.count(ConnectionState::Answering));
        let state =
            if answering > share || reading == 0 { ConnectionState::Answering } else { ConnectionState::Reading };
        self.evict_one_of(state)
    }

    /// Takes out a connection whose client does not read its answer, or reads it slowly.
    pub(super) fn evict_answering(&mut self) -> Option<T> {
        self.evict_one_of(ConnectionState::Answering)
    }

    /// The oldest of the peer that has the most of them.
    fn evict_one_of(&mut self, state: ConnectionState) -> Option<T> {
        let (peer, _) = self.peer_with_most(state)?;
        let oldest = self.connections.iter().find(|(_, slot)| slot.state == state && slot.peer == peer);
        let oldest = oldest.map(|(id, _)| *id);
        self.leave(oldest?)
    }

    fn count(&self, state: ConnectionState) -> usize {
        self.connections.values().filter(|slot| slot.state == state).count()
    }

    /// The peer with the most connections in this state; of several, the one whose oldest connection is the oldest.
    fn peer_with_most(&self, state: ConnectionState) -> Option<(IpAddr, usize)> {
        // In the order of each peer's oldest connection.
        let mut counts: Vec<(IpAddr, usize)> = Vec::new();
        for slot in self.connections.values().filter(|slot| slot.state == state) {
            match counts.iter_mut().find(|(peer, _)| *peer == slot.peer) {
                Some((_, count)) => *count += 1,
                None => counts.push((slot.peer, 1)),
            }
        }
        // Of equal elements `max_by_key` returns the last.
        counts.into_iter().rev().max_by_key(|(_, count)| *count)
    }
}

/// The network that counts as one peer: an IPv4 address, or an IPv6 network of the size that one host gets.
pub(super) fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
    }
}

/// For signals, the log, handlers' pipes and timers, which must work whatever clients do.
const RESERVED_DESCRIPTORS: u64 = 64;
const LEAST: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn table(busy: usize, waiting: usize) -> ConnectionTable<&'static str> {
        ConnectionTable::new(ConnectionLimit { busy, waiting })
    }

    #[test]
    fn a_flood_evicts_its_own_connections_only() {
        let mut table = table(4, 4);
        table.enter(peer(1), "kubelet");
        for n in 0..100 {
            let (_, evicted) = table.enter(peer(2), "flood");
            assert_eq!(evicted, (n >= 3).then_some("flood"));
        }
        let (_, evicted) = table.enter(peer(1), "kubelet's second");
        assert_eq!(evicted, Some("flood"), "a new connection of another address finds a place as well");
        assert_eq!(table.connections.len(), 4);
    }

    #[test]
    fn unread_answers_end_for_another_answer_and_nothing_else_does() {
        let mut table = table(8, 4);
        table.enter(peer(1), "reading");
        for (peer, name) in [(peer(2), "kubelet"), (peer(3), "first"), (peer(3), "second")] {
            let (id, _) = table.enter(peer, name);
            table.answer(id);
        }
        assert_eq!(table.evict_answering(), Some("first"));
        assert_eq!([table.evict_answering(), table.evict_answering()], [Some("kubelet"), Some("second")]);
        assert_eq!(table.evict_answering(), None);
    }

    #[test]
    fn the_oldest_connection_of_an_address_is_evicted_first() {
        let mut table = table(2, 2);
        table.enter(peer(1), "first");
        table.enter(peer(1), "second");
        assert_eq!(table.enter(peer(1), "third").1, Some("first"));
        assert_eq!(table.enter(peer(2), "fourth").1, Some("second"));
        assert_eq!(table.enter(peer(3), "fifth").1, Some("third"), "of equal addresses the oldest connection");
    }

    #[test]
    fn a_connection_stays_until_all_places_were_used_once() {
        let mut table = table(128, 64);
        table.enter(peer(1), "kubelet");
        for _ in 0..127 {
            assert_eq!(table.enter(peer(1), "flood").1, None);
        }
        assert_eq!(table.enter(peer(1), "flood").1, Some("kubelet"));
    }

    #[test]
    fn a_complete_request_is_answered_however_many_come_after_it() {
        let mut table = table(8, 4);
        let (kubelet, _) = table.enter(peer(1), "kubelet");
        table.answer(kubelet);
        for _ in 0..1000 {
            assert_ne!(table.enter(peer(1), "flood").1, Some("kubelet"));
        }
    }

    #[test]
    fn clients_that_do_not_read_have_a_share_of_the_places() {
        let mut table = table(8, 4);
        let mut evicted = Vec::new();
        for _ in 0..100 {
            let (id, ended) = table.enter(peer(2), "slow");
            table.answer(id);
            evicted.extend(ended);
        }
        assert_eq!(evicted.len(), 92);
        let (kubelet, ended) = table.enter(peer(1), "kubelet");
        assert_eq!(ended, Some("slow"));
        table.answer(kubelet);
        for _ in 0..100 {
            let (id, ended) = table.enter(peer(2), "slow");
            table.answer(id);
            assert_eq!(ended, Some("slow"));
        }
    }

    #[test]
    fn waiting_hooks_are_kept_and_shared_out_by_address() {
        let mut table = table(1, 2);
        for end in ["a", "b"] {
            let (id, _) = table.enter(peer(1), end);
            assert_eq!(table.wait(id), Ok(None));
        }
        let (same, evicted) = table.enter(peer(1), "c");
        assert_eq!((evicted, table.wait(same)), (None, Err(TooManyWaiting)));
        let (other, evicted) = table.enter(peer(2), "kubelet");
        assert_eq!((evicted, table.wait(other)), (Some("c"), Ok(Some("b"))));
    }

    #[test]
    fn scarce_descriptors_leave_some_for_handlers() {
        assert_eq!(ConnectionLimit::of_descriptors(1024), ConnectionLimit { busy: 128, waiting: 64 });
        assert_eq!(ConnectionLimit::of_descriptors(256), ConnectionLimit { busy: 48, waiting: 24 });
        assert_eq!(ConnectionLimit::of_descriptors(20), ConnectionLimit { busy: 8, waiting: 8 });
        assert_eq!(ConnectionLimit::of_descriptors(u64::MAX), ConnectionLimit { busy: 128, waiting: 64 });
    }

    #[test]
    fn an_ipv6_network_counts_as_one_peer() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), peer(1));
    }

    proptest! {
        #[test]
        fn a_new_connection_always_finds_a_place_within_the_limit(
            steps in prop::collection::vec((0u8..5, 0u8..5), 0..200)
        ) {
            let mut table = ConnectionTable::new(ConnectionLimit { busy: 5, waiting: 3 });
            let mut ids = Vec::new();
            for (step, who) in steps {
                match step {
                    0 | 1 => ids.push(table.enter(peer(who), ()).0),
                    2 => drop(ids.get(usize::from(who)).map(|id| table.wait(*id))),
                    3 => drop(ids.last().map(|id| table.answer(*id))),
                    _ => drop(ids.get(usize::from(who)).and_then(|id| table.leave(*id))),
                }
                if matches!(step, 0 | 1) {
                    prop_assert!(table.connections.get(ids.last().unwrap()).is_some(), "the new one is never evicted");
                }
                let busy = table.count(ConnectionState::Reading) + table.count(ConnectionState::Answering);
                prop_assert!(busy <= 5);
                prop_assert!(table.count(ConnectionState::Waiting) <= 3);
            }
        }
    }
}
