//! HTTP/2 and gRPC requests that are in flight while the server stops: several streams of one connection, over clear text by
//! prior knowledge (h2c) or over TLS with ALPN, with keep-alive pings if wanted.
//!
//! A request is as long as the server makes it (a slow path, a slow gRPC method), or as long as its body: [`Request::upload`] sends
//! its bytes evenly over a time of your choice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderMap, Method};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::connect::connect;
use crate::namespace;

/// One connection, and the requests on it. All of them are in flight at the same time.
#[derive(Debug, Clone)]
pub struct Http2 {
    /// The server, as its network namespace sees it.
    pub address: SocketAddr,
    /// TLS with ALPN `h2`, and any certificate; without it, clear text by prior knowledge.
    pub tls: bool,
    /// The requests; each is a stream.
    pub requests: Vec<Request>,
    /// Between two keep-alive pings of the client; without it, the client sends no ping.
    pub ping_every: Option<Duration>,
    /// After this time a request without a result is [`StreamResult::Hung`].
    pub patience: Duration,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    kind: Kind,
    path: String,
    body: Bytes,
    over: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Post,
    Grpc,
}

/// The result of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamResult {
    /// A whole response with a status of 200 to 299; for gRPC, also the status OK.
    Answered,
    /// The connection was refused.
    Refused,
    /// The stream or its connection broke before the response began.
    Reset,
    /// The stream or its connection broke within the response.
    Truncated,
    /// Refused by GOAWAY or REFUSED_STREAM before the server began with it. Every client repeats it.
    Unprocessed,
    /// A whole response with another status: `503`, or `grpc-status 14`.
    Failed(String),
    /// No result within [`Http2::patience`].
    Hung,
}

impl StreamResult {
    /// Whether a user would have seen the request fail.
    pub fn is_lost(&self) -> bool {
        !matches!(self, StreamResult::Answered | StreamResult::Unprocessed)
    }
}

/// The result of a connection and its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In the order of the requests.
    pub results: Vec<StreamResult>,
    /// The pings that the server answered.
    pub pongs: u64,
    /// How long the requests took, from the connection's begin to the last result.
    pub took: Duration,
}

impl Outcome {
    /// The number of requests that a user would have seen fail.
    pub fn lost(&self) -> usize {
        self.results.iter().filter(|result| result.is_lost()).count()
    }
}

impl Request {
    /// A GET of the path.
    pub fn get(path: &str) -> Request {
        Request { kind: Kind::Get, path: path.to_owned(), body: Bytes::new(), over: Duration::ZERO }
    }

    /// A POST of `length` bytes, sent evenly over the time `over`.
    pub fn upload(path: &str, length: usize, over: Duration) -> Request {
        Request { kind: Kind::Post, path: path.to_owned(), body: vec![b'x'; length].into(), over }
    }

    /// A unary gRPC call: `/package.Service/Method`, and the message as protobuf encodes it.
    pub fn grpc(method: &str, message: &[u8]) -> Request {
        let length = u32::try_from(message.len()).expect("a message of a test is small");
        // Not compressed, the length, the message.
        let body = [&[0], length.to_be_bytes().as_slice(), message].concat();
        Request { kind: Kind::Grpc, path: method.to_owned(), body: body.into(), over: Duration::ZERO }
    }

    /// A check of the gRPC health service, for the server as a whole. Its status does not matter, only that the call is answered.
    pub fn grpc_health() -> Request {
        Request::grpc("/grpc.health.v1.Health/Check", b"")
    }
}

impl Http2 {
    /// Requests to 127.0.0.1 in clear text, without pings, for at most 30 seconds.
    pub fn new(port: u16, requests: Vec<Request>) -> Http2 {
        Http2 {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: false,
            requests,
            ping_every: None,
            patience: Duration::from_secs(30),
        }
    }

    /// Sends the requests in the network namespace of the process `pid`.
    pub fn start(self, pid: i32) -> InFlight {
        self.start_in(Some(pid))
    }

