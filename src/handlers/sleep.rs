//! `sleep`: a pause. It ends by itself, or with the stop's budget; both count as a success.

use std::time::Duration;

use super::report::HandlerReport;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::seconds::Seconds;

pub(super) async fn run(duration: Duration) -> HandlerReport {
    // A timer takes a millisecond at least.
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
    HandlerReport::new(HandlerResult::Succeeded, format!("slept {:.3} s", Seconds(duration)))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_sleep_of_zero_seconds_sets_no_timer() {
        // Without a runtime, a timer would panic.
        let polled = pin!(run(Duration::ZERO)).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(HandlerReport::new(HandlerResult::Succeeded, "slept 0.000 s")));
    }
}
