//! The traffic of a run: which requests, how many, and when their clients learn that the endpoint is gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use serde::{Deserialize, Serialize};

use crate::counts::Kind;
use bookend_config::address::HostPort;

/// A URL of the server under test. Its host is an address of the server's own network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The address of its listener.
    pub address: SocketAddr,
    /// HTTPS, with any certificate.
    pub tls: bool,
    /// The `Host` of the request.
    pub host: String,
    /// Path and query.
    pub path: String,
}

impl Target {
    /// A path of a server on 127.0.0.1, in clear text.
    pub fn local(port: u16, path: &str) -> Target {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Target { address, tls: false, host: "load".to_owned(), path: path.to_owned() }
    }

    /// Reads a URL whose host is an IP address or `localhost`.
    ///
    /// # Errors
    /// The mistake in it.
    pub fn parse(url: &str) -> Result<Target, String> {
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| format!("{url}: a URL begins with http:// or https://"))?;
        let tls = match scheme {
            "http" | "ws" | "h2c" | "grpc" => false,
            "https" | "wss" | "h2" | "grpcs" => true,
            _ => return Err(format!("{url}: unknown scheme {scheme}")),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let HostPort { host, port } = HostPort::parse(authority).map_err(|error| format!("{url}: {error}"))?;
        let ip = match host.trim_start_matches('[').trim_end_matches(']') {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            address => address.parse().map_err(|_| {
                format!("{url}: the host is not an address: use localhost or 127.0.0.1, and --host for a virtual host")
            })?,
        };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        if path.chars().any(|c| c.is_ascii_control() || c == ' ') {
            return Err(format!("{url}: the path has a blank or a control character"));
        }
        Ok(Target { address: SocketAddr::new(ip, port), tls, host: authority.to_owned(), path: path.to_owned() })
    }

    /// Whether the address is loopback or one of this network namespace. Traffic goes nowhere else.
    pub fn is_here(&self) -> bool {
        let ip = self.address.ip();
        ip.is_loopback() || (!ip.is_unspecified() && !ip.is_multicast() && UdpSocket::bind((ip, 0)).is_ok())
    }
}

/// Requests at a fixed rate, each on a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenLoop {
    /// How the results are counted.
    pub kind: Kind,
    /// The URL.
    pub target: Target,
    /// The rate.
    pub per_second: u32,
}

/// HTTP/2 connections whose streams always have a request in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Multiplexed {
    /// The URL; for gRPC, its path is the method.
    pub target: Target,
    /// gRPC calls, and not GET.
    pub grpc: bool,
    /// The number of connections.
    pub connections: u32,
    /// The number of requests in flight on each.
    pub streams: u32,
}

/// A transfer that takes its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// [`Kind::Download`], [`Kind::Upload`], [`Kind::Stream`] or [`Kind::Websocket`].
    pub kind: Kind,
    /// The URL.
    pub target: Target,
}

/// The traffic of a run. [`Plan::check`] holds its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The URL of the kept and the silent connections, and of the check that the server answers.
    pub target: Target,
    /// Requests on new connections.
    pub open_loops: Vec<OpenLoop>,
    /// Clients that keep their connection, ten requests a second each.
    pub kept: u32,
    /// The same for another URL, which takes its time: so there is always a request in flight on a kept connection.
    pub kept_slow: Option<(Target, u32)>,
    /// Connections that never send a byte.
    pub silent: u32,
    /// HTTP/2 and gRPC.
    pub multiplexed: Vec<Multiplexed>,
    /// Downloads, uploads, streams and websockets, begun a second before the stop.
    pub transfers: Vec<Transfer>,
    /// How long a download or an upload takes, in seconds.
    pub transfer_seconds: f64,
    /// The length of an upload.
    pub upload_bytes: usize,
    /// Traffic before the stop, in seconds.
    pub warm_seconds: f64,
    /// How long clients still arrive after the stop began, in seconds.
    pub late_seconds: f64,
    /// The proxies that share the clients.
    pub proxies: u32,
    /// From the first proxy that stops to the last one, in seconds.
    pub spread_seconds: f64,
    /// Whether clients close their kept connections when their proxy stops. A proxy that stays keeps them open.
    pub close_kept: bool,
    /// A request without a response is hung after this time, in seconds.
    pub patience_seconds: f64,
    /// A port on which the generator itself serves the upstream of proxied requests.
    pub upstream_port: Option<u16>,
}

impl Plan {
    /// Requests for one URL, all at the same time and nothing else; the caller adds to it.
    pub fn new(target: Target) -> Plan {
        Plan {
            target,
            open_loops: Vec::new(),
            kept: 0,
            kept_slow: None,
            silent: 0,
            multiplexed: Vec::new(),
            transfers: Vec::new(),
            transfer_seconds: 6.0,
            upload_bytes: 1_000_000,
            warm_seconds: 2.0,
            late_seconds: 5.0,
            proxies: 1,
            spread_seconds: 0.0,
            close_kept: false,
            patience_seconds: 20.0,
            upstream_port: None,
        }
    }

    /// All URLs, each with the kind of its traffic.
    pub fn targets(&self) -> Vec<(Kind, &Target)> {
        let open = self.open_loops.iter().map(|open| (open.kind, &open.target));
        let kept = (self.kept > 0).then_some((Kind::Kept, &self.target));
        let kept = kept.into_iter().chain(self.kept_slow.as_ref().map(|(target, _)| (Kind::Kept, target)));
        let multiplexed = self.multiplexed.iter().map(|client| (client.kind(), &client.target));
        let transfers = self.transfers.iter().map(|transfer| (transfer.kind, &transfer.target));
        open.chain(kept).chain(multiplexed).chain(transfers).collect()
    }

    /// Holds the bounds: rates, connections, times, and addresses of this network namespace only.
    ///
    /// # Errors
    /// The first value that is out of bounds.
    pub fn check(&self) -> Result<(), String> {
        let rate: u32 = self.open_loops.iter().map(|open| open.per_second).sum();
        let streams: u32 =
            self.multiplexed.iter().map(|client| client.connections.saturating_mul(client.streams)).sum();
        let kept_slow = self.kept_slow.as_ref().map_or(0, |(_, clients)| *clients);
        let connections = self.kept.saturating_add(self.silent).saturating_add(kept_slow);
        let bounded = [
            ("requests a second", f64::from(rate), 2000.0),
            ("kept and silent connections", f64::from(connections), 1000.0),
            ("HTTP/2 requests in flight", f64::from(streams), 1000.0),
            ("proxies", f64::from(self.proxies), 1000.0),
            ("seconds of late clients", self.late_seconds, 120.0),
            ("seconds of a transfer", self.transfer_seconds, 600.0),
        ];
        if let Some((what, value, most)) = bounded.iter().find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            return Err(format!("{value} {what}: at most {most} are allowed"));
        }
        if self.spread_seconds < 0.0 || self.spread_seconds > self.late_seconds {
            return Err(
                "the last proxy stops when late clients do, so the spread is not longer than that time".to_owned()
            );
        }
        match self.targets().iter().find(|(_, target)| !target.is_here()) {
            Some((_, target)) => Err(format!("{} is not an address of the server's own network", target.address.ip())),
            None => Ok(()),
        }
    }
}

impl Multiplexed {
    pub(crate) fn kind(&self) -> Kind {
        if self.grpc { Kind::Grpc } else { Kind::Http2 }
    }
}
