//! `GET /events`: what happens, as a stream of server-sent events. Each subscriber has a queue of its own; the stream of
//! one that does not read is closed with a comment, so that the loop never waits for it.
//!
//! `id` counts from the start of bookend, `event` is the kind, `data` is one line of JSON with the time: `at`, and
//! `atSeconds` since the start.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

use super::delivery::{Delivery, DeliveryGuard};
use crate::report::journal::Record;
use crate::report::timestamp::Timestamp;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{PhaseName, Time};

/// An event that subscribers receive.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum LifecycleEvent<'a> {
    /// The container's phase has changed.
    Phase { phase: PhaseName },
    /// A line of the timeline: `stop triggered by SIGTERM`.
    Note { text: &'a str },
    /// bookend has received a signal.
    Signal {
        #[serde(serialize_with = "in_words")]
        signal: Signal,
    },
    /// A hook was called.
    HookCalled {
        hook: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<&'a str>,
    },
    /// A handler has started.
    HandlerStarted {
        hook: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<&'a str>,
        name: &'a str,
    },
    /// A handler has ended.
    HandlerEnded(&'a Record),
    /// A reload is over.
    #[cfg(feature = "reload")]
    Reload {
        name: &'a str,
        result: &'a str,
        detail: &'a str,
        #[serde(rename = "tookSeconds")]
        took_seconds: Seconds,
    },
    /// The container is about to exit; the last event.
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
            #[cfg(feature = "reload")]
            LifecycleEvent::Reload { .. } => "reload",
            LifecycleEvent::Exited { .. } => "exited",
        }
    }
}

fn in_words<S: Serializer>(signal: &Signal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(signal)
}

#[derive(Serialize)]
struct EventData<'a> {
    at: Timestamp,
    #[serde(rename = "atSeconds")]
    at_seconds: Seconds,
    #[serde(flatten)]
    event: &'a LifecycleEvent<'a>,
}

/// The subscribers of `/events`.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    all: Vec<Subscriber>,
    /// The number of events so far.
    count: u64,
}

#[derive(Debug)]
struct Subscriber {
    /// The client's process, if it is in our PID namespace.
    pid: Option<i32>,
    delivery: Delivery,
    queue: mpsc::Sender<Bytes>,
    was_slow: Arc<AtomicBool>,
}

impl Subscribers {
    /// Adds a subscriber; `None`: there are too many. Its first event is the present phase.
    pub(crate) fn subscribe(
        &mut self,
        now: Time,
        at: Timestamp,
        phase: PhaseName,
        pid: Option<i32>,
    ) -> Option<(EventStream, DeliveryGuard)> {
        self.all.retain(|subscriber| !subscriber.queue.is_closed());
        if self.all.len() >= MOST_SUBSCRIBERS {
            return None;
        }
        let (queue, receiver) = mpsc::channel(QUEUE);
        let was_slow = Arc::new(AtomicBool::new(false));
        let _ = queue.try_send(encode(self.count, now, at, &LifecycleEvent::Phase { phase }));
        let (guard, delivery) = DeliveryGuard::new();
        self.all.push(Subscriber { pid, delivery, queue, was_slow: Arc::clone(&was_slow) });
        Some((EventStream { receiver, was_slow, is_over: false }, guard))
    }

    /// Whether there are any.
    pub(crate) fn are_any(&self) -> bool {
        !self.all.is_empty()
    }

    /// Sends an event to all subscribers; without any it costs nothing. `clock`: the time since the start, and of the day.
    pub(crate) fn publish(&mut self, clock: impl FnOnce() -> (Time, Timestamp), event: &LifecycleEvent<'_>) {
        self.count += 1;
        if self.all.is_empty() {
            return;
        }
        let (now, at) = clock();
        let text = encode(self.count, now, at, event);
        self.all.retain(|subscriber| match subscriber.queue.try_send(text.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                subscriber.was_slow.store(true, Ordering::Relaxed);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    /// The processes of the clients, as far as they are known.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.all.iter().filter(|subscriber| !subscriber.queue.is_closed()).filter_map(|one| one.pid).collect()
    }

    /// Ends all streams: no more events follow. Returns what the end has to wait for: each stream, and its client's pid.
    pub(crate) fn close(&mut self) -> Vec<(Delivery, Option<i32>)> {
        self.all.drain(..).map(|subscriber| (subscriber.delivery, subscriber.pid)).collect()
    }
}

fn encode(id: u64, now: Time, at: Timestamp, event: &LifecycleEvent<'_>) -> Bytes {
    let data = EventData { at, at_seconds: Seconds(now), event };
    // Strings and numbers always have a JSON form.
    let data = serde_json::to_string(&data).unwrap_or_default();
    Bytes::from(format!("id: {id}\nevent: {}\ndata: {data}\n\n", event.kind()))
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
                Bytes::from_static(if slow {
                    b": closed: the subscriber read too slowly\n\n"
                } else {
                    b": bookend exits\n\n"
                })
            });
            Some(Ok(Frame::data(bytes)))
        })
    }
}

const MOST_SUBSCRIBERS: usize = 16;
/// How many events a subscriber may be behind.
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
    fn a_subscriber_gets_the_phase_and_then_each_event() {
        let (mut subscribers, at) = (Subscribers::default(), Timestamp::default());
        let stream = subscribers.subscribe(Time::from_millis(1500), at, PhaseName::Running, None).unwrap().0;
        subscribers.publish(|| (Time::from_secs(2), at), &LifecycleEvent::Note { text: "two\nlines" });
        subscribers.close();
        assert_eq!(
            read_all(stream),
            "id: 0\nevent: phase\ndata: {\"at\":\"1970-01-01T00:00:00.000Z\",\"atSeconds\":1.5,\"phase\":\"Running\"}\n\n\
             id: 1\nevent: note\ndata: {\"at\":\"1970-01-01T00:00:00.000Z\",\"atSeconds\":2.0,\"text\":\"two\\nlines\"}\n\n: bookend exits\n\n"
        );
    }

    #[test]
    fn the_stream_of_a_subscriber_that_does_not_read_is_closed() {
        let mut subscribers = Subscribers::default();
        let stream = subscribers.subscribe(Time::ZERO, Timestamp::default(), PhaseName::Running, None).unwrap().0;
        for _ in 0..10 * QUEUE {
            subscribers.publish(|| (Time::ZERO, Timestamp::default()), &LifecycleEvent::Note { text: "x" });
        }
        assert!(subscribers.all.is_empty());
        let text = read_all(stream);
        assert_eq!(text.matches("event: ").count(), QUEUE);
        assert!(text.ends_with(": closed: the subscriber read too slowly\n\n"));
    }

    #[test]
    fn subscribers_are_limited_and_a_closed_one_makes_room() {
        let mut subscribers = Subscribers::default();
        let streams: Vec<_> = (0..MOST_SUBSCRIBERS)
            .map(|_| subscribers.subscribe(Time::ZERO, Timestamp::default(), PhaseName::Running, None).unwrap())
            .collect();
        assert!(subscribers.subscribe(Time::ZERO, Timestamp::default(), PhaseName::Running, None).is_none());
        drop(streams);
        assert!(subscribers.subscribe(Time::ZERO, Timestamp::default(), PhaseName::Running, None).is_some());
    }
}
