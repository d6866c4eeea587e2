//! A connection without a network, for `crate::fuzz`: any bytes go through hyper, the routes and their responses as they
//! do from the port or the socket. The loop behind them answers at once, and counts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::delivery::DeliveryGuard;
use super::listener::ListenerKind;
use super::request::{Endpoint, HookResponse, Request};
use super::server::serve_stream;
use super::status::{ProbeSnapshot, StatusSnapshot};
use super::{Rules, Subscribers};
use crate::report::timestamp::Timestamp;
use bookend_config::settings::{HttpSettings, ReadyzDuringStop, Settings};
use bookend_lifecycle::probe::ProbeState;
use bookend_lifecycle::{Outcome, PhaseName};

/// The listener, and how the loop behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// The unix socket; otherwise the port.
    pub(crate) is_socket: bool,
    /// `http.allowFrom` is empty: every hook is refused.
    pub(crate) is_refused: bool,
    /// The outcome of every hook; `None`: the loop is gone.
    pub(crate) outcome: Option<Outcome>,
    /// The number of bytes that come at once.
    pub(crate) chunk: usize,
}

/// The observations of a connection.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Everything that was written back until the end of the connection.
    pub(crate) answer: Vec<u8>,
    /// Calls of hooks.
    pub(crate) hooks: usize,
    /// Stops, signals and subscriptions: requests that only the socket may make.
    pub(crate) verbs: usize,
}

/// Runs one connection, from its first byte to its end. `None`: it does not end by itself.
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
                // The server has closed the connection.
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let mut answer = Vec::new();
    let served = serve_stream(Box::new(ours), kind, endpoint, rules);
    let (_, read, (), (hooks, verbs)) =
        tokio::join!(served, reader.read_to_end(&mut answer), write, answer_all(requests, scenario.outcome));
    read.expect("a pipe in memory");
    seen.answer = answer;
    (seen.hooks, seen.verbs) = (hooks, verbs);
    seen
}

/// The loop, until the endpoint is gone.
async fn answer_all(mut requests: mpsc::Receiver<Request>, outcome: Option<Outcome>) -> (usize, usize) {
    let (mut hooks, mut verbs) = (0, 0);
    let Some(outcome) = outcome else { return (0, 0) };
    let mut subscribers = Subscribers::default();
    while let Some(request) = requests.recv().await {
        // The caller may have hung up.
        match request {
            Request::Hook(_, sender) => {
                hooks += 1;
                let _ = sender.send(HookResponse { outcome, guard: DeliveryGuard::new().0 });
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
            #[cfg(feature = "reload")]
            Request::Reload(_, sender) => drop(sender.send((200, String::new()))),
            Request::Follow(_, sender) => {
                verbs += 1;
                let _ =
                    sender.send(subscribers.subscribe(Duration::ZERO, Timestamp::default(), PhaseName::Running, None));
                subscribers.close();
            }
        }
    }
    (hooks, verbs)
}

fn status() -> StatusSnapshot {
    let detail = Some("\"connection refused\"\n\\ <b>".to_owned());
    let probe = ProbeSnapshot {
        name: "readinessProbe",
        state: ProbeState::Failed,
        failures: 3,
        detail,
        ..ProbeSnapshot::default()
    };
    StatusSnapshot { version: "0", phase: PhaseName::Running, probes: vec![probe], ..StatusSnapshot::default() }
}

/// Every request is answered at once, so a longer time means that the connection hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(4);
