//! Reads the counters of /proc/net/snmp, and the sockets through netlink or, if that is forbidden, from
//! /proc/net/tcp{,6}. It never waits and reads up to a bound; a value that it cannot get is `None`, never a guess.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::snmp::{self, TcpCounters};
use super::sock_diag::{self, IpFamily, SocketsWanted};
use super::{Socket, TcpState, ours, proc_tcp};
use crate::detached::spawn_in_slot;
use crate::files::{read_beginning, read_small};

/// The source of sockets.
#[derive(Debug)]
enum SocketSource {
    Netlink(OwnedFd),
    Proc,
}

/// Reads the connections of this network namespace.
#[derive(Debug)]
pub(crate) struct TcpMonitor {
    source: SocketSource,
    /// The next look beside the loop is not before this.
    free_at: Option<Instant>,
}

impl TcpMonitor {
    /// Opens the best source that this system has. Cheap, and only done when a stop begins.
    pub(crate) fn open() -> TcpMonitor {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let netlink = socket(AddressFamily::Netlink, SockType::Raw, flags, Some(SockProtocol::NetlinkSockDiag)).ok();
        TcpMonitor { source: netlink.map_or(SocketSource::Proc, SocketSource::Netlink), free_at: None }
    }

    fn from_proc() -> TcpMonitor {
        TcpMonitor { source: SocketSource::Proc, free_at: None }
    }

    /// The namespace's counters.
    pub(crate) fn counters() -> Option<TcpCounters> {
        snmp::parse(&read_small(Path::new("/proc/net/snmp"), SNMP_BYTES).ok()?)
    }

    /// Connections that were accepted in the namespace, without those of our own listeners.
    pub(crate) fn arrivals() -> Option<u64> {
        // Our own counter first: one of our connections that comes between the two readings is counted as the app's. The
        // result can be too high, never too low.
        let ours = ours::total();
        TcpMonitor::counters().map(|counters| counters.passive_opens.saturating_sub(ours))
    }

    /// The sockets of these ports, or of all ports if the list is empty. `None`: this system does not show them. However long it
    /// takes: each socket of the whole node costs a tenth of a microsecond, and each of these ports a microsecond.
    #[cfg(any(feature = "doctor", test))]
    pub(crate) fn sockets(&mut self, ports: &[u16]) -> Option<Vec<Socket>> {
        self.look(SocketsWanted::All, ports)
    }

    /// The same on a thread, beside the loop. A look that takes long puts off the next one, so that all looks together take a
    /// fortieth of a processor.
    pub(crate) async fn sockets_beside(&mut self, ports: &[u16]) -> Option<Vec<Socket>> {
        self.look_beside(SocketsWanted::All, ports).await
    }

    /// The same, and connections that have ended less than a minute ago.
    pub(crate) async fn sockets_and_ended(&mut self, ports: &[u16]) -> Option<Vec<Socket>> {
        self.look_beside(SocketsWanted::AndEnded, ports).await
    }

