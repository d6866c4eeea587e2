//! The app's connections from its stop signal on: whether only idle ones are left, and what a stop costs their clients.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;

use super::{ContainerLoop, Input};
use crate::http::{LifecycleEvent, LossView};
use crate::net::tcp_info::TieBreak;
use crate::net::tcp_monitor::{TcpMonitor, is_host_network};
use crate::net::{count, ports};
use crate::report::journal::describe_cut;
use bookend_config::settings::HandlerKind;
use bookend_lifecycle::drain::ConnectionCounts;

/// What is known of them.
#[derive(Debug)]
pub(super) struct Connections {
    tcp_monitor: TcpMonitor,
    /// Empty: the app listens on no port that we could see.
    ports: Vec<u16>,
    lost: LossView,
    /// Resets sent by the namespace until the stop signal; not in the node's own network.
    resets_before: Option<u64>,
    watcher: Option<JoinHandle<()>>,
}

impl Connections {
    pub(super) fn lost(&self) -> LossView {
        self.lost
    }

    fn look(&mut self) -> Option<ConnectionCounts> {
        look_at(&mut self.tcp_monitor, &self.ports)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
    }
}

impl ContainerLoop {
    /// Called right before the stop signal.
    pub(super) fn watch_connections(&mut self) {
        let mut tcp_monitor = TcpMonitor::open();
        let listeners = tcp_monitor.listeners().unwrap_or_default();
        let mut ports = self.drain_ports();
        if ports.is_empty() {
            let app = self.reaper().app().map(nix::unistd::Pid::as_raw);
            ports = ports::of_app(app, &listeners);
        }
        let waiting = count(listeners.iter().filter(|socket| ports.contains(&socket.port)), TieBreak::Owed).queue;
        let resets_before =
            if is_host_network() { None } else { TcpMonitor::counters().map(|counters| counters.resets_sent) };
        let watcher = self.settings.app.second_signal.is_some().then(|| {
            let (to_inputs, ports) = (self.to_inputs.clone(), ports.clone());
            tokio::spawn(watch(to_inputs, ports))
        });
        let lost = LossView { not_accepted: waiting, ..LossView::default() };
        self.connections = Some(Connections { tcp_monitor, ports, lost, resets_before, watcher });
        if waiting > 0 {
            self.remark(format!("{waiting} connections waited to be accepted when the stop signal was sent"));
        }
    }

    /// Called right before a signal of ours that ends the app at once.
    pub(super) fn count_cut(&mut self) {
        let Some(connections) = &mut self.connections else { return };
        let Some(look) = connections.look() else { return };
        // Where nobody says which ones are busy, any of them may be.
        let cut = look.busy.unwrap_or(look.connections).saturating_add(look.queue);
        if cut > 0 {
            connections.lost.requests_cut = connections.lost.requests_cut.saturating_add(cut);
            let text = describe_cut(cut);
            warn!("{text}");
            self.dispatcher.publish(&LifecycleEvent::Note { text: &text });
            self.dispatcher.journal.note_cut(self.now(), cut);
        }
    }

    /// Called when the app has ended: what its end, or its closed listeners, told clients.
    pub(super) fn count_resets(&mut self) {
        let Some(connections) = &mut self.connections else { return };
        if let Some(watcher) = connections.watcher.take() {
            watcher.abort();
        }
        let Some(before) = connections.resets_before else { return };
        let sent = TcpMonitor::counters().map_or(0, |now| now.resets_sent.saturating_sub(before));
        connections.lost.resets_sent = sent;
        if sent > 0 {
            self.remark(format!("{sent} TCP resets were sent since the stop signal"));
        }
    }

    fn remark(&mut self, text: String) {
        warn!("{text}");
        self.dispatcher.publish(&LifecycleEvent::Note { text: &text });
        self.dispatcher.journal.remark(self.now(), text);
    }

    /// The ports a drain names, if one does.
    fn drain_ports(&self) -> Vec<u16> {
        let drains = self.settings.lifecycle.pre_stop.iter().filter_map(|handler| match &handler.kind {
            HandlerKind::Drain(drain) => Some(&drain.ports),
            _ => None,
        });
        drains.flatten().copied().collect()
    }
}

fn look_at(tcp_monitor: &mut TcpMonitor, ports: &[u16]) -> Option<ConnectionCounts> {
    let sockets = if ports.is_empty() { None } else { tcp_monitor.sockets(ports) };
    // A request that is taken for an idle connection would be cut.
    Some(count(&sockets?, TieBreak::Owed))
}

/// Tells the loop each time the connections become idle, or busy again. Ends with the stop.
async fn watch(to_inputs: mpsc::Sender<Input>, ports: Vec<u16>) {
    let mut tcp_monitor = TcpMonitor::open();
    let mut told = false;
    loop {
        sleep(INTERVAL).await;
        let Some(look) = look_at(&mut tcp_monitor, &ports) else {
            return warn!("hurry: the app's connections cannot be seen here: no second signal before SIGKILL");
        };
        let Some(busy) = look.busy else {
            return warn!("hurry: no netlink here, so nobody knows whether a connection is busy: no second signal");
        };
        let is_idle = look.connections > 0 && busy == 0 && look.queue == 0;
        if is_idle != told {
            told = is_idle;
            if to_inputs.send(Input::ConnectionsIdle(is_idle)).await.is_err() {
                return;
            }
        }
    }
}

/// Short beside `afterSeconds`; only between the stop signal and the app's end.
const INTERVAL: Duration = Duration::from_millis(100);
