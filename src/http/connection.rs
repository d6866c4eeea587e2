//! One connection: its caller, its place in the listener's table, and what has to outlive its last byte.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
#[cfg(feature = "tls")]
use std::time::Instant;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use tokio::sync::oneshot;
use tracing::warn;

use super::browser;
use super::delivery::DeliveryGuard;
use super::listener::{Listener, ListenerKind};
use super::refusal::Refusal;
use super::request::{AnswerPermit, Endpoint};
use super::response::BrokenConnection;
use super::rules::Rules;

/// A connection in its listener's table; it leaves the table when it is dropped.
pub(super) struct Connection {
    listener: Arc<Listener>,
    id: u64,
    peer: IpAddr,
    /// The address that the caller connected to.
    local: OnceLock<IpAddr>,
    /// The process that connected to the socket.
    peer_pid: OnceLock<i32>,
    guard: Mutex<Option<DeliveryGuard>>,
    /// For a large answer, until it is written.
    permit: Mutex<Option<AnswerPermit>>,
}

impl Connection {
    /// Takes a place in the listener's table. The receiver closes when the place is given to another connection.
    pub(super) fn enter(listener: &Arc<Listener>, peer: IpAddr) -> (Connection, oneshot::Receiver<Infallible>) {
        let (id, ended) = listener.enter(peer);
        let (local, guard, permit) = (OnceLock::new(), Mutex::default(), Mutex::default());
        let (listener, peer_pid) = (Arc::clone(listener), OnceLock::new());
        (Connection { listener, id, peer, local, peer_pid, guard, permit }, ended)
    }

    pub(super) fn kind(&self) -> ListenerKind {
        self.listener.kind
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.listener.endpoint
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.listener.rules
    }

    pub(super) fn set_local(&self, local: IpAddr) {
        let _ = self.local.set(local);
    }

    pub(super) fn set_peer_pid(&self, pid: i32) {
        let _ = self.peer_pid.set(pid);
    }

    /// The pid of the caller, if it is in our PID namespace.
    pub(super) fn peer_pid(&self) -> Option<i32> {
        self.peer_pid.get().copied()
    }

    /// Whether the caller may call a hook with a request that has these headers.
    pub(super) async fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let verdict = match self.kind() {
            ListenerKind::Port => match browser::check(headers, self.local.get().copied()) {
                Ok(()) => self.rules().hook_auth.authorize(self.peer, authorization).await,
                refused => refused,
            },
            ListenerKind::Socket => Ok(()),
        };
        if let Err(refusal) = verdict
            && self.listener.may_report_refusal()
        {
            let peer = self.peer.to_canonical();
            warn!(%peer, "hook refused: {}", refusal.reason());
        }
        verdict
    }

    /// When the TLS handshake may begin. `None`: too many handshakes of this peer wait already.
    #[cfg(feature = "tls")]
    pub(super) fn handshake_begin(&self) -> Option<Instant> {
        self.listener.handshake_begin(self.peer)
    }

    /// For a kubelet's call of an unknown hook: its connection breaks, and the log reports why.
    pub(super) fn unknown_hook(&self, path: &str) -> BrokenConnection {
        if self.listener.may_report_refusal() {
            warn!(path, "a kubelet called an unknown hook: its connection is broken, so that the hook fails");
        }
        BrokenConnection
    }

    /// Reports an error that is a refusal to read from the connection, or to write to it.
    pub(super) fn report_refused_call(&self, error: &io::Error) {
        let is_refusal = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported);
        if is_refusal && self.listener.may_report_refusal() {
            warn!(%error, "a connection is broken: does a seccomp profile forbid recvfrom(2), sendto(2) or writev(2)?");
        }
    }

    /// The request is complete: the connection no longer competes with those that have not sent theirs.
    pub(super) fn begin_answer(&self) {
        self.listener.answer(self.id);
    }

    /// Moves to the places of those that wait: a hook waits long, and must not keep other requests from being read.
    /// `false`: there are more of them than any kubelet sends.
    pub(super) fn wait(&self) -> bool {
        self.listener.wait(self.id)
    }

    /// Waits until there is room for another large answer, and keeps it until the connection is over. `false`: the clients of
    /// too many do not read them.
    pub(super) async fn reserve_answer(&self) -> bool {
        for _ in 0..RESERVATIONS {
            if let Some(permit) = self.endpoint().permit_answer().await {
                self.set_permit(Some(permit));
                return true;
            }
            self.listener.evict_answering();
        }
        false
    }

    /// Changes the reserved room to the size of the finished answer. `false`: there is not enough room.
    pub(super) fn fit_answer(&self, bytes: usize) -> bool {
        let Some(permit) = self.set_permit(None) else { return true };
        let fitting = self.endpoint().fit_permit(permit, bytes);
        let fits = fitting.is_some();
        self.set_permit(fitting);
        fits
    }

    fn set_permit(&self, permit: Option<AnswerPermit>) -> Option<AnswerPermit> {
        std::mem::replace(&mut self.permit.lock().unwrap_or_else(PoisonError::into_inner), permit)
    }

    /// Keeps the guard until the connection is over.
    pub(super) fn hold(&self, guard: DeliveryGuard) {
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.listener.leave(self.id);
    }
}

/// How often a client that waits for room ends the answer of another one that does not read it.
const RESERVATIONS: usize = 5;
