//! Connections: accepted up to a bound, each with one request and little time for it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::sleep;
use tracing::warn;

use super::routes;
use super::status::Status;
use crate::lifecycle::{Hook, Outcome};

/// A hook that somebody called.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) hook: Hook,
    /// Closed without an answer: the caller has gone.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What the caller is told.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// Dropped when the answer is on the wire, or nobody is there to take it.
    pub(crate) receipt: oneshot::Sender<Infallible>,
}

/// The two ways between the endpoint and the loop.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    pub(crate) calls: mpsc::Sender<Call>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, doors: Doors) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let hook_places = Arc::new(Semaphore::new(MOST_HOOKS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = Connection {
                    doors: doors.clone(),
                    place: Mutex::new(Some(place)),
                    hook_places: Arc::clone(&hook_places),
                    held: Mutex::new(None),
                };
                tokio::spawn(connection.serve(stream));
            }
            Err(error) => {
                // EMFILE, ENFILE, ENOMEM pass; the connection waits in the backlog meanwhile.
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// One connection, and what has to outlive its last byte.
pub(super) struct Connection {
    pub(super) doors: Doors,
    /// Its place among those that are still read or written.
    place: Mutex<Option<OwnedSemaphorePermit>>,
    hook_places: Arc<Semaphore>,
    held: Mutex<Option<(OwnedSemaphorePermit, oneshot::Sender<Infallible>)>>,
}

impl Connection {
    /// A hook waits long, and must not keep others from being read: it moves to a place of its own kind.
    /// `None`: there are more hooks waiting than any kubelet sends.
    pub(super) fn become_a_hook(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.hook_places).try_acquire_owned().ok()?;
        lock(&self.place).take();
        Some(place)
    }

    /// Keeps the receipt until the connection is over.
    pub(super) fn hold(&self, place: OwnedSemaphorePermit, receipt: oneshot::Sender<Infallible>) {
        *lock(&self.held) = Some((place, receipt));
    }

    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request| routes::answer(request, &self));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(MOST_HEADER_BYTES)
            .max_headers(MOST_HEADERS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        // A broken connection is the caller's to notice; for a kubelet's failed hook it is the answer.
        drop(served);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At once; a kubelet, a load balancer and Prometheus together need a handful.
const MOST_CONNECTIONS: usize = 128;
/// Hooks that wait for their answer; a kubelet sends one of each at a time.
const MOST_HOOKS: usize = 64;
const HEADER_TIME: Duration = Duration::from_secs(5);
const MOST_HEADER_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
