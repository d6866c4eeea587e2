//! From a host and a port to a connection. An address is taken as it is; a name is looked up by the C library:
//! /etc/hosts, then the name servers of /etc/resolv.conf with its search list and options, A and AAAA, over TCP
//! where an answer does not fit. musl's does all that in a static binary, in an image FROM scratch, and needs no
//! nsswitch.conf; it blocks, so it runs aside.

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
        /// As the C library says it.
        #[source]
        source: io::Error,
    },
    /// There is no thread to look it up in.
    #[error("cannot resolve {host:?}")]
    Aside {
        /// The name.
        host: String,
        /// Why not.
        #[source]
        source: DetachedError,
    },
    /// The name exists and has no address.
    #[error("{0:?} has no address")]
    NoAddress(String),
    /// Refused, unreachable, ...
    #[error("cannot connect to {address}")]
    Connect {
        /// Which of the host's addresses failed last.
        address: SocketAddr,
        /// ECONNREFUSED, EHOSTUNREACH, ...
        #[source]
        source: io::Error,
    },
}

/// Connects to whichever of the host's addresses answers first. Hangs as long as they do: the caller has a deadline.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(host, port).await?;
    let mut last = None;
    let mut attempts = JoinSet::new();
    for (place, address) in (0u32..).zip(addresses) {
        attempts.spawn(async move {
            // The next one is not kept waiting for an address that swallows packets (RFC 8305).
            sleep(STAGGER * place).await;
            TcpStream::connect(address).await.map_err(|source| ConnectError::Connect { address, source })
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error),
            // Nobody aborts them but the end of this function.
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
        // RFC 6761: needs no looking up, not even where there is no /etc/hosts.
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let name = host.to_owned();
    let found = spawn_blocking_detached(move || {
        (name.as_str(), port).to_socket_addrs().map(|found| found.take(MOST_ADDRESSES).collect())
    });
    match found.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(source)) => Err(ConnectError::Resolve { host: host.to_owned(), source }),
        Err(source) => Err(ConnectError::Aside { host: host.to_owned(), source }),
    }
}

const STAGGER: Duration = Duration::from_millis(250);
const MOST_ADDRESSES: usize = 8;