    async fn look_beside(&mut self, which: SocketsWanted, ports: &[u16]) -> Option<Vec<Socket>> {
        static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));
        let has_netlink = matches!(self.source, SocketSource::Netlink(_));
        let wanted = ports.to_owned();
        let look = spawn_in_slot(&SLOTS, move || {
            let mut monitor = if has_netlink { TcpMonitor::open() } else { TcpMonitor::from_proc() };
            (monitor.look(which, &wanted), thread_time(), monitor.source)
        });
        match timeout(PATIENCE, look).await.ok()? {
            Ok((sockets, cost, source)) => {
                self.free_at = (cost >= EXPENSIVE).then(|| Instant::now() + cost * SHARE);
                self.source = source;
                sockets
            }
            // No further thread: the pids limit.
            Err(_) => whole(self.look_in_haste(which, ports)),
        }
    }

    fn look(&mut self, which: SocketsWanted, ports: &[u16]) -> Option<Vec<Socket>> {
        whole(self.look_until(Instant::now() + PATIENCE, PROC_BYTES, which, ports))
    }

    /// Whether the next look beside the loop may come now.
    pub(crate) fn is_free(&self) -> bool {
        self.free_at.is_none_or(|free_at| Instant::now() >= free_at)
    }

    /// The same as [`TcpMonitor::sockets`] for a moment in which nothing can be put off: as many of them as can be read within
    /// some milliseconds, and whether these are all. A busy machine may take the processor away from us for that long, so
    /// the first parts of each list are read in any case.
    pub(crate) fn sockets_in_haste(&mut self, ports: &[u16]) -> Option<(Vec<Socket>, bool)> {
        self.look_in_haste(SocketsWanted::All, ports)
    }

    /// The sockets that listen, on all ports, as many as can be read in haste: much cheaper than all sockets, and the first ones
    /// in /proc/net/tcp.
    pub(crate) fn listeners(&mut self) -> Option<Vec<Socket>> {
        let (mut sockets, _) = self.look_in_haste(SocketsWanted::Listening, &[])?;
        sockets.retain(|socket| socket.state == TcpState::Listen);
        Some(sockets)
    }

    fn look_in_haste(&mut self, which: SocketsWanted, ports: &[u16]) -> Option<(Vec<Socket>, bool)> {
        self.look_until(Instant::now() + HASTE, HASTY_PROC_BYTES, which, ports)
    }

    /// As many sockets as can be read until then, or in so many bytes of each file; and whether these are all.
    fn look_until(
        &mut self,
        end: Instant,
        proc_bytes: u64,
        which: SocketsWanted,
        ports: &[u16],
    ) -> Option<(Vec<Socket>, bool)> {
        if let SocketSource::Netlink(netlink) = &self.source {
            match in_haste(netlink, end, which, ports) {
                Ok((sockets, are_all)) => {
                    if !are_all {
                        // The rest of the answer is still in the socket.
                        *self = TcpMonitor::open();
                    }
                    return Some((only(sockets, ports), are_all));
                }
                // gVisor, a kernel without tcp_diag, or a seccomp profile: another try would fail as well.
                Err(_) => self.source = SocketSource::Proc,
            }
        }
        from_proc(ports, proc_bytes)
    }
}

/// The sockets, if these are all: half a list would look like few connections.
fn whole(found: Option<(Vec<Socket>, bool)>) -> Option<Vec<Socket>> {
    found.filter(|(_, are_all)| *are_all).map(|(sockets, _)| sockets)
}

/// The sockets in the first so many bytes of each file, and whether these are all.
fn from_proc(ports: &[u16], most: u64) -> Option<(Vec<Socket>, bool)> {
    let read = |path| read_beginning(Path::new(path), most).ok();
    let texts: Vec<_> = [read("/proc/net/tcp"), read("/proc/net/tcp6")].into_iter().flatten().collect();
    if texts.is_empty() {
        return None;
    }
    let are_all = texts.iter().all(|text| u64::try_from(text.len()).is_ok_and(|length| length < most));
    let sockets = texts.iter().flat_map(|text| proc_tcp::parse(text)).collect();
    Some((only(sockets, ports), are_all))
}

fn only(mut sockets: Vec<Socket>, ports: &[u16]) -> Vec<Socket> {
    sockets.retain(|socket| ports.is_empty() || ports.contains(&socket.port));
    sockets
}

/// Whether this is the node's own network: some settings of the network core exist in the first network
/// namespace alone, because there is only one of what they set (net/core/sysctl_net_core.c). /proc/sys/net shows each
/// process its own namespace's, so a container's mount does not hide it.
pub(crate) fn is_host_network() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| Path::new("/proc/sys/net/core/netdev_budget").exists())
}