    /// Sends the requests in the network namespace of this process.
    pub fn start_here(self) -> InFlight {
        self.start_in(None)
    }

    fn start_in(self, pid: Option<i32>) -> InFlight {
        let requests = self.requests.len();
        let (sent, is_sent) = watch::channel(0);
        let thread = namespace::run_in(pid, move || async move { self.run(Arc::new(sent)).await });
        InFlight { thread, is_sent, requests }
    }

    /// Sends the requests and waits for their results. `sent` counts the requests that were handed to the connection or failed before.
    pub async fn run(self, sent: Arc<watch::Sender<usize>>) -> Outcome {
        let began = Instant::now();
        let end = began + self.patience;
        let pongs = Arc::new(AtomicU64::new(0));
        let results = match timeout_at(end.into(), open(self.address, self.tls)).await {
            Err(_) => self.all(&StreamResult::Hung),
            Ok(Err(result)) => self.all(&result),
            Ok(Ok((sender, connection))) => self.exchange(sender, connection, &pongs, &sent, end).await,
        };
        sent.send_replace(self.requests.len());
        Outcome { results, pongs: pongs.load(Ordering::Relaxed), took: began.elapsed() }
    }

    async fn exchange(
        &self,
        sender: SendRequest<Bytes>,
        mut connection: ClientConnection,
        pongs: &Arc<AtomicU64>,
        sent: &Arc<watch::Sender<usize>>,
        end: Instant,
    ) -> Vec<StreamResult> {
        let pings = connection.ping_pong();
        // Its error reaches each stream as well.
        let driver = tokio::spawn(async move { connection.await.ok() });
        let pinging =
            self.ping_every.zip(pings).map(|(every, pings)| tokio::spawn(keep_alive(pings, every, Arc::clone(pongs))));
        let scheme = if self.tls { "https" } else { "http" };
        let mut calls = Vec::new();
        for request in self.requests.clone() {
            let uri = format!("{scheme}://{}{}", self.address, request.path);
            let (sender, sent) = (sender.clone(), Arc::clone(sent));
            calls.push(tokio::spawn(async move {
                let result = timeout_at(end.into(), call(sender, request, &uri, &sent)).await;
                result.unwrap_or(StreamResult::Hung)
            }));
        }
        drop(sender);
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.expect("a call does not panic"));
        }
        if let Some(pinging) = pinging {
            pinging.abort();
        }
        driver.abort();
        results
    }

    fn all(&self, result: &StreamResult) -> Vec<StreamResult> {
        vec![result.clone(); self.requests.len()]
    }
}

pub(crate) type ClientConnection = h2::client::Connection<crate::connect::Connection, Bytes>;

/// Requests in flight.
#[derive(Debug)]
pub struct InFlight {
    thread: std::thread::JoinHandle<Outcome>,
    is_sent: watch::Receiver<usize>,
    requests: usize,
}

impl InFlight {
    /// Waits until each request was sent (an upload: begun) and had 100 ms to reach the server; returns early if no request can be sent any more.
    pub fn wait_until_sent(&self) {
        while *self.is_sent.borrow() < self.requests && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Whether each request has its result.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the results.
    ///
    /// # Panics
    /// If the client panicked.
    pub fn finish(self) -> Outcome {
        self.thread.join().expect("the client does not panic")
    }
}

pub(crate) async fn open(
    address: SocketAddr,
    tls: bool,
) -> Result<(SendRequest<Bytes>, ClientConnection), StreamResult> {
    let alpn: &[&str] = if tls { &["h2"] } else { &[] };
    let stream = connect(address, tls, alpn).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => StreamResult::Refused,
        _ => StreamResult::Reset,
    })?;
    h2::client::handshake(stream).await.map_err(|error| broken(&error, StreamResult::Reset))
}

