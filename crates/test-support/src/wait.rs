//! Waiting for a condition, with a deadline.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The deadline of every wait: long enough for a busy machine. A test that comes near it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the condition holds; fails the test if it does not hold within [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a program accepts connections at a Unix socket. The file alone says less: bind(2) makes it, and only
/// listen(2), a moment later, keeps a client from being refused.
pub fn wait_for_socket(path: &Path) {
    wait_until("a program listens on the socket", || UnixStream::connect(path).is_ok());
}
