//! The server: accepts connections, gives each one request and little time for it.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::accept_backoff::AcceptBackoff;
use super::connection::Connection;
use super::listener::{Listener, ListenerKind};
use super::request::Endpoint;
use super::routes;
use super::rules::Rules;
use super::socket::may_use;
use super::write_timeout::{Duplex, WriteTimeout};

/// Serves the pod-facing port until the process ends.
pub(crate) async fn serve_port(socket: TcpListener, endpoint: Endpoint, rules: Rules) {
    let listener = Arc::new(Listener::new(ListenerKind::Port, endpoint, rules));
    let mut backoff = AcceptBackoff::default();
    loop {
        for _ in 0..ACCEPTS_PER_TURN {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    crate::net::ours::accepted(stream.local_addr().ok(), peer);
                    backoff.succeeded();
                    let (connection, ended) = Connection::enter(&listener, peer.ip());
                    crate::tasks::spawn(run_until(ended, async move { serve_tcp(stream, &connection).await }));
                }
                Err(error) => listener.accept_failed(&error, &mut backoff).await,
            }
        }
        yield_now().await;
    }
}

/// Serves the unix socket until the process ends.
pub(crate) async fn serve_socket(socket: UnixListener, endpoint: Endpoint, rules: Rules) {
    let listener = Arc::new(Listener::new(ListenerKind::Socket, endpoint, rules));
    let mut backoff = AcceptBackoff::default();
    loop {
        for _ in 0..ACCEPTS_PER_TURN {
            match socket.accept().await {
                Ok((stream, _)) => {
                    backoff.succeeded();
                    let (connection, ended) = Connection::enter(&listener, LOCAL);
                    crate::tasks::spawn(run_until(ended, async move { serve_unix(stream, &connection).await }));
                }
                Err(error) => listener.accept_failed(&error, &mut backoff).await,
            }
        }
        yield_now().await;
    }
}

/// Serves one connection that is not a socket (`fuzz_harness`).
#[cfg(any(test, fuzzing))]
pub(super) async fn serve_stream(stream: Box<dyn Duplex>, kind: ListenerKind, endpoint: Endpoint, rules: Rules) {
    let listener = Arc::new(Listener::new(kind, endpoint, rules));
    let (connection, ended) = Connection::enter(&listener, LOCAL);
    run_until(ended, async move { serve_http(stream, &connection).await }).await;
}

/// Runs the connection to its end, or until the table gives its place to another.
async fn run_until(ended: oneshot::Receiver<Infallible>, connection: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        // The sender never sends; it is dropped.
        _ = ended => {}
        () = connection => {}
    }
}

async fn serve_tcp(stream: TcpStream, connection: &Connection) {
    let mut first = [0];
    // A flood of silent connections costs nothing more than this.
    match timeout(HEADER_TIME, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        Ok(Err(error)) => return connection.report_refused_call(&error),
        _ => return,
    }
    keep_alive(&stream);
    if let Ok(local) = stream.local_addr() {
        connection.set_local(local.ip());
    }
    match first {
        [TLS_HANDSHAKE] => serve_tls(stream, connection).await,
        _ => serve_http(Box::new(stream), connection).await,
    }
}

async fn serve_tls(mut stream: TcpStream, connection: &Connection) {
    #[cfg(feature = "tls")]
    if let Some(certificate) = &connection.rules().tls
        && let Some(config) = certificate.config().await
    {
        let handshake = super::tls::handshake(config, stream, || connection.handshake_begin());
        if let Ok(Some(stream)) = timeout(HANDSHAKE_TIME, handshake).await {
            serve_http(Box::new(stream), connection).await;
        }
        return;
    }
    let _ = connection;
    // A kubelet whose `httpGet.scheme` is HTTPS asks again in plain HTTP when the response to its hello begins with
    // `HTTP/`; without a response it would wait for ever, and the pod with it.
    refuse(&mut stream, NO_TLS).await;
}

async fn serve_unix(mut stream: UnixStream, connection: &Connection) {
    let peer = stream.peer_cred();
    if peer.as_ref().is_ok_and(|peer| may_use(peer.uid())) {
        // 0: a process of another PID namespace.
        if let Some(pid) = peer.ok().and_then(|peer| peer.pid()).filter(|pid| *pid > 0) {
            connection.set_peer_pid(pid);
        }
        serve_http(Box::new(stream), connection).await;
    } else {
        refuse(&mut stream, OTHER_USER).await;
    }
}

async fn serve_http(stream: Box<dyn Duplex>, connection: &Connection) {
    let service = service_fn(|request| routes::answer(request, connection));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, WRITE_TIME)), service)
        .await;
    // A broken connection is the caller's to notice; for a kubelet's failed hook it is the response.
    if let Err(error) = served
        && let Some(source) = error.source().and_then(|source| source.downcast_ref::<io::Error>())
    {
        connection.report_refused_call(source);
    }
}

/// Sends a response and ends the connection. A close with unread bytes is a reset, which can overtake the response: so
/// what the caller still sends is read for a moment.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, response: &[u8]) {
    let sent = timeout(WRITE_TIME, async {
        stream.write_all(response).await?;
        stream.shutdown().await
    });
    if matches!(sent.await, Ok(Ok(()))) {
        let mut unread = [0; 1024];
        let rest = async { while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(REST_TIME, rest).await;
    }
}

/// A node that has vanished sends nothing: the kernel asks it, so that a hook that waits does not hold its place.
fn keep_alive(stream: &TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt};
    // Never refused in practice; without it such a place is held until its hook is over.
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &15);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &5);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &3);
}

/// After so many, the new connections have their turn: each sends its request soon after the handshake, and reading it
/// makes it leave the places that a flood competes for. It also bounds how long a signal waits.
const ACCEPTS_PER_TURN: usize = 64;
/// The peer of every connection that has no address.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// From the first byte (or the lack of it) to the end of the header.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// For the whole TLS handshake.
#[cfg(feature = "tls")]
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long a caller may read nothing of its response.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// For what may still come after a response that ended the connection.
const REST_TIME: Duration = Duration::from_millis(500);
const MOST_HEADER_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// The content type of a TLS record that opens a connection (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;
const NO_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
    Content-Length: 57\r\n\r\nthis port speaks plain HTTP; set http.tls to serve HTTPS\n";
const OTHER_USER: &[u8] = b"HTTP/1.0 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
    Content-Length: 64\r\n\r\nonly root and the user that bookend runs as may use this socket\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_responses_tell_their_length() {
        for response in [NO_TLS, OTHER_USER] {
            let (head, body) = std::str::from_utf8(response).unwrap().split_once("\r\n\r\n").unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            assert_eq!(length.parse(), Ok(body.len()), "{body}");
        }
    }
}
