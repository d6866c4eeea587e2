//! Connects to a host and a port. A name is looked up by the C library: /etc/hosts, then the name servers of
//! /etc/resolv.conf with its search list and options, A and AAAA, over TCP if an answer does not fit. musl does all that in
//! a static binary in an image FROM scratch, without nsswitch.conf. The lookup blocks, so it runs on a detached thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::detached::{DetachedError, spawn_blocking_detached};

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
    #[error("cannot connect to {address}")]
    Connect {
        /// The address that failed last.
        address: SocketAddr,
        /// ECONNREFUSED, EHOSTUNREACH, ...
        #[source]
        source: io::Error,
    },
}

/// Connects to the address of the host that answers first. It may hang as long as they do: the caller needs a deadline.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(host, port).await?;
    let mut last = None;
    let mut attempts = JoinSet::new();
    for (index, address) in (0u32..).zip(addresses) {
        attempts.spawn(async move {
            // An address that drops packets must not delay the next one for long (RFC 8305).
            sleep(STAGGER * index).await;
            TcpStream::connect(address).await.map_err(|source| ConnectError::Connect { address, source })
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error),
            // They are aborted only by the end of this function.
            Err(_) => {}
        }
    }
    Err(last.unwrap_or_else(|| ConnectError::NoAddress(host.to_owned())))
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
    let name = host.to_owned();
    let found = spawn_blocking_detached(move || {
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
