//! The HTTP/2 client reports the result of each request, against a server that answers, refuses and breaks on request.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bookend_rehearse::http2::{Http2, Outcome, Request, StreamResult};
use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

/// Serves one connection; the path of a request selects its result.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (ends, mut ended) = watch::channel(false);
    let ends = Arc::new(ends);
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            _ = ended.changed() => return, // the connection breaks without a GOAWAY
        };
        let Some(Ok((request, mut respond))) = accepted else { break };
        let path = request.uri().path().to_owned();
        match path.as_str() {
            // The streams after this one are not processed.
            "/goaway" => connection.graceful_shutdown(),
            "/refused" => {
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            "/reset" => {
                respond.send_reset(Reason::CANCEL);
                continue;
            }
            _ => {}
        }
        let ends = Arc::clone(&ends);
        tokio::spawn(async move {
            if request.method() == "POST" {
                let mut body = request.into_body();
                while let Some(data) = body.data().await {
                    let length = data.unwrap().len();
                    body.flow_control().release_capacity(length).unwrap();
                }
            }
            answer(&path, respond, &ends).await;
        });
    }
    poll_fn(|context| connection.poll_closed(context)).await.ok();
}

async fn answer(path: &str, mut respond: SendResponse<Bytes>, ends: &watch::Sender<bool>) {
    let head = |status: u16| Response::builder().status(status).body(()).unwrap();
    match path {
        "/break-before" => {
            ends.send_replace(true);
            sleep(Duration::from_secs(60)).await;
        }
        "/break-within" => {
            let mut body = respond.send_response(head(200), false).unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            sleep(Duration::from_millis(100)).await;
            ends.send_replace(true);
            sleep(Duration::from_secs(60)).await;
        }
        "/unavailable" => drop(respond.send_response(head(503), true)),
        "/slow" => {
            sleep(Duration::from_millis(400)).await;
            let mut body = respond.send_response(head(200), false).unwrap();
            body.send_data(Bytes::from_static(b"slow"), true).unwrap();
        }
        "/grpc.health.v1.Health/Check" | "/test.Test/Fails" => {
            let mut body = respond.send_response(head(200), false).unwrap();
            body.send_data(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false).unwrap();
            let mut trailers = HeaderMap::new();
            let status = if path.contains("Fails") { "14" } else { "0" };
            trailers.insert("grpc-status", status.parse().unwrap());
            body.send_trailers(trailers).unwrap();
        }
        _ => drop(respond.send_response(head(200), true)),
    }
}

fn run(client: Http2, tls: Option<Arc<rustls::ServerConfig>>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            match tls {
                None => serve(stream).await,
                Some(config) => serve(tokio_rustls::TlsAcceptor::from(config).accept(stream).await.unwrap()).await,
            }
        });
        let outcome = Http2 { address, ..client }.run(Arc::new(watch::channel(0).0)).await;
        server.abort();
        outcome
    })
}

fn results(paths: &[&str]) -> Vec<StreamResult> {
    run(Http2::new(0, paths.iter().map(|path| Request::get(path)).collect()), None).results
}

#[test]
fn several_streams_and_pings_are_answered() {
    let mut client = Http2::new(0, vec![Request::get("/slow"), Request::get("/"), Request::grpc_health()]);
    client.requests.push(Request::upload("/upload", 200_000, Duration::from_millis(300)));
    client.ping_every = Some(Duration::from_millis(50));
    let outcome = run(client, None);
    assert_eq!(outcome.results, vec![StreamResult::Answered; 4]);
    assert!(outcome.pongs >= 3, "{outcome:?}");
    assert!(outcome.took >= Duration::from_millis(400), "{outcome:?}");
}

#[test]
fn tls_with_any_certificate_is_accepted() {
    let key = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.into()], key.signing_key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = Http2 { tls: true, ..Http2::new(0, vec![Request::get("/slow"), Request::grpc_health()]) };
    assert_eq!(run(client, Some(Arc::new(config))).results, vec![StreamResult::Answered; 2]);
}

#[test]
fn a_goaway_before_processing_is_told_from_a_loss() {
    let unprocessed = StreamResult::Unprocessed;
    assert_eq!(results(&["/refused", "/reset"]), [unprocessed.clone(), StreamResult::Reset]);
    // A server that goes away answers what it has begun with.
    let results = results(&["/slow", "/goaway", "/"]);
    assert_eq!(results[..2], [StreamResult::Answered, StreamResult::Answered], "{results:?}");
    assert!(!unprocessed.is_lost());
}

#[test]
fn a_broken_connection_loses_what_it_carried() {
    assert_eq!(results(&["/slow", "/break-before"]), vec![StreamResult::Reset; 2]);
    assert_eq!(results(&["/slow", "/break-within"]), [StreamResult::Reset, StreamResult::Truncated]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = Http2::new(port, vec![Request::get("/"); 2]).start_here();
    refused.wait_until_sent();
    assert_eq!(refused.finish().results, vec![StreamResult::Refused; 2]);
}

#[test]
fn other_statuses_are_failures() {
    let failed = |status: &str| StreamResult::Failed(status.to_owned());
    let requests = vec![Request::get("/unavailable"), Request::grpc("/test.Test/Fails", b"")];
    let outcome = run(Http2::new(0, requests), None);
    assert_eq!(outcome.results, [failed("503"), failed("grpc-status 14")]);
    assert_eq!(outcome.lost(), 2);
}
