//! /proc/net/snmp: a line of names and a line of numbers for each protocol. The counters are those of the network
//! namespace. Any bytes are accepted.

/// The counters of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpCounters {
    /// Connections that came in and finished their handshake.
    pub(crate) passive_opens: u64,
    /// Resets sent, for whatever reason.
    pub(crate) resets_sent: u64,
}

/// Reads the TCP counters; `None` if the text does not contain them.
pub(crate) fn parse(text: &[u8]) -> Option<TcpCounters> {
    let tcp = |name: &[u8]| column(text, b"Tcp:", name);
    Some(TcpCounters { passive_opens: tcp(b"PassiveOpens")?, resets_sent: tcp(b"OutRsts").unwrap_or(0) })
}

/// One counter of a protocol.
pub(crate) fn column(text: &[u8], protocol: &[u8], wanted: &[u8]) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(protocol));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = words(names).position(|name| name == wanted)?;
    std::str::from_utf8(words(values).nth(at)?).ok()?.parse().ok()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &str = "\
Ip: Forwarding DefaultTTL InReceives\n\
Ip: 2 64 12\n\
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
Tcp: 1 200 120000 -1 143 77 3 4 12 2371 2229 0 0 9 0\n\
Udp: InDatagrams NoPorts\n\
Udp: 4 4\n";

    #[test]
    fn the_counters_are_found_by_name() {
        assert_eq!(parse(REAL.as_bytes()), Some(TcpCounters { passive_opens: 77, resets_sent: 9 }));
    }

    #[test]
    fn what_gvisor_leaves_out_is_missing_and_no_zero() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"Tcp: RtoAlgorithm\nTcp: 1\n"), None);
        assert_eq!(parse(b"Tcp: PassiveOpens\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..400usize) {
            let _ = parse(&bytes);
            let mut broken = REAL.as_bytes().to_vec();
            let at = at.min(broken.len());
            broken.splice(at..at, bytes);
            let _ = parse(&broken);
            let _ = parse(&broken[..at]);
        }
    }
}
