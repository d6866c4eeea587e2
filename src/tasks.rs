//! Starts tasks of the runtime. Each is boxed, so that the code that runs a task is in the binary once: it would be two to four
//! kilobytes for each kind of task.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// Starts a task.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
    tokio::spawn(task)
}
