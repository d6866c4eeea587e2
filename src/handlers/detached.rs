//! Work that may block, beside the loop: the C library's name resolution, files on a volume that may hang. A thread
//! for each, with every signal blocked, so that none is ever delivered there; bounded in number; never joined, so
//! that a name server that does not answer delays no signal, no reap and no exit. Whoever waits has a deadline.
//!
//! Not the runtime's own pool of threads: its end waits for what runs in it.

use std::sync::{Arc, LazyLock};

use tokio::sync::{Semaphore, oneshot};

use crate::process::with_signals_blocked;

/// Why the work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachedError {
    /// EAGAIN: the pids limit counts threads, too.
    #[error("cannot make a thread")]
    Thread(#[source] std::io::Error),
    /// It ended without a result.
    #[error("its thread has ended")]
    Lost,
}

/// Does the work on a thread of its own, and waits for it; waits for a place first, where many hang already.
pub(crate) async fn spawn_blocking_detached<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DetachedError> {
    static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MOST_THREADS)));
    let place = Arc::clone(&PLACES).acquire_owned().await.map_err(|_| DetachedError::Lost)?;
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("aside".to_owned()).stack_size(STACK);
    let task = move || {
        // Nobody waits for it any more: its time was over.
        let _ = sender.send(work());
        drop(place);
    };
    with_signals_blocked(|| thread.spawn(task)).map_err(DetachedError::Thread)?;
    result.await.map_err(|_| DetachedError::Lost)
}

const MOST_THREADS: usize = 8;
/// musl's resolver keeps its packets on the stack: some 20 kB; rustls parses certificates there.
const STACK: usize = 256 * 1024;
