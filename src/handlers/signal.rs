//! `signal`: sends a signal to the app, and succeeds without waiting for its effect.

use std::io::ErrorKind;

use super::context::HandlerContext;
use super::report::HandlerReport;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::signal::Signal;

pub(super) fn send(signal: Signal, context: &HandlerContext) -> HandlerReport {
    let (result, detail) = match context.signal_app(signal) {
        Ok(()) => (HandlerResult::Succeeded, format!("{signal} sent to the app")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (HandlerResult::Failed, format!("cannot send {signal} to the app: its process has ended, or is not found"))
        }
        Err(error) => (HandlerResult::Failed, format!("cannot send {signal} to the app: {error}")),
    };
    HandlerReport::new(result, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::super::context::AppHandle;
    use super::super::output_budget::OutputBudgets;
    use super::*;
    use crate::process::inherited::Inherited;
    use crate::process::reaper::Reaper;

    #[test]
    fn a_process_that_is_not_there_is_named_in_words() {
        let inherited = Inherited::take();
        inherited.restore_mask();
        let context = HandlerContext {
            reaper: Reaper::default(),
            inherited: Arc::new(inherited),
            app: AppHandle::OtherContainer(None),
            drain: Arc::new(watch::Sender::new(None)),
            output: OutputBudgets::new(),
        };
        let report = send(Signal::HUP, &context);
        assert_eq!(report.result, HandlerResult::Failed);
        assert_eq!(report.detail, "cannot send SIGHUP to the app: its process has ended, or is not found");
    }
}
