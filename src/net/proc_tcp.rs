//! /proc/net/tcp and /proc/net/tcp6: one line a socket (Documentation/networking/proc_net_tcp.rst). It is
//! used if netlink is forbidden, and does not show the history of a connection. A line that is not a socket is skipped.

use super::{Socket, TcpState};

/// The sockets of one file.
pub(crate) fn parse(text: &[u8]) -> impl Iterator<Item = Socket> {
    text.split(|byte| *byte == b'\n').filter_map(|line| line_of(std::str::from_utf8(line).ok()?))
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...`
fn line_of(line: &str) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace();
    let local = words.nth(1)?;
    let (address, port) = local.rsplit_once(':')?;
    let remote = words.next()?;
    let (peer_address, peer_port) = remote.rsplit_once(':')?;
    let state = words.next()?;
    let (unsent, unread) = words.next()?.split_once(':')?;
    Some(Socket {
        state: TcpState::from_number(u8::from_str_radix(state, 16).ok()?),
        port: u16::from_str_radix(port, 16).ok()?,
        local_peer: if address == peer_address { u16::from_str_radix(peer_port, 16).ok() } else { None },
        peer: remote.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into())),
        unread: u32::from_str_radix(unread, 16).ok()?,
        unsent: u32::from_str_radix(unsent, 16).ok()?,
        inode: words.nth(4)?.parse().ok()?,
        info: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 21433 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:A2C4 01 00000010:000000FF 00:00000000 00000000    33        0 21500 1 0000000000000000 20 4 30 10 -1
";
    const REAL6: &str = "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 999 1 0000000000000000 100 0 0 10 0\n";

    #[test]
    fn a_listening_socket_shows_its_accept_queue_and_a_connection_its_bytes() {
        let sockets: Vec<Socket> = parse(REAL.as_bytes()).collect();
        let [listener, connection] = sockets[..] else { panic!("{sockets:?}") };
        assert_eq!((listener.state, listener.port, listener.unread), (TcpState::Listen, 8080, 3));
        assert_eq!((listener.inode, connection.inode), (21433, 21500));
        assert_eq!(connection.local_peer, Some(0xA2C4));
        assert_eq!((connection.state, connection.unsent, connection.unread), (TcpState::Established, 16, 255));
    }

    #[test]
    fn ipv6_is_read_as_well() {
        let sockets: Vec<Socket> = parse(REAL6.as_bytes()).collect();
        assert_eq!(sockets.iter().map(|socket| (socket.port, socket.inode)).collect::<Vec<_>>(), [(80, 999)]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..600usize) {
            assert!(parse(&bytes).count() <= bytes.len());
            let mut broken = REAL.as_bytes().to_vec();
            let at = at.min(broken.len());
            broken.splice(at..at, bytes);
            parse(&broken).for_each(drop);
            parse(&broken[..at]).for_each(drop);
        }
    }
}
