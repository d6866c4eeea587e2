//! sock_diag(7): the request for all TCP sockets of some ports, and its answer. The kernel filters by port with a
//! small program that we send (`INET_DIAG_REQ_BYTECODE`): it passes a hundred thousand other connections without writing
//! them out. Pure. Any bytes are accepted: a truncated message, or one of another kind, is skipped.

use super::tcp_info::TcpInfo;
use super::{Socket, TcpState};

/// The two lists that can be requested. IPv4 connections of an IPv6 listener are in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpFamily {
    /// AF_INET
    V4,
    /// AF_INET6
    V6,
}

/// The contents of one read of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DumpPart {
    /// The sockets in it.
    pub(crate) sockets: Vec<Socket>,
    /// Whether it was the last part; for an error, its errno.
    pub(crate) end: Option<Result<(), i32>>,
}

/// The sockets that are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketsWanted {
    /// Every state in which one side may still wait for the other, and LISTEN. The kernel walks the node's table of all
    /// connections, which takes a millisecond if the table has 262,144 slots.
    All,
    /// The same, and connections that have ended less than a minute ago.
    AndEnded,
    /// Sockets that listen: the kernel has them in a table of their own, which is small.
    Listening,
}

/// A dump of the sockets whose local port is among these; of all ports if there are none or too many to filter.
pub(crate) fn request(family: IpFamily, which: SocketsWanted, ports: &[u16]) -> Vec<u8> {
    let filter = if ports.len() <= MOST_FILTERED { filter(ports) } else { Vec::new() };
    let attribute = if filter.is_empty() { 0 } else { ATTRIBUTE_HEADER + filter.len() };
    let length = HEADER + REQUEST + attribute;
    let mut out = Vec::with_capacity(length);
    push32(&mut out, length);
    push16(&mut out, SOCK_DIAG_BY_FAMILY);
    push16(&mut out, NLM_F_REQUEST | NLM_F_DUMP);
    // Sequence and port may be 0: the socket serves one request at a time.
    out.extend([0; 8]);
    out.push(match family {
        IpFamily::V4 => AF_INET,
        IpFamily::V6 => AF_INET6,
    });
    out.push(IPPROTO_TCP);
    out.push(1 << (INET_DIAG_INFO - 1));
    out.push(0);
    let states = match which {
        SocketsWanted::All => STATES,
        SocketsWanted::AndEnded => STATES | ENDED,
        SocketsWanted::Listening => LISTEN,
    };
    out.extend(states.to_ne_bytes());
    // The socket's identity: unused in a dump.
    out.resize(HEADER + REQUEST, 0);
    if !filter.is_empty() {
        push16(&mut out, u16::try_from(attribute).unwrap_or_default());
        push16(&mut out, INET_DIAG_REQ_BYTECODE);
        out.extend(filter);
    }
    out
}

/// `port == a || port == b || ...` for the kernel's inet_diag_bc_run. An operation is a code and two relative jumps:
/// `yes` if it holds, `no` if not. A jump to exactly the end accepts the socket, and one four bytes beyond it refuses it.
fn filter(ports: &[u16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ports.len() * BLOCK);
    for (index, port) in ports.iter().enumerate() {
        let left = (ports.len() - index) * BLOCK;
        // The `no` of the last block refuses; that of the others leads to the next block.
        let refuse = if left == BLOCK { 4 } else { 0 };
        let mut operation = |code: u8, yes: u8, no: usize| {
            out.push(code);
            out.push(yes);
            out.extend(u16::try_from(no).unwrap_or_default().to_ne_bytes());
        };
        operation(BC_S_GE, 8, BLOCK + refuse);
        operation(BC_NOP, 0, usize::from(*port));
        operation(BC_S_LE, 8, BLOCK - 8 + refuse);
        operation(BC_NOP, 0, usize::from(*port));
        operation(BC_JMP, 4, left - 16);
    }
    out
}

/// Reads the messages of one recv(2).
pub(crate) fn parse(mut bytes: &[u8]) -> DumpPart {
    let mut part = DumpPart::default();
    while let Some((kind, body, rest)) = message(bytes) {
        match kind {
            NLMSG_DONE => part.end = Some(Ok(())),
            NLMSG_ERROR => part.end = Some(Err(read32(body, 0).map_or(0, |errno| errno.cast_signed().wrapping_neg()))),
            SOCK_DIAG_BY_FAMILY => part.sockets.extend(socket(body)),
            _ => {}
        }
        if part.end.is_some() {
            break;
        }
        bytes = rest;
    }
    part
}

/// The first message: its type, its body, and the bytes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(read32(bytes, 0)?).ok()?;
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
    Some((read16(bytes, 4)?, body, rest))
}

