//! How many TLS handshakes an address may begin. A handshake costs the server a signature, the client nothing: without a
//! limit one client could keep the processor busy. Pure.
//!
//! Each address has its own rate, with a burst: a kubelet's few handshakes never wait, and never for those of others.

use std::net::IpAddr;
use std::time::Duration;

use super::connection_table::network_of;
use bookend_lifecycle::Time;

/// The next free time of each address that is not idle (the generic cell rate algorithm).
#[derive(Debug, Default)]
pub(super) struct HandshakeRate {
    /// The time at which the address will have used up nothing of its burst.
    idle_at: Vec<(IpAddr, Time)>,
}

impl HandshakeRate {
    /// When a handshake of this peer may begin: now, or later. `None`: so many wait already that it is refused.
    pub(super) fn begin(&mut self, now: Time, peer: IpAddr) -> Option<Time> {
        let peer = network_of(peer);
        self.idle_at.retain(|(_, idle_at)| *idle_at > now);
        let index = self.idle_at.iter().position(|(known, _)| *known == peer);
        let idle_at = index.and_then(|index| self.idle_at.get(index)).map_or(now, |(_, idle_at)| *idle_at);
        let begin = idle_at.saturating_sub(INTERVAL * (BURST - 1)).max(now);
        if begin > now + LONGEST_WAIT {
            return None;
        }
        match index.and_then(|index| self.idle_at.get_mut(index)) {
            Some((_, at)) => *at = idle_at + INTERVAL,
            None => {
                if self.idle_at.len() >= MOST_ADDRESSES {
                    // An address that is almost idle loses least.
                    let least = self.idle_at.iter().enumerate().min_by_key(|(_, (_, at))| *at).map(|(index, _)| index);
                    least.map(|index| self.idle_at.swap_remove(index));
                }
                self.idle_at.push((peer, idle_at + INTERVAL));
            }
        }
        Some(begin)
    }
}

/// A handshake takes about a tenth of this on one processor.
const INTERVAL: Duration = Duration::from_millis(20);
/// So many may begin at once.
const BURST: u32 = 20;
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const MOST_ADDRESSES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_burst_begins_at_once_and_the_rest_at_the_rate() {
        let mut rate = HandshakeRate::default();
        for _ in 0..BURST {
            assert_eq!(rate.begin(at(1000), peer(1)), Some(at(1000)));
        }
        assert_eq!(rate.begin(at(1000), peer(1)), Some(at(1020)));
        assert_eq!(rate.begin(at(1001), peer(1)), Some(at(1040)));
        assert_eq!(rate.begin(at(60_000), peer(1)), Some(at(60_000)), "an idle address has its burst again");
    }

    #[test]
    fn a_flood_is_refused_and_another_address_is_not_delayed() {
        let mut rate = HandshakeRate::default();
        let begun = (0..10_000).filter(|n| rate.begin(at(n / 10), peer(1)).is_some()).count();
        assert!((120..200).contains(&begun), "{begun} in one second and the two that may wait");
        assert_eq!(rate.begin(at(1000), peer(2)), Some(at(1000)));
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let mut rate = HandshakeRate::default();
        for n in 0..10_000_u32 {
            assert!(rate.begin(at(0), IpAddr::from(n.to_be_bytes())).is_some());
        }
        assert_eq!(rate.idle_at.len(), MOST_ADDRESSES);
    }
}
