//! A connection without a network, for `crate::fuzz`: what a stranger writes goes through hyper, the routes and
//! their answers as it does from the port or the socket. The loop behind them answers at once, and counts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::server::{Answer, Ask, Door, Doors, serve_stream};
use super::status::{ProbeView, Status};
use super::{Audience, Rules};
use bookend_config::settings::{Http, ReadyzDuringStop, Settings};
use bookend_lifecycle::Outcome;

/// Who writes, and what the loop is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
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
pub(crate) struct Seen {
    /// All that was written back until the end of the connection.
    pub(crate) answer: Vec<u8>,
    /// Hooks that were called.
    pub(crate) hooks: usize,
    /// Stops, signals and followers of events: what the socket alone may ask for.
    pub(crate) verbs: usize,
}

/// One connection, from its first byte to its end. `None`: it does not end by itself.
pub(crate) fn converse(request: &[u8], circumstances: Circumstances) -> Option<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let connection = async { timeout(ENDS_WITHIN, connection(request, circumstances)).await };
    runtime.expect("a runtime without a network").block_on(connection).ok()
}

async fn connection(request: &[u8], circumstances: Circumstances) -> Seen {
    let (doors, asks) = Doors::new();
    let http = Http {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        token_file: None,
        allow_from: circumstances.is_refused.then(Vec::new),
        post_start_max: Http::POST_START_MAX,
        readyz_during_stop: ReadyzDuringStop::default(),
        page: true,
    };
    let settings = Settings { http: Some(http.clone()), ..Settings::default() };
    let (door, rules) = match circumstances.is_socket {
        true => (Door::Socket, Rules::of_socket(&settings)),
        false => (Door::Port, Rules::of_port(&http, &settings)),
    };
    let (stranger, ours) = duplex(4096);
    let (mut reader, mut writer) = split(stranger);
    let mut seen = Seen::default();
    let write = async {
        for chunk in request.chunks(circumstances.chunk.max(1)) {
            if writer.write_all(chunk).await.is_err() {
                // We have closed, and read no more.
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let mut answer = Vec::new();
    let served = serve_stream(Box::new(ours), door, doors, rules);
    let (_, read, (), (hooks, verbs)) =
        tokio::join!(served, reader.read_to_end(&mut answer), write, answer_all(asks, circumstances.told));
    read.expect("a pipe in memory");
    seen.answer = answer;
    (seen.hooks, seen.verbs) = (hooks, verbs);
    seen
}

/// The loop, until nobody can ask any more.
async fn answer_all(mut asks: mpsc::Receiver<Ask>, told: Option<Outcome>) -> (usize, usize) {
    let (mut hooks, mut verbs) = (0, 0);
    let Some(outcome) = told else { return (0, 0) };
    let mut audience = Audience::default();
    while let Some(ask) = asks.recv().await {
        // Whoever has asked may be gone.
        match ask {
            Ask::Hook(_, sender) => {
                hooks += 1;
                let _ = sender.send(Answer { outcome, receipt: oneshot::channel().0 });
            }
            Ask::Status(_, sender) => drop(sender.send(Box::new(status()))),
            Ask::Stop(sender) => {
                verbs += 1;
                let _ = sender.send(());
            }
            Ask::Signal(_, sender) => {
                verbs += 1;
                let _ = sender.send(Ok(()));
            }
            Ask::Follow(sender) => {
                verbs += 1;
                let _ = sender.send(audience.join(Duration::ZERO, "Running"));
                audience.dismiss();
            }
        }
    }
    (hooks, verbs)
}

fn status() -> Status {
    let detail = Some("\"connection refused\"\n\\ <b>".to_owned());
    let probe = ProbeView { name: "readinessProbe", state: "Failure", failures: 3, detail, ..ProbeView::default() };
    Status { version: "0", phase: "Running", probes: vec![probe], ..Status::default() }
}

/// Everything is answered at once: longer is for ever.
const ENDS_WITHIN: Duration = Duration::from_secs(4);
