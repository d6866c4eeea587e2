//! `tcpSocket`: succeeds if the port accepts a connection, and closes it at once. Or it waits until the port is closed, which
//! the kernel's list of listening sockets shows without a connection, as long as the port is one of this network.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::sleep;

use super::connect::{ConnectError, connect};
use super::program::Environment;
use super::report::HandlerReport;
use crate::error::describe;
use crate::net::tcp_monitor::TcpMonitor;
use bookend_config::settings::{PortState, TcpSocket};
use bookend_lifecycle::HandlerResult;

pub(crate) async fn run(socket: TcpSocket, env: Environment) -> HandlerReport {
    let host = env.expand(OsStr::new(&socket.host)).to_string_lossy().into_owned();
    let port = socket.port;
    if socket.until == PortState::Closed {
        return closed(&host, port).await;
    }
    match connect(&host, port).await {
        Ok((stream, _own)) => {
            let peer = stream.peer_addr().map_or_else(|_| format!("port {port}"), |peer| peer.to_string());
            HandlerReport::new(HandlerResult::Succeeded, format!("{peer} accepts connections"))
        }
        Err(error) => HandlerReport::new(HandlerResult::Failed, describe(&error)),
    }
}

/// Waits for as long as the caller does.
async fn closed(host: &str, port: u16) -> HandlerReport {
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let mut tcp_monitor = TcpMonitor::open();
    loop {
        let listeners = if is_here { tcp_monitor.listeners() } else { None };
        let is_open = match listeners {
            Some(listeners) => listeners.iter().any(|socket| socket.port == port),
            None => match connect(host, port).await {
                Ok(_) => true,
                Err(ConnectError::Connect(failures)) if !failures.are_ours() => false,
                // Nothing is known about the port.
                Err(error) => return HandlerReport::new(HandlerResult::Failed, describe(&error)),
            },
        };
        if !is_open {
            return HandlerReport::new(HandlerResult::Succeeded, format!("port {port} is closed"));
        }
        sleep(INTERVAL).await;
    }
}

const INTERVAL: Duration = Duration::from_millis(100);
