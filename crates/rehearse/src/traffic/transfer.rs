//! Traffic that takes its time: downloads, uploads, event streams and websockets. Each begins a second before the stop.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

use super::shared::{Shared, loss, open};
use crate::connect::Connection;
use crate::counts::{Kind, Loss};
use crate::http1::{Client, get};
use crate::http2::{self, Request, StreamResult};
use crate::plan::{Target, Transfer};

/// One transfer, from a second before the stop to its end.
pub(super) async fn run(shared: Arc<Shared>, transfer: Transfer) {
    let Transfer { kind, target } = &transfer;
    let warm = Duration::from_secs_f64((shared.plan.warm_seconds - 1.0).max(0.0));
    sleep_until((shared.began + warm).into()).await;
    let began = shared.now();
    let over = Duration::from_secs_f64(shared.plan.transfer_seconds);
    let result = match kind {
        Kind::Download => timeout(over + shared.patience(), download(target, Some(over))).await,
        Kind::Upload => timeout(over + shared.patience(), upload(target, shared.plan.upload_bytes, over)).await,
        // It goes on until the server ends it, but the run must end at some time.
        Kind::Websocket => until_over(&shared, websocket(target)).await,
        _ => until_over(&shared, download(target, None)).await,
    };
    let result = result.unwrap_or(Err(Loss::Hung)).and_then(|status| match (kind, status) {
        (Kind::Websocket, 101) => Ok(()),
        _ => shared.judge(*kind, target, status),
    });
    shared.count(*kind, began, result);
}

async fn until_over<T>(shared: &Shared, future: impl Future<Output = T>) -> Result<T, tokio::time::error::Elapsed> {
    let over = async {
        while !shared.is_over() {
            sleep(Duration::from_millis(50)).await;
        }
        sleep(Duration::from_millis(500)).await;
    };
    tokio::select! {
        result = future => Ok(result),
        () = over => timeout(Duration::ZERO, std::future::pending()).await,
    }
}

async fn download(target: &Target, over: Option<Duration>) -> Result<u16, Loss> {
    let mut client = open_slowly(target).await?;
    client.send(get(&target.path, &target.host, "close").as_bytes()).await.map_err(loss)?;
    let head = client.head().await.map_err(loss)?;
    client.body(&head, over.filter(|_| head.length().is_some())).await.map_err(loss)?;
    Ok(head.status)
}

/// A receive buffer so small that the server cannot hand the whole file to the kernel.
async fn open_slowly(target: &Target) -> Result<Client, Loss> {
    if target.tls {
        return open(target).await;
    }
    let socket = || {
        let socket =
            if target.address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_recv_buffer_size(16 * 1024)?;
        io::Result::Ok(socket)
    };
    let socket = socket().map_err(|_| Loss::Reset)?;
    let stream: TcpStream = socket.connect(target.address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Loss::Refused,
        _ => Loss::Reset,
    })?;
    Ok(Client::new(Connection::Plain(stream)))
}

async fn upload(target: &Target, length: usize, over: Duration) -> Result<u16, Loss> {
    let mut client = open(target).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bookend-rehearse\r\nConnection: close\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n",
        target.path, target.host
    );
    client.send(head.as_bytes()).await.map_err(loss)?;
    let steps = u32::try_from(over.as_millis() / 50).unwrap_or(u32::MAX).max(1);
    let step = vec![b'x'; length.div_ceil(steps as usize).max(1)];
    let (began, mut sent, mut round) = (Instant::now(), 0, 0);
    while sent < length {
        let next = step.get(..step.len().min(length - sent)).unwrap_or_default();
        // The server may refuse the rest, and its response says why.
        if client.send(next).await.is_err() {
            break;
        }
        sent += next.len();
        round += 1;
        sleep_until((began + over * round / steps).into()).await;
    }
    let response = client.head().await.map_err(loss)?;
    client.body(&response, None).await.map_err(loss)?;
    Ok(response.status)
}

