//! `drain`: the app serves on until nobody comes any more. What that means is decided in `bookend_lifecycle::drain`; here it is
//! looked, ten times a second and only while a drain is going on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::report::HandlerReport;
use crate::net::tcp_info::TieBreak;
use crate::net::tcp_monitor::{TcpMonitor, is_host_network};
use crate::net::{count, ports};
use crate::process::Pid;
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::drain::ConnectionCounts;
use bookend_lifecycle::drain::{Drain, DrainDecision, DrainEnd, DrainProgress, DrainStep};
use bookend_lifecycle::seconds::Seconds;

/// Where a drain writes what it sees: only the newest counts. `None`: there was none yet.
pub(crate) type DrainStatus = Arc<watch::Sender<Option<DrainProgress>>>;

/// Runs to its end, within the limit. Never fails: a stop goes on, however unquiet it is.
pub(super) async fn run(drain: Drain, limit: Option<Duration>, app: Option<Pid>, board: DrainStatus) -> HandlerReport {
    let began = Instant::now();
    let mut tcp_monitor = TcpMonitor::open();
    let host = is_host_network();
    let known = if drain.ports.is_empty() { app_ports(&mut tcp_monitor, app) } else { Some(drain.ports.clone()) };
    let listens_nowhere = known.as_ref().is_some_and(Vec::is_empty);
    let ports = known.unwrap_or_default();
    let mut watch = DrainDecision::new(drain, Duration::ZERO, limit);
    if host {
        warn!(
            "drain: this is the node's own network (hostNetwork), where the connections of every process count: \
             waiting for a fixed time instead (fallbackSeconds)"
        );
    }
    let end = loop {
        let counter = if host { None } else { TcpMonitor::arrivals() };
        let mut step = watch.arrivals(began.elapsed(), counter);
        if step == DrainStep::CheckSockets {
            let look = look_at(&mut tcp_monitor, &ports);
            step = watch.sockets(began.elapsed(), look);
        }
        board.send_replace(Some(watch.progress()));
        match step {
            DrainStep::Over(end) => break end,
            DrainStep::Wait | DrainStep::CheckSockets => sleep(INTERVAL).await,
        }
    };
    let seconds = Seconds(began.elapsed());
    let detail = match end {
        DrainEnd::Quiet => format!("quiet after {seconds:.3} s and {} new connections", watch.progress().arrived),
        DrainEnd::Unavailable if host => format!("waited {seconds:.3} s: no counting in the node's own network"),
        DrainEnd::Unavailable => {
            let why =
                if listens_nowhere { "the app listens on no TCP port" } else { "connections cannot be seen here" };
            warn!("drain: {why}: waited for a fixed time (fallbackSeconds)");
            format!("waited {seconds:.3} s: {why}")
        }
        DrainEnd::TimeOver => {
            // What is still there now is what the stop signal meets.
            let look = look_at(&mut tcp_monitor, &ports).or(watch.progress().last);
            let detail = format!(
                "not quiet after {seconds:.3} s and {} new connections{}",
                watch.progress().arrived,
                describe(look)
            );
            warn!("drain: {detail}");
            detail
        }
    };
    HandlerReport::new(HandlerResult::Succeeded, detail)
}

/// `None`: not to be seen, or not known where to look.
fn look_at(tcp_monitor: &mut TcpMonitor, ports: &[u16]) -> Option<ConnectionCounts> {
    let sockets = if ports.is_empty() { None } else { tcp_monitor.sockets(ports) };
    Some(count(&sockets?, TieBreak::Answered))
}

/// The ports the app listens on now. `None`: sockets cannot be seen here.
fn app_ports(tcp_monitor: &mut TcpMonitor, app: Option<Pid>) -> Option<Vec<u16>> {
    Some(ports::of_app(app.map(Pid::as_raw), &tcp_monitor.listeners()?))
}

/// `: 3 wait to be accepted, 7 connections, 2 of them busy`
fn describe(look: Option<ConnectionCounts>) -> String {
    let Some(look) = look else { return String::new() };
    let busy = look.busy.map(|busy| format!(", {busy} of them busy")).unwrap_or_default();
    format!(": {} wait to be accepted, {} connections{busy}", look.queue, look.connections)
}

/// A tenth of the shortest quiet that means anything. A look at the counters takes 0.03 ms of CPU, one at all connections two,
/// where the node's table of them has 262,144 places.
const INTERVAL: Duration = Duration::from_millis(100);
