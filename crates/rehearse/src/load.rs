//! An open-loop load on a server in a network namespace of its own, through the stop of that server.
//!
//! The removal of an endpoint is modelled as a cluster does it. New connections go on for `late` after the stop began. Clients that
//! keep a connection use it until the server closes it. Open loop: a request begins at its time, whatever became of the requests
//! before it. Each result is one of [`Counts`]. A request that a client repeats by itself (its idle connection was closed in the
//! moment it was used, RFC 9112, section 9.3.1) is counted apart, and the repeated request counts like any other.

use std::io::{self, Read, Write};
use std::net::TcpListener as StdListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, sleep_until, timeout};

use crate::namespace::enter;

/// The load: which requests, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The port of the server, on 127.0.0.1 of its network namespace.
    pub port: u16,
    /// New connections a second, one request each.
    pub new: u32,
    /// Clients that keep their connection, ten requests a second each.
    pub keep_alive: u32,
    /// Requests for `/slow` a second, each on a connection of its own.
    pub slow: u32,
    /// Requests for `/proxied` a second, each on a connection of its own.
    pub proxied: u32,
    /// Connections that never send a byte.
    pub silent: u32,
    /// How long new connections go on after the stop began.
    pub late: Duration,
    /// Whether clients close their kept connections when the endpoint is removed. A proxy that stays keeps them open.
    pub kept_end: bool,
}

/// The results of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered with a status of 200 to 299.
    pub ok: u64,
    /// The port was closed.
    pub refused: u64,
    /// The connection broke before the first byte of the response.
    pub reset: u64,
    /// The connection broke within the response.
    pub truncated: u64,
    /// Another status: 502 and the like.
    pub failed: u64,
    /// No response within 20 seconds.
    pub hung: u64,
    /// An idle kept connection was closed in the moment it was used. The client repeats the request.
    pub idle_races: u64,
    /// The part of `ok` whose requests began after the stop did.
    pub ok_after_stop: u64,
}

impl Counts {
    /// The number of requests that a user would have seen fail.
    pub fn lost(&self) -> u64 {
        self.refused + self.reset + self.truncated + self.failed + self.hung
    }
}

/// The result of a run.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The results of the requests.
    pub counts: Counts,
    /// The longest delay of the generator itself. A large value blames the machine, not the server.
    pub stall: Duration,
}

/// A load in progress.
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    began: Instant,
    counts: Mutex<Counts>,
    /// Milliseconds after `began`; `u64::MAX`: not yet.
    stopped: AtomicU64,
    removed: AtomicU64,
    gone: AtomicBool,
    stall: AtomicU64,
    load: Load,
}

impl Load {
    /// Starts the load in the network namespace of the process `pid`. The upstream of `/proxied` listens there on port 9000.
    ///
    /// # Panics
    /// If the namespace cannot be entered or the upstream's port is in use.
    pub fn start(self, pid: i32) -> Running {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            counts: Mutex::default(),
            stopped: AtomicU64::new(u64::MAX),
            removed: AtomicU64::new(u64::MAX),
            gone: AtomicBool::new(false),
            stall: AtomicU64::new(0),
            load: self,
        });
        let (ready, is_ready) = mpsc::channel();
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            enter(pid);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run(inside, ready));
        });
        is_ready.recv().expect("the generator starts");
        Running { shared, thread: Some(thread) }
    }
}

impl Running {
    /// The stop begins now. The endpoint is removed `late` after it.
    pub fn stop_begins(&self) {
        let now = self.shared.now();
        self.shared.stopped.store(now, Ordering::Relaxed);
        self.shared.removed.store(now + millis(self.shared.load.late), Ordering::Relaxed);
    }

    /// The results so far.
    pub fn so_far(&self) -> Counts {
        *self.shared.counts()
    }

