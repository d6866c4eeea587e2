//! A connection without a network, for `crate::fuzz`: what a stranger writes goes through hyper, the routes and
//! their answers as it does from the port or the socket. The loop behind them answers at once, and counts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::server::{Endpoint, HookResponse, ListenerKind, Request, serve_stream};
use super::status::{ProbeView, StatusView};
use super::{Rules, Subscribers};
use bookend_config::settings::{HttpSettings, ReadyzDuringStop, Settings};
use bookend_lifecycle::Outcome;

/// Who writes, and what the loop is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// The unix socket; else the port.
    pub(crate) is_socket: bool,
    /// No address is let in to the hooks.
    pub(crate) is_refused: bool,
    /// What hooks are told; `None`: the loop is gone.
    pub(crate) told: Option<Outcome>,
    /// So many bytes come at once.
    pub(crate) chunk: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// All that was written back until the end of the connection.
    pub(crate) answer: Vec<u8>,
    /// Hooks that were called.
    pub(crate) hooks: usize,
    /// Stops, signals and followers of events: what the socket alone may ask for.
    pub(crate) verbs: usize,
}

/// One connection, from its first byte to its end. `None`: it does not end by itself.
pub(crate) fn run_connection(request: &[u8], scenario: Scenario) -> Option<Observed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let connection = async { timeout(ENDS_WITHIN, connection(request, scenario)).await };
    runtime.expect("a runtime without a network").block_on(connection).ok()
}

async fn connection(request: &[u8], scenario: Scenario) -> Observed {
    let (endpoint, requests) = Endpoint::new();
    let http = HttpSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        token_file: None,
        allow_from: scenario.is_refused.then(Vec::new),
        post_start_max: HttpSettings::POST_START_MAX,
        readyz_during_stop: ReadyzDuringStop::default(),
        page: true,
    };
    let settings = Settings { http: Some(http.clone()), ..Settings::default() };
    let (kind, rules) = match scenario.is_socket {
        true => (ListenerKind::Socket, Rules::of_socket(&settings)),
        false => (ListenerKind::Port, Rules::of_port(&http, &settings)),
    };
    let (fuzz_harness, ours) = duplex(4096);
    let (mut reader, mut writer) = split(fuzz_harness);
    let mut seen = Observed::default();
    let write = async {
        for chunk in request.chunks(scenario.chunk.max(1)) {
            if writer.write_all(chunk).await.is_err() {
                // We have closed, and read no more.
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let mut answer = Vec::new();
    let served = serve_stream(Box::new(ours), kind, endpoint, rules);
    let (_, read, (), (hooks, verbs)) =
        tokio::join!(served, reader.read_to_end(&mut answer), write, answer_all(requests, scenario.told));
    read.expect("a pipe in memory");
    seen.answer = answer;
    (seen.hooks, seen.verbs) = (hooks, verbs);
    seen
}

/// The loop, until nobody can ask any more.
async fn answer_all(mut requests: mpsc::Receiver<Request>, told: Option<Outcome>) -> (usize, usize) {
    let (mut hooks, mut verbs) = (0, 0);
    let Some(outcome) = told else { return (0, 0) };
    let mut subscribers = Subscribers::default();
    while let Some(request) = requests.recv().await {
        // Whoever has asked may be gone.
        match request {
            Request::Hook(_, sender) => {
                hooks += 1;
                let _ = sender.send(HookResponse { outcome, receipt: oneshot::channel().0 });
            }
            Request::Status(_, sender) => drop(sender.send(Box::new(status()))),
            Request::Stop(sender) => {
                verbs += 1;
                let _ = sender.send(());
            }
            Request::Signal(_, sender) => {
                verbs += 1;
                let _ = sender.send(Ok(()));
            }
            Request::Follow(sender) => {
                verbs += 1;
                let _ = sender.send(subscribers.subscribe(Duration::ZERO, "Running"));
                subscribers.close();
            }
        }
    }
    (hooks, verbs)
}

fn status() -> StatusView {
    let detail = Some("\"connection refused\"\n\\ <b>".to_owned());
    let probe = ProbeView { name: "readinessProbe", state: "Failure", failures: 3, detail, ..ProbeView::default() };
    StatusView { version: "0", phase: "Running", probes: vec![probe], ..StatusView::default() }
}

/// Everything is answered at once: longer is for ever.
const ENDS_WITHIN: Duration = Duration::from_secs(4);
