//! Networks as people write them: `10.0.0.0/8`, `fd00::/8`, or a single address. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address is one of it. An IPv4 address that came through an IPv6 socket (`::ffff:10.0.0.1`) is
    /// an IPv4 address.
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

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let refused = || format!("{text:?} is not a network like \"10.0.0.0/8\", nor an address");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        if address != address.to_canonical() {
            return Err(format!(
                "{text:?} is an IPv4 address in IPv6's clothes; it is compared as {}",
                address.to_canonical()
            ));
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(refused)?,
        };
        let network = Network { address, prefix };
        let rest = bits(address).checked_shl(u32::from(prefix)).unwrap_or(0);
        let rest = if address.is_ipv4() { rest >> 96 << 96 } else { rest };
        if rest != 0 {
            // As Kubernetes refuses it in a NetworkPolicy: nobody knows which of the two was meant.
            return Err(format!("{text:?} has bits set beyond its prefix; is it one address, or the network?"));
        }
        Ok(network)
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
    fn an_address_is_of_the_network_whose_bits_it_begins_with() {
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
    fn an_ipv4_address_through_an_ipv6_socket_is_an_ipv4_address() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("::/0", "::ffff:10.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
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
    }
}
