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
    Hook(HookCall, HookSender),
    /// The state, for `/status`, `/metrics` and the health endpoints.
    Status(Detail, oneshot::Sender<Box<StatusSnapshot>>),
    /// `POST /stop`.
    Stop(oneshot::Sender<()>),
    /// `POST /signal/{name}`: act as if bookend had received the signal. The error is the reason why it cannot.
    Signal(Signal, oneshot::Sender<Result<(), &'static str>>),
    /// `POST /reload` and `/reload/{name}`.
    #[cfg(feature = "reload")]
    Reload(Option<String>, oneshot::Sender<ReloadAnswer>),
    /// `GET /events`, and the pid of the client if it is known. `None`: there are too many subscribers.
    Follow(Option<i32>, oneshot::Sender<Option<(EventStream, DeliveryGuard)>>),
}

/// The status and the text of the answer, when the reloads are over.
#[cfg(feature = "reload")]
pub(crate) type ReloadAnswer = (u16, String);

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

/// The way back to the caller of a hook.
pub(crate) type HookSender = oneshot::Sender<HookResponse>;

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
    /// In kilobytes.
    answers: Arc<Semaphore>,
}

/// The right to hold a large answer in memory: as many kilobytes.
pub(super) type AnswerPermit = OwnedSemaphorePermit;

impl Endpoint {
    pub(crate) fn new() -> (Endpoint, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        (Endpoint { requests, connections: Arc::default(), answers: Arc::new(Semaphore::new(MOST_KB)) }, receiver)
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

    /// Room for one more large answer of a size that is not known yet; waits for a moment if there is none. All answers
    /// together, on the port and on the socket, have at most 4 MB, however many clients do not read theirs.
    pub(super) async fn permit_answer(&self) -> Option<AnswerPermit> {
        timeout(ANSWER_WAIT, Arc::clone(&self.answers).acquire_many_owned(RESERVED_KB)).await.ok()?.ok()
    }

    /// Changes the reserved room to what this answer needs. `None`: there is not enough room.
    pub(super) fn fit_permit(&self, mut permit: AnswerPermit, bytes: usize) -> Option<AnswerPermit> {
        let (needed, reserved) = (bytes.div_ceil(1024).max(LEAST_KB), permit.num_permits());
        if needed > reserved {
            let more = u32::try_from(needed - reserved).ok()?;
            permit.merge(Arc::clone(&self.answers).try_acquire_many_owned(more).ok()?);
        } else {
            drop(permit.split(reserved - needed));
        }
        Some(permit)
    }

    /// Sends a request to the loop and waits for the response. `None`: the process is about to exit.
    pub(super) async fn request<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (sender, response) = oneshot::channel();
        self.requests.send(request(sender)).await.ok()?;
        response.await.ok()
    }
}

/// For all large answers in memory: `/status`, `/metrics` and the page. Answers of other kinds have a few hundred bytes.
const MOST_KB: usize = 4000;
/// For one while it is made. Most have a few kilobytes; what makes them larger is bounded in `report::journal`.
const RESERVED_KB: u32 = 160;
/// So that the end of five unread answers (`connection::RESERVATIONS`) makes room for another one.
const LEAST_KB: usize = 32;
/// How long a client waits until another one has its answer.
const ANSWER_WAIT: Duration = Duration::from_millis(100);
/// Requests on their way to the loop.
const QUEUE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_large_answers_together_have_at_most_four_megabytes() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for bytes in [0, 2_000, 100_000, 160 * 1024, 500_000, 3_000_000, 5_000_000] {
                let (endpoint, _receiver) = Endpoint::new();
                let (mut held, mut refused) = (Vec::new(), 0);
                while refused == 0 {
                    match endpoint.permit_answer().await.and_then(|permit| endpoint.fit_permit(permit, bytes)) {
                        Some(permit) => held.push(permit),
                        None => refused += 1,
                    }
                }
                assert!(held.len() * bytes <= 4_096_000, "{} answers of {bytes} bytes", held.len());
                assert!(held.len() >= (3_800_000 / bytes.max(32 * 1024)), "{} answers of {bytes} bytes", held.len());
                // The end of a few of them makes room for another one.
                drop(held.drain(..held.len().min(5)).collect::<Vec<_>>());
                assert!(endpoint.permit_answer().await.is_some());
            }
        });
    }
}
