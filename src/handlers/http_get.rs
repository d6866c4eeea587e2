//! `httpGet`, over HTTP or HTTPS, as the kubelet makes it: one GET, `Connection: close`, redirects followed within
//! the host, at most ten requests in all; a redirect to another host is not followed and judged by its own status.
//!
//! | what            | bound                                                             |
//! | --------------- | ----------------------------------------------------------------- |
//! | time            | the caller's: everything here is dropped when it is over          |
//! | answer's head   | 16 KiB, 64 headers                                                |
//! | answer's body   | 10 KiB are read, and then it is done; the kubelet's own limit     |
//! | files, names    | aside, on a thread: see aside.rs                                  |
//!
//! Nothing that was filled in (`$(VAR)`, a file) is shown in a report.

mod url;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::connect::{ConnectError, connect};
use super::detached::{DetachedError, spawn_blocking_detached};
use super::program::{Environment, read_value};
use super::report::HandlerReport;
use crate::error::describe;
use crate::http::Duplex;
use bookend_config::settings::{Header, HttpGet, Scheme, ValueSource};
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::printable::printable;
use url::Url;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    /// See there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No thread for what may block.
    #[error("cannot prepare the request")]
    Aside(#[from] DetachedError),
    /// The host, after `$(VAR)` was filled in.
    #[error("invalid host: empty or contains an illegal character")]
    Host,
    /// A header as it would be sent; the value may be a secret.
    #[error("the header {0:?} cannot be sent: its value has a character no header can have")]
    Header(String),
    /// The file is not there, or cannot be read.
    #[error("cannot read {path:?} for the header {name:?}")]
    Secret {
        /// The header.
        name: String,
        /// `valueFrom.file`.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nobody to be trusted.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Trust(#[from] crate::tls::TrustError),
    /// A build without `tls`, redirected to https.
    #[cfg(not(feature = "tls"))]
    #[error("this build of bookend has no TLS")]
    NoTls,
    /// A certificate that is not to be trusted; something that speaks no TLS.
    #[cfg(feature = "tls")]
    #[error("no TLS with {host}{}", advice(source))]
    Handshake {
        /// The host whose name was to be in the certificate.
        host: String,
        /// As rustls says it.
        #[source]
        source: std::io::Error,
    },
    /// Closed, reset, no HTTP, a head that is too long.
    #[error("no answer")]
    Http(#[from] hyper::Error),
    /// Where it leads cannot be read.
    #[error("the answer redirects to something that is no URL")]
    Location,
    /// In a circle, probably.
    #[error("redirected more than {MOST_REQUESTS} times")]
    TooManyRedirects,
}

/// An answer, as far as it is of interest.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
}

/// Makes the request, and says how it went.
pub(crate) async fn run(get: HttpGet, env: Environment) -> HandlerReport {
    match perform(&get, &env).await {
        Ok(answer) => judge(&get, &answer),
        Err(error) => HandlerReport::new(HandlerResult::Failed, describe(&error)),
    }
}

fn judge(get: &HttpGet, answer: &Answer) -> HandlerReport {
    let detail = format!("status {}", answer.status);
    if get.success_status.iter().any(|range| range.contains(&answer.status.as_u16())) {
        return HandlerReport::new(HandlerResult::Succeeded, detail);
    }
    // Whoever said no may have said why.
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(LINES_KEPT);
    let output =
        lines.map(|line| printable(&String::from_utf8_lossy(line)).chars().take(LINE_KEPT).collect()).collect();
    HandlerReport { output, ..HandlerReport::new(HandlerResult::Failed, detail) }
}

async fn perform(get: &HttpGet, env: &Environment) -> Result<Answer, HttpError> {
    let host = env.expand(OsStr::new(&get.host)).into_string().map_err(|_| HttpError::Host)?;
    let first = Url::new(get.scheme, &host, get.port, &url::path(&get.path, env)).ok_or(HttpError::Host)?;
    let mut headers = headers(&get.headers, env).await?;
    let mut client = Client::new(get, env);
    let mut url = first.clone();
    for _ in 0..MOST_REQUESTS {
        let answer = client.exchange(&url, &headers).await?;
        let Some(location) = answer.location.as_deref().filter(|_| is_redirect(answer.status)) else {
            return Ok(answer);
        };
        let next = url.join(location).ok_or(HttpError::Location)?;
        if !next.host.eq_ignore_ascii_case(&first.host) {
            return Ok(answer);
        }
        if url::is_absolute(location) {
            // As Go's client: a Host of one's own is kept only where the redirect names no host.
            headers.remove(HOST);
        }
        if url.scheme == Scheme::Https && next.scheme == Scheme::Http {
            // Not as Go's client: a secret that was to be sent encrypted is not sent in the clear.
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
        }
        url = next;
    }
    Err(HttpError::TooManyRedirects)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The headers as they are said, with ours where nothing is; as a kubelet does, an empty `Accept` or `User-Agent`
/// means none.
async fn headers(said: &[Header], env: &Environment) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for header in said {
        let refused = || HttpError::Header(header.name.clone());
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| refused())?;
        let value = match &header.value {
            ValueSource::Plain(text) => env.expand(OsStr::new(text)),
            ValueSource::File(path) => secret(&header.name, path.clone()).await?,
        };
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    for (name, ours) in [(USER_AGENT, AGENT), (ACCEPT, "*/*")] {
        match headers.get(&name) {
            None => drop(headers.insert(name, HeaderValue::from_static(ours))),
            Some(said) if said.is_empty() => drop(headers.remove(name)),
            Some(_) => {}
        }
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(headers)
}

/// A secret's file, read when it is needed: it may have been rotated.
async fn secret(name: &str, path: PathBuf) -> Result<OsString, HttpError> {
    let file = path.clone();
    let read = spawn_blocking_detached(move || read_value(&file)).await?;
    read.map_err(|source| HttpError::Secret { name: name.to_owned(), path, source })
}

/// What the requests of one run have in common.
struct Client {
    #[cfg(feature = "tls")]
    trust: crate::tls::Trust,
    #[cfg(feature = "tls")]
    config: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Client {
    #[cfg(not(feature = "tls"))]
    fn new(_: &HttpGet, _: &Environment) -> Client {
        Client {}
    }

    #[cfg(feature = "tls")]
    fn new(get: &HttpGet, env: &Environment) -> Client {
        use crate::tls::Trust;
        let bundle = env.get(OsStr::new("SSL_CERT_FILE")).filter(|path| !path.is_empty());
        let trust = match (&get.ca_file, get.insecure_skip_verify) {
            (_, true) => Trust::Everybody,
            (Some(path), false) => Trust::File(path.clone()),
            (None, false) => Trust::System(bundle.map(PathBuf::from)),
        };
        Client { trust, config: None }
    }

    /// One request on a connection of its own.
    async fn exchange(&mut self, url: &Url, headers: &HeaderMap) -> Result<Answer, HttpError> {
        let stream = connect(&url.host, url.port).await?;
        let stream: Box<dyn Duplex> = match url.scheme {
            Scheme::Http => Box::new(stream),
            Scheme::Https => self.encrypt(&url.host, stream).await?,
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MOST_HEAD_BYTES)
            .max_headers(MOST_HEADERS)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await?;
        // Ended with this function, however that ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = url.target();
        *request.headers_mut() = headers.clone();
        if !headers.contains_key(HOST) {
            request.headers_mut().insert(HOST, url.authority());
        }
        read(sender.send_request(request).await?).await
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypt(&mut self, _: &str, _: tokio::net::TcpStream) -> Result<Box<dyn Duplex>, HttpError> {
        Err(HttpError::NoTls)
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&mut self, host: &str, stream: tokio::net::TcpStream) -> Result<Box<dyn Duplex>, HttpError> {
        let config = match &self.config {
            Some(config) => config.clone(),
            None => {
                let trust = self.trust.clone();
                let config = std::sync::Arc::new(spawn_blocking_detached(move || crate::tls::client(&trust)).await??);
                self.config.insert(config).clone()
            }
        };
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = rustls::pki_types::ServerName::try_from(bare).map_err(|_| HttpError::Host)?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|source| HttpError::Handshake { host: host.to_owned(), source })?;
        Ok(Box::new(stream))
    }
}

async fn read(mut response: Response<Incoming>) -> Result<Answer, HttpError> {
    let location = response.headers().get(LOCATION).filter(|value| !value.is_empty());
    let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut body = Vec::new();
    while body.len() < MOST_BODY {
        match response.frame().await {
            Some(frame) => body.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new())),
            None => break,
        }
    }
    Ok(Answer { status: response.status(), location, body })
}

/// What to do about a certificate that is refused.
#[cfg(feature = "tls")]
fn advice(error: &std::io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            " (who issued its certificate? caFile says)"
        }
        Some(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {
            " (host must be a name in its certificate)"
        }
        Some(Error::InvalidCertificate(CertificateError::Other(_))) => {
            " (a certificate that is an authority, CA:TRUE, cannot be a server's)"
        }
        _ => "",
    }
}

const AGENT: &str = concat!("bookend/", env!("CARGO_PKG_VERSION"));
/// As many requests as Go's client makes before it gives up.
const MOST_REQUESTS: usize = 10;
const MOST_HEAD_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const MOST_BODY: usize = 10 * 1024;
const LINES_KEPT: usize = 3;
const LINE_KEPT: usize = 200;
