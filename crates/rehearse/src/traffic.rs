//! An open-loop load on a server through its stop, as [`Plan`] describes it.
//!
//! The removal of an endpoint is modelled as a cluster does it. New connections go on for a while after the stop began, until the last
//! proxy has stopped. Clients that keep a connection use it until the server closes it. Open loop: a request begins at its time,
//! regardless of the results of earlier requests. A request that every client repeats by itself (its idle connection was closed at the moment
//! of its use, RFC 9112, section 9.3.1, or a GOAWAY refused it) is counted apart, and the repeated request counts like any other.
//!
//! Requests begin at fixed times before the begin of the stop, the last one 20 ms before it: so two runs differ as little as they can.

mod kept;
mod multiplexed;
mod shared;
mod transfer;

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::counts::{Counts, Kind, Loss, Report};
use crate::http1::get;
use crate::namespace::enter;
use crate::plan::{OpenLoop, Plan, Target};
pub(crate) use shared::millis;
use shared::{Shared, loss, open};

/// A load in progress.
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Plan {
    /// Asks each URL once. A URL that does not answer before the stop tells nothing about the stop.
    ///
    /// # Errors
    /// The URL, and the result of the request.
    pub async fn statuses(&self) -> Result<BTreeMap<(Kind, String), u16>, String> {
        let mut statuses = BTreeMap::new();
        let patience = Duration::from_secs_f64(self.patience_seconds);
        // Another listener of the same server may open its port later.
        let end = Instant::now() + Duration::from_secs(10);
        for (kind, target) in self.targets() {
            let status = loop {
                let problem = match timeout(patience, transfer::first_status(kind, target)).await {
                    Ok(Ok(status)) if status < 500 => break status,
                    Ok(Ok(status)) => format!("status {status}"),
                    Ok(Err(problem)) => problem,
                    Err(_) => "no response".to_owned(),
                };
                if Instant::now() >= end {
                    return Err(format!("{} of {}, before the stop: {problem}", kind.name(), target.path));
                }
                sleep(Duration::from_millis(100)).await;
            };
            statuses.insert((kind, target.path.clone()), status);
        }
        Ok(statuses)
    }

    /// Waits until the server answers with a status below 500.
    ///
    /// # Errors
    /// The result of the last request.
    pub async fn wait_for_answer(&self, most: Duration) -> Result<(), String> {
        let end = Instant::now() + most;
        loop {
            let second = Duration::from_secs(1);
            let last = match timeout(second, transfer::first_status(Kind::New, &self.target)).await {
                Ok(Ok(status)) if status < 500 => return Ok(()),
                Ok(Ok(status)) => format!("status {status}"),
                Ok(Err(problem)) => problem,
                Err(_) => "no response within a second".to_owned(),
            };
            if Instant::now() >= end {
                let Target { address, path, .. } = &self.target;
                return Err(format!("{address}{path} did not answer within {} s: {last}", most.as_secs()));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts the load, in the network namespace of the process `pid` if there is one.
    ///
    /// # Panics
    /// If the namespace cannot be entered or the upstream's port is in use.
    pub fn start(self, pid: Option<i32>, expected: BTreeMap<(Kind, String), u16>) -> Running {
        let shared = Arc::new(Shared {
            plan: self,
            began: Instant::now(),
            report: Mutex::default(),
            stopped: AtomicU64::new(u64::MAX),
            gone: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            stall: AtomicU64::new(0),
            dropped: Mutex::default(),
            expected,
        });
        let (ready, is_ready) = mpsc::channel();
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            if let Some(pid) = pid {
                enter(pid);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(run(inside, ready));
        });
        is_ready.recv().expect("the generator starts");
        Running { shared, thread: Some(thread) }
    }
}

impl Running {
    /// Waits until the traffic before the stop is over: the moment at which the stop begins.
    pub fn warm_up(&self) {
        let end = self.shared.began + Duration::from_secs_f64(self.shared.plan.warm_seconds);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    /// The stop begins now.
    pub fn stop_begins(&self) {
        self.shared.stopped.store(self.shared.now(), Ordering::Relaxed);
    }

    /// The results so far.
    pub fn so_far(&self) -> Counts {
        self.shared.report().total()
    }

    /// Waits until the endpoint is removed and the requests in flight have their result.
    ///
    /// # Panics
    /// If the generator panicked.
    pub fn finish(mut self) -> Report {
        // Clients still arrive until the endpoint is removed, even if the port has been closed for long.
        while !self.shared.is_removed() {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.shared.gone.store(true, Ordering::Relaxed);
        self.thread.take().expect("finished once").join().expect("the generator does not panic");
        let mut report = self.shared.report().clone();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let stall = self.shared.stall.load(Ordering::Relaxed) as f64 / 1000.0;
        report.stall_seconds = stall;
        // One may be an idle race with a server that reads before it closes. Two mean that the server does so
        // regularly.
        let dropped = self.shared.dropped.lock().expect("no thread panics while it holds the lock").clone();
        let (count, kept) = (dropped.len() as u64, report.kinds.entry(Kind::Kept).or_default());
        if count > 1 {
            kept.reset += count;
            report.losses.extend(dropped);
            report.losses.sort_by(|a, b| a.seen_seconds.total_cmp(&b.seen_seconds));
            let last = report.losses.last().map_or(0.0, |lost| lost.seen_seconds);
            report.last_loss_seconds = Some(report.last_loss_seconds.map_or(last, |other| other.max(last)));
            report.losses.truncate(Report::SAMPLES);
        } else {
            kept.idle_races += count;
        }
        report.kinds.retain(|_, counts| *counts != Counts::default());
        report
    }
}

async fn run(shared: Arc<Shared>, ready: mpsc::Sender<()>) {
    let plan = &shared.plan;
    if let Some(port) = plan.upstream_port {
        let upstream = StdListener::bind(("127.0.0.1", port)).expect("the upstream's port is free in its own network");
        upstream.set_nonblocking(true).expect("a socket");
        tokio::spawn(serve_upstream(TcpListener::from_std(upstream).expect("a listener")));
    }
    let silent: Vec<_> = (0..plan.silent).map(|_| tokio::spawn(TcpStream::connect(plan.target.address))).collect();
    let mut tasks = JoinSet::new();
    for client in 0..plan.kept {
        let pause = Duration::from_millis(u64::from(client * 37 % 100));
        tasks.spawn(kept::client(Arc::clone(&shared), plan.target.clone(), client, pause));
    }
    if let Some((target, clients)) = &plan.kept_slow {
        for client in 0..*clients {
            // They begin so far apart that one of them has a request in flight whenever the stop comes.
            let pause = Duration::from_secs_f64(plan.warm_seconds / 2.0) / clients.max(&1).to_owned() * client;
            tasks.spawn(kept::client(Arc::clone(&shared), target.clone(), client, pause));
        }
    }
    for open in plan.open_loops.iter().filter(|open| open.per_second > 0) {
        tasks.spawn(open_loop(Arc::clone(&shared), open.clone()));
    }
    for client in &plan.multiplexed {
        for _ in 0..client.connections {
            tasks.spawn(multiplexed::connection(Arc::clone(&shared), client.clone()));
        }
    }
    for transfer in &plan.transfers {
        tasks.spawn(transfer::run(Arc::clone(&shared), transfer.clone()));
    }
    ready.send(()).expect("the caller waits");
    while tasks.join_next().await.is_some() {}
    // The silent connections stay open until the end.
    while !shared.is_over() {
        sleep(Duration::from_millis(10)).await;
    }
    drop(silent);
}

/// Requests at their times, each on a connection of its own, until the endpoint is removed.
async fn open_loop(shared: Arc<Shared>, open: OpenLoop) {
    let open = Arc::new(open);
    let mut requests = JoinSet::new();
    let interval = Duration::from_secs(1) / open.per_second;
    let last = Duration::from_secs_f64(shared.plan.warm_seconds).saturating_sub(BEFORE_THE_STOP);
    let mut next = shared.began + last.saturating_sub(interval * whole(last, interval));
    let mut proxy = 0;
    while !shared.is_removed() {
        sleep_until(next.into()).await;
        shared.stall.fetch_max(millis(next.elapsed()), Ordering::Relaxed);
        next += interval;
        proxy += 1;
        if shared.is_without(proxy) {
            continue;
        }
        if shared.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT {
            shared.report().not_sent += 1;
            continue;
        }
        let (shared, open) = (Arc::clone(&shared), Arc::clone(&open));
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        requests.spawn(async move {
            let began = shared.now();
            let result = timeout(shared.patience(), once(&open.target)).await.unwrap_or(Err(Loss::Hung));
            let result = result.and_then(|status| shared.judge(open.kind, &open.target, status));
            shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            shared.count(open.kind, began, result);
        });
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
}

async fn once(target: &Target) -> Result<u16, Loss> {
    let mut client = open(target).await?;
    let head = client.exchange(&get(&target.path, &target.host, "close")).await.map_err(loss)?;
    Ok(head.status)
}

/// The upstream of proxied requests: it answers after 300 ms.
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

/// How often the interval fits.
fn whole(time: Duration, interval: Duration) -> u32 {
    u32::try_from(time.as_nanos() / interval.as_nanos().max(1)).unwrap_or(0)
}

/// The last requests before the stop begin this much earlier.
const BEFORE_THE_STOP: Duration = Duration::from_millis(20);
/// The most requests of all open loops in flight at a time.
const IN_FLIGHT: u64 = 5000;
