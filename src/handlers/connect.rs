//! Connects to a host and a port. A name is looked up by the C library: /etc/hosts, then the name servers of
//! /etc/resolv.conf with its search list and options, A and AAAA, over TCP if an answer does not fit. musl does all that in
//! a static binary in an image FROM scratch, without nsswitch.conf. The lookup blocks, so it runs on a detached thread.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::detached::{DetachedError, spawn_in_slot};
use crate::net::ours::{self, OwnConnection};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// NXDOMAIN, no answer, no resolv.conf.
    #[error("cannot resolve {host:?}")]
    Resolve {
        /// The name.
        host: String,
        /// The error of the C library.
        #[source]
        source: io::Error,
    },
    /// No thread can be made for the lookup.
    #[error("cannot resolve {host:?}")]
    Thread {
        /// The name.
        host: String,
        /// EAGAIN: the pids limit.
        #[source]
        source: DetachedError,
    },
    /// The name exists and has no address.
    #[error("cannot resolve {0:?}: the name has no address")]
    NoAddress(String),
    /// Refused, unreachable, ...
    #[error("cannot connect to {0}")]
    Connect(ConnectFailures),
}

/// Each address that was tried, with the reason why it failed.
#[derive(Debug)]
pub(crate) struct ConnectFailures(Vec<(SocketAddr, io::Error)>);

impl ConnectFailures {
    /// In the order of the attempts; last the addresses of a family that this machine does not have.
    fn new(mut failures: Vec<(u32, SocketAddr, io::Error)>) -> ConnectFailures {
        let is_absent = |error: &io::Error| {
            let codes = [libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::EAFNOSUPPORT];
            error.raw_os_error().is_some_and(|code| codes.contains(&code))
        };
        let mut sorted = Vec::with_capacity(failures.len());
        // There are a handful of them; the standard library's sort would add 5 kB of code.
        while let Some((at, _)) =
            failures.iter().enumerate().min_by_key(|(_, (index, _, error))| (is_absent(error), *index))
        {
            let (_, address, error) = failures.swap_remove(at);
            sorted.push((address, error));
        }
        ConnectFailures(sorted)
    }

    /// Whether an attempt was refused here, so that the port may be open: descriptors or memory are missing, or a security
    /// module or a seccomp profile forbids it.
    pub(super) fn are_ours(&self) -> bool {
        let of_ours = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EPERM, libc::EACCES];
        self.0.iter().any(|(_, error)| error.raw_os_error().is_some_and(|code| of_ours.contains(&code)))
    }
}

impl fmt::Display for ConnectFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.0.iter().enumerate() {
            write!(f, "{}{address}: {error}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Connects to the address of the host that answers first. It may hang as long as they do: the caller needs a deadline.
pub(crate) async fn connect(host: &str, port: u16) -> Result<Connected, ConnectError> {
    let addresses = resolve(host, port).await?;
    let mut failures = Vec::new();
    let mut attempts = JoinSet::new();
    for (index, address) in (0u32..).zip(addresses) {
        attempts.spawn(async move {
            // An address that drops packets must not delay the next one for long (RFC 8305).
            sleep(STAGGER * index).await;
            connect_to(address).await.map_err(|error| (index, address, error))
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(failure)) => failures.push(failure),
            // The attempts are aborted only when this function ends.
            Err(_) => {}
        }
    }
    if failures.is_empty() {
        return Err(ConnectError::NoAddress(host.to_owned()));
    }
    Err(ConnectError::Connect(ConnectFailures::new(failures)))
}

/// A connection, and its entry among our own; a drain does not count it.
pub(crate) type Connected = (TcpStream, Option<OwnConnection>);

async fn connect_to(address: SocketAddr) -> io::Result<Connected> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let fd = socket.as_raw_fd();
    let mut connecting = pin!(socket.connect(address));
    // Within this machine the kernel finishes the handshake in connect(2): it is counted before anything else is done.
    let first = std::future::poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx))).await;
    let own = if first.is_pending() { ours::opened(fd) } else { None };
    let stream = match first {
        Poll::Ready(stream) => stream?,
        Poll::Pending => connecting.await?,
    };
    let own = own.or_else(|| ours::opened(stream.as_raw_fd()));
    Ok((stream, own))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        // RFC 6761: no lookup, so that it works without /etc/hosts.
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    static LOOKUPS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_LOOKUPS)));
    let name = host.to_owned();
    let found = spawn_in_slot(&LOOKUPS, move || {
        (name.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES).collect())
    });
    match found.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(source)) => Err(ConnectError::Resolve { host: host.to_owned(), source }),
        Err(source) => Err(ConnectError::Thread { host: host.to_owned(), source }),
    }
}

const STAGGER: Duration = Duration::from_millis(250);
const MAX_ADDRESSES: usize = 8;
/// How many names are looked up at a time: a name server may hang.
const MAX_LOOKUPS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_named_and_an_absent_family_last() {
        let failure = |index, address: &str, code| {
            (index, address.parse().expect("an address"), io::Error::from_raw_os_error(code))
        };
        let failures = vec![
            failure(1, "127.0.0.1:80", libc::ECONNREFUSED),
            failure(0, "[::1]:80", libc::EADDRNOTAVAIL),
            failure(2, "10.0.0.1:80", libc::EHOSTUNREACH),
        ];
        let text = ConnectFailures::new(failures).to_string();
        let order: Vec<_> = ["127.0.0.1:80: Conn", "10.0.0.1:80: No route", "[::1]:80: Cannot assign"]
            .into_iter()
            .map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")))
            .collect();
        assert!(order.is_sorted(), "{text}");
    }

    #[test]
    fn a_refusal_of_our_own_kernel_tells_nothing_about_the_port() {
        let failures = |codes: &[i32]| {
            let address = "127.0.0.1:80".parse().expect("an address");
            ConnectFailures(codes.iter().map(|code| (address, io::Error::from_raw_os_error(*code))).collect())
        };
        assert!(!failures(&[libc::EADDRNOTAVAIL, libc::ECONNREFUSED]).are_ours());
        assert!(!failures(&[libc::EHOSTUNREACH]).are_ours());
        assert!(failures(&[libc::ECONNREFUSED, libc::EMFILE]).are_ours());
    }
}
