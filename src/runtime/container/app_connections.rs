//! The app's connections during a stop: how many are new, whether only idle ones are left (`bookend_lifecycle::connection` decides
//! which those are), and what the stop costs their clients.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;

use crate::http::LossSnapshot;
use crate::net::ports::{self, PortsLook};
use crate::net::tcp_monitor::{TcpMonitor, is_host_network};
use crate::net::{connections, count};
use crate::process::Pid;
use crate::runtime::dispatcher::TaskMessage;
use bookend_lifecycle::connection::only_idle;
use bookend_lifecycle::drain::{ConnectionCounts, Drain};

#[derive(Debug, Default)]
pub(super) struct AppConnections {
    arrivals: Arrivals,
    /// From the stop signal on.
    watched: Option<WatchedConnections>,
}

/// The network namespace's counter of new connections.
#[derive(Debug, Clone, Copy, Default)]
enum Arrivals {
    /// Not read: there was no stop, or the counter is not available, or it counts the connections of the whole node.
    #[default]
    Unknown,
    /// A stop has begun; its first value must be read.
    Awaited,
    /// The value when the stop began.
    Before(u64),
}

#[derive(Debug)]
struct WatchedConnections {
    tcp_monitor: TcpMonitor,
    /// Empty: the app listens on no port that we can see.
    ports: Vec<u16>,
    lost: LossSnapshot,
    /// The resets that the namespace had sent before the stop signal. `None` in the node's own network.
    resets_before: Option<u64>,
    watcher: Option<Watcher>,
}

