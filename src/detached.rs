//! Runs work that may block or takes long: name resolution by the C library, files on a volume that may hang, all of /proc.
//! Each piece of work has a thread of its own, with every signal blocked, so that no signal is delivered there. The number
//! of threads is bounded: one for everything that waits for the same files, or the slots of the caller. So what waits for
//! one volume takes no thread from the rest. They are never joined, so that a name server that does not answer delays no
//! signal, no reap and no exit. The caller needs a deadline.
//!
//! The runtime's own thread pool is not used: the end of the runtime waits for its work.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::process::with_signals_blocked;

/// Why the work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachedError {
    /// EAGAIN: the pids limit counts threads as well.
    #[error("cannot start a thread (is the container's pids limit reached?)")]
    Thread(#[source] std::io::Error),
    /// The result did not come in time.
    #[error("there is no answer: does a volume hang?")]
    Lost,
}

/// Does the work on a thread of its own and waits for the result; first for the end of other work with the same key. `key`: what
/// it may have to wait for, such as the paths of its files. If they hang, there is one thread that waits, however many runs there were.
pub(crate) async fn spawn_blocking_detached<T: Send + 'static>(
    key: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DetachedError> {
    spawn_in_slot(&slot_of(key), work).await
}

fn slot_of(key: String) -> Arc<Semaphore> {
    static SLOTS: Mutex<Vec<(String, Arc<Semaphore>)>> = Mutex::new(Vec::new());
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    // A slot that is in use, or waited for, has other owners.
    slots.retain(|(known, slot)| *known == key || Arc::strong_count(slot) > 1);
    if let Some((_, slot)) = slots.iter().find(|(known, _)| *known == key) {
        return Arc::clone(slot);
    }
    let slot = Arc::new(Semaphore::new(1));
    slots.push((key, Arc::clone(&slot)));
    slot
}

/// The same with slots of the caller's own, which the work of others cannot take.
pub(crate) async fn spawn_in_slot<T: Send + 'static>(
    slots: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DetachedError> {
    let slot = free_slot(slots).await?;
    let (sender, result) = oneshot::channel();
    start_thread(Box::new(move || {
        // The receiver is gone if the deadline has passed.
        let _ = sender.send(work());
        drop(slot);
    }))?;
    result.await.map_err(|_| DetachedError::Lost)
}

/// Does the work on a thread of its own, and waits for the result without a runtime, at most for this time.
pub(crate) fn run_bounded<T: Send + 'static>(
    time: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DetachedError> {
    // A channel of the standard library would be 4 kB of code.
    let shared = Arc::new((Mutex::new(None), Condvar::new()));
    let theirs = Arc::clone(&shared);
    start_thread(Box::new(move || {
        let result = work();
        *theirs.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        theirs.1.notify_one();
    }))?;
    let result = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = shared.1.wait_timeout_while(result, time, |result| result.is_none());
    waited.unwrap_or_else(PoisonError::into_inner).0.take().ok_or(DetachedError::Lost)
}

async fn free_slot(slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, DetachedError> {
    Arc::clone(slots).acquire_owned().await.map_err(|_| DetachedError::Lost)
}

/// One function for every kind of work: the standard library's thread is 2 kB of code for each type.
pub(crate) fn start_thread(work: Box<dyn FnOnce() + Send>) -> Result<(), DetachedError> {
    let thread = std::thread::Builder::new().name("detached".to_owned()).stack_size(STACK);
    with_signals_blocked(|| thread.spawn(work)).map(drop).map_err(DetachedError::Thread)
}

/// musl's resolver keeps its packets on the stack, about 20 kB; rustls parses certificates there.
const STACK: usize = 256 * 1024;
