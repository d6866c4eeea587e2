//! The answer of each path, and the listeners that have it.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, ALLOW, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use tokio::time::timeout;

use super::connection::Connection;
use super::health::Health;
use super::listener::ListenerKind;
use super::metrics;
use super::refusal::Refusal;
use super::request::{Detail, HookCall, Request};
use super::response::{BrokenConnection, HttpResponse, events, text, with_type};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Hook, Outcome};

/// The meaning of a path.
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
    /// Of one entry, or of all.
    #[cfg(feature = "reload")]
    Reload(Option<&'a str>),
    Events,
}

impl Route<'_> {
    /// The route of a path. The port has no route to what only the socket may request.
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
            #[cfg(feature = "reload")]
            "reload" if kind == ListenerKind::Socket => Route::Reload(None),
            #[cfg(feature = "reload")]
            _ if kind == ListenerKind::Socket && path.starts_with("reload/") => {
                Route::Reload(path.strip_prefix("reload/"))
            }
            "events" if kind == ListenerKind::Socket => Route::Events,
            _ => Route::Signal(path.strip_prefix("signal/").filter(|_| kind == ListenerKind::Socket)?),
        })
    }

    fn has_large_answer(self) -> bool {
        match self {
            Route::Status | Route::Metrics => true,
            #[cfg(feature = "page")]
            Route::Page => true,
            Route::Hook(..) | Route::Health(_) | Route::Stop | Route::Signal(_) | Route::Events => false,
            #[cfg(feature = "reload")]
            Route::Reload(_) => false,
        }
    }

    /// A HEAD must change nothing, so it calls no hook.
    fn allows(self, method: &Method) -> bool {
        match self {
            Route::Stop | Route::Signal(_) => method == Method::POST,
            #[cfg(feature = "reload")]
            Route::Reload(_) => method == Method::POST,
            Route::Hook(..) | Route::Events => method == Method::GET,
            #[cfg(feature = "page")]
            Route::Page => method == Method::GET || method == Method::HEAD,
            Route::Health(_) | Route::Status | Route::Metrics => method == Method::GET || method == Method::HEAD,
        }
    }
}

/// Answers one request. The delivery guard of a hook's response stays with the connection until that is over.
pub(super) async fn answer(
    mut request: hyper::Request<Incoming>,
    connection: &Connection,
) -> Result<HttpResponse, BrokenConnection> {
    connection.begin_answer();
    if !discard_body(request.body_mut()).await {
        let body = "the request body is too large or incomplete: send the request without a body\n";
        return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, body.to_owned()));
    }
    // Kubelets before 1.26 send `GET //path`.
    let path = request.uri().path().trim_start_matches('/');
    let Some(route) = Route::find(path, connection.kind(), &connection.rules().containers) else {
        // A status code would tell a kubelet that the hook has run, and a misspelt name would go unnoticed.
        return if is_kubelet(&request) { Err(connection.unknown_hook(path)) } else { Ok(not_found(path)) };
    };
    if !route.allows(request.method()) {
        let allowed = if route.allows(&Method::POST) { "POST" } else { "GET" };
        let mut response =
            text(StatusCode::METHOD_NOT_ALLOWED, format!("{} is not allowed here: use {allowed}\n", request.method()));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        return Ok(response);
    }
    if route.has_large_answer() && !connection.reserve_answer().await {
        return Ok(too_many());
    }
    let endpoint = connection.endpoint();
    match route {
        Route::Hook(container, hook) => {
            let call = HookCall { container: container.map(str::to_owned), hook };
            return call_hook(call, &request, connection).await;
        }
        Route::Health(health) => {
            let Some(status) = endpoint.request(|sender| Request::Status(Detail::Health, sender)).await else {
                return Ok(exiting());
            };
            let query = request.uri().query().unwrap_or_default();
            let (passed, report) = health.answer(&status, connection.rules().readyz_during_stop, query);
            Ok(text(if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, report))
        }
        Route::Status => {
            let Some(status) = endpoint.request(|sender| Request::Status(Detail::Everything, sender)).await else {
                return Ok(exiting());
            };
            Ok(match serde_json::to_string_pretty(&status) {
                Ok(body) if !connection.fit_answer(body.len() + 1) => too_many(),
                Ok(body) => with_type(StatusCode::OK, "application/json", body + "\n"),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the status: {error}\n")),
            })
        }
        #[cfg(feature = "page")]
        Route::Page if connection.rules().page => {
            Ok(super::page::page(&crate::report::identity::PodIdentity::of_environment()))
        }
        #[cfg(feature = "page")]
        Route::Page => Ok(not_found(path)),
        Route::Metrics => {
            let Some(status) = endpoint.request(|sender| Request::Status(Detail::Everything, sender)).await else {
                return Ok(exiting());
            };
            let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let (body, content_type) = metrics::answer(status, accepts);
            if !connection.fit_answer(body.len()) {
                return Ok(too_many());
            }
            Ok(with_type(StatusCode::OK, content_type, body))
        }
        Route::Stop => Ok(match endpoint.request(Request::Stop).await {
            Some(()) => text(StatusCode::ACCEPTED, "stopping\n".to_owned()),
            None => exiting(),
        }),
        Route::Signal(name) => Ok(match receivable(name) {
            Ok(signal) => match endpoint.request(|sender| Request::Signal(signal, sender)).await {
                Some(Ok(())) => text(StatusCode::ACCEPTED, format!("{signal} is handled as if it had been received\n")),
                Some(Err(why)) => text(StatusCode::CONFLICT, format!("{signal}: {why}\n")),
                None => exiting(),
            },
            Err((code, why)) => text(code, why + "\n"),
        }),
        #[cfg(feature = "reload")]
        Route::Reload(name) => {
            if !connection.wait() {
                return Ok(too_many());
            }
            let name = name.map(str::to_owned);
            let answer = endpoint.request(|sender| Request::Reload(name, sender)).await;
            Ok(answer.map_or_else(exiting, |(code, body)| text(StatusCode::from_u16(code).unwrap_or_default(), body)))
        }
        Route::Events => {
            if !connection.wait() {
                return Ok(too_many());
            }
            Ok(match endpoint.request(|response| Request::Follow(connection.peer_pid(), response)).await {
                Some(Some((stream, guard))) => {
                    connection.hold(guard);
                    events(stream)
                }
                Some(None) => too_many(),
                None => exiting(),
            })
        }
    }
}

