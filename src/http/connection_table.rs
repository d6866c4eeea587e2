//! Who may stay when there is no room for all. Pure: connections are numbers, peers are addresses.
//!
//! A connection that has not finished its request is cheap to lose, so there is soon room for a new one: the
//! address with the most of them loses its oldest. A flood evicts its own. A kubelet sends its request in the
//! packet after the handshake, and is out of this table before its place can be taken, even where the flood comes
//! from the same address (a node's, behind which others may stand): nobody is sent away in the first moments.
//!
//! A hook waits as long as its handlers run and is not lost for a newcomer of the same address; where another
//! address holds more of them, that one loses its newest.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bookend_lifecycle::Time;
use bookend_lifecycle::small_map::SmallMap;

/// Connections that are there, each with what ends it when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionTable<T> {
    limit: ConnectionLimit,
    connections: SmallMap<u64, ConnectionSlot<T>>,
    next: u64,
}

/// How many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionLimit {
    /// Connections whose request is read or whose answer is written.
    pub(super) busy: usize,
    /// Hooks, and followers of events, that wait.
    pub(super) waiting: usize,
}

impl ConnectionLimit {
    /// For a kubelet, load balancers and Prometheus a handful would do; less where descriptors are scarce, so that
    /// handlers always find theirs.
    pub(super) fn of_descriptors(limit: u64) -> ConnectionLimit {
        let share = usize::try_from(limit.saturating_sub(RESERVED_DESCRIPTORS) / 4).unwrap_or(usize::MAX);
        ConnectionLimit { busy: share.clamp(LEAST, 128), waiting: (share / 2).clamp(LEAST, 64) }
    }
}

#[derive(Debug)]
struct ConnectionSlot<T> {
    peer: IpAddr,
    since: Time,
    waits: bool,
    end: T,
}

impl<T> ConnectionTable<T> {
    pub(super) fn new(limit: ConnectionLimit) -> ConnectionTable<T> {
        ConnectionTable { limit, connections: SmallMap::new(), next: 0 }
    }

    /// Makes room for one more: who has to go, if anybody. `Err`: nobody may be sent away before that time.
    pub(super) fn make_room(&mut self, now: Time) -> Result<Option<T>, Time> {
        if self.count(|place| !place.waits) < self.limit.busy {
            return Ok(None);
        }
        let Some(oldest) = self.oldest_of_the_most() else { return Ok(None) };
        let since = self.connections.get(&oldest).map_or(now, |place| place.since);
        if now < since + YOUNG { Err(since + YOUNG) } else { Ok(self.leave(oldest)) }
    }

    /// Lets a connection in, and says its number.
    pub(super) fn enter(&mut self, now: Time, peer: IpAddr, end: T) -> u64 {
        self.next += 1;
        self.connections.insert(self.next, ConnectionSlot { peer: neighbourhood(peer), since: now, waits: false, end });
        self.next
    }

    /// Its request is a hook's: from now on it waits. `Err`: there is no room to wait in.
    pub(super) fn wait(&mut self, id: u64) -> Result<Option<T>, ()> {
        let place = self.connections.get(&id).ok_or(())?;
        if place.waits {
            return Ok(None);
        }
        let (peer, mut gone) = (place.peer, None);
        if self.count(|place| place.waits) >= self.limit.waiting {
            let (limit, count) = self.peer_with_most(true).ok_or(())?;
            if self.count(|place| place.waits && place.peer == peer) + 1 >= count {
                return Err(());
            }
            let newest = self.connections.iter().rev().find(|(_, place)| place.waits && place.peer == limit);
            let newest = newest.map(|(id, _)| *id);
            gone = newest.and_then(|id| self.leave(id));
        }
        if let Some(place) = self.connections.get_mut(&id) {
            place.waits = true;
        }
        Ok(gone)
    }

    /// It is over.
    pub(super) fn leave(&mut self, id: u64) -> Option<T> {
        self.connections.remove(&id).map(|place| place.end)
    }

    /// Descriptors have run out: somebody has to go, however young.
    pub(super) fn give_up_one(&mut self) -> Option<T> {
        let oldest = self.oldest_of_the_most()?;
        self.leave(oldest)
    }

    fn count(&self, which: impl Fn(&ConnectionSlot<T>) -> bool) -> usize {
        self.connections.values().filter(|place| which(place)).count()
    }

    fn oldest_of_the_most(&self) -> Option<u64> {
        let (peer, _) = self.peer_with_most(false)?;
        self.connections.iter().find(|(_, place)| !place.waits && place.peer == peer).map(|(id, _)| *id)
    }