/// A websocket that sends a ping every second. Whole if the server sends a Close frame.
async fn websocket(target: &Target) -> Result<u16, Loss> {
    let (mut client, status) = upgrade(target).await?;
    if status != 101 {
        return Ok(status);
    }
    let mut next_ping = Instant::now() + Duration::from_secs(1);
    loop {
        let wait = next_ping.saturating_duration_since(Instant::now());
        // A frame that has begun is read to its end by the next round: nothing is taken before it is whole.
        match timeout(wait, client.read()).await {
            Err(_) => {
                next_ping += Duration::from_secs(1);
                // Ping, masked, no data.
                client.send(&[0x89, 0x80, 1, 2, 3, 4]).await.map_err(|_| Loss::Truncated)?;
            }
            Ok(Ok(0) | Err(_)) => return Err(Loss::Truncated),
            Ok(Ok(_)) => {
                while let Some(frame) = client.whole_frame() {
                    client.take(frame.length).await.map_err(|_| Loss::Truncated)?;
                    if frame.opcode == 8 {
                        // Close, masked, no data.
                        let _ = client.send(&[0x88, 0x80, 1, 2, 3, 4]).await;
                        return Ok(101);
                    }
                }
            }
        }
    }
}

async fn upgrade(target: &Target) -> Result<(Client, u16), Loss> {
    let mut client = open(target).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bookend-rehearse\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.path, target.host
    );
    client.send(request.as_bytes()).await.map_err(loss)?;
    let head = client.head().await.map_err(loss)?;
    Ok((client, head.status))
}

/// The status of the URL before the stop, from one request of this kind.
pub(super) async fn first_status(kind: Kind, target: &Target) -> Result<u16, String> {
    let problem = |loss: Loss| match loss {
        Loss::Refused => "the connection was refused".to_owned(),
        Loss::Truncated => "the connection broke within the response".to_owned(),
        _ => "the connection broke before the response".to_owned(),
    };
    match kind {
        Kind::Http2 | Kind::Grpc => first_call(kind, target).await,
        Kind::Upload => upload(target, 1000, Duration::ZERO).await.map_err(problem),
        Kind::Websocket => match upgrade(target).await.map_err(problem)?.1 {
            101 => Ok(101),
            status => Err(format!("status {status} and not 101")),
        },
        // The head is enough: the body may be long, or endless.
        _ => {
            let mut client = open(target).await.map_err(problem)?;
            let sent = client.send(get(&target.path, &target.host, "close").as_bytes()).await;
            sent.map_err(|broken| problem(loss(broken)))?;
            let head = client.head().await.map_err(|broken| problem(loss(broken)))?;
            client.stream.shutdown().await.ok();
            Ok(head.status)
        }
    }
}

async fn first_call(kind: Kind, target: &Target) -> Result<u16, String> {
    let request = match (kind, target.path.as_str()) {
        (Kind::Grpc, "/") => Request::grpc_health(),
        (Kind::Grpc, method) => Request::grpc(method, b""),
        _ => Request::get(&target.path),
    };
    let scheme = if target.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}", target.host, request.path());
    let opened = http2::open(target.address, target.tls).await;
    let (sender, connection) = opened.map_err(|result| format!("no HTTP/2 connection: {result:?}"))?;
    let driver = tokio::spawn(async move { connection.await.ok() });
    let result = http2::call(sender, request, &uri, &watch::channel(0).0).await;
    driver.abort();
    match result {
        StreamResult::Answered => Ok(200),
        StreamResult::Failed(status) => status.parse().map_err(|_| status),
        other => Err(format!("{other:?}")),
    }
}

/// A websocket frame that is read as a whole.
struct Frame {
    opcode: u8,
    length: usize,
}

impl Client {
    /// The next frame, if it is here as a whole. A server's frames are not masked.
    fn whole_frame(&self) -> Option<Frame> {
        let bytes = self.unread();
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (head, body) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        let length = head + body;
        (bytes.len() >= length).then_some(Frame { opcode: first & 0x0f, length })
    }
}