pub(crate) async fn call(
    sender: SendRequest<Bytes>,
    request: Request,
    uri: &str,
    sent: &watch::Sender<usize>,
) -> StreamResult {
    // More requests than the server allows at a time wait here.
    let ready = sender.ready().await;
    let stream = ready.and_then(|mut sender| sender.send_request(request.head(uri), request.body.is_empty()));
    sent.send_modify(|sent| *sent += 1);
    let (response, body) = match stream {
        Ok(stream) => stream,
        Err(error) => return broken(&error, StreamResult::Reset),
    };
    let is_grpc = request.kind == Kind::Grpc;
    // A server may answer before it has read the body, and may refuse the rest of it.
    let upload = tokio::spawn(send_body(body, request.body, request.over));
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return broken(&error, StreamResult::Reset),
    };
    let (head, body) = response.into_parts();
    let trailers = match read_to_end(body).await {
        Ok(trailers) => trailers.unwrap_or_default(),
        Err(error) => return broken(&error, StreamResult::Truncated),
    };
    upload.abort();
    if !head.status.is_success() {
        return StreamResult::Failed(head.status.as_str().to_owned());
    }
    if !is_grpc {
        return StreamResult::Answered;
    }
    // A response without a message carries its status in the head.
    let status =
        trailers.get("grpc-status").or(head.headers.get("grpc-status")).and_then(|status| status.to_str().ok());
    match status {
        Some("0") => StreamResult::Answered,
        Some(status) => StreamResult::Failed(format!("grpc-status {status}")),
        None => StreamResult::Truncated,
    }
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn head(&self, uri: &str) -> http::Request<()> {
        let head = http::Request::builder().uri(uri).version(http::Version::HTTP_2);
        let head = match self.kind {
            Kind::Get => head.method(Method::GET),
            Kind::Post => head.method(Method::POST).header("content-length", self.body.len()),
            Kind::Grpc => head.method(Method::POST).header("content-type", "application/grpc").header("te", "trailers"),
        };
        head.body(()).expect("the path of a request is valid")
    }
}

/// Sends the body evenly over the time, as far as the server's window allows.
async fn send_body(mut stream: SendStream<Bytes>, body: Bytes, over: Duration) -> Result<(), h2::Error> {
    if body.is_empty() {
        return Ok(());
    }
    let steps = u32::try_from(over.as_millis() / 100).unwrap_or(u32::MAX).max(1);
    let step = body.len().div_ceil(steps as usize).max(1);
    let began = Instant::now();
    let mut at = 0;
    let mut round = 0;
    while at < body.len() {
        sleep_until((began + over * round / steps).into()).await;
        let end = body.len().min(at + step);
        while at < end {
            stream.reserve_capacity(end - at);
            let Some(capacity) = std::future::poll_fn(|context| stream.poll_capacity(context)).await.transpose()?
            else {
                return Ok(());
            };
            let next = end.min(at + capacity);
            stream.send_data(body.slice(at..next), false)?;
            at = next;
        }
        round += 1;
    }
    sleep_until((began + over).into()).await;
    stream.send_data(Bytes::new(), true)
}

async fn read_to_end(mut body: RecvStream) -> Result<Option<HeaderMap>, h2::Error> {
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    body.trailers().await
}

pub(crate) async fn keep_alive(mut pings: PingPong, every: Duration, pongs: Arc<AtomicU64>) {
    while pings.ping(Ping::opaque()).await.is_ok() {
        pongs.fetch_add(1, Ordering::Relaxed);
        sleep(every).await;
    }
}

/// The result of a broken stream. `otherwise` is for a break that the server did not announce.
fn broken(error: &h2::Error, otherwise: StreamResult) -> StreamResult {
    let announced = error.is_remote()
        && match error.reason() {
            // The server processes the streams up to the last one that its GOAWAY names, so this is a later one.
            Some(Reason::NO_ERROR) => error.is_go_away(),
            Some(reason) => error.is_reset() && reason == Reason::REFUSED_STREAM,
            None => false,
        };
    if announced { StreamResult::Unprocessed } else { otherwise }
}
