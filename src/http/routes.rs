//! What each path answers.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;

use super::server::{Call, Connection};
use super::status::Status;
use crate::lifecycle::{Hook, Outcome};

type Answered = Response<Full<Bytes>>;

/// There is nothing to answer: the connection is to break, so that a kubelet sees a failed hook.
#[derive(Debug, thiserror::Error)]
#[error("the hook has failed, and its caller looks at nothing but the connection")]
pub(super) struct Break;

/// Answers one request. A hook's receipt stays with the connection, to be dropped when that is over.
pub(super) async fn answer(request: Request<Incoming>, connection: &Connection) -> Result<Answered, Break> {
    // Kubelets before 1.26 send `GET //path`.
    let path = request.uri().path();
    let path = format!("/{}", path.trim_start_matches('/'));
    let known = matches!(
        path.as_str(),
        "/lifecycle/postStart" | "/lifecycle/preStop" | "/livez" | "/readyz" | "/startupz" | "/lbz" | "/status"
    );
    // A HEAD changes nothing anywhere, so it calls no hook.
    let is_allowed = match *request.method() {
        Method::GET => true,
        Method::HEAD => !path.starts_with("/lifecycle/"),
        _ => false,
    };
    if known && !is_allowed {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n".to_owned());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
        return Ok(response);
    }
    // The guard of the borrow must not live across an await: the loop writes through it.
    let status = || connection.doors.status.borrow().clone();
    Ok(match path.as_str() {
        "/lifecycle/postStart" => return hook(Hook::PostStart, &request, connection).await,
        "/lifecycle/preStop" => return hook(Hook::PreStop, &request, connection).await,
        "/livez" => check(true, ""),
        "/readyz" => check(status().serving, "the app cannot serve"),
        "/startupz" => check(status().started, "postStart is not over"),
        "/lbz" => check(status().ready, "not for new clients"),
        "/status" => json(&status()),
        _ => text(StatusCode::NOT_FOUND, "nothing is here; see /status\n".to_owned()),
    })
}

async fn hook(hook: Hook, request: &Request<Incoming>, connection: &Connection) -> Result<Answered, Break> {
    let place = connection.become_a_hook().ok_or(Break)?;
    let (sender, answer) = oneshot::channel();
    // The loop is gone only when the process is about to be.
    connection.doors.calls.send(Call { hook, answer: sender }).await.map_err(|_| Break)?;
    let answer = answer.await.map_err(|_| Break)?;
    connection.hold(place, answer.receipt);
    let name = hook.name();
    match answer.outcome {
        Outcome::Succeeded => Ok(text(StatusCode::OK, format!("{name} done\n"))),
        // Its status is ignored by a kubelet; only a broken connection is a failed hook to it.
        Outcome::Failed | Outcome::Aborted if is_kubelet(request) => Err(Break),
        Outcome::Failed => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} failed; see /status\n"))),
        Outcome::Aborted => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} was cut short by a stop\n"))),
    }
}

/// `User-Agent: kube-lifecycle/1.36`.
fn is_kubelet(request: &Request<Incoming>) -> bool {
    request.headers().get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"kube-lifecycle/"))
}

fn check(good: bool, why_not: &str) -> Answered {
    if good {
        text(StatusCode::OK, "ok\n".to_owned())
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, format!("{why_not}\n"))
    }
}

fn json(status: &Status) -> Answered {
    match serde_json::to_string_pretty(status) {
        Ok(body) => with_type(StatusCode::OK, "application/json", body + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot show the status: {error}\n")),
    }
}

fn text(code: StatusCode, body: String) -> Answered {
    with_type(code, "text/plain; charset=utf-8", body)
}

fn with_type(code: StatusCode, kind: &'static str, body: String) -> Answered {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
