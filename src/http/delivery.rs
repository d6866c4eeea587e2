//! A response on its way to its caller: the loop does not exit before it is delivered.

use std::convert::Infallible;

use tokio::sync::oneshot;

/// Lives as long as a response is on its way. The endpoint drops it when the last byte is written or the caller has hung
/// up; [`Delivery`] then completes. The loop waits for that before it exits.
#[derive(Debug)]
pub(crate) struct DeliveryGuard {
    _dropped: oneshot::Sender<Infallible>,
}

/// Completes when the [`DeliveryGuard`] is dropped.
#[derive(Debug)]
pub(crate) struct Delivery(oneshot::Receiver<Infallible>);

impl DeliveryGuard {
    pub(crate) fn new() -> (DeliveryGuard, Delivery) {
        let (sender, receiver) = oneshot::channel();
        (DeliveryGuard { _dropped: sender }, Delivery(receiver))
    }
}

impl Delivery {
    /// Waits until the response is delivered, or cannot be.
    pub(crate) async fn finished(self) {
        // The sender never sends.
        let _ = self.0.await;
    }
}
