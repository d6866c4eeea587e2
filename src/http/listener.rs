//! One of the two listeners, the port or the unix socket. Each has a table of connections of its own, so that a flood on
//! one leaves the other as it was.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until};
use tracing::warn;

use super::connection_table::{ConnectionLimit, ConnectionTable};
use super::request::Endpoint;
use super::rules::{RateLimit, Rules};

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
    began: Instant,
    /// A connection has left the table.
    left: Notify,
    connections: Mutex<ConnectionTable<ConnectionEnd>>,
    /// Limits how often the log reports a refused caller.
    refusals: Mutex<RateLimit>,
}

impl Listener {
    pub(super) fn new(kind: ListenerKind, endpoint: Endpoint, rules: Rules) -> Listener {
        let descriptors = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        let limit = ConnectionLimit::of_descriptors(descriptors.map_or(1024, |(soft, _)| soft));
        Listener {
            kind,
            endpoint,
            rules,
            began: Instant::now(),
            left: Notify::new(),
            connections: Mutex::new(ConnectionTable::new(limit)),
            refusals: Mutex::default(),
        }
    }

    /// Takes a connection into the table, as soon as there is room. Later ones wait in the backlog.
    pub(super) async fn enter(&self, peer: IpAddr) -> (u64, oneshot::Receiver<Infallible>) {
        loop {
            // A connection that has to go ends by the drop of its sender.
            let room = lock(&self.connections).make_room(self.began.elapsed()).map(drop);
            let Err(at) = room else { break };
            tokio::select! {
                () = self.left.notified() => {}
                () = sleep_until((self.began + at).into()) => {}
            }
        }
        let (end, ended) = oneshot::channel();
        let id = lock(&self.connections).enter(self.began.elapsed(), peer, end);
        self.endpoint.connection_began();
        (id, ended)
    }

    /// Moves a connection to the places of those that wait. `false`: there are more of them than any kubelet sends.
    pub(super) fn wait(&self, id: u64) -> bool {
        let waits = lock(&self.connections).wait(id).is_ok();
        // Its place among those that are read is free.
        self.left.notify_one();
        waits
    }

    pub(super) fn leave(&self, id: u64) {
        lock(&self.connections).leave(id);
        self.left.notify_one();
        self.endpoint.connection_ended();
    }

    /// Whether the log may report another refused caller now.
    pub(super) fn may_report_refusal(&self) -> bool {
        lock(&self.refusals).allow()
    }

    pub(super) async fn accept_failed(&self, error: &io::Error, is_short: &mut bool) {
        use nix::errno::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw);
        if !matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) {
            // accept(2): an error of that connection, which has gone before it was taken. An error that concerns all of
            // them, as a security module's EPERM, comes again: then a pause keeps the loop from spinning.
            return sleep(ACCEPT_AGAIN_SOON).await;
        }
        if !*is_short {
            warn!(%error, "cannot accept connections: they wait in the backlog");
            *is_short = true;
        }
        // One of ours gives its descriptor; the new connection waits in the backlog meanwhile, and is not refused.
        let made_room = lock(&self.connections).give_up_one().is_some();
        sleep(if made_room { ACCEPT_AGAIN_SOON } else { ACCEPT_AGAIN }).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const ACCEPT_AGAIN_SOON: Duration = Duration::from_millis(1);
