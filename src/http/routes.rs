//! What each path answers, and through which door.

use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::events::EventStream;
use super::health::Health;
use super::metrics;
use super::server::{Connection, Detail, HookCall, ListenerKind, Request};
use super::token::Refusal;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Hook, Outcome};

pub(super) type Answered = Response<Either<Full<Bytes>, EventStream>>;

/// There is nothing to answer: the connection is to break, so that a kubelet sees a failed hook.
#[derive(Debug, thiserror::Error)]
#[error("the hook has failed, and its caller looks at nothing but the connection")]
pub(super) struct BrokenConnection;

/// What is meant by a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Hook(Option<&'a str>, Hook),
    Health(Health),
    Status,
    #[cfg(feature = "page")]
    Page,
    Metrics,
    Stop,
    Signal(&'a str),
    Events,
}

impl Route<'_> {
    /// The route of a path. Verbs of the socket do not exist for the port.
    fn find<'a>(path: &'a str, kind: ListenerKind, containers: &[String]) -> Option<Route<'a>> {
        if let Some(path) = path.strip_prefix("lifecycle/") {
            let (container, hook) = path.split_once('/').map_or((None, path), |(name, hook)| (Some(name), hook));
            let is_known = container.is_none_or(|name| containers.iter().any(|known| known == name));
            let hook = [Hook::PostStart, Hook::PreStop].into_iter().find(|known| known.name() == hook);
            return hook.filter(|_| is_known).map(|hook| Route::Hook(container, hook));
        }
        Some(match path {
            "livez" => Route::Health(Health::Livez),
            "readyz" => Route::Health(Health::Readyz),
            "startupz" => Route::Health(Health::Startupz),
            "lbz" => Route::Health(Health::Lbz),
            "status" => Route::Status,
            #[cfg(feature = "page")]
            "" => Route::Page,
            "metrics" => Route::Metrics,
            "stop" if kind == ListenerKind::Socket => Route::Stop,
            "events" if kind == ListenerKind::Socket => Route::Events,
            _ => Route::Signal(path.strip_prefix("signal/").filter(|_| kind == ListenerKind::Socket)?),
        })
    }

    /// A HEAD changes nothing anywhere, so it calls no hook.
    fn allows(self, method: &Method) -> bool {
        match self {
            Route::Stop | Route::Signal(_) => method == Method::POST,
            Route::Hook(..) | Route::Events => method == Method::GET,
            #[cfg(feature = "page")]
            Route::Page => method == Method::GET || method == Method::HEAD,
            Route::Health(_) | Route::Status | Route::Metrics => method == Method::GET || method == Method::HEAD,
        }
    }
}

/// Answers one request. A hook's receipt stays with the connection, to be dropped when that is over.
pub(super) async fn answer(
    mut request: hyper::Request<Incoming>,
    connection: &Connection,
) -> Result<Answered, BrokenConnection> {
    if !body_is_bearable(request.body_mut()).await {
        return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "nothing here takes a body\n".to_owned()));
    }
    // Kubelets before 1.26 send `GET //path`.
    let path = request.uri().path().trim_start_matches('/');
    let Some(route) = Route::find(path, connection.kind(), &connection.rules().containers) else {
        // A status would tell a kubelet that the hook has run: a name that is misspelt is found when that is too late.
        return if is_kubelet(&request) { Err(connection.knows_no_hook(path)) } else { Ok(nothing(path)) };
    };
    if !route.allows(request.method()) {
        let allowed = if route.allows(&Method::POST) { "POST" } else { "GET" };
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} is answered here\n"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        return Ok(response);
    }
    let endpoint = connection.endpoint();
    match route {
        Route::Hook(container, hook) => {
            let called = HookCall { container: container.map(str::to_owned), hook };
            return call(called, &request, connection).await;
        }
        Route::Health(health) => {
            let Some(status) = endpoint.request(|sender| Request::Status(Detail::Health, sender)).await else {
                return Ok(ending());
            };
            let (good, said) = health.answer(
                &status,
                connection.rules().readyz_during_stop,
                request.uri().query().unwrap_or_default(),
            );
            Ok(text(if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, said))
        }
        Route::Status => {
            let Some(status) = endpoint.request(|sender| Request::Status(Detail::Everything, sender)).await else {
                return Ok(ending());
            };
            Ok(match serde_json::to_string_pretty(&status) {
                Ok(body) => with_type(StatusCode::OK, "application/json", body + "\n"),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot show the status: {error}\n")),
            })
        }
        #[cfg(feature = "page")]
        Route::Page if connection.rules().page => Ok(super::page::page()),
        #[cfg(feature = "page")]
        Route::Page => Ok(nothing(path)),
        Route::Metrics => {
            let Some(status) = endpoint.request(|sender| Request::Status(Detail::Everything, sender)).await else {
                return Ok(ending());
            };
            let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let (body, kind) = metrics::answer(status, accepts);
            Ok(with_type(StatusCode::OK, kind, body))
        }
        Route::Stop => Ok(match endpoint.request(Request::Stop).await {
            Some(()) => text(StatusCode::ACCEPTED, "stopping\n".to_owned()),
            None => ending(),
        }),
        Route::Signal(name) => Ok(match receivable(name) {
            Ok(signal) => match endpoint.request(|sender| Request::Signal(signal, sender)).await {
                Some(Ok(())) => text(StatusCode::ACCEPTED, format!("{signal}, as if it had been received\n")),
                Some(Err(why)) => text(StatusCode::CONFLICT, format!("{signal}: {why}\n")),
                None => ending(),
            },
            Err((code, why)) => text(code, why + "\n"),
        }),
        Route::Events => {
            if !connection.wait() {
                return Ok(too_many());
            }
            Ok(match endpoint.request(Request::Follow).await {
                Some(Some(stream)) => events(stream),
                Some(None) => too_many(),
                None => ending(),
            })
        }
    }
}