    fn peer_with_most(&self, waits: bool) -> Option<(IpAddr, usize)> {
        let mut counts: SmallMap<IpAddr, usize> = SmallMap::new();
        for place in self.connections.values().filter(|place| place.waits == waits) {
            *counts.or_insert(place.peer, 0) += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count)
    }
}

/// One peer: an IPv4 address, or an IPv6 network of the size that one host gets.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
    }
}

/// Signals, the log, handlers' pipes, timers: what must be had whoever calls.
const RESERVED_DESCRIPTORS: u64 = 64;
const LEAST: usize = 8;
/// So long a connection may take to say what it wants, however many others want to be let in.
const YOUNG: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn connections(busy: usize, waiting: usize) -> ConnectionTable<&'static str> {
        ConnectionTable::new(ConnectionLimit { busy, waiting })
    }

    /// Enters as the accept loop does it; `None`: it has to wait.
    fn enter(
        connections: &mut ConnectionTable<&'static str>,
        at: u64,
        peer: IpAddr,
        end: &'static str,
    ) -> Option<(u64, Option<&'static str>)> {
        let now = Time::from_millis(at);
        let gone = connections.make_room(now).ok()?;
        Some((connections.enter(now, peer, end), gone))
    }

    #[test]
    fn a_flood_evicts_its_own_and_nobody_else() {
        let mut connections = connections(4, 4);
        enter(&mut connections, 0, peer(1), "kubelet");
        for n in 0..100 {
            let entered = enter(&mut connections, n * 1000, peer(2), "flood");
            assert_ne!(entered.unwrap().1, Some("kubelet"));
        }
        assert_eq!(connections.connections.len(), 4);
    }

    #[test]
    fn of_one_address_the_oldest_goes_but_not_in_its_first_moments() {
        let mut connections = connections(2, 2);
        enter(&mut connections, 0, peer(1), "first");
        enter(&mut connections, 100, peer(1), "second");
        assert_eq!(enter(&mut connections, 199, peer(1), "third"), None);
        assert_eq!(connections.make_room(Time::from_millis(199)), Err(Time::from_millis(200)));
        assert_eq!(enter(&mut connections, 200, peer(1), "third").unwrap().1, Some("first"));
    }

    #[test]
    fn a_waiting_hook_is_not_evicted_by_requests_and_hooks_are_shared_out_by_address() {
        let mut connections = connections(1, 2);
        for end in ["a", "b"] {
            let (id, _) = enter(&mut connections, 0, peer(1), end).unwrap();
            assert_eq!(connections.wait(id), Ok(None));
        }
        let (same, gone) = enter(&mut connections, 0, peer(1), "c").unwrap();
        assert_eq!(gone, None);
        assert_eq!(connections.wait(same), Err(()));
        let (other, gone) = enter(&mut connections, 1000, peer(2), "kubelet").unwrap();
        assert_eq!((gone, connections.wait(other)), (Some("c"), Ok(Some("b"))));
    }

    #[test]
    fn scarce_descriptors_leave_some_for_handlers() {
        assert_eq!(ConnectionLimit::of_descriptors(1024), ConnectionLimit { busy: 128, waiting: 64 });
        assert_eq!(ConnectionLimit::of_descriptors(256), ConnectionLimit { busy: 48, waiting: 24 });
        assert_eq!(ConnectionLimit::of_descriptors(20), ConnectionLimit { busy: 8, waiting: 8 });
        assert_eq!(ConnectionLimit::of_descriptors(u64::MAX), ConnectionLimit { busy: 128, waiting: 64 });
    }

    #[test]
    fn an_ipv6_host_has_many_addresses_and_counts_once() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), peer(1));
    }

    proptest! {
        #[test]
        fn there_is_always_room_and_never_more_than_said(steps in prop::collection::vec((0u8..4, 0u8..5), 0..200)) {
            let mut connections = ConnectionTable::new(ConnectionLimit { busy: 5, waiting: 3 });
            let mut ids = Vec::new();
            for (at, (step, who)) in steps.into_iter().enumerate() {
                let now = Time::from_secs(at as u64);
                match step {
                    0 | 1 => {
                        prop_assert!(connections.make_room(now).is_ok());
                        ids.push(connections.enter(now, peer(who), ()));
                    }
                    2 => drop(ids.get(usize::from(who)).map(|id| connections.wait(*id))),
                    _ => drop(ids.get(usize::from(who)).and_then(|id| connections.leave(*id))),
                }
                prop_assert!(connections.count(|place| !place.waits) <= 5);
                prop_assert!(connections.count(|place| place.waits) <= 3);
            }
        }
    }
}
