//! Networks as people write them: `10.0.0.0/8`, `fd00::/8`, or a single address. Depends on nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address belongs to it. An IPv4 address that came through an IPv6 socket (`::ffff:10.0.0.1`) counts
    /// as an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && (bits(address) ^ bits(self.address)).leading_zeros() >= u32::from(self.prefix)
    }
}

/// The address at the upper end of 128 bits, so that both kinds are compared alike.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor an address with the length of a prefix.
    #[error("{0:?} is not a network like \"10.0.0.0/8\", nor an address")]
    Syntax(String),
    /// `::ffff:10.0.0.1`, which is compared as an IPv4 address.
    #[error("{0:?} is an IPv4-mapped IPv6 address; write {1}")]
    Mapped(String, IpAddr),
    /// `10.0.0.1/8`, which Kubernetes refuses in a NetworkPolicy as well: it is ambiguous.
    #[error("{0:?} has bits set after the prefix; write one address without /, or the network {1}")]
    Ambiguous(String, Network),
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let syntax = || NetworkError::Syntax(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        if address != address.to_canonical() {
            return Err(NetworkError::Mapped(text.to_owned(), address.to_canonical()));
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(syntax)?,
        };
        let network = Network { address: first_address(address, prefix), prefix };
        if network.address != address {
            return Err(NetworkError::Ambiguous(text.to_owned(), network));
        }
        Ok(network)
    }
}

/// The first address of the network that an address belongs to.
fn first_address(address: IpAddr, prefix: u8) -> IpAddr {
    let mask = |width: u32| u128::MAX.checked_shl(width.saturating_sub(u32::from(prefix))).unwrap_or(0);
    match address {
        IpAddr::V4(address) => {
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & u32::try_from(mask(32) & 0xffff_ffff).unwrap_or(0)))
        }
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask(128))),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_belongs_to_the_network_with_its_first_bits() {
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.168.1.7", "192.168.1.7"));
        assert!(!contains("192.168.1.7", "192.168.1.6"));
        assert!(contains("0.0.0.0/0", "203.0.113.1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("fd00::/8", "fd12::1"));
        assert!(!contains("fd00::/8", "fe80::1"));
    }

    #[test]
    fn an_ipv4_mapped_address_counts_as_ipv4() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("::/0", "::ffff:10.1.2.3"));
    }

    #[test]
    fn a_text_that_is_not_a_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "::/129",
            "::1/64",
            "node",
            "::ffff:1.2.3.4/128",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let ambiguous = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(ambiguous.ends_with("or the network 10.0.0.0/8"), "{ambiguous}");
    }
}
