//! Responses, as every route makes them.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::events::EventStream;

/// A response with a body of known length, or with a stream of events.
pub(super) type HttpResponse = Response<Either<Full<Bytes>, EventStream>>;

/// The reason to break a connection in place of a response: a kubelet ignores the status code of a hook, and takes
/// nothing but a broken connection for a failure.
#[derive(Debug, thiserror::Error)]
#[error("the hook failed, and its caller notices nothing but a broken connection")]
pub(super) struct BrokenConnection;

/// A response of plain text.
pub(super) fn text(code: StatusCode, body: String) -> HttpResponse {
    with_type(code, "text/plain; charset=utf-8", body)
}

/// A response of this content type.
pub(super) fn with_type(code: StatusCode, content_type: &'static str, body: String) -> HttpResponse {
    // Not one byte more than the body has: all answers together are counted.
    let body = Bytes::from(body.into_boxed_str().into_boxed_bytes());
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A response that goes on as long as there are events.
pub(super) fn events(stream: EventStream) -> HttpResponse {
    let mut response = Response::new(Either::Right(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