async fn call(
    called: HookCall,
    request: &hyper::Request<Incoming>,
    connection: &Connection,
) -> Result<Answered, BrokenConnection> {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if let Err(refusal) = connection.authorize(authorization) {
        // A refused hook is a hook that has not run; told by a status, a kubelet would take it for done.
        return if is_kubelet(request) { Err(BrokenConnection) } else { Ok(refused(refusal)) };
    }
    if !connection.wait() {
        return if is_kubelet(request) { Err(BrokenConnection) } else { Ok(too_many()) };
    }
    let hook = called.hook;
    let asked = connection.endpoint().request(|sender| Request::Hook(called, sender));
    let answer = match hook {
        Hook::PostStart => match timeout(connection.rules().post_start_max, asked).await {
            Ok(answer) => answer,
            // The handlers go on; whoever waited for them has waited long enough.
            Err(_) if is_kubelet(request) => return Err(BrokenConnection),
            Err(_) => {
                return Ok(text(
                    StatusCode::GATEWAY_TIMEOUT,
                    "postStart is not over (http.postStartMaxSeconds)\n".to_owned(),
                ));
            }
        },
        // Its end is the stop's: the stop signal, or the grace period.
        _ => asked.await,
    };
    // The loop is gone only when the process is about to be.
    let answer = answer.ok_or(BrokenConnection)?;
    connection.hold(answer.receipt);
    let name = hook.name();
    match answer.outcome {
        Outcome::Succeeded => Ok(text(StatusCode::OK, format!("{name} done\n"))),
        // Its status is ignored by a kubelet; only a broken connection is a failed hook to it.
        Outcome::Failed | Outcome::Aborted if is_kubelet(request) => Err(BrokenConnection),
        Outcome::Failed => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} failed; see /status\n"))),
        Outcome::Aborted => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} was cut short by a stop\n"))),
    }
}

/// `User-Agent: kube-lifecycle/1.36`.
fn is_kubelet(request: &hyper::Request<Incoming>) -> bool {
    request.headers().get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"kube-lifecycle/"))
}

/// Takes a body that nobody needs off the wire, within limits: an answer written over unread bytes can be lost.
async fn body_is_bearable(body: &mut Incoming) -> bool {
    body.is_end_stream() || {
        let body = Limited::new(body, MOST_BODY_BYTES).collect();
        matches!(timeout(BODY_TIME, body).await, Ok(Ok(_)))
    }
}

/// A signal that could have come from outside, or why it could not.
fn receivable(name: &str) -> Result<Signal, (StatusCode, String)> {
    let signal: Signal = name.parse().map_err(|unknown| (StatusCode::NOT_FOUND, format!("{unknown}")))?;
    if signal.is_uncatchable() {
        return Err((StatusCode::BAD_REQUEST, format!("{signal} cannot be received by any process (signal(7))")));
    }
    if signal == Signal::CHLD {
        let why = "SIGCHLD is bookend's own: it tells that a child has ended";
        return Err((StatusCode::BAD_REQUEST, why.to_owned()));
    }
    Ok(signal)
}

fn refused(refusal: Refusal) -> Answered {
    match refusal {
        Refusal::Network => text(StatusCode::FORBIDDEN, "not from your address\n".to_owned()),
        Refusal::NoTokenFile => {
            text(StatusCode::SERVICE_UNAVAILABLE, "there is no token to compare yours with\n".to_owned())
        }
        Refusal::Token => {
            let mut response = text(StatusCode::UNAUTHORIZED, "a hook needs the token\n".to_owned());
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

fn nothing(path: &str) -> Answered {
    let what = if path.starts_with("lifecycle/") { "no hook of that name" } else { "nothing" };
    text(StatusCode::NOT_FOUND, format!("{what} is here; see /status\n"))
}

fn ending() -> Answered {
    text(StatusCode::SERVICE_UNAVAILABLE, "the container is ending\n".to_owned())
}

fn too_many() -> Answered {
    text(StatusCode::SERVICE_UNAVAILABLE, "too many are waiting here already\n".to_owned())
}

fn text(code: StatusCode, body: String) -> Answered {
    with_type(code, "text/plain; charset=utf-8", body)
}

fn with_type(code: StatusCode, kind: &'static str, body: String) -> Answered {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn events(stream: EventStream) -> Answered {
    let mut response = Response::new(Either::Right(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const MOST_BODY_BYTES: usize = 16 * 1024;
const BODY_TIME: Duration = Duration::from_secs(2);
