//! How many connections bookend itself has accepted. The namespace's counter includes them, but a client of bookend
//! is not a client of the app.

use std::sync::atomic::{AtomicU64, Ordering};

static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// Counts one. Each of our listeners calls it right after accept(2).
pub(crate) fn count() {
    ACCEPTED.fetch_add(1, Ordering::Relaxed);
}

/// The number of connections so far.
pub(crate) fn total() -> u64 {
    ACCEPTED.load(Ordering::Relaxed)
}
