//! Descriptor 3 of a preStart handler: the assignments that the handler writes there become variables of the app when it
//! has succeeded. They are read while the handler runs, up to a limit.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::program::Variables;
use bookend_config::assignments;

/// Reads the assignments of a handler.
pub(super) struct EnvPipe {
    written: Arc<Mutex<Written>>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl EnvPipe {
    pub(super) fn start(pipe: OwnedFd) -> io::Result<EnvPipe> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let written = Arc::<Mutex<Written>>::default();
        let reader = crate::tasks::spawn(read(pipe, Arc::clone(&written)));
        Ok(EnvPipe { written, reader })
    }

    /// Returns the variables, or all errors in one sentence. The handler has ended, so its output is in the pipe already; a
    /// grandchild that keeps the pipe open is not waited for.
    pub(super) async fn finish(self) -> Result<Variables, String> {
        let _ = timeout(REST, self.reader).await;
        let written = std::mem::take(&mut *lock(&self.written));
        if written.is_too_long {
            return Err(format!("descriptor 3: more than {MAX_BYTES} bytes"));
        }
        let variables =
            assignments::read(&written.bytes).map_err(|errors| format!("descriptor 3: {}", errors.join("; ")))?;
        Ok(variables.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect())
    }
}

async fn read(mut pipe: Receiver, written: Arc<Mutex<Written>>) {
    let mut chunk = [0u8; 1024];
    loop {
        let read = pipe.read(&mut chunk).await.unwrap_or(0);
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        // A handler that writes without end is not blocked, and does not keep the loop busy.
        match add(&written, bytes) {
            true => yield_now().await,
            false => sleep(Duration::from_millis(1)).await,
        }
    }
}

/// `false`: it is too long. It is read on to the end: a writer without a reader would hang instead of failing.
fn add(written: &Mutex<Written>, bytes: &[u8]) -> bool {
    let mut written = lock(written);
    written.is_too_long |= written.bytes.len() + bytes.len() > MAX_BYTES;
    if !written.is_too_long {
        written.bytes.extend_from_slice(bytes);
    }
    !written.is_too_long
}

fn lock(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time to read the rest of the pipe when the handler has ended.
const REST: Duration = Duration::from_millis(100);
/// A useful environment is smaller than this.
const MAX_BYTES: usize = 64 * 1024;