/// A task that ends when it is dropped.
#[derive(Debug)]
struct Watcher(JoinHandle<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AppConnections {
    /// Finds out what a stop has to know, while there is time. The result is kept.
    pub(super) fn prepare() {
        is_host_network();
    }

    pub(super) fn stop_began(&mut self) {
        self.arrivals = Arrivals::Awaited;
    }

    /// Whether [`AppConnections::count_arrivals`] is to be called.
    pub(super) fn awaits_arrivals(&self) -> bool {
        matches!(self.arrivals, Arrivals::Awaited)
    }

    /// Begins to count new connections. This reads /proc: neither the app's signal nor its end should wait for it.
    pub(super) fn count_arrivals(&mut self) {
        let counter = if is_host_network() { None } else { TcpMonitor::arrivals() };
        self.arrivals = counter.map_or(Arrivals::Unknown, Arrivals::Before);
    }

    /// Connections since the stop began.
    pub(super) fn new_connections(&self) -> Option<u64> {
        let Arrivals::Before(before) = self.arrivals else { return None };
        Some(TcpMonitor::arrivals()?.saturating_sub(before))
    }

    /// Called right before the stop signal. `drain_ports` are watched besides the app's own. `idle_reports`: after which time of
    /// silence to report that only idle connections are left, and where. Returns a remark for the timeline.
    pub(super) fn watch(
        &mut self,
        drain_ports: Vec<u16>,
        app: Option<Pid>,
        idle_reports: Option<(Duration, mpsc::Sender<TaskMessage>)>,
    ) -> Option<String> {
        let mut tcp_monitor = TcpMonitor::open();
        let mut listeners = tcp_monitor.listeners().unwrap_or_default();
        // The signal waits for it: the app is read first, and closes its listeners then.
        let (mut ports, _) = ports::of_app(app.map(Pid::as_raw), &listeners, PortsLook::IN_HASTE);
        ports.extend(drain_ports);
        listeners.retain(|socket| ports.contains(&socket.port));
        let (_, not_accepted) = connections(&listeners);
        let resets_before =
            if is_host_network() { None } else { TcpMonitor::counters().map(|counters| counters.resets_sent) };
        let watch = |(after, reports)| Watcher(crate::tasks::spawn(report_idle(after, reports, ports.clone())));
        let watcher = idle_reports.map(watch);
        let lost = LossSnapshot { not_accepted, ..LossSnapshot::default() };
        self.watched = Some(WatchedConnections { tcp_monitor, ports, lost, resets_before, watcher });
        (not_accepted > 0)
            .then(|| format!("{not_accepted} connections waited to be accepted when the stop signal was sent"))
    }

    /// Called right before a signal of ours that ends the app at once. Returns the number of connections whose requests it may
    /// cut, and whether these are all.
    pub(super) fn count_cut(&mut self) -> Option<(u32, bool)> {
        let watched = self.watched.as_mut()?;
        let sockets =
            if watched.ports.is_empty() { None } else { watched.tcp_monitor.sockets_in_haste(&watched.ports) };
        let (sockets, are_all) = sockets?;
        let (connections, queue) = connections(&sockets);
        let open = connections.iter().filter(|connection| connection.may_be_cut()).count();
        let cut = u32::try_from(open).unwrap_or(u32::MAX).saturating_add(queue);
        watched.lost.requests_cut = watched.lost.requests_cut.saturating_add(cut);
        (cut > 0 || !are_all).then_some((cut, are_all))
    }

    /// Called when the app has ended. Returns a remark about the resets that its end, or its closed listeners, caused.
    pub(super) fn app_ended(&mut self) -> Option<String> {
        let watched = self.watched.as_mut()?;
        watched.watcher = None;
        let before = watched.resets_before?;
        let sent = TcpMonitor::counters().map_or(0, |now| now.resets_sent.saturating_sub(before));
        watched.lost.resets_sent = sent;
        (sent > 0).then(|| format!("{sent} TCP resets have been sent since the stop signal"))
    }

    /// The app's connections now; `None` before the stop signal, or if they cannot be counted.
    pub(super) fn open(&mut self) -> Option<ConnectionCounts> {
        let watched = self.watched.as_mut()?;
        let sockets =
            if watched.ports.is_empty() { None } else { watched.tcp_monitor.sockets_in_haste(&watched.ports) };
        Some(count(&sockets?.0, &Drain::default()))
    }

    /// The cost of the stop for clients; `None` before the stop signal.
    pub(super) fn lost(&self) -> Option<LossSnapshot> {
        self.watched.as_ref().map(|watched| watched.lost)
    }
}

/// Reports once that only idle connections are left.
async fn report_idle(after: Duration, reports: mpsc::Sender<TaskMessage>, ports: Vec<u16>) {
    if ports.is_empty() {
        return warn!("the app listens on no TCP port that can be seen: {WAITS}");
    }
    let mut tcp_monitor = TcpMonitor::open();
    let mut has_warned = false;
    for look in 0u32.. {
        sleep(if look < OFTEN { INTERVAL / 2 } else { INTERVAL }).await;
        if !tcp_monitor.is_free() {
            continue;
        }
        let why = match tcp_monitor.sockets_beside(&ports).await.map(|sockets| connections(&sockets)) {
            None => "the app's connections cannot be counted",
            Some((connections, _)) if connections.iter().any(|connection| connection.history.is_none()) => {
                "without netlink, busy connections look like idle ones"
            }
            Some((connections, queue)) if only_idle(connections.iter(), queue, after) => {
                // The loop is gone only when the process is.
                let _ = reports.send(TaskMessage::ConnectionsIdle).await;
                return;
            }
            Some(_) => continue,
        };
        if !std::mem::replace(&mut has_warned, true) {
            warn!("{why}: {WAITS}");
        }
        // There may have been no descriptor or no time for it.
        sleep(RETRY).await;
        tcp_monitor = TcpMonitor::open();
    }
}

/// The end of a warning.
const WAITS: &str = "the second signal (app.secondSignal) waits until shortly before SIGKILL";
/// The sampling lasts only from the stop signal to the app's end. It costs 2 ms if the node's connection table has 262,144 slots.
const INTERVAL: Duration = Duration::from_millis(100);
/// After a look that has failed: it may have been expensive.
const RETRY: Duration = Duration::from_secs(2);
/// The first looks come twice as often: most apps close what they can at once.
const OFTEN: u32 = 20;
