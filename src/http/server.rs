//! Connections: whoever comes is let in, gets one request and little time for it, and leaves the table when it
//! is over. The port and the unix socket each have a table of their own, so that a flood on one leaves the other
//! as it was.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::warn;

use super::events::EventStream;
use super::limits::{ConnectionLimit, ConnectionTable};
use super::routes;
use super::rules::{RateLimit, Rules};
use super::socket::may_talk;
use super::status::StatusView;
use super::timed::{Duplex, WriteTimeout};
use super::token::Refusal;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Hook, Outcome};

/// What the endpoint wants of the loop. An answer that is dropped: the process is ending.
#[derive(Debug)]
pub(crate) enum Request {
    /// Somebody called a hook. Its sender is closed when the caller has gone.
    Hook(HookCall, oneshot::Sender<HookResponse>),
    /// How things stand.
    Status(Detail, oneshot::Sender<Box<StatusView>>),
    /// `POST /stop`.
    Stop(oneshot::Sender<()>),
    /// `POST /signal/{name}`: as if we had received it; or why that means nothing here.
    Signal(Signal, oneshot::Sender<Result<(), &'static str>>),
    /// `GET /events`. `None`: there are too many followers.
    Follow(oneshot::Sender<Option<EventStream>>),
}

/// A hook that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookCall {
    /// Whose, in a sidecar; `None`: of the app that has no name.
    pub(crate) container: Option<String>,
    pub(crate) hook: Hook,
}

/// How much of the state is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What a probe is answered from: no story is copied for it.
    Health,
    /// All of it.
    Everything,
}

/// What a hook's caller is told.
#[derive(Debug)]
pub(crate) struct HookResponse {
    pub(crate) outcome: Outcome,
    /// Dropped when the answer is on the wire, or nobody is there to take it.
    pub(crate) receipt: oneshot::Sender<Infallible>,
}

/// The way from the endpoint to the loop.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    requests: mpsc::Sender<Request>,
    connections: Arc<AtomicUsize>,
}

impl Endpoint {
    pub(crate) fn new() -> (Endpoint, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        (Endpoint { requests, connections: Arc::default() }, receiver)
    }

    /// How many connections there are, on the port and on the socket.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Asks the loop. `None`: the process is about to end.
    pub(super) async fn request<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.requests.send(request(sender)).await.ok()?;
        answer.await.ok()
    }
}

/// Which door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenerKind {
    /// `http.listen`: whoever can reach the pod.
    Port,
    /// The unix socket: root or our own user.
    Socket,
}

/// Serves the pod-facing port until the process ends.
pub(crate) async fn serve_port(socket: TcpListener, endpoint: Endpoint, rules: Rules) {
    let listener = Arc::new(Listener::new(ListenerKind::Port, endpoint, rules));
    let mut is_short = false;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                crate::net::accepted::count();
                is_short = false;
                let (connection, gone) = Listener::enter(&listener, peer.ip()).await;
                tokio::spawn(until(gone, async move { connection.serve_tcp(stream).await }));
            }
            Err(error) => listener.accept_failed(&error, &mut is_short).await,
        }
    }
}

/// Serves the unix socket until the process ends.
pub(crate) async fn serve_socket(socket: UnixListener, endpoint: Endpoint, rules: Rules) {
    let listener = Arc::new(Listener::new(ListenerKind::Socket, endpoint, rules));
    let mut is_short = false;
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                is_short = false;
                let (connection, gone) = Listener::enter(&listener, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
                tokio::spawn(until(gone, async move { connection.serve_unix(stream).await }));
            }
            Err(error) => listener.accept_failed(&error, &mut is_short).await,
        }
    }
}

/// One connection that is no socket (stranger.rs).
#[cfg(any(test, fuzzing))]
pub(super) async fn serve_stream(stream: Box<dyn Duplex>, kind: ListenerKind, endpoint: Endpoint, rules: Rules) {
    let listener = Arc::new(Listener::new(kind, endpoint, rules));
    let (connection, gone) = Listener::enter(&listener, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
    until(gone, async move { connection.serve(stream).await }).await;
}

/// Runs the connection to its end, or until its place is another's.
async fn until(gone: oneshot::Receiver<Infallible>, connection: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        // Never sent, only dropped.
        _ = gone => {}
        () = connection => {}
    }
}

