//! The UDP datagrams that arrived in this network namespace, for a drain that counts them: /proc/net/snmp and snmp6. Any
//! bytes are accepted.

use std::path::Path;

use crate::files::read_small;

/// The number so far, over IPv4 and IPv6. `None`: the kernel does not show it.
pub(crate) fn datagrams() -> Option<u64> {
    let read = |path| read_small(Path::new(path), MAX_BYTES).ok();
    let v4 = super::snmp::column(&read("/proc/net/snmp")?, b"Udp:", b"InDatagrams")?;
    // A kernel without IPv6 has no such file.
    let v6 = read("/proc/net/snmp6").and_then(|text| of_v6(&text)).unwrap_or(0);
    Some(v4.saturating_add(v6))
}

/// `Udp6InDatagrams    77`
fn of_v6(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Udp6InDatagrams")?.trim().parse().ok())
}

const MAX_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_ipv6_is_found_by_name() {
        let text = b"Ip6InReceives \t 5\nUdp6InDatagrams                 \t77\nUdp6NoPorts  1\n";
        assert_eq!(of_v6(text), Some(77));
        assert_eq!(of_v6(b"\xff"), None);
    }

    #[test]
    fn a_datagram_that_arrives_here_is_counted() {
        let before = datagrams().expect("this kernel shows them");
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").expect("it binds");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("it binds");
        sender.send_to(b"x", receiver.local_addr().expect("it has one")).expect("it is sent");
        receiver.recv(&mut [0; 8]).expect("it arrives");
        assert!(datagrams().expect("still") > before);
    }
}
