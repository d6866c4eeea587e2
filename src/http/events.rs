//! What happens, as a stream: server-sent events for those who follow a container live. Each reader has a queue
//! of its own; one that does not read is let go with a comment, and nobody waits for it.
//!
//! `id` counts from the beginning, `event` is the kind, `data` one line of JSON with `atSeconds` since then.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::report::journal::Record;
use bookend_lifecycle::Time;

/// Something that followers are told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum LifecycleEvent<'a> {
    /// The container's phase has changed.
    Phase { phase: &'a str },
    /// A line of the story: `stop begun by SIGTERM`.
    Note { text: &'a str },
    /// A signal has come.
    Signal { signal: String },
    /// Somebody called a hook.
    HookCalled {
        hook: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<&'a str>,
    },
    /// A handler has begun.
    HandlerStarted {
        hook: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<&'a str>,
        name: &'a str,
    },
    /// A handler is over.
    HandlerEnded(&'a Record),
    /// The last one.
    Exited {
        #[serde(rename = "exitCode")]
        exit_code: u8,
    },
}

impl LifecycleEvent<'_> {
    fn kind(&self) -> &'static str {
        match self {
            LifecycleEvent::Phase { .. } => "phase",
            LifecycleEvent::Note { .. } => "note",
            LifecycleEvent::Signal { .. } => "signal",
            LifecycleEvent::HookCalled { .. } => "hookCalled",
            LifecycleEvent::HandlerStarted { .. } => "handlerStarted",
            LifecycleEvent::HandlerEnded(_) => "handlerEnded",
            LifecycleEvent::Exited { .. } => "exited",
        }
    }
}

#[derive(Serialize)]
struct EventData<'a> {
    #[serde(rename = "atSeconds")]
    at_seconds: f64,
    #[serde(flatten)]
    happening: &'a LifecycleEvent<'a>,
}

/// Those who follow.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    all: Vec<Subscriber>,
    /// How many things have happened.
    count: u64,
}

#[derive(Debug)]
struct Subscriber {
    queue: mpsc::Sender<Bytes>,
    was_slow: Arc<AtomicBool>,
}

impl Subscribers {
    /// One more reader; `None`: there are more than anybody needs.
    pub(crate) fn subscribe(&mut self, now: Time, phase: &str) -> Option<EventStream> {
        self.all.retain(|subscriber| !subscriber.queue.is_closed());
        if self.all.len() >= MOST_SUBSCRIBERS {
            return None;
        }
        let (queue, receiver) = mpsc::channel(QUEUE);
        let was_slow = Arc::new(AtomicBool::new(false));
        // What a reader finds first: where things stand.
        let _ = queue.try_send(told(self.count, now, &LifecycleEvent::Phase { phase }));
        self.all.push(Subscriber { queue, was_slow: Arc::clone(&was_slow) });
        Some(EventStream { receiver, was_slow, is_over: false })
    }

    /// Tells everybody. Costs nothing where nobody follows.
    pub(crate) fn publish(&mut self, now: Time, happening: &LifecycleEvent<'_>) {
        self.count += 1;
        if self.all.is_empty() {
            return;
        }
        let text = told(self.count, now, happening);
        self.all.retain(|subscriber| match subscriber.queue.try_send(text.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                subscriber.was_slow.store(true, Ordering::Relaxed);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    /// Nothing more happens.
    pub(crate) fn close(&mut self) {
        self.all.clear();
    }
}

fn told(id: u64, now: Time, happening: &LifecycleEvent<'_>) -> Bytes {
    let data = EventData { at_seconds: now.as_secs_f64(), happening };
    // Strings and numbers: there is nothing in it that JSON cannot say.
    let data = serde_json::to_string(&data).unwrap_or_default();
    Bytes::from(format!("id: {id}\nevent: {}\ndata: {data}\n\n", happening.kind()))
}

/// The body of `GET /events`.
#[derive(Debug)]
pub(crate) struct EventStream {
    receiver: mpsc::Receiver<Bytes>,
    was_slow: Arc<AtomicBool>,
    is_over: bool,
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(cx).map(|next| {
            let bytes = next.unwrap_or_else(|| {
                self.is_over = true;
                let slow = self.was_slow.load(Ordering::Relaxed);
                Bytes::from_static(if slow { b": let go: too slow a reader\n\n" } else { b": bookend has ended\n\n" })
            });
            Some(Ok(Frame::data(bytes)))
        })
    }
}

const MOST_SUBSCRIBERS: usize = 16;
/// What one of them may be behind.
const QUEUE: usize = 256;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn read_all(stream: EventStream) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(stream.collect()).unwrap().to_bytes();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_reader_is_told_where_things_stand_and_what_happens() {
        let mut subscribers = Subscribers::default();
        let stream = subscribers.subscribe(Time::from_millis(1500), "Running").unwrap();
        subscribers.publish(Time::from_secs(2), &LifecycleEvent::Note { text: "two\nlines" });
        subscribers.close();
        assert_eq!(
            read_all(stream),
            "id: 0\nevent: phase\ndata: {\"atSeconds\":1.5,\"phase\":\"Running\"}\n\n\
             id: 1\nevent: note\ndata: {\"atSeconds\":2.0,\"text\":\"two\\nlines\"}\n\n: bookend has ended\n\n"
        );
    }

    #[test]
    fn a_reader_that_does_not_read_is_let_go_and_bounded() {
        let mut subscribers = Subscribers::default();
        let stream = subscribers.subscribe(Time::ZERO, "Running").unwrap();
        for _ in 0..10 * QUEUE {
            subscribers.publish(Time::ZERO, &LifecycleEvent::Note { text: "x" });
        }
        assert!(subscribers.all.is_empty());
        let text = read_all(stream);
        assert_eq!(text.matches("event: ").count(), QUEUE);
        assert!(text.ends_with(": let go: too slow a reader\n\n"));
    }

    #[test]
    fn readers_are_bounded_and_those_who_left_make_room() {
        let mut subscribers = Subscribers::default();
        let streams: Vec<_> =
            (0..MOST_SUBSCRIBERS).map(|_| subscribers.subscribe(Time::ZERO, "Running").unwrap()).collect();
        assert!(subscribers.subscribe(Time::ZERO, "Running").is_none());
        drop(streams);
        assert!(subscribers.subscribe(Time::ZERO, "Running").is_some());
    }
}
