//! Descriptor 3 of a preStart handler: the assignments that the handler writes there become variables of the app when it
//! has succeeded. They are read while the handler runs, up to a limit.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::program::Variables;
use bookend_config::assignments;

/// Reads the assignments of a handler.
pub(super) struct EnvPipe {
    written: watch::Receiver<Written>,
}

#[derive(Debug, Clone, Default)]
struct Written {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl EnvPipe {
    pub(super) fn start(pipe: OwnedFd) -> io::Result<EnvPipe> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let (sender, written) = watch::channel(Written::default());
        crate::tasks::spawn(read(pipe, sender));
        Ok(EnvPipe { written })
    }

    /// Returns the variables, or all errors in one sentence. The handler has ended, so its output is in the pipe already; a
    /// grandchild that keeps the pipe open is not waited for.
    pub(super) async fn finish(mut self) -> Result<Variables, String> {
        // The sender is dropped at the end of the pipe.
        let end = async { while self.written.changed().await.is_ok() {} };
        let _ = timeout(REST, end).await;
        let written = self.written.borrow().clone();
        if written.is_too_long {
            return Err(format!("descriptor 3: more than {MAX_BYTES} bytes"));
        }
        let variables =
            assignments::read(&written.bytes).map_err(|errors| format!("descriptor 3: {}", errors.join("; ")))?;
        Ok(variables.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect())
    }
}

async fn read(mut pipe: Receiver, sender: watch::Sender<Written>) {
    let mut chunk = [0u8; 1024];
    loop {
        let read = pipe.read(&mut chunk).await.unwrap_or(0);
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        sender.send_modify(|written| {
            // Read on to the end: a writer without a reader would hang instead of failing.
            match written.bytes.len() + bytes.len() > MAX_BYTES {
                true => written.is_too_long = true,
                false => written.bytes.extend_from_slice(bytes),
            }
        });
        // A handler that writes without end is not blocked, and does not keep the loop busy.
        let is_too_long = sender.borrow().is_too_long;
        match is_too_long {
            true => sleep(Duration::from_millis(1)).await,
            false => yield_now().await,
        }
    }
}

/// The time to read the rest of the pipe when the handler has ended.
const REST: Duration = Duration::from_millis(100);
/// A useful environment is smaller than this.
const MAX_BYTES: usize = 64 * 1024;