/// One of the two doors, with those who are in it.
struct Listener {
    kind: ListenerKind,
    endpoint: Endpoint,
    rules: Rules,
    began: Instant,
    /// Somebody has left.
    left: Notify,
    connections: Mutex<ConnectionTable<oneshot::Sender<Infallible>>>,
    /// Refused callers are told of in the log.
    refusals: Mutex<RateLimit>,
}

impl Listener {
    fn new(kind: ListenerKind, endpoint: Endpoint, rules: Rules) -> Listener {
        let descriptors = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        let limit = ConnectionLimit::of_descriptors(descriptors.map_or(1024, |(soft, _)| soft));
        Listener {
            kind,
            endpoint,
            rules,
            began: Instant::now(),
            left: Notify::new(),
            connections: Mutex::new(ConnectionTable::new(limit)),
            refusals: Mutex::default(),
        }
    }

    /// Lets a caller in, as soon as there is room: the others wait in the backlog meanwhile, for moments.
    async fn enter(listener: &Arc<Listener>, peer: IpAddr) -> (Connection, oneshot::Receiver<Infallible>) {
        loop {
            // Whoever had to go ends by the drop of its sender.
            let room = lock(&listener.connections).make_room(listener.began.elapsed()).map(drop);
            let Err(at) = room else { break };
            tokio::select! {
                () = listener.left.notified() => {}
                () = sleep_until((listener.began + at).into()) => {}
            }
        }
        let (end, gone) = oneshot::channel();
        let id = lock(&listener.connections).enter(listener.began.elapsed(), peer, end);
        listener.endpoint.connections.fetch_add(1, Ordering::Relaxed);
        (Connection { listener: Arc::clone(listener), id, peer, held: Mutex::new(None) }, gone)
    }

    async fn accept_failed(&self, error: &io::Error, is_short: &mut bool) {
        use nix::errno::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw);
        if !matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) {
            // accept(2): an error of that connection, which has gone before it was taken. One of us all, a security
            // module's EPERM, leaves it there: then it is not asked for without a pause.
            return sleep(ACCEPT_AGAIN_SOON).await;
        }
        if !*is_short {
            warn!(%error, "cannot accept connections: they wait");
            *is_short = true;
        }
        // One of ours gives its descriptor; the newcomer waits in the backlog meanwhile, and is not refused.
        let made_room = lock(&self.connections).give_up_one().is_some();
        sleep(if made_room { ACCEPT_AGAIN_SOON } else { ACCEPT_AGAIN }).await;
    }
}

/// One connection, and what has to outlive its last byte.
pub(super) struct Connection {
    listener: Arc<Listener>,
    id: u64,
    peer: IpAddr,
    held: Mutex<Option<oneshot::Sender<Infallible>>>,
}

impl Connection {
    pub(super) fn kind(&self) -> ListenerKind {
        self.listener.kind
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.listener.endpoint
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.listener.rules
    }

    /// Whether the caller may call a hook.
    pub(super) fn authorize(&self, authorization: Option<&[u8]>) -> Result<(), Refusal> {
        let verdict = self.rules().gate.authorize(self.peer, authorization);
        if let Err(refusal) = verdict
            && lock(&self.listener.refusals).allow()
        {
            let peer = self.peer.to_canonical();
            match refusal {
                Refusal::Network => warn!(%peer, "a hook was refused: the caller is not in http.allowFrom"),
                Refusal::Token => warn!(%peer, "a hook was refused: no token of http.tokenFile was shown"),
                Refusal::NoTokenFile => warn!("hooks are refused: http.tokenFile cannot be read, or is empty"),
            }
        }
        verdict
    }

