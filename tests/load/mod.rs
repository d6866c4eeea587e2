//! An open-loop load on an app in a network namespace of its own, through the stop of that app: what `make
//! bench-drain` measures with and what `make test` holds the zero with.
//!
//! The removal of an endpoint is modelled as a cluster does it: new connections go on for `late` after the stop began;
//! clients that keep a connection use it until the server closes it. Open loop: a request begins at its time, whatever
//! became of those before it. What happens to each is one of [`Counts`]; what a client retries by itself (an idle
//! connection closed in the very moment it was used, RFC 9112, 9.3.1) is counted apart, and its retry counts like any
//! request.

#![allow(dead_code, reason = "a test and a bench include it; neither needs all of it")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener as StdListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, sleep_until, timeout};

/// What is asked of the app, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) port: u16,
    /// New connections a second, one request each.
    pub(crate) new: u32,
    /// Clients that keep their connection, ten requests a second each.
    pub(crate) keep_alive: u32,
    /// Requests for `/slow` a second, each on a connection of its own.
    pub(crate) slow: u32,
    /// Requests for `/proxied` a second, each on a connection of its own.
    pub(crate) proxied: u32,
    /// Connections that never say anything.
    pub(crate) silent: u32,
    /// How long new connections go on after the stop began.
    pub(crate) late: Duration,
    /// Whether kept connections end with the endpoint: where a proxy that stays keeps them.
    pub(crate) kept_end: bool,
}

/// What became of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ok: u64,
    /// Nobody listened any more.
    pub(crate) refused: u64,
    /// The connection broke before the first byte of the answer.
    pub(crate) reset: u64,
    /// It broke within the answer.
    pub(crate) truncated: u64,
    /// An answer that is none: 502 and its like.
    pub(crate) failed: u64,
    /// No answer within the client's patience.
    pub(crate) hung: u64,
    /// A kept connection was closed while it was idle, and used in the same moment: retried.
    pub(crate) idle_races: u64,
    /// Of the good ones, those that began after the stop did.
    pub(crate) ok_after_stop: u64,
}

impl Counts {
    /// What a user would have seen.
    pub(crate) fn lost(&self) -> u64 {
        self.refused + self.reset + self.truncated + self.failed + self.hung
    }
}

/// What a run has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    /// The longest this generator was late: the machine, not the app.
    pub(crate) stall: Duration,
}

/// A load that is going on.
pub(crate) struct Running {
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
    /// Begins in the network namespace of that process, where `/proxied` finds its upstream on port 9000.
    pub(crate) fn start(self, pid: i32) -> Running {
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
    /// The stop begins now: from now on the endpoint's days are counted.
    pub(crate) fn stop_begins(&self) {
        let now = self.shared.now();
        self.shared.stopped.store(now, Ordering::Relaxed);
        self.shared.removed.store(now + millis(self.shared.load.late), Ordering::Relaxed);
    }

    pub(crate) fn so_far(&self) -> Counts {
        *self.shared.counts()
    }

    /// The app has ended: what is in flight gets a moment, and that was it.
    pub(crate) fn finish(mut self) -> Outcome {
        // Clients go on coming until the endpoint is removed, however long nobody has listened.
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
        self.counts.lock().expect("nobody panics with it")
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
    // Those who say nothing stay as long as they are let.
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

/// A client with a pool of one: it uses its connection as long as it is open.
async fn keep_alive(shared: Arc<Shared>, client: u32) {
    let load = shared.load;
    // Not all in the same moment.
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
                // A pool notices a connection that is closed while it rests.
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

/// One request and its whole answer.
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
            // Without a length the end of the connection is the end of the answer.
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

/// What `/proxied` is proxied to: an answer after 300 ms.
async fn serve_upstream(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                sleep(Duration::from_millis(300)).await;
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nupstream";
                // Whoever asked has gone: its own client will tell.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
}

/// This thread is in the network namespace of that process from now on.
fn enter(pid: i32) {
    let network = File::open(format!("/proc/{pid}/ns/net")).expect("the process is there");
    nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("setns(2), as root");
}

/// Until somebody listens there.
pub(crate) fn wait_for_port(pid: i32, port: u16) {
    let inside = std::thread::spawn(move || {
        enter(pid);
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "nobody listens on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    inside.join().expect("somebody listens");
}

/// One GET to its end; its answer, or nothing.
pub(crate) fn get(pid: i32, port: u16, path: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n");
    let inside = std::thread::spawn(move || {
        enter(pid);
        let mut answer = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            // A broken connection is an answer as well.
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        }
        answer
    });
    inside.join().expect("it does not panic")
}

/// An nginx of two workers in that folder: `/`, `/slow` (a file `slow` in the folder at 200 kB/s), `/proxied`.
pub(crate) fn nginx_conf(dir: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    format!(
        "user www-data;\nworker_processes 2;\nworker_shutdown_timeout 20s;\npid {dir}/nginx.pid;\n\
         error_log {dir}/error.log;\nevents {{ worker_connections 1024; }}\n\
         http {{\n    access_log off;\n{temporary}    server {{\n        listen 80;\n\
         location = / {{ return 200 \"hello\\n\"; }}\n\
         location = /slow {{ alias {dir}/slow; limit_rate 200k; }}\n\
         location = /proxied {{ proxy_pass http://127.0.0.1:9000; }}\n    }}\n}}\n"
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Between two requests on a kept connection.
const THINK: Duration = Duration::from_millis(100);
/// Longer than any answer takes; what is not there by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);
