//! How many connections bookend itself has accepted: the namespace's counter holds them, too, and a probe of
//! ours is not a client of the app.

use std::sync::atomic::{AtomicU64, Ordering};

static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// One more. Called by every listener of ours right after accept(2).
pub(crate) fn count() {
    ACCEPTED.fetch_add(1, Ordering::Relaxed);
}

/// All so far.
pub(crate) fn total() -> u64 {
    ACCEPTED.load(Ordering::Relaxed)
}
