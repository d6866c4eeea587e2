//! The requests of the endpoint to the loop, and the channel between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::delivery::DeliveryGuard;
use super::events::EventStream;
use super::status::StatusSnapshot;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Hook, Outcome};

/// A request of the endpoint to the loop, with the sender of its response. If the loop drops the sender, the process is
/// about to exit.
#[derive(Debug)]
pub(crate) enum Request {
    /// A hook was called. The sender is closed when the caller has hung up.
    Hook(HookCall, oneshot::Sender<HookResponse>),
    /// The state, for `/status`, `/metrics` and the health endpoints.
    Status(Detail, oneshot::Sender<Box<StatusSnapshot>>),
    /// `POST /stop`.
    Stop(oneshot::Sender<()>),
    /// `POST /signal/{name}`: act as if bookend had received the signal. The error is the reason why it cannot.
    Signal(Signal, oneshot::Sender<Result<(), &'static str>>),
    /// `GET /events`, and the pid of the client if it is known. `None`: there are too many subscribers.
    Follow(Option<i32>, oneshot::Sender<Option<(EventStream, DeliveryGuard)>>),
}

/// A call of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookCall {
    /// The container's name in a sidecar; `None`: the app that has no name.
    pub(crate) container: Option<String>,
    pub(crate) hook: Hook,
}

/// How much of the state a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Enough to answer a probe; the handler records and the timeline are not copied.
    Health,
    /// All of it, but no look at other processes, no records and no timeline: for the report of a stop.
    Report,
    /// All of it.
    Everything,
}

/// The response to the caller of a hook.
#[derive(Debug)]
pub(crate) struct HookResponse {
    pub(crate) outcome: Outcome,
    pub(crate) guard: DeliveryGuard,
}

/// The endpoint's way to the loop. Clones share the count of connections.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    requests: mpsc::Sender<Request>,
    connections: Arc<AtomicUsize>,
    answers: Arc<Semaphore>,
}

/// The right to hold a large answer in memory.
pub(super) type AnswerPermit = OwnedSemaphorePermit;

impl Endpoint {
    pub(crate) fn new() -> (Endpoint, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        (Endpoint { requests, connections: Arc::default(), answers: Arc::new(Semaphore::new(MOST_ANSWERS)) }, receiver)
    }

    /// The number of connections, on the port and on the socket.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn connection_began(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_ended(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// The right to hold one more large answer; waits for a moment if there are too many. All answers together, on the port
    /// and on the socket, are a few megabytes, however many clients do not read theirs.
    pub(super) async fn permit_answer(&self) -> Option<AnswerPermit> {
        timeout(ANSWER_WAIT, Arc::clone(&self.answers).acquire_owned()).await.ok()?.ok()
    }

    /// Sends a request to the loop and waits for the response. `None`: the process is about to exit.
    pub(super) async fn request<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (sender, response) = oneshot::channel();
        self.requests.send(request(sender)).await.ok()?;
        response.await.ok()
    }
}

/// The large answers in memory: `/status`, `/metrics` and the page have at most some 100 kB each (`report::journal`), so
/// these are less than 4 MB. Answers of other kinds have a few hundred bytes.
const MOST_ANSWERS: usize = 24;
/// How long a client waits until another one has its answer.
const ANSWER_WAIT: Duration = Duration::from_millis(100);
/// Requests on their way to the loop.
const QUEUE: usize = 64;
