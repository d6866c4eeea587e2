//! `drain`: keeps the app serving until no new connections arrive. `bookend_lifecycle::drain` decides when that is; this file
//! counts, fifty times a second and only during a drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::report::HandlerReport;
use crate::detached::spawn_blocking_detached;
use crate::net::newcomers::Newcomers;
use crate::net::ports::{self, PortsLook};
use crate::net::tcp_monitor::{TcpMonitor, is_host_network};
use crate::net::{count, udp};
use crate::process::Pid;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::drain::{ConnectionCounts, Drain, DrainDecision, DrainEnd, DrainProgress, DrainStep};
use bookend_lifecycle::seconds::Seconds;

/// The newest counts of a drain; `None` before the first drain.
pub(crate) type DrainStatus = Arc<watch::Sender<Option<DrainProgress>>>;

/// Runs until the drain is over, at most for `limit`. It never fails: the stop goes on even if connections keep arriving.
pub(super) async fn run(
    mut drain: Drain,
    limit: Option<Duration>,
    app: Option<Pid>,
    status: DrainStatus,
) -> HandlerReport {
    let began = Instant::now();
    let mut tcp_monitor = TcpMonitor::open();
    let is_host = is_host_network();
    let (known, are_its_own) =
        if drain.ports.is_empty() { app_ports(app).await } else { (Some(drain.ports.clone()), true) };
    let listens_nowhere = known.as_ref().is_some_and(Vec::is_empty);
    if listens_nowhere && drain.only_if_listening {
        return HandlerReport::new(
            HandlerResult::Succeeded,
            "nothing to wait for: the app listens on no TCP port".to_owned(),
        );
    }
    let ports = known.unwrap_or_default();
    let counts_udp = drain.udp;
    // In the node's network, the namespace's counter is that of all its processes: the sockets of the app's ports are compared.
    let compares_sockets = is_host && !ports.is_empty() && are_its_own;
    let cannot_count = is_host && !compares_sockets;
    if compares_sockets {
        // A sample can miss a connection. That must not make the drain shorter than the fixed time.
        drain.min = drain.fallback();
        info!("drain: hostNetwork: new connections are looked for on the app's own ports");
    }
    let mut newcomers = Newcomers::default();
    let (mut seen, mut next_look, mut waits_for_sample) = (None, Duration::ZERO, false);
    let mut decision = DrainDecision::new(drain.clone(), Duration::ZERO, limit);
    if cannot_count {
        warn!(
            "drain: in the node's network (hostNetwork) the connections of all processes count: waiting for a \
             fixed time instead (fallbackSeconds)"
        );
    }
    let end = loop {
        let datagrams = if counts_udp { udp::datagrams() } else { Some(0) };
        let connections = match (cannot_count, compares_sockets) {
            (true, _) => None,
            (_, true) => {
                if began.elapsed() >= next_look && tcp_monitor.is_free() && !waits_for_sample {
                    next_look = began.elapsed() + LOOK_EVERY;
                    seen = tcp_monitor.sockets_and_ended(&ports).await.map(|sockets| newcomers.count(&sockets));
                }
                seen
            }
            _ => TcpMonitor::arrivals(),
        };
        let counter = connections.zip(datagrams).map(|(tcp, udp)| tcp + udp);
        let mut step = decision.arrivals(began.elapsed(), counter);
        waits_for_sample = step == DrainStep::CheckSockets && !tcp_monitor.is_free();
        if step == DrainStep::CheckSockets && !waits_for_sample {
            if compares_sockets {
                // The last sample may be old: the app is quiet only if a new sample confirms it.
                let sockets = tcp_monitor.sockets_and_ended(&ports).await;
                let now_seen = sockets.as_ref().map(|sockets| newcomers.count(sockets));
                step = if now_seen == seen {
                    decision.sockets(began.elapsed(), sockets.map(|sockets| count(&sockets, &drain)))
                } else {
                    seen = now_seen;
                    decision.arrivals(began.elapsed(), now_seen.zip(datagrams).map(|(tcp, udp)| tcp + udp))
                };
            } else {
                let counts = sample(&mut tcp_monitor, &ports, &drain).await;
                step = decision.sockets(began.elapsed(), counts);
            }
        }
        status.send_replace(Some(decision.progress()));
        match step {
            DrainStep::Over(end) => break end,
            DrainStep::Wait | DrainStep::CheckSockets => sleep(INTERVAL).await,
        }
    };
    status.send_replace(Some(DrainProgress { end: Some(end), ..decision.progress() }));
    let seconds = Seconds(began.elapsed());
    let detail = match end {
        DrainEnd::Quiet => format!("quiet after {seconds:.3} s and {} new connections", decision.progress().arrived),
        DrainEnd::Unavailable if cannot_count => {
            format!("waited {seconds:.3} s: connections cannot be counted in the node's network")
        }
        DrainEnd::Unavailable => {
            let why =
                if listens_nowhere { "the app listens on no TCP port" } else { "connections cannot be counted here" };
            warn!("drain: {why}: waited for a fixed time (fallbackSeconds)");
            format!("waited {seconds:.3} s: {why}")
        }
        DrainEnd::TimeOver => {
            // Sample again: these connections exist when the stop signal is sent.
            let counts = match tcp_monitor.is_free() {
                true => sample(&mut tcp_monitor, &ports, &drain).await,
                false => None,
            };
            let counts = counts.or(decision.progress().last);
            let detail = format!(
                "not quiet after {seconds:.3} s and {} new connections{}",
                decision.progress().arrived,
                describe(counts)
            );
            warn!("drain: {detail}");
            detail
        }
    };
    HandlerReport::new(HandlerResult::Succeeded, detail)
}

/// `None` if the sockets cannot be read, or the ports are not known.
async fn sample(tcp_monitor: &mut TcpMonitor, ports: &[u16], drain: &Drain) -> Option<ConnectionCounts> {
    let sockets = if ports.is_empty() { None } else { tcp_monitor.sockets_beside(ports).await };
    Some(count(&sockets?, drain))
}

/// The ports on which the app listens now, and whether these are its own. `None` if the sockets cannot be read. It may have
/// thousands of processes, and a thread reads them.
async fn app_ports(app: Option<Pid>) -> (Option<Vec<u16>>, bool) {
    let look = move || {
        TcpMonitor::open().listeners().map(|found| ports::of_app(app.map(Pid::as_raw), &found, PortsLook::BESIDE))
    };
    let key = format!("the ports of {app:?}");
    let found = timeout(2 * PortsLook::BESIDE.time, spawn_blocking_detached(key, look)).await;
    found.ok().and_then(Result::ok).flatten().map_or((None, false), |(ports, are_its_own)| (Some(ports), are_its_own))
}

/// `: 3 not accepted, 7 connections, 2 of them busy`
fn describe(counts: Option<ConnectionCounts>) -> String {
    let Some(counts) = counts else { return String::new() };
    let busy = counts.busy.map(|busy| format!(", {busy} of them busy")).unwrap_or_default();
    format!(": {} not accepted, {} connections{busy}", counts.queue, counts.connections)
}

/// Short enough to see whether a probe is in step. Reading the counters takes 0.03 ms of CPU. Counting all connections
/// takes 2 ms if the node's connection table has 262,144 slots, and is done less often.
const INTERVAL: Duration = Duration::from_millis(20);
/// A busy node has many sockets that have ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
