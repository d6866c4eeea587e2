//! One of the two listeners, the port or the unix socket. Each has a table of connections of its own, so that a flood on
//! one leaves the other as it was.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "tls")]
use std::time::Instant;

use nix::errno::Errno;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::warn;

use super::accept_backoff::{AcceptBackoff, is_shortage};
use super::connection_table::{ConnectionLimit, ConnectionTable};
#[cfg(feature = "tls")]
use super::handshakes::HandshakeRate;
use super::request::Endpoint;
use super::rules::Rules;
use crate::report::rate_limit::RateLimit;

/// Which listener a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenerKind {
    /// `http.listen`: every process that can reach the pod.
    Port,
    /// The unix socket: root or our own user.
    Socket,
}

/// Dropped by the table to end the connection.
pub(super) type ConnectionEnd = oneshot::Sender<Infallible>;

/// A listener with the connections that came through it.
pub(super) struct Listener {
    pub(super) kind: ListenerKind,
    pub(super) endpoint: Endpoint,
    pub(super) rules: Rules,
    #[cfg(feature = "tls")]
    began: Instant,
    #[cfg(feature = "tls")]
    handshakes: Mutex<HandshakeRate>,
    connections: Mutex<ConnectionTable<ConnectionEnd>>,
    /// Limits how often the log reports a refused caller.
    refusals: Mutex<RateLimit>,
    /// The same for accept(2): during a shortage, connections come and go.
    failures: Mutex<RateLimit>,
}

impl Listener {
    pub(super) fn new(kind: ListenerKind, endpoint: Endpoint, rules: Rules) -> Listener {
        let descriptors = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        let limit = ConnectionLimit::of_descriptors(descriptors.map_or(1024, |(soft, _)| soft));
        Listener {
            kind,
            endpoint,
            rules,
            #[cfg(feature = "tls")]
            began: Instant::now(),
            #[cfg(feature = "tls")]
            handshakes: Mutex::default(),
            connections: Mutex::new(ConnectionTable::new(limit)),
            refusals: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Takes a connection into the table, at once. The receiver closes when its place is given to another connection.
    pub(super) fn enter(&self, peer: IpAddr) -> (u64, oneshot::Receiver<Infallible>) {
        let (end, ended) = oneshot::channel();
        // The evicted connection ends by the drop of its sender.
        let (id, evicted) = lock(&self.connections).enter(peer, end);
        drop(evicted);
        self.endpoint.connection_began();
        (id, ended)
    }

    /// The request of a connection is complete.
    pub(super) fn answer(&self, id: u64) {
        lock(&self.connections).answer(id);
    }

    /// Moves a connection to the places of those that wait. `false`: there are more of them than any kubelet sends.
    pub(super) fn wait(&self, id: u64) -> bool {
        lock(&self.connections).wait(id).map(drop).is_ok()
    }

    /// Ends a connection whose client does not read its answer.
    pub(super) fn evict_answering(&self) {
        drop(lock(&self.connections).evict_answering());
    }

    pub(super) fn leave(&self, id: u64) {
        lock(&self.connections).leave(id);
        self.endpoint.connection_ended();
    }

    /// Whether the log may report another refused caller now.
    pub(super) fn may_report_refusal(&self) -> bool {
        lock(&self.refusals).allow()
    }

    /// When a TLS handshake of this peer may begin. `None`: too many of its handshakes wait already.
    #[cfg(feature = "tls")]
    pub(super) fn handshake_begin(&self, peer: IpAddr) -> Option<Instant> {
        lock(&self.handshakes).begin(self.began.elapsed(), peer).map(|at| self.began + at)
    }

    /// Waits after a failed accept(2), and reports it once.
    pub(super) async fn accept_failed(&self, error: &io::Error, backoff: &mut AcceptBackoff) {
        let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
        // One of ours gives its descriptor; the new connection waits in the backlog meanwhile, and is not refused.
        let made_room = is_shortage(errno) && lock(&self.connections).evict().is_some();
        let (pause, reports) = backoff.failed(errno, made_room);
        if reports && lock(&self.failures).allow() {
            warn!(%error, "cannot accept connections: they wait in the backlog");
        }
        sleep(pause).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
