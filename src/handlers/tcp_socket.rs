//! `tcpSocket`: succeeds if the port accepts a connection, and closes it at once.

use std::ffi::OsStr;

use super::connect::connect;
use super::program::Environment;
use super::report::HandlerReport;
use crate::error::describe;
use bookend_config::settings::TcpSocket;
use bookend_lifecycle::HandlerResult;

pub(crate) async fn run(socket: TcpSocket, env: Environment) -> HandlerReport {
    let host = env.expand(OsStr::new(&socket.host)).to_string_lossy().into_owned();
    match connect(&host, socket.port).await {
        Ok(stream) => {
            let peer = stream.peer_addr().map_or_else(|_| format!("port {}", socket.port), |peer| peer.to_string());
            HandlerReport::new(HandlerResult::Succeeded, format!("{peer} accepts connections"))
        }
        Err(error) => HandlerReport::new(HandlerResult::Failed, describe(&error)),
    }
}
