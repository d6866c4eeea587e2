//! `signal`: sends a signal to the app, and succeeds without waiting for its effect.

use super::context::HandlerContext;
use super::report::HandlerReport;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::signal::Signal;

pub(super) fn send(signal: Signal, context: &HandlerContext) -> HandlerReport {
    match context.signal_app(signal) {
        Ok(()) => HandlerReport::new(HandlerResult::Succeeded, format!("{signal} sent to the app")),
        Err(error) => HandlerReport::new(HandlerResult::Failed, format!("cannot send {signal} to the app: {error}")),
    }
}
