//! `signal`: one to the app, by the reaper's table, and on goes the list.

use super::{HandlerContext, HandlerReport};
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::signal::Signal;

/// Sends it, to whom `app.signalScope` says.
pub(super) fn send(signal: Signal, context: &HandlerContext) -> HandlerReport {
    match context.signal_app(signal) {
        Ok(()) => HandlerReport::new(HandlerResult::Succeeded, format!("{signal} sent to the app")),
        Err(error) => HandlerReport::new(HandlerResult::Failed, format!("cannot send {signal} to the app: {error}")),
    }
}