fn in_haste(
    netlink: &OwnedFd,
    end: Instant,
    which: SocketsWanted,
    ports: &[u16],
) -> Result<(Vec<Socket>, bool), Errno> {
    let (mut sockets, mut are_all) = (Vec::new(), true);
    for family in [IpFamily::V4, IpFamily::V6] {
        if !are_all {
            // The other list may be empty, and the kernel walks through all sockets before it says so.
            break;
        }
        let mut dump = Dump::begin(netlink, family, which, ports)?;
        let mut parts = 0;
        while are_all && !dump.read(&mut sockets)? {
            parts += 1;
            are_all = parts < SURE_PARTS || Instant::now() < end;
        }
    }
    Ok((sockets, are_all))
}

/// The processor time of this thread, which begins with its work.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// One list on its way from the kernel.
struct Dump<'a> {
    netlink: &'a OwnedFd,
    family: IpFamily,
    buffer: Vec<u8>,
}

impl Dump<'_> {
    fn begin<'a>(
        netlink: &'a OwnedFd,
        family: IpFamily,
        which: SocketsWanted,
        ports: &[u16],
    ) -> Result<Dump<'a>, Errno> {
        send(netlink.as_raw_fd(), &sock_diag::request(family, which, ports), MsgFlags::empty())?;
        Ok(Dump { netlink, family, buffer: vec![0; NETLINK_BYTES] })
    }

    /// Reads the next part, some hundred sockets. Whether it was the last one.
    fn read(&mut self, sockets: &mut Vec<Socket>) -> Result<bool, Errno> {
        match self.part(sockets) {
            // A kernel built without IPv6 has no such list.
            Err(Errno::ENOENT | Errno::EINVAL | Errno::EAFNOSUPPORT) if self.family == IpFamily::V6 => Ok(true),
            read => read,
        }
    }

    fn part(&mut self, sockets: &mut Vec<Socket>) -> Result<bool, Errno> {
        // The kernel writes the next part of its answer while we read, so there is nothing to wait for.
        let length = loop {
            match recv(self.netlink.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let part = sock_diag::parse(self.buffer.get(..length).unwrap_or_default());
        sockets.extend(part.sockets);
        match part.end {
            Some(Ok(())) => Ok(true),
            Some(Err(errno)) => Err(Errno::from_raw(errno)),
            None if length == 0 || sockets.len() > MOST_SOCKETS => Err(Errno::EOVERFLOW),
            None => Ok(false),
        }
    }
}

/// A look that takes longer puts off the next one, by so many times its own duration.
const EXPENSIVE: Duration = Duration::from_millis(1);
const SHARE: u32 = 40;
/// A signal may wait for it.
const HASTE: Duration = Duration::from_millis(4);
/// A list of at most one part has ended when the second one is read.
const SURE_PARTS: u32 = 2;
const SNMP_BYTES: u64 = 64 * 1024;
/// 50,000 sockets.
const PROC_BYTES: u64 = 8 * 1024 * 1024;
/// 1,600 sockets.
const HASTY_PROC_BYTES: u64 = 256 * 1024;
/// For a look beside the loop.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_SOCKETS: usize = 200_000;
/// The kernel fills up to 32 KiB at a time.
const NETLINK_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::count;
    use bookend_lifecycle::drain::Drain;

    /// A listener with a connection in its accept queue, and the client's end.
    fn waiting(address: &str) -> Option<(TcpListener, TcpStream)> {
        let listener = TcpListener::bind(address).ok()?;
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Some((listener, client))
    }

    fn look_at_once(tcp_monitor: &mut TcpMonitor, ports: &[u16]) -> (Vec<Socket>, bool) {
        tcp_monitor.look_until(Instant::now(), HASTY_PROC_BYTES, SocketsWanted::All, ports).unwrap()
    }

    #[test]
    fn netlink_and_proc_see_the_same_accept_queue_over_ipv4_and_ipv6() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Some((listener, _client)) = waiting(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            for mut tcp_monitor in [TcpMonitor::open(), TcpMonitor::from_proc()] {
                let seen = tcp_monitor.sockets(&[port]).unwrap();
                let look = count(&seen, &Drain::default());
                assert_eq!((look.queue, look.connections), (1, 1), "{address} {tcp_monitor:?} {seen:?}");
                assert!(seen.iter().any(|socket| socket.state == TcpState::Listen && socket.inode != 0));
            }
        }
    }

    #[test]
    fn the_listeners_are_those_among_all_sockets_over_netlink_and_proc() {
        let Some((listener, _client)) = waiting("127.0.0.1:0") else { return };
        let port = listener.local_addr().unwrap().port();
        for mut tcp_monitor in [TcpMonitor::open(), TcpMonitor::from_proc()] {
            let seen = tcp_monitor.listeners().unwrap();
            assert!(seen.iter().all(|socket| socket.state == TcpState::Listen), "{tcp_monitor:?}");
            let of_port: Vec<u32> = seen.iter().filter(|s| s.port == port).map(|socket| socket.unread).collect();
            assert_eq!(of_port, [1], "{tcp_monitor:?}: the accept queue");
        }
    }

    #[test]
    fn a_request_makes_a_connection_busy_and_the_counter_counts_it() {
        let before = TcpMonitor::counters().unwrap().passive_opens;
        let (listener, mut client) = waiting("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_server, _) = listener.accept().unwrap();
        let mut tcp_monitor = TcpMonitor::open();
        assert_eq!(count(&tcp_monitor.sockets(&[port]).unwrap(), &Drain::default()).busy, Some(0), "silent");
        std::io::Write::write_all(&mut client, b"GET").unwrap();
        assert_eq!(count(&tcp_monitor.sockets(&[port]).unwrap(), &Drain::default()).busy, Some(1), "a request");
        assert!(TcpMonitor::counters().unwrap().passive_opens > before);
    }

    #[test]
    fn many_ports_and_no_port_are_asked_for_alike() {
        let (listener, _client) = waiting("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tcp_monitor = TcpMonitor::open();
        let many: Vec<u16> = (1..=100).chain([port]).collect();
        for ports in [vec![], many, vec![port, 1], vec![1, port]] {
            let seen = tcp_monitor.sockets(&ports).unwrap();
            assert!(matches!(tcp_monitor.source, SocketSource::Netlink(_)), "the kernel refused the filter");
            assert!(seen.iter().any(|socket| socket.port == port), "{ports:?}");
        }
    }

    #[test]
    fn a_hasty_look_at_many_connections_sees_some_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || (TcpStream::connect(address).unwrap(), listener.accept().unwrap());
        let connections: Vec<_> = (0..300).map(|_| connect()).collect();
        let mut tcp_monitor = TcpMonitor::open();
        let ports = [address.port()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seen = runtime.block_on(tcp_monitor.sockets_beside(&ports)).unwrap();
        assert_eq!(seen.iter().filter(|socket| socket.state == TcpState::Established).count(), connections.len());
        tcp_monitor.free_at = None;
        let (hasty, are_all) = look_at_once(&mut tcp_monitor, &ports);
        assert!(!are_all && !hasty.is_empty() && hasty.len() < seen.len(), "{} of {}", hasty.len(), seen.len());
        assert_eq!(tcp_monitor.sockets(&ports).unwrap().len(), seen.len(), "nothing of the hasty look is left");
    }

    #[test]
    fn a_hasty_look_sees_a_short_list_however_late_it_is() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Some((listener, _client)) = waiting(address) else { continue };
            // The files of /proc have the sockets of the whole machine, and a bound in bytes alone.
            let mut tcp_monitor = TcpMonitor::open();
            let (seen, are_all) = look_at_once(&mut tcp_monitor, &[listener.local_addr().unwrap().port()]);
            assert_eq!((count(&seen, &Drain::default()).connections, are_all), (1, true), "{address} {seen:?}");
        }
    }

    #[test]
    fn looks_that_take_long_are_seldom() {
        let mut tcp_monitor = TcpMonitor::open();
        assert!(tcp_monitor.is_free());
        tcp_monitor.free_at = Some(Instant::now() + Duration::from_secs(60));
        assert!(!tcp_monitor.is_free());
    }
}