    /// Waits until the endpoint is removed and the requests in flight have their result.
    ///
    /// # Panics
    /// If the generator panicked.
    pub fn finish(mut self) -> Outcome {
        // Clients still arrive until the endpoint is removed, even if the port has been closed for long.
        while self.shared.now() < self.shared.removed.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.shared.gone.store(true, Ordering::Relaxed);
        self.thread.take().expect("finished once").join().expect("the generator does not panic");
        Outcome {
            counts: *self.shared.counts(),
            stall: Duration::from_millis(self.shared.stall.load(Ordering::Relaxed)),
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().expect("no thread panics while it holds the lock")
    }

    fn is_removed(&self) -> bool {
        self.now() >= self.removed.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn count(&self, began: u64, result: Result<(), Loss>) {
        let mut counts = self.counts();
        match result {
            Ok(()) => {
                counts.ok += 1;
                counts.ok_after_stop += u64::from(began >= self.stopped.load(Ordering::Relaxed));
            }
            Err(Loss::Refused) => counts.refused += 1,
            Err(Loss::Reset) => counts.reset += 1,
            Err(Loss::Truncated) => counts.truncated += 1,
            Err(Loss::Failed) => counts.failed += 1,
            Err(Loss::Hung) => counts.hung += 1,
        }
        if let Err(loss) = result
            && std::env::var_os("LOAD_DEBUG").is_some()
        {
            let stopped = self.stopped.load(Ordering::Relaxed);
            eprintln!("{loss:?}: began {began}, now {}, stop at {stopped}", self.now());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Refused,
    Reset,
    Truncated,
    Failed,
    Hung,
}

async fn run(shared: Arc<Shared>, ready: mpsc::Sender<()>) {
    let upstream = StdListener::bind("127.0.0.1:9000").expect("the upstream's port is free in its own network");
    upstream.set_nonblocking(true).expect("a socket");
    tokio::spawn(serve_upstream(TcpListener::from_std(upstream).expect("a listener")));
    let load = shared.load;
    let silent: Vec<_> = (0..load.silent).map(|_| tokio::spawn(TcpStream::connect(("127.0.0.1", load.port)))).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..load.keep_alive {
        tasks.spawn(keep_alive(Arc::clone(&shared), client));
    }
    for (rate, path) in [(load.new, "/"), (load.slow, "/slow"), (load.proxied, "/proxied")] {
        if rate > 0 {
            tasks.spawn(open_loop(Arc::clone(&shared), rate, path));
        }
    }
    ready.send(()).expect("the test waits");
    while tasks.join_next().await.is_some() {}
    // The silent connections stay open until the end.
    while !shared.is_over() {
        sleep(Duration::from_millis(10)).await;
    }
    drop(silent);
}

/// Requests at their times, each on a connection of its own, until the endpoint is removed.
async fn open_loop(shared: Arc<Shared>, rate: u32, path: &'static str) {
    let mut requests = tokio::task::JoinSet::new();
    let interval = Duration::from_secs(1) / rate;
    let mut next = Instant::now();
    while !shared.is_removed() {
        sleep_until(next.into()).await;
        shared.stall.fetch_max(millis(next.elapsed()), Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        requests.spawn(async move {
            let began = shared.now();
            let result = timeout(PATIENCE, once(shared.load.port, path)).await.unwrap_or(Err(Loss::Hung));
            shared.count(began, result);
        });
        while requests.try_join_next().is_some() {}
        next += interval;
    }
    while requests.join_next().await.is_some() {}
}

async fn once(port: u16, path: &str) -> Result<(), Loss> {
    let mut connection = connect(port).await?;
    match request(&mut connection, path, "close").await {
        Ok(_) => Ok(()),
        Err(Broken::Within) => Err(Loss::Truncated),
        Err(Broken::Before) => Err(Loss::Reset),
        Err(Broken::Status) => Err(Loss::Failed),
    }
}

async fn connect(port: u16) -> Result<TcpStream, Loss> {
    TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Loss::Refused,
        _ => Loss::Reset,
    })
}

/// A client with a connection pool of one.
async fn keep_alive(shared: Arc<Shared>, client: u32) {
    let load = shared.load;
    // Clients do not start in the same moment.
    sleep(Duration::from_millis(u64::from(client * 37 % 100))).await;
    let mut connection: Option<TcpStream> = None;
    while !shared.is_over() && !(shared.is_removed() && (load.kept_end || connection.is_none())) {
        let began = shared.now();
        let reused = connection.is_some();
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match timeout(PATIENCE, connect(load.port)).await.unwrap_or(Err(Loss::Hung)) {
                Ok(stream) => stream,
                Err(loss) => {
                    shared.count(began, Err(loss));
                    sleep(THINK).await;
                    continue;
                }
            },
        };
        match timeout(PATIENCE, request(&mut stream, "/", "keep-alive")).await {
            Ok(Ok(Kept::Open)) => {
                shared.count(began, Ok(()));
                // A connection pool notices when an idle connection is closed.
                connection = rest(stream).await;
            }
            Ok(Ok(Kept::Closed)) => {
                shared.count(began, Ok(()));
                sleep(THINK).await;
            }
            Ok(Err(Broken::Before)) if reused => shared.counts().idle_races += 1,
            Ok(Err(Broken::Before)) => shared.count(began, Err(Loss::Reset)),
            Ok(Err(Broken::Within)) => shared.count(began, Err(Loss::Truncated)),
            Ok(Err(Broken::Status)) => shared.count(began, Err(Loss::Failed)),
            Err(_) => shared.count(began, Err(Loss::Hung)),
        }
    }
}

async fn rest(stream: TcpStream) -> Option<TcpStream> {
    let closed = async {
        let mut byte = [0];
        stream.peek(&mut byte).await
    };
    match timeout(THINK, closed).await {
        Ok(_) => None,
        Err(_) => Some(stream),
    }
}

enum Kept {
    Open,
    Closed,
}

enum Broken {
    Before,
    Within,
    Status,
}

/// Sends one request and reads the whole response.
async fn request(stream: &mut TcpStream, path: &str, connection: &str) -> Result<Kept, Broken> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: load\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.map_err(|_| Broken::Before)?;
    let mut head = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let broken = |head: &[u8]| if head.is_empty() { Broken::Before } else { Broken::Within };
    let (end, body_so_far) = loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Err(broken(&head)),
            Ok(length) => head.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break (at, head.len() - at - 4);
        }
    };
    let text = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
    let mut left = length.map(|length| length.saturating_sub(body_so_far));
    while left != Some(0) {
        match stream.read(&mut buffer).await {
            // Without Content-Length the end of the connection is the end of the response.
            Ok(0) if length.is_none() => break,
            Ok(0) | Err(_) => return Err(Broken::Within),
            Ok(read) => left = left.map(|left| left.saturating_sub(read)),
        }
    }
    if !text.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
        return Err(Broken::Status);
    }
    let closes = length.is_none() || field("connection:") == Some("close");
    Ok(if closes { Kept::Closed } else { Kept::Open })
}

/// The upstream of `/proxied`: it answers after 300 ms.
async fn serve_upstream(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                sleep(Duration::from_millis(300)).await;
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nupstream";
                // The caller may have hung up. Its own client reports the loss.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
}

/// Waits until a process listens on the port, in the network namespace of the process `pid`.
///
/// # Panics
/// If no process listens there within 20 seconds.
pub fn wait_for_port(pid: i32, port: u16) {
    let inside = std::thread::spawn(move || {
        enter(pid);
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "no process listens on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    inside.join().expect("a process listens on the port");
}

/// Sends one GET and returns the whole response; empty if the connection broke.
///
/// # Panics
/// If the network namespace cannot be entered.
pub fn get(pid: i32, port: u16, path: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n");
    let inside = std::thread::spawn(move || {
        enter(pid);
        let mut answer = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            // A broken connection is a result, too.
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        }
        answer
    });
    inside.join().expect("it does not panic")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Between two requests on a kept connection.
const THINK: Duration = Duration::from_millis(100);
/// Longer than any response takes. A response that has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);
