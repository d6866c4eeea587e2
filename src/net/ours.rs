//! bookend's own connections: the namespace's counter contains them, and a probe of ours is not a client of the app. All of this
//! happens on one thread, so no count comes between two of its steps.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{SockaddrStorage, getpeername, getsockname};

/// Connections of ours that the namespace's counter contains.
static COUNTED: AtomicU64 = AtomicU64::new(0);
/// The local ports of those that we have opened and not closed yet.
static OPEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// A connection that a handler or a probe of ours has opened to this network namespace.
#[derive(Debug)]
pub(crate) struct OwnConnection(u16);

impl Drop for OwnConnection {
    fn drop(&mut self) {
        let mut open = lock();
        if let Some(at) = open.iter().position(|port| *port == self.0) {
            open.swap_remove(at);
        }
    }
}

/// Called by every listener of ours right after accept(2).
pub(crate) fn accepted(own: Option<SocketAddr>, peer: SocketAddr) {
    // A handler that calls our own endpoint has been counted when it connected.
    if !(own.is_some_and(|own| own.ip() == peer.ip()) && is_ours(peer.port())) {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Called right after connect(2). `None`: not connected (yet), or to another network namespace.
pub(crate) fn opened(fd: RawFd) -> Option<OwnConnection> {
    let peer = address(&getpeername(fd).ok()?)?;
    let own = address(&getsockname(fd).ok()?)?;
    if own.ip() != peer.ip() && !peer.ip().is_loopback() {
        return None;
    }
    COUNTED.fetch_add(1, Ordering::Relaxed);
    lock().push(own.port());
    Some(OwnConnection(own.port()))
}

/// Whether a connection of ours, from this namespace to itself, has this local port.
pub(crate) fn is_ours(port: u16) -> bool {
    lock().contains(&port)
}

/// All that were counted so far.
pub(crate) fn total() -> u64 {
    COUNTED.load(Ordering::Relaxed)
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

fn lock() -> std::sync::MutexGuard<'static, Vec<u16>> {
    OPEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn an_own_connection_is_known_until_it_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = stream.local_addr().unwrap().port();
        let before = total();
        let own = opened(stream.as_raw_fd()).unwrap();
        assert!(is_ours(port) && total() > before);
        drop(own);
        assert!(!is_ours(port));
        assert!(opened(listener.as_raw_fd()).is_none(), "it is not connected");
    }
}
