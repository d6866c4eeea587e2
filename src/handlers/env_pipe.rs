//! Descriptor 3 of a preStart handler: what it writes there is read while it runs, up to a limit, and becomes
//! variables of the app when it has succeeded.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::handlers::program::Variables;
use bookend_config::assignments;

/// Reads what a handler sets.
pub(super) struct EnvPipe {
    written: watch::Receiver<Written>,
}

#[derive(Debug, Clone, Default)]
struct Written {
    bytes: Vec<u8>,
    too_much: bool,
}

impl EnvPipe {
    pub(super) fn start(pipe: OwnedFd) -> io::Result<EnvPipe> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let (sender, written) = watch::channel(Written::default());
        tokio::spawn(read(pipe, sender));
        Ok(EnvPipe { written })
    }

    /// The handler has ended, and what it wrote is in the pipe already; a grandchild that keeps it open is not
    /// waited for. The variables, or every mistake in one sentence.
    pub(super) async fn finish(mut self) -> Result<Variables, String> {
        // The sender is dropped with the end of the pipe.
        let end = async { while self.written.changed().await.is_ok() {} };
        let _ = timeout(REST, end).await;
        let written = self.written.borrow().clone();
        if written.too_much {
            return Err(format!("descriptor 3: more than {MOST} bytes"));
        }
        let variables =
            assignments::read(&written.bytes).map_err(|mistakes| format!("descriptor 3: {}", mistakes.join("; ")))?;
        Ok(variables.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect())
    }
}

async fn read(mut pipe: Receiver, sender: watch::Sender<Written>) {
    let mut chunk = [0u8; 1024];
    loop {
        let read = pipe.read(&mut chunk).await.unwrap_or(0);
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        sender.send_modify(|written| {
            // Read on to the end: a writer that waits for a reader would hang instead of failing.
            match written.bytes.len() + bytes.len() > MOST {
                true => written.too_much = true,
                false => written.bytes.extend_from_slice(bytes),
            }
        });
        yield_now().await;
    }
}

/// How long the rest of the pipe may take to be read once the handler has ended.
const REST: Duration = Duration::from_millis(100);
/// More is no environment.
const MOST: usize = 64 * 1024;
