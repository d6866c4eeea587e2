//! The results of the requests, by kind of traffic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The results of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Answered as before the stop: with a status of 200 to 299, or with the status that the URL had then.
    pub ok: u64,
    /// The port was closed.
    pub refused: u64,
    /// The connection broke before the first byte of the response.
    pub reset: u64,
    /// The connection broke within the response.
    pub truncated: u64,
    /// Another status: 502 and the like.
    pub failed: u64,
    /// No response in time.
    pub hung: u64,
    /// An idle kept connection was closed at the moment of its use. The client repeats the request.
    pub idle_races: u64,
    /// An HTTP/2 request that was refused by GOAWAY before the server began with it. The client repeats it.
    pub unprocessed: u64,
    /// The part of `ok` whose requests began after the stop did.
    pub ok_after_stop: u64,
}

impl Counts {
    /// The number of requests that a user would have seen fail.
    pub fn lost(&self) -> u64 {
        self.refused + self.reset + self.truncated + self.failed + self.hung
    }

    pub(crate) fn add(&mut self, other: &Counts) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.reset += other.reset;
        self.truncated += other.truncated;
        self.failed += other.failed;
        self.hung += other.hung;
        self.idle_races += other.idle_races;
        self.unprocessed += other.unprocessed;
        self.ok_after_stop += other.ok_after_stop;
    }
}

/// The way in which a request was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    /// The port was closed.
    Refused,
    /// The connection broke before the response.
    Reset,
    /// The connection broke within the response.
    Truncated,
    /// Another status.
    Failed,
    /// No response in time.
    Hung,
}

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// One request on a new connection.
    New,
    /// A request on a kept connection.
    Kept,
    /// A slow request on a new connection.
    Slow,
    /// A request that the server passes on to another.
    Proxied,
    /// A request on an HTTP/2 connection with several streams.
    Http2,
    /// A gRPC call.
    Grpc,
    /// A long download.
    Download,
    /// A long upload.
    Upload,
    /// A response that goes on until the server ends it: an event stream.
    Stream,
    /// A websocket; whole if the server closes it with a Close frame.
    Websocket,
}

impl Kind {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::New => "new connections",
            Kind::Kept => "kept connections",
            Kind::Slow => "slow requests",
            Kind::Proxied => "proxied requests",
            Kind::Http2 => "HTTP/2",
            Kind::Grpc => "gRPC",
            Kind::Download => "downloads",
            Kind::Upload => "uploads",
            Kind::Stream => "streams",
            Kind::Websocket => "websockets",
        }
    }
}

/// A lost request, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// The traffic it belongs to.
    pub kind: Kind,
    /// The kind of the loss.
    pub loss: Loss,
    /// When it began, in seconds after the begin of the stop; negative: before it.
    pub began_seconds: f64,
    /// When the client saw the loss.
    pub seen_seconds: f64,
}

/// All results of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// By kind of traffic.
    pub kinds: BTreeMap<Kind, Counts>,
    /// The first lost requests, at most [`Report::SAMPLES`].
    pub losses: Vec<Lost>,
    /// When a client saw the last loss, in seconds after the begin of the stop.
    pub last_loss_seconds: Option<f64>,
    /// Requests that failed before the stop began. They are not losses of the stop.
    pub failed_before: u64,
    /// Requests that the generator left out, because too many were in flight.
    pub not_sent: u64,
    /// The longest delay of the generator itself, in seconds. A large value blames the machine, not the server.
    pub stall_seconds: f64,
}

impl Report {
    /// The number of lost requests that a report describes one by one.
    pub const SAMPLES: usize = 50;

    /// All kinds together.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.kinds.values().for_each(|counts| total.add(counts));
        total
    }
}
