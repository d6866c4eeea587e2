//! The app's own reports with sd_notify(3) (`app.notify`).

use tokio::sync::mpsc;
use tracing::warn;

use crate::http::NotifySnapshot;
use crate::process::notify_socket::NotifySocket;
use crate::runtime::dispatcher::TaskMessage;
use bookend_lifecycle::Time;
use bookend_lifecycle::notify::{self, Message};

#[derive(Debug)]
pub(super) struct NotifyState {
    /// The app must send READY=1 to count as started.
    is_expected: bool,
    ready: bool,
    stopping: bool,
    status: Option<String>,
    startup_extended_to: Option<Time>,
}

impl NotifyState {
    pub(super) fn new(is_expected: bool) -> NotifyState {
        NotifyState { is_expected, ready: false, stopping: false, status: None, startup_extended_to: None }
    }

    /// Takes a message of the app. Returns a text for the operator if it changes something.
    pub(super) fn take(&mut self, now: Time, message: Message) -> Option<&'static str> {
        match message {
            Message::Ready => {
                let is_news = !std::mem::replace(&mut self.ready, true);
                is_news.then_some("the app has reported that it is ready (READY=1)")
            }
            // This is about the configuration: `runtime::reload` has it.
            Message::Reloading => None,
            Message::Stopping => {
                let is_news = !std::mem::replace(&mut self.stopping, true);
                is_news.then_some("the app has reported that it is stopping (STOPPING=1)")
            }
            Message::Status(status) => {
                self.status = Some(status);
                None
            }
            Message::ExtendTimeout(time) => {
                self.startup_extended_to = Some(now + time);
                None
            }
        }
    }

    /// Whether the app has sent READY=1, if it must.
    pub(super) fn is_ready(&self) -> bool {
        self.ready || !self.is_expected
    }

    /// Whether the app is ending by itself.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn startup_extended_to(&self) -> Option<Time> {
        self.startup_extended_to
    }

    pub(super) fn view(&self) -> Option<NotifySnapshot> {
        self.is_expected.then(|| NotifySnapshot {
            ready: self.ready,
            stopping: self.stopping,
            status: self.status.clone(),
        })
    }
}

/// Receives the app's messages. A flood of them waits in the kernel: it blocks the app, not us.
pub(super) fn listen(socket: NotifySocket, to_loop: mpsc::Sender<TaskMessage>) {
    let mut listening = match socket.listen() {
        Ok(listening) => listening,
        Err(error) => {
            return warn!(%error, "cannot receive sd_notify messages; the app will never be reported as started");
        }
    };
    crate::tasks::spawn(async move {
        loop {
            let messages = notify::parse(listening.next().await);
            // The loop is gone only when the process is.
            let _ = to_loop.send(TaskMessage::Notified(messages)).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_repeated_message_is_no_news() {
        let mut state = NotifyState::new(true);
        assert!(!state.is_ready());
        assert!(state.take(Duration::ZERO, Message::Ready).is_some());
        assert_eq!(state.take(Duration::ZERO, Message::Ready), None);
        assert!(state.is_ready() && !state.is_stopping());
    }
}
