//! Clients that keep their connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::shared::{Shared, THINK, loss, open};
use crate::connect::Connection;
use crate::counts::{Kind, Loss};
use crate::http1::{Broken, Client, Ending, get};
use crate::plan::Target;

/// A client with a connection pool of one. Clients pause at first, so that they do not start at the same moment.
pub(super) async fn client(shared: Arc<Shared>, target: Target, client: u32, pause: Duration) {
    let request = get(&target.path, &target.host, "keep-alive");
    sleep(pause).await;
    let mut connection: Option<Client> = None;
    while !shared.is_over() && !(shared.is_without(client) && (shared.plan.close_kept || connection.is_none())) {
        let began = shared.now();
        let reused = connection.is_some();
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match timeout(shared.patience(), open(&target)).await.unwrap_or(Err(Loss::Hung)) {
                Ok(stream) => stream,
                Err(loss) => {
                    shared.count(Kind::Kept, began, Err(loss));
                    sleep(THINK).await;
                    continue;
                }
            },
        };
        let sent = Instant::now();
        match timeout(shared.patience(), stream.exchange(&request)).await {
            Ok(Ok(head)) => {
                let result = shared.judge(Kind::Kept, &target, head.status);
                let is_ok = result.is_ok();
                shared.count(Kind::Kept, began, result);
                if is_ok && head.keeps_the_connection() {
                    // A connection pool notices when an idle connection is closed.
                    connection = rest(stream).await;
                } else {
                    sleep(THINK).await;
                }
            }
            Ok(Err(Broken::Before(ending))) if reused => {
                match fate(ending, sent.elapsed(), stream.took_the_request().await) {
                    Fate::Race => shared.add(Kind::Kept, |counts| counts.idle_races += 1),
                    Fate::Dropped => {
                        let lost = shared.lost(Kind::Kept, Loss::Reset, began);
                        shared.dropped.lock().expect("no thread panics while it holds the lock").push(lost);
                    }
                    Fate::Lost => shared.count(Kind::Kept, began, Err(Loss::Reset)),
                }
            }
            Ok(Err(broken)) => shared.count(Kind::Kept, began, Err(loss(broken))),
            Err(_) => shared.count(Kind::Kept, began, Err(Loss::Hung)),
        }
    }
}

/// The result of a request on a kept connection that ended without a response.
#[derive(Debug, PartialEq)]
enum Fate {
    /// The server closed an idle connection at the moment of its use. It has not read the request.
    Race,
    /// The server seems to have read the request, and closed the connection at once.
    Dropped,
    /// The server had the request for a while.
    Lost,
}

/// A server that closes a connection with an unread request resets it, and the kernel resets a request that comes later.
fn fate(ending: Ending, after: Duration, took_the_request: bool) -> Fate {
    match ending {
        // Even a throttled server closes its idle connections within a second.
        Ending::Reset if after > Duration::from_secs(1) => Fate::Lost,
        Ending::Closed if took_the_request && after >= Duration::from_millis(5) => Fate::Lost,
        Ending::Closed if took_the_request => Fate::Dropped,
        _ => Fate::Race,
    }
}

/// Keeps the connection for a while; `None` if the server closed it.
async fn rest(mut client: Client) -> Option<Client> {
    let closed = async {
        if let Connection::Plain(stream) = &client.stream {
            let _ = stream.peek(&mut [0]).await;
        } else {
            // Session tickets are read within TLS. Bytes of the server's own would be a response without a request.
            let _ = client.read().await;
        }
    };
    match timeout(THINK, closed).await {
        Ok(()) => None,
        Err(_) => Some(client),
    }
}

#[test]
fn an_idle_race_is_told_from_a_dropped_request() {
    let (short, long) = (Duration::from_millis(1), Duration::from_millis(50));
    assert_eq!(fate(Ending::Reset, short, false), Fate::Race);
    assert_eq!(fate(Ending::Closed, short, false), Fate::Race);
    assert_eq!(fate(Ending::Closed, short, true), Fate::Dropped);
    assert_eq!(fate(Ending::Closed, long, true), Fate::Lost);
    assert_eq!(fate(Ending::Reset, Duration::from_secs(2), false), Fate::Lost);
}