/// `struct inet_diag_msg` and its attributes.
fn socket(body: &[u8]) -> Option<Socket> {
    let attributes = body.get(MESSAGE..)?;
    let (port, peer) = (body.get(4..6)?, body.get(6..8)?);
    let word = |at| read32(body, at).map(u64::from);
    Some(Socket {
        state: TcpState::from_number(*body.get(1)?),
        port: u16::from_be_bytes(port.try_into().ok()?),
        local_peer: (body.get(8..24)? == body.get(24..40)?).then_some(u16::from_be_bytes(peer.try_into().ok()?)),
        peer: (word(24)? << 32 | u64::from(read16(body, 6)?))
            ^ word(28)?.rotate_left(17)
            ^ word(32)?.rotate_left(29)
            ^ word(36)?.rotate_left(43),
        unread: read32(body, 56)?,
        unsent: if *body.get(1)? == TCP_LISTEN { 0 } else { read32(body, 60)? },
        inode: read32(body, 68)?.into(),
        info: attribute(attributes, u16::from(INET_DIAG_INFO)).and_then(TcpInfo::parse),
    })
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(read16(bytes, 0)?);
        let body = bytes.get(ATTRIBUTE_HEADER..length)?;
        if read16(bytes, 2)? == wanted {
            return Some(body);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn read32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn read16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn push32(out: &mut Vec<u8>, number: usize) {
    out.extend(u32::try_from(number).unwrap_or_default().to_ne_bytes());
}

fn push16(out: &mut Vec<u8>, number: u16) {
    out.extend(number.to_ne_bytes());
}

/// More ports than an app has. Beyond that number all sockets are requested and filtered here.
const MOST_FILTERED: usize = 64;
const STATES: u32 = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 8 | 1 << 9 | 1 << 11 | LISTEN;
/// FIN_WAIT2, TIME_WAIT
const ENDED: u32 = 1 << 5 | 1 << 6;
const LISTEN: u32 = 1 << TCP_LISTEN;
/// Bytes of the filter for one port.
const BLOCK: usize = 20;
/// struct nlmsghdr, inet_diag_req_v2, inet_diag_msg, nlattr
const HEADER: usize = 16;
const REQUEST: usize = 56;
const MESSAGE: usize = 72;
const ATTRIBUTE_HEADER: usize = 4;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u8 = 2;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const BC_NOP: u8 = 0;
const BC_JMP: u8 = 1;
const BC_S_GE: u8 = 2;
const BC_S_LE: u8 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The kernel's evaluation of a filter (inet_diag_bc_run), for a local port.
    fn accepts(filter: &[u8], port: u16) -> bool {
        let mut left = isize::try_from(filter.len()).unwrap();
        let mut at = 0usize;
        while left > 0 {
            let (code, yes, no) = (filter[at], filter[at + 1], read16(filter, at + 2).unwrap());
            let operand = read16(filter, (at + 6).min(filter.len() - 2)).unwrap();
            let holds = match code {
                BC_JMP => false,
                BC_S_GE => port >= operand,
                BC_S_LE => port <= operand,
                other => panic!("operation {other}"),
            };
            let step = if holds { usize::from(yes) } else { usize::from(no) };
            left -= isize::try_from(step).unwrap();
            at += step;
        }
        left == 0
    }

    fn answer(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push32(&mut out, HEADER + body.len());
        push16(&mut out, kind);
        out.resize(HEADER, 0);
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn listener(port: u16, queue: u32) -> Vec<u8> {
        let mut body = vec![0; MESSAGE];
        body[1] = TCP_LISTEN;
        body[4..6].copy_from_slice(&port.to_be_bytes());
        body[56..60].copy_from_slice(&queue.to_ne_bytes());
        body[60..64].copy_from_slice(&511u32.to_ne_bytes());
        body[68..72].copy_from_slice(&77u32.to_ne_bytes());
        body
    }

    #[test]
    fn an_accept_queue_is_read_and_its_limit_is_not_taken_for_bytes() {
        let bytes = [answer(SOCK_DIAG_BY_FAMILY, &listener(80, 3)), answer(NLMSG_DONE, &[0; 4])].concat();
        let part = parse(&bytes);
        assert_eq!(part.end, Some(Ok(())));
        let [socket] = part.sockets[..] else { panic!("{part:?}") };
        assert_eq!((socket.state, socket.port, socket.unread, socket.unsent), (TcpState::Listen, 80, 3, 0));
        assert_eq!(socket.inode, 77);
    }

    #[test]
    fn an_error_ends_the_answer_with_its_number() {
        assert_eq!(parse(&answer(NLMSG_ERROR, &(-2i32).to_ne_bytes())).end, Some(Err(2)));
    }

    proptest! {
        #[test]
        fn the_filter_accepts_its_ports_and_no_other(
            ports in proptest::collection::vec(any::<u16>(), 1..20), other in any::<u16>()
        ) {
            let filter = filter(&ports);
            for port in &ports {
                assert!(accepts(&filter, *port));
            }
            assert_eq!(accepts(&filter, other), ports.contains(&other));
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..200usize) {
            let _ = parse(&bytes);
            let mut broken = answer(SOCK_DIAG_BY_FAMILY, &listener(80, 3));
            let at = at.min(broken.len());
            broken.splice(at..at, bytes);
            let _ = parse(&broken);
            let _ = parse(&broken[..at]);
        }

        #[test]
        fn the_ports_of_a_request_never_break_its_length(ports in proptest::collection::vec(any::<u16>(), 0..200)) {
            let bytes = request(IpFamily::V6, SocketsWanted::All, &ports);
            assert_eq!(usize::try_from(read32(&bytes, 0).unwrap()).unwrap(), bytes.len());
        }
    }
}
