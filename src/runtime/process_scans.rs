//! Looks for zombies that only their own parents can reap. All processes are read on another thread: with thousands of them it
//! takes longer than a signal may wait. At most one look goes on at a time, and clients that ask meanwhile share it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::detached::spawn_in_slot;
use crate::http::StatusSnapshot;
use crate::process::zombies::{self, NegligentParent};

/// The way back to a client that asked for the status.
pub(super) type StatusSender = oneshot::Sender<Box<StatusSnapshot>>;

#[derive(Default)]
pub(super) struct ProcessScans {
    /// Requests for the status that wait for the scan; no more than there are connections.
    waiting: Vec<StatusSender>,
    is_running: bool,
}

impl ProcessScans {
    /// Whether a scan is to begin: none is running.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.is_running, true)
    }

    /// The request waits for the next scan to end.
    pub(super) fn wait(&mut self, response: StatusSender) {
        self.waiting.retain(|waiting| !waiting.is_closed());
        self.waiting.push(response);
    }

    /// Called when the scan has ended. Returns the requests that waited for it.
    pub(super) fn completed(&mut self) -> Vec<StatusSender> {
        self.is_running = false;
        std::mem::take(&mut self.waiting)
    }
}

/// One scan.
pub(super) async fn scan() -> Vec<NegligentParent> {
    static SLOT: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));
    let found = timeout(SCAN_TIME, spawn_in_slot(&SLOT, zombies::negligent_parents)).await;
    // Without a result: none are known.
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// A look at ten thousand processes takes a tenth of a second.
const SCAN_TIME: Duration = Duration::from_secs(5);