    /// A kubelet's hook that there is not: its connection breaks, and the log says why.
    pub(super) fn knows_no_hook(&self, path: &str) -> routes::BrokenConnection {
        if lock(&self.listener.refusals).allow() {
            warn!(path, "a kubelet called a hook that there is not: it is told that the hook has failed");
        }
        routes::BrokenConnection
    }

    /// A hook waits long, and must not keep others from being read: it moves to a place of its own kind.
    /// `false`: there are more of them than any kubelet sends.
    pub(super) fn wait(&self) -> bool {
        let waits = lock(&self.listener.connections).wait(self.id).is_ok();
        // Its place among those that are read is free.
        self.listener.left.notify_one();
        waits
    }

    /// Keeps the receipt until the connection is over.
    pub(super) fn hold(&self, receipt: oneshot::Sender<Infallible>) {
        *lock(&self.held) = Some(receipt);
    }

    async fn serve_tcp(&self, stream: TcpStream) {
        keep_alive(&stream);
        let mut first = [0];
        match timeout(HEADER_TIME, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first == [TLS_HANDSHAKE] => self.serve_tls(stream).await,
            Ok(Ok(1)) => self.serve(Box::new(stream)).await,
            // Nothing was said in time, or the caller hung up.
            _ => {}
        }
    }

    async fn serve_tls(&self, mut stream: TcpStream) {
        #[cfg(feature = "tls")]
        if let Some(acceptor) = self.rules().tls.as_ref().and_then(super::tls::ServerCertificate::acceptor) {
            if let Some(stream) = super::tls::handshake(acceptor, stream, HANDSHAKE_TIME).await {
                self.serve(Box::new(stream)).await;
            }
            return;
        }
        // A kubelet whose `httpGet.scheme` is HTTPS asks again in plain HTTP when the answer to its hello begins
        // with `HTTP/`; told nothing, it would wait for ever, and the pod with it.
        send_away(&mut stream, NO_TLS).await;
    }

    async fn serve_unix(&self, mut stream: UnixStream) {
        if stream.peer_cred().is_ok_and(|peer| may_talk(peer.uid())) {
            self.serve(Box::new(stream)).await;
        } else {
            send_away(&mut stream, NOT_YOURS).await;
        }
    }

    async fn serve(&self, stream: Box<dyn Duplex>) {
        let service = service_fn(|request| routes::answer(request, self));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(MOST_HEADER_BYTES)
            .max_headers(MOST_HEADERS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(WriteTimeout::new(stream, WRITE_TIME)), service)
            .await;
        // A broken connection is the caller's to notice; for a kubelet's failed hook it is the answer.
        drop(served);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.listener.connections).leave(self.id);
        self.listener.left.notify_one();
        self.listener.endpoint.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says this and ends the connection: a close with unread bytes is a reset, which can overtake what was said.
async fn send_away<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, words: &[u8]) {
    let said = timeout(WRITE_TIME, async {
        stream.write_all(words).await?;
        stream.shutdown().await
    });
    if matches!(said.await, Ok(Ok(()))) {
        let mut unread = [0; 1024];
        let rest = async { while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(REST_TIME, rest).await;
    }
}

/// A node that has vanished says nothing: the kernel asks, so that a hook that waits does not hold its place.
fn keep_alive(stream: &TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt};
    // Refused by nobody; without it such a place is held until its hook is over.
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &15);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &5);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &3);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Questions on their way to the loop.
const QUEUE: usize = 64;
/// From the first byte (or the lack of it) to the end of the header.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// For all of a TLS handshake.
#[cfg(feature = "tls")]
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long a caller may take nothing of its answer.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// What may still come after an answer that ended the connection.
const REST_TIME: Duration = Duration::from_millis(500);
const MOST_HEADER_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const ACCEPT_AGAIN_SOON: Duration = Duration::from_millis(1);
/// The content type of a TLS record that opens a connection (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;
const NO_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
    Content-Length: 57\r\n\r\nthis port speaks HTTP; http.tls would let it speak HTTPS\n";
const NOT_YOURS: &[u8] = b"HTTP/1.0 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
    Content-Length: 52\r\n\r\nonly root and the user bookend runs as may ask here\n";
