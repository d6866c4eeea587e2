//! The end of a handler run: by its result, by its timeout, or by an abort.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::report::HandlerReport;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::seconds::Seconds;

/// Runs work that has no process to clean up. Reports its result or its timeout; an aborted run reports nothing.
pub(super) async fn bounded(
    work: impl Future<Output = HandlerReport>,
    timeout: Option<Duration>,
    aborted: oneshot::Receiver<()>,
    sender: oneshot::Sender<HandlerReport>,
) {
    let report = tokio::select! {
        report = work => report,
        report = timed_out(timeout) => report,
        () = abort_requested(aborted) => return,
    };
    // The receiver is gone only if the process is about to exit.
    let _ = sender.send(report);
}

/// The report of a run that has used up its timeout; never, without a timeout.
pub(super) async fn timed_out(timeout: Option<Duration>) -> HandlerReport {
    match timeout {
        Some(timeout) => {
            sleep(timeout).await;
            HandlerReport::new(HandlerResult::TimedOut, format!("timed out after {:.3} s", Seconds(timeout)))
        }
        None => std::future::pending().await,
    }
}

/// Resolves when the run is to be aborted. A sender that is dropped without a message does not abort.
pub(super) async fn abort_requested(aborted: impl Future<Output = Result<(), oneshot::error::RecvError>>) {
    if aborted.await.is_err() {
        std::future::pending::<()>().await;
    }
}
