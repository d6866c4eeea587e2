//! HTTP/2 and gRPC clients whose streams always have a request in flight.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::shared::{Shared, THINK};
use crate::counts::Loss;
use crate::http2::{self, Request, StreamResult};
use crate::plan::Multiplexed;

/// A client with one connection at a time. It opens another one while its proxy sends clients here.
pub(super) async fn connection(shared: Arc<Shared>, client: Multiplexed) {
    while !shared.is_over() && !shared.is_removed() {
        let began = shared.now();
        let opened = timeout(shared.patience(), http2::open(client.target.address, client.target.tls)).await;
        let (sender, mut connection) = match opened.unwrap_or(Err(StreamResult::Hung)) {
            Ok(opened) => opened,
            Err(result) => {
                record(&shared, &client, began, &result);
                sleep(THINK).await;
                continue;
            }
        };
        let pings = connection.ping_pong();
        let driver = tokio::spawn(async move { connection.await.ok() });
        let pinging =
            pings.map(|pings| tokio::spawn(http2::keep_alive(pings, PING_EVERY, Arc::new(AtomicU64::new(0)))));
        let mut streams = JoinSet::new();
        for _ in 0..client.streams {
            streams.spawn(stream(Arc::clone(&shared), client.clone(), sender.clone()));
        }
        drop(sender);
        while streams.join_next().await.is_some() {}
        if let Some(pinging) = pinging {
            pinging.abort();
        }
        driver.abort();
    }
}

/// One request after the other, until the connection ends.
async fn stream(shared: Arc<Shared>, client: Multiplexed, sender: SendRequest<Bytes>) {
    let (target, unused) = (&client.target, watch::channel(0).0);
    let request = match (client.grpc, target.path.as_str()) {
        (true, "/") => Request::grpc_health(),
        (true, method) => Request::grpc(method, b""),
        (false, path) => Request::get(path),
    };
    let scheme = if target.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}", target.host, request.path());
    while !(shared.is_over() || shared.is_removed() && shared.plan.close_kept) {
        let began = shared.now();
        let call = http2::call(sender.clone(), request.clone(), &uri, &unused);
        let result = timeout(shared.patience(), call).await.unwrap_or(StreamResult::Hung);
        record(&shared, &client, began, &result);
        match result {
            StreamResult::Answered => sleep(THINK).await,
            StreamResult::Failed(_) => sleep(THINK).await,
            _ => return,
        }
    }
}

fn record(shared: &Shared, client: &Multiplexed, began: u64, result: &StreamResult) {
    let kind = client.kind();
    let result = match result {
        StreamResult::Unprocessed => return shared.add(kind, |counts| counts.unprocessed += 1),
        StreamResult::Answered => Ok(()),
        StreamResult::Refused => Err(Loss::Refused),
        StreamResult::Reset => Err(Loss::Reset),
        StreamResult::Truncated => Err(Loss::Truncated),
        StreamResult::Hung => Err(Loss::Hung),
        // A path that did not exist before the stop is not lost by the stop.
        StreamResult::Failed(status) => {
            status.parse().map_or(Err(Loss::Failed), |status| shared.judge(kind, &client.target, status))
        }
    };
    shared.count(kind, began, result);
}

const PING_EVERY: Duration = Duration::from_secs(1);