async fn call_hook(
    call: HookCall,
    request: &hyper::Request<Incoming>,
    connection: &Connection,
) -> Result<HttpResponse, BrokenConnection> {
    if let Err(refusal) = connection.authorize(request.headers()).await {
        // A refused hook has not run; a status code would tell a kubelet that it has.
        return if is_kubelet(request) { Err(BrokenConnection) } else { Ok(refused(refusal)) };
    }
    if !connection.wait() {
        return if is_kubelet(request) { Err(BrokenConnection) } else { Ok(too_many()) };
    }
    let hook = call.hook;
    let requested = connection.endpoint().request(|sender| Request::Hook(call, sender));
    let response = match hook {
        Hook::PostStart => match timeout(connection.rules().post_start_max, requested).await {
            Ok(response) => response,
            // The handlers go on; only the caller stops waiting for them.
            Err(_) if is_kubelet(request) => return Err(BrokenConnection),
            Err(_) => {
                let body = "postStart still runs after http.postStartMaxSeconds; see /status\n";
                return Ok(text(StatusCode::GATEWAY_TIMEOUT, body.to_owned()));
            }
        },
        // It ends with the stop: with the stop signal, or with the grace period.
        _ => requested.await,
    };
    // The loop is gone only when the process is about to exit.
    let response = response.ok_or(BrokenConnection)?;
    connection.hold(response.guard);
    let name = hook.name();
    match response.outcome {
        Outcome::Succeeded => Ok(text(StatusCode::OK, format!("{name} done\n"))),
        // A kubelet ignores the status code; only a broken connection is a failed hook to it.
        Outcome::Failed | Outcome::Aborted if is_kubelet(request) => Err(BrokenConnection),
        Outcome::Failed => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} failed; see /status\n"))),
        Outcome::Aborted => {
            Ok(text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} was aborted by a stop; see /status\n")))
        }
    }
}

/// `User-Agent: kube-lifecycle/1.36`.
fn is_kubelet(request: &hyper::Request<Incoming>) -> bool {
    request.headers().get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"kube-lifecycle/"))
}

/// Reads a body and drops it, within limits: a response written over unread bytes can be lost. `false`: it is too large,
/// or does not come to its end.
async fn discard_body(body: &mut Incoming) -> bool {
    body.is_end_stream() || {
        let body = Limited::new(body, MOST_BODY_BYTES).collect();
        matches!(timeout(BODY_TIME, body).await, Ok(Ok(_)))
    }
}

/// A signal that a process can receive, or why there is none of that name.
fn receivable(name: &str) -> Result<Signal, (StatusCode, String)> {
    let signal: Signal = name.parse().map_err(|unknown| (StatusCode::NOT_FOUND, format!("{unknown}")))?;
    bookend_config::receivable(signal).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

fn refused(refusal: Refusal) -> HttpResponse {
    let mut response = text(refusal.status(), format!("hook refused: {}\n", refusal.reason()));
    if refusal == Refusal::Token {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn not_found(path: &str) -> HttpResponse {
    let body = match path.starts_with("lifecycle/") {
        true => {
            "unknown hook: the hooks are postStart and preStop, of a sidecar's containers NAME/postStart and NAME/preStop\n"
        }
        false => "not found: see /status, /metrics, /livez, /readyz, /startupz and /lbz\n",
    };
    text(StatusCode::NOT_FOUND, body.to_owned())
}

fn exiting() -> HttpResponse {
    text(StatusCode::SERVICE_UNAVAILABLE, "the container is exiting: no more requests are answered\n".to_owned())
}

fn too_many() -> HttpResponse {
    text(StatusCode::SERVICE_UNAVAILABLE, "too many callers wait here already: try again later\n".to_owned())
}

const MOST_BODY_BYTES: usize = 16 * 1024;
const BODY_TIME: Duration = Duration::from_secs(2);
